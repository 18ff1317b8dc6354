"""In which order the cases of a run go: the model, what needs no training, and the cost."""

import numpy as np
import pytest
from builders import run_features

from testopt.ranking.baselines import (
    expected_seconds,
    pooled_rate,
    recency,
    untrained_score,
)
from testopt.ranking.cost_order import run_order, value_per_cost
from testopt.ranking.orderings import FLOOR, cost_exponent, priority


def test_the_model_and_what_needs_no_training_have_the_same_say():
    failed = {"executions": 20, "failures": [8, 2], "runs_since_failure": [4.0, 4.0]}
    x = run_features(2, **failed)
    untrained = untrained_score(x) + FLOOR
    assert priority(x, None) == pytest.approx(untrained)
    p = np.array([0.04, 0.3])
    assert priority(x, p) == pytest.approx(np.sqrt((p + FLOOR) * untrained))
    # four times as likely by the one outweighs less than that by the other
    assert priority(x, p).argmax() == 1


def test_without_sources_recent_failures_and_the_failure_rate_have_the_same_say():
    x = run_features(3, executions=20, failures=[8, 2, 0], runs_since_failure=[9.0, 1.0, np.nan])
    assert untrained_score(x) == pytest.approx(np.sqrt(recency(x) * pooled_rate(x)))


@pytest.mark.parametrize("sources", [False, True])
def test_the_duration_counts_more_where_a_model_knows_the_past_alone(sources):
    x, p = run_features(2, sources_read=sources), np.full(2, 0.1)
    assert (cost_exponent(x, p) > cost_exponent(x, None)) is not sources
    assert cost_exponent(run_features(0), p[:0]) == cost_exponent(run_features(2), p)


def test_a_value_is_divided_by_a_power_of_the_cost():
    assert value_per_cost(np.array([1.0]), np.array([3.999]), 0.5) == pytest.approx([0.5])
    for exponent, first in ((0.0, 0), (1.0, 1)):
        value, seconds = np.array([0.5, 0.4]), np.array([9.0, 1.0])
        assert run_order(value, seconds, ["a", "b"], exponent=exponent)[0] == first


def test_a_case_with_little_history_is_drawn_towards_the_others():
    never, often, stranger = pooled_rate(
        run_features(3, executions=[1, 100, 0], failures=[0, 10, 0])
    )
    assert never < often == pytest.approx(0.1, abs=0.01)
    assert stranger == 0.1


def test_names_weigh_less_than_sources():
    facts = {
        "executions": 15, "failures": [8, 1], "runs_since_failure": [1, 15], "prior": [0.0, 1.0],
    }  # fmt: skip
    far, near = untrained_score(run_features(2, **facts))
    assert far > near
    far, near = untrained_score(run_features(2, **facts, sources_read=True))
    assert near > far


def test_recency_counts_executions():
    failed_last, failed_last_but_one, never, stranger = recency(
        run_features(4, executions=[9, 9, 9, 0], runs_since_failure=[0, 1, np.nan, np.nan])
    )
    assert failed_last == pytest.approx(1 / 2)
    assert failed_last_but_one == pytest.approx(1 / 3)
    assert never == pytest.approx(1 / 11)
    assert failed_last > stranger > failed_last_but_one


@pytest.mark.parametrize("sources", [False, True])
@pytest.mark.parametrize("runs", [1, 2, 5])
def test_a_slow_case_that_just_failed_comes_before_quick_ones_that_never_did(runs, sources):
    slow = np.arange(200) == 7
    x = run_features(
        200, executions=runs, failures=slow, runs_since_failure=np.where(slow, 0.0, np.nan),
        seconds=np.where(slow, 60.0, 0.01), prior=np.linspace(0.0, 0.02, 200),
        sources_read=sources,
    )  # fmt: skip
    value, ids = priority(x, None), [str(i) for i in range(len(x))]
    order = run_order(value, expected_seconds(x), ids, exponent=cost_exponent(x, None))
    assert order[0] == 7
