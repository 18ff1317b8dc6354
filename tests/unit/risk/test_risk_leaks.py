"""Change risk knows of a change what was known when it was made, and nothing of other changes."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from testopt import ChangeRiskClassifier
from testopt.risk.derived_metrics import METRICS


def changes(n, seed=0):
    """Changes of which the larger ones introduce defects, most of all in the second half."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {name: np.floor(np.exp(rng.normal(2.0, 1.2, n))) for name in METRICS}
        | {"date": pd.date_range("2021-01-01", periods=n, freq="9h")}
    )
    logit = 1.2 * np.log1p(frame["la"]) - 4.5 + np.linspace(0.0, 1.0, n)
    return frame, rng.uniform(size=n) < 1.0 / (1.0 + np.exp(-logit))


@pytest.fixture(scope="module")
def fitted():
    frame, y = changes(500)
    return ChangeRiskClassifier().fit(frame.iloc[:400], y[:400]), frame.iloc[400:], y[400:]


def test_other_changes_of_the_batch_do_not_matter(fitted):
    model, young, _ = fitted
    p = model.predict_proba(young)
    alone = [model.predict_proba(young.iloc[[i]])[0] for i in range(0, len(young), 9)]
    np.testing.assert_allclose(p[::9], alone, rtol=1e-12)
    np.testing.assert_allclose(p[::-1], model.predict_proba(young.iloc[::-1]), rtol=1e-12)
    later = young.copy()
    later.iloc[50:] = young.iloc[50:].sample(frac=1.0, random_state=1).to_numpy()
    later[list(METRICS)] = later[list(METRICS)].astype(float)
    later.loc[later.index[50:], "la"] = 1e9
    np.testing.assert_allclose(p[:50], model.predict_proba(later)[:50], rtol=1e-12)


def test_the_index_and_further_rows_say_nothing(fitted):
    model, young, _ = fitted
    p = model.predict_proba(young)
    np.testing.assert_array_equal(p, model.predict_proba(young.set_axis(range(len(young)))))
    doubled = pd.concat([young, young.iloc[::-1]])
    np.testing.assert_array_equal(p, model.predict_proba(doubled)[: len(young)])


def test_prediction_changes_nothing_in_the_model(fitted):
    model, young, _ = fitted
    before = model.to_dict()
    model.predict_proba(young)
    model.contributions(young)
    assert model.to_dict() == before


def permuted(train, y, test, truth, seeds):
    """Return the AUC on true labels of models that learnt shuffled ones, beside their prior."""
    found = []
    told = ["la", "nuc"]  # of which the prior speaks
    train, test = train.drop(columns=told), test.drop(columns=told)
    for seed in range(seeds):
        shuffled = np.random.default_rng(seed).permutation(y)
        model = ChangeRiskClassifier(random_state=seed).fit(train, shuffled)
        found.append(roc_auc_score(truth, model.predict_proba(test)[:, 1]))
    return np.array(found)


def test_shuffled_labels_teach_nothing(fitted):
    model, young, truth = fitted
    frame, y = changes(500)
    assert roc_auc_score(truth, model.predict_proba(young)[:, 1]) > 0.7
    found = permuted(frame.iloc[:400], y[:400], young, truth, seeds=6)
    # one model leans to either side by chance; a leak would push all of them to one
    assert abs(found.mean() - 0.5) < 3.0 * found.std(ddof=1) / np.sqrt(len(found))
    assert found.mean() < 0.6


@pytest.mark.slow
def test_published_data_without_labels_or_dates():
    folder = os.environ.get("TESTOPT_BENCH_DATA")
    if not folder:
        pytest.skip("TESTOPT_BENCH_DATA is not set")
    data = pd.read_parquet(Path(folder) / "jit" / "issta21.parquet")
    columns = [*METRICS, "date"]
    shuffled, dated, undated = [], [], []
    for _, project in data.groupby("project"):
        d = project.sort_values("date", kind="stable")
        cut = int(len(d) * 0.8)
        train, test = d[columns].iloc[:cut], d[columns].iloc[cut:]
        y, truth = d["buggy"].to_numpy(bool)[:cut], d["buggy"].to_numpy(bool)[cut:]
        shuffled += [permuted(train, y, test, truth, seeds=3)]
        model = ChangeRiskClassifier().fit(train, y)
        dated.append(roc_auc_score(truth, model.predict_proba(test)[:, 1]))
        then = test.assign(date=train["date"].max())  # when training ended
        undated.append(roc_auc_score(truth, model.predict_proba(then)[:, 1]))
    values = np.concatenate(shuffled)
    assert abs(values.mean() - 0.5) < 3.0 * values.std(ddof=1) / np.sqrt(len(values))
    assert abs(np.mean(dated) - np.mean(undated)) < 0.005
