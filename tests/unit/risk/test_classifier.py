"""Change risk: calibrated, explained exactly, honest about what is not known yet."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.utils.estimator_checks import check_estimator

from testopt import ChangeRiskClassifier
from testopt.errors import BundleError
from testopt.learning.calibration import fit_level, sigmoid
from testopt.risk.change_table import ages
from testopt.risk.label_latency import (
    estimate_latency,
    found_share,
    known_share,
    latency_weights,
)

START = pd.Timestamp("2020-01-01")


def changes(n=1500, seed=0, days=700.0, latency=0.0):
    """Changes whose log-odds of a defect are known; young labels may be missing."""
    rng = np.random.default_rng(seed)
    la = np.floor(np.exp(rng.normal(3.0, 1.5, n)))
    nf = 1.0 + rng.poisson(2.0, n)
    day = np.sort(rng.uniform(0.0, days, n))
    logit = -3.0 + 0.6 * np.log1p(la) + 0.1 * nf
    truth = rng.uniform(size=n) < 1.0 / (1.0 + np.exp(-logit))
    found = rng.uniform(size=n) < known_share(day.max() - day, latency)
    frame = pd.DataFrame(
        {
            "la": la,
            "ld": rng.poisson(5.0, n).astype(float),
            "nf": nf,
            "exp": rng.integers(1, 900, n).astype(float),
            "date": START + pd.to_timedelta(day, unit="D"),
        }
    )
    return frame, truth & found, truth


@pytest.fixture(scope="module")
def fitted():
    frame, y, _ = changes()
    return ChangeRiskClassifier(n_jobs=1).fit(frame, y)


def test_keeps_the_contract_of_scikit_learn():
    check_estimator(ChangeRiskClassifier(n_jobs=1))


def test_ranks_and_calibrates_changes_it_has_not_seen(fitted):
    frame, y, _ = changes(seed=1)
    p = fitted.predict_proba(frame)[:, 1]
    assert roc_auc_score(y, p) > roc_auc_score(y, frame["nf"]) + 0.1
    assert abs(p.mean() - y.mean()) < 0.04
    assert abs(p[p > 0.6].mean() - y[p > 0.6].mean()) < 0.08


def test_contributions_add_up_to_the_logit(fitted):
    frame, _, _ = changes(n=50, seed=2)
    parts = fitted.contributions(frame)
    np.testing.assert_allclose(parts.sum(axis=1), fitted.decision_function(frame), atol=1e-9)
    p = fitted.predict_proba(frame)[:, 1]
    np.testing.assert_allclose(np.log(p / (1 - p)), parts.sum(axis=1), atol=1e-6)
    assert list(parts.index) == list(frame.index)
    assert set(parts.columns) == {"base", "la", "ld", "nf", "exp"}
    assert parts["la"].corr(np.log1p(frame["la"])) > 0.9


def test_a_change_is_judged_alone(fitted):
    frame, _, _ = changes(n=40, seed=3)
    together = fitted.predict_proba(frame)[:, 1]
    alone = [fitted.predict_proba(frame.iloc[[i]])[0, 1] for i in range(len(frame))]
    np.testing.assert_allclose(together, alone, rtol=1e-12)


def test_missing_and_extra_columns_are_borne(fitted):
    frame, y, _ = changes(n=300, seed=4)
    fewer = fitted.predict_proba(frame.drop(columns=["ld", "date"]))
    assert fewer.shape == (300, 2)
    assert np.isfinite(fewer).all()
    more = frame.assign(subject="text", weird=np.inf, flag=y)
    assert np.isfinite(fitted.predict_proba(more)).all()
    holes = frame.mask(np.random.default_rng(0).uniform(size=frame.shape) < 0.3)
    assert np.isfinite(ChangeRiskClassifier(n_jobs=1).fit(holes, y).predict_proba(holes)).all()


@pytest.mark.parametrize("defects", [0, 3])
def test_too_little_to_learn_from_leaves_lines_added(defects):
    frame, _, _ = changes(n=40)
    y = np.arange(40) < defects
    model = ChangeRiskClassifier().fit(frame, y)
    assert model.by_lines_
    p = model.predict_proba(frame)[:, 1]
    assert roc_auc_score(frame["la"] > frame["la"].median(), p) == 1.0
    assert 0.0 < p.mean() < 0.12
    parts = model.contributions(frame)
    assert not parts.drop(columns=["base", "la"]).to_numpy().any()

    other = frame.drop(columns="la")
    p = ChangeRiskClassifier().fit(other, y).predict_proba(other)[:, 1]
    np.testing.assert_allclose(p, (defects + 1) / 42)


def test_lines_added_decide_where_the_models_do_worse():
    frame, y, _ = changes(n=1500, seed=3)
    misled = frame.assign(nf=np.where(y, 9.0, 1.0))
    misled.loc[1200:, "nf"] = np.where(y[1200:], 1.0, 9.0)  # what held before no longer does
    model = ChangeRiskClassifier(n_jobs=1).fit(misled, y)
    assert model.by_lines_
    assert model.aucs_[0] < model.aucs_[1]
    by_lines = model.predict_proba(misled)[:, 1]
    assert (np.diff(by_lines[np.argsort(misled["la"], kind="stable")]) >= 0).all()
    assert not ChangeRiskClassifier(n_jobs=1).fit(frame, y).by_lines_


def test_changes_that_were_not_examined_are_not_clean():
    frame, _, truth = changes(n=1500, seed=4)
    share = np.where(np.arange(1500) < 1000, 1.0, 0.0)
    seen = truth & (share > 0)
    p = ChangeRiskClassifier(n_jobs=1).fit_examined(frame, seen, share).predict_proba(frame)[:, 1]
    assert p[1000:].mean() == pytest.approx(truth[1000:].mean(), abs=0.07)
    nothing = ChangeRiskClassifier(n_jobs=1).fit_examined(frame, seen & False, share * 0.0)
    assert nothing.by_lines_
    assert nothing.predict_proba(frame)[:, 1].mean() == pytest.approx(0.1, abs=0.05)


def test_the_delay_of_defects_is_found_though_late_ones_are_not_known_yet():
    rng = np.random.default_rng(0)
    seen, delay = rng.uniform(0.0, 2000.0, 4000), rng.exponential(300.0, 4000)
    known = delay <= seen
    age = np.array([-5.0, 10.0, 100.0, 300.0, 600.0, 1000.0])
    found = found_share(delay[known], seen[known], age)
    np.testing.assert_allclose(found, 1 - np.exp(-np.maximum(age, 0) / 300.0), atol=0.03)
    assert (delay[known] < 300.0).mean() > found[3] + 0.05  # what counting alone says
    np.testing.assert_array_equal(found_share(np.empty(0), np.empty(0), age), [0, 1, 1, 1, 1, 1])


@pytest.mark.parametrize(
    "told",
    [
        lambda f: f.astype(object),
        lambda f: f.astype(str),
        lambda f: f.astype({"la": "category", "nf": "Int64"}),
        lambda f: f.assign(date=(f["date"] - pd.Timestamp(0)) // pd.Timedelta(microseconds=1)),
        lambda f: f.set_axis(np.zeros(len(f), int)),
        lambda f: pd.concat([f, f[["la"]]], axis=1),
    ],
)
def test_the_same_changes_told_otherwise(fitted, told):
    frame, _, _ = changes(n=200, seed=8)
    p = fitted.predict_proba(frame)
    np.testing.assert_allclose(fitted.predict_proba(told(frame)), p, atol=1e-6)


def test_flags_and_labels_of_any_type_are_read():
    frame, y, _ = changes(n=200, seed=9)
    frame["fix"] = np.arange(200) % 3 == 0
    model = ChangeRiskClassifier().fit(frame, y.astype(object))
    text = frame.assign(fix=frame["fix"].astype(str))
    np.testing.assert_array_equal(model.predict_proba(text), model.predict_proba(frame))
    assert model.predict_proba(frame.iloc[:0]).shape == (0, 2)


def test_a_change_without_a_date_is_as_old_as_the_one_before():
    days = np.array([np.nan, 3.0, np.nan, 10.0, np.nan])
    np.testing.assert_array_equal(ages(days), [7.0, 7.0, 7.0, 0.0, 0.0])


@pytest.mark.parametrize("half_life", [60.0, None])
def test_the_level_is_that_of_the_changes_as_they_weigh(half_life):
    frame, _, _ = changes(n=1500, seed=10)
    rng = np.random.default_rng(10)
    y = rng.uniform(size=1500) < np.linspace(0.6, 0.1, 1500)
    model = ChangeRiskClassifier(latency=None, half_life=half_life).fit(frame, y)
    age = (frame["date"].max() - frame["date"]) / pd.Timedelta(days=1)
    weight = np.exp2(-age / (half_life or np.inf))
    p = model.predict_proba(frame)[:, 1]
    assert np.average(p, weights=weight) == pytest.approx(np.average(y, weights=weight), abs=0.01)


def test_three_hundred_changes_are_enough_for_no_nonsense():
    frame, y, _ = changes(n=300, seed=11, days=200.0)
    young, truth, _ = changes(n=600, seed=12)
    p = ChangeRiskClassifier().fit(frame, y).predict_proba(young)[:, 1]
    prior = np.mean((y.mean() - truth) ** 2)
    assert np.mean((p - truth) ** 2) < prior
    assert roc_auc_score(truth, p) > 0.6


def test_same_seed_same_answer(fitted):
    frame, y, _ = changes()
    again = ChangeRiskClassifier(n_jobs=1).fit(frame, y)
    assert np.array_equal(again.predict_proba(frame), fitted.predict_proba(frame))


def test_latency_is_found_and_corrected():
    frame, seen, truth = changes(n=3000, days=700.0, latency=90.0)
    model = ChangeRiskClassifier(n_jobs=1).fit(frame, seen)
    assert 50.0 < model.latency_ < 150.0
    corrected = model.predict_proba(frame)[:, 1].mean()
    naive = ChangeRiskClassifier(latency=None, n_jobs=1).fit(frame, seen)
    believed = naive.predict_proba(frame)[:, 1].mean()
    real = truth.mean()
    assert abs(corrected - real) < abs(believed - real) - 0.01


def test_a_drifting_rate_is_not_taken_for_latency():
    rng = np.random.default_rng(5)
    age = np.linspace(900.0, 0.0, 4000)
    drifting = rng.uniform(size=4000) < 0.10 + 0.25 * age / 900.0
    assert estimate_latency(age, drifting) == 0.0
    assert estimate_latency(age, rng.uniform(size=4000) < 0.3) == 0.0
    assert estimate_latency(age, np.zeros(4000, bool)) == 0.0


def test_latency_weights_restore_the_rate():
    rng = np.random.default_rng(6)
    age = np.linspace(1000.0, 0.0, 40_000)
    seen = rng.uniform(size=len(age)) < 0.3 * known_share(age, 120.0)
    weight = latency_weights(age, seen, 120.0)
    assert np.average(seen, weights=weight) == pytest.approx(0.3, abs=0.01)
    assert not weight[age < 120.0 * np.log(2) - 1].any()


def test_fit_level_meets_the_rate():
    rng = np.random.default_rng(13)
    margin, y = rng.normal(2.0, 1.0, 5000), rng.uniform(size=5000) < 0.2
    level = fit_level(margin, y, np.ones(5000))
    assert sigmoid(level + margin).mean() == pytest.approx(y.mean(), abs=1e-3)
    assert -10.0 <= fit_level(margin, y & False, np.ones(5000)) < -9.0


def test_saved_as_plain_data_and_back(fitted):
    frame, _, _ = changes(n=30, seed=7)
    text = json.dumps(fitted.to_dict())
    loaded = ChangeRiskClassifier.from_dict(json.loads(text))
    np.testing.assert_allclose(loaded.predict_proba(frame), fitted.predict_proba(frame), rtol=1e-9)
    np.testing.assert_allclose(loaded.contributions(frame), fitted.contributions(frame), rtol=1e-6)


@pytest.mark.parametrize("lost", ["inputs", "calibration", "models"])
def test_damaged_data_are_refused(fitted, lost):
    data = fitted.to_dict()
    del data[lost]
    with pytest.raises(BundleError):
        ChangeRiskClassifier.from_dict(data)


@pytest.mark.integration
@pytest.mark.slow
def test_the_published_benchmark():
    folder = os.environ.get("TESTOPT_BENCH_DATA")
    if not folder:
        pytest.skip("TESTOPT_BENCH_DATA is not set")
    command = [
        sys.executable,
        str(Path(folder) / "score_jit.py"),
        str(Path(folder) / "jit" / "issta21.parquet"),
        "testopt:ChangeRiskClassifier",
        "--json",
    ]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=1800)
    scores = json.loads(done.stdout)
    assert scores["mean"]["auc"] >= 0.755
    assert scores["mean"]["ece"] <= 0.05
    assert all(row["auc"] > row["la_auc"] - 0.01 for row in scores.values())
