"""The ranker learns, is calibrated, and gives the same model for the same data."""

import numpy as np
import pytest
from builders import run_features
from sklearn.utils.estimator_checks import check_estimator

from testopt.learning.calibration import fit_logit, sigmoid
from testopt.learning.metrics import expected_calibration_error
from testopt.ranking.baselines import BASELINES, baseline_orders
from testopt.ranking.cost_order import run_order
from testopt.ranking.ranker import FailureRanker, level_rows, shared_weight


def data(n=6000, seed=0):
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, 4)).astype(np.float32)
    x[random.random(x.shape) < 0.1] = np.nan
    p = sigmoid(2 * np.nan_to_num(x[:, 0]) - 2.5)
    return x, random.random(n) < p, p


def test_learns_and_is_calibrated_on_unseen_rows():
    x, y, p = data()
    ranker = FailureRanker(n_estimators=60).fit(x[:4000], y[:4000])
    predicted = ranker.predict_proba(x[4000:])[:, 1]
    assert np.corrcoef(predicted, p[4000:])[0, 1] > 0.9
    assert expected_calibration_error(y[4000:], predicted) < 0.03


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
def test_it_is_an_estimator_of_scikit_learn():
    drawn = (
        "rows are drawn, and the youngest set the level: two rows are not one that weighs double"
    )
    inexact = {"check_sample_weight_equivalence_on_dense_data": drawn}
    check_estimator(FailureRanker(n_estimators=2), expected_failed_checks=inexact)


def test_same_data_and_seed_give_the_same_model_and_another_seed_does_not():
    x, y, _ = data(1500)
    texts = [
        FailureRanker(n_estimators=20, random_state=s).fit(x, y).booster_.model_to_string()
        for s in (1, 1, 2)
    ]
    assert texts[0] == texts[1] != texts[2]


def test_compiled_forest_gives_the_same_probabilities():
    x, y, _ = data(1500)
    ranker = FailureRanker(n_estimators=20).fit(x, y)
    intercept, slope = ranker.calibration_
    margin = 0.5 * (ranker.forest_.margin(x) + ranker.linear_.margin(x))
    compiled = sigmoid(intercept + slope * margin)
    assert np.allclose(compiled, ranker.predict_proba(x)[:, 1], atol=1e-12)


def test_failing_cases_of_one_run_share_a_weight():
    failed = np.array([True, False, True, True, True, True, False])
    runs = np.array([1, 1, 4, 4, 4, 4, 9])
    assert shared_weight(failed, runs) == pytest.approx([1, 1, *[0.5**0.5] * 4, 1])
    assert shared_weight(failed, None).tolist() == [1] * 7


def test_no_run_is_split_by_the_calibration():
    runs = np.repeat(np.arange(10), 100)
    assert FailureRanker(calibration_share=0.25)._cut(1000, runs) == 700
    assert FailureRanker(calibration_share=0.0)._cut(1000, runs) == 1000


def test_no_evidence_no_calibration():
    x, y, _ = data(400)
    y[320:] = False
    assert FailureRanker(n_estimators=5).fit(x, y).calibration_ == (0.0, 1.0)


def test_older_rows_that_all_fail_are_no_trouble():
    x, y, _ = data(1000)
    y[:800], y[800:] = True, np.arange(200) % 2
    ranker = FailureRanker(n_estimators=5).fit(x, y)
    assert ranker.calibration_ == (0.0, 1.0)


def test_logit_recovers_a_known_line_and_never_turns_round():
    random = np.random.default_rng(0)
    margin = random.normal(size=50_000)
    y = random.random(50_000) < sigmoid(-1.0 + 0.5 * margin)
    intercept, slope = fit_logit(margin, y)
    assert (intercept, slope) == (pytest.approx(-1.0, abs=0.05), pytest.approx(0.5, abs=0.05))
    assert fit_logit(margin, random.random(50_000) < sigmoid(-margin))[1] > 0


def test_order_prefers_likely_and_cheap_cases_and_breaks_ties_by_cost_then_id():
    p = np.array([0.1, 0.5, 0.5, 0.0, 0.0])
    seconds = np.array([1.0, 1.0, 0.1, 2.0, 2.0])
    assert run_order(p, seconds, ["a", "b", "c", "e", "d"], exponent=0.5).tolist() == [
        2,
        1,
        0,
        4,
        3,
    ]


def test_baselines_are_orders_and_mean_what_they_say():
    features = run_features(
        3, executions=[9, 9, 2], failures=[5, 1, 0], ticks_since_failure=[5, 1, np.nan],
        age_ticks=[9, 9, 2],
    )  # fmt: skip
    orders = baseline_orders(features, np.array([3.0, 2.0, 1.0]), seed=0)
    assert tuple(orders) == BASELINES
    assert all(sorted(o.tolist()) == [0, 1, 2] for o in orders.values())
    assert orders["by case id"].tolist() == [0, 1, 2]
    assert orders["fast first"].tolist() == [2, 1, 0]
    assert orders["newest case first"][0] == 2
    assert orders["failed recently first"].tolist() == [1, 2, 0]
    assert orders["failure rate"].tolist() == [0, 1, 2]


def test_made_faults_do_not_set_the_level():
    x, y, _ = data()
    made = np.arange(len(y)) % 2 == 1
    random = np.random.default_rng(1)
    y = y | (made & (random.random(len(y)) < 0.4))  # where faults are made far more fail
    ranker = FailureRanker(n_estimators=60)
    whole, level = (
        ranker.fit(x[:4000], y[:4000], calibrates=rows).predict_proba(x[4000:])[:, 1]
        for rows in (None, ~made[:4000])
    )
    real = ~made[4000:]
    rate = y[4000:][real].mean()
    assert level[real].mean() == pytest.approx(rate, rel=0.15)
    assert whole[real].mean() > 1.5 * rate


def test_made_faults_set_the_level_where_there_is_nothing_else():
    assert level_rows(np.zeros(100, bool)).all()
    assert level_rows(np.arange(100) % 2 == 0).sum() == 50


def test_real_runs_in_which_nothing_fails_set_the_level_too():
    x, y, _ = data()
    made = np.arange(len(y)) % 2 == 1
    ranker = FailureRanker(n_estimators=60)
    whole, level = (
        ranker.fit(x, y & made, calibrates=rows).predict_proba(x[~made])[:, 1].sum()
        for rows in (None, ~made)
    )
    assert level < 0.5 * whole
