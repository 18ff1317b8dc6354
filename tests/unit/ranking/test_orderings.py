"""Who orders the next run: credit for earlier runs, and a head start."""

from dataclasses import replace

import numpy as np
import pytest
from builders import run_features

from testopt.features.run_features import RunFeatures
from testopt.features.training_set import TrainingSet
from testopt.ranking.baselines import (
    expected_seconds,
    pooled_rate,
    recency,
    untrained_score,
)
from testopt.ranking.cost_order import run_order, value_per_cost
from testopt.ranking.orderings import (
    DEFAULT,
    HEAD_START,
    HEAD_START_SOURCES,
    LEAD,
    ORDERINGS,
    OrderingWeights,
    priority,
    rolling_orderings,
    signals_of,
)
from testopt.reasons import words

PARTS = ("model", "untrained", "rate", "recent")


def history(runs, cases=12):
    """Runs in which the cases fail that the failure rate names, and recent failures mislead."""
    failed = np.arange(cases) < 2
    one = run_features(
        cases, executions=15, failures=np.where(failed, 6, 4), seconds=1.0,
        runs_since_failure=np.where(failed, 14, 1),
    )  # fmt: skip
    return TrainingSet(
        RunFeatures.concatenate([one] * runs), np.tile(failed, runs),
        np.repeat(np.arange(runs), cases), np.ones(runs * cases, np.float32),
        *np.zeros((2, runs * cases), bool),
    )  # fmt: skip


def test_the_default_leads_first_and_the_best_order_soon():
    matrix = history(20)
    orderings, ordering_weights = rolling_orderings(matrix, np.full(len(matrix.y), np.nan), 20)
    assert ORDERINGS[OrderingWeights().current(sources=False).argmax()] == ORDERINGS[DEFAULT]
    assert orderings[0].weights["rate"] < 0.5 < orderings[-1].weights["rate"]
    assert ordering_weights.runs == 20
    lead = ordering_weights.gains.max() - ordering_weights.gains[DEFAULT]
    assert lead > HEAD_START


def test_sources_give_the_default_a_longer_say():
    gains = np.zeros(len(ORDERINGS))
    gains[5] = (HEAD_START + HEAD_START_SOURCES) / 2
    assert OrderingWeights(gains, 9).current(sources=False).argmax() == 5
    assert OrderingWeights(gains, 9).current(sources=True).argmax() == DEFAULT


def test_a_model_that_knows_better_gets_the_word():
    matrix = history(30)
    matrix.y[:] = np.tile(np.arange(12) >= 10, 30)  # the contrary of what the rates say
    p = np.where(matrix.y, 0.9, 0.01)
    orderings, _ = rolling_orderings(matrix, p, 30)
    assert orderings[-1].weights["model"] > max(0.5, orderings[0].weights["model"])


def test_runs_without_contrast_teach_nothing():
    ordering_weights = OrderingWeights()
    evidence = signals_of(history(1).features, None)
    for failed in (np.zeros(12, bool), np.ones(12, bool)):
        ordering_weights.learn(evidence, failed, np.ones(12))
    assert ordering_weights.runs == 0
    assert not ordering_weights.gains.any()


def test_the_ordering_of_a_run_does_not_depend_on_its_outcome():
    matrix, other = history(15), history(15)
    other.y[other.run >= 9] = np.random.default_rng(0).random(int((other.run >= 9).sum())) < 0.5
    p = np.full(len(matrix.y), np.nan)
    assert rolling_orderings(matrix, p, 15)[0][:10] == rolling_orderings(other, p, 15)[0][:10]


def test_priority_is_a_geometric_mean():
    ordering = next(e for e in ORDERINGS if e.parts == ("model", "rate"))
    evidence = {"model": np.array([0.04, 0.5]), "rate": np.array([0.25, 0.5]), LEAD: np.zeros(2)}
    assert priority(ordering, evidence) == pytest.approx([0.1, 0.5])
    assert value_per_cost(np.array([1.0]), np.array([3.999]), 0.5) == pytest.approx([0.5])
    assert run_order(
        np.array([0.5, 0.4]), np.array([9.0, 1.0]), ["a", "b"], exponent=0.0
    ).tolist() == [0, 1]
    assert run_order(
        np.array([0.5, 0.4]), np.array([9.0, 1.0]), ["a", "b"], exponent=1.0
    ).tolist() == [1, 0]


def test_names_of_orderings_are_different():
    assert len({e.name for e in ORDERINGS}) == len(ORDERINGS)


def test_ordering_weights_survive_the_manifest():
    _, ordering_weights = rolling_orderings(history(9), np.full(108, np.nan), 9)
    again = OrderingWeights.from_dict(ordering_weights.as_dict())
    assert again.as_dict() == ordering_weights.as_dict()
    assert again.current(sources=False) == pytest.approx(ordering_weights.current(sources=False))
    assert "9 failing runs" in words(again.reason(sources=False))
    assert words(OrderingWeights().reason(sources=True)) == f"mostly by {ORDERINGS[DEFAULT].name}"


def test_a_blend_is_the_weighted_mean_of_the_logarithms():
    gains = np.linspace(-1, 1, len(ORDERINGS))
    ordering_weights = OrderingWeights(gains, 5)
    evidence = {part: np.array([0.2, 0.5]) ** (i + 1) for i, part in enumerate(PARTS)}
    evidence[LEAD] = np.zeros(2)
    seconds = np.array([0.3, 7.0])
    ordering = ordering_weights.mixed_ordering(sources=False)
    made = np.log(value_per_cost(priority(ordering, evidence), seconds, ordering.cost))
    each = [np.log(value_per_cost(priority(e, evidence), seconds, e.cost)) for e in ORDERINGS]
    assert made == pytest.approx(ordering_weights.current(sources=False) @ np.array(each))
    assert sum(ordering.shares) == pytest.approx(1.0)


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
    ordering = OrderingWeights().mixed_ordering(sources=sources)
    value = priority(ordering, signals_of(x, None))
    order = run_order(
        value, expected_seconds(x), [str(i) for i in range(len(x))], exponent=ordering.cost
    )
    assert order[0] == 7


def test_a_run_that_was_cut_short_credits_no_order():
    whole = history(9)
    cut = replace(whole, stopped_early=whole.run >= 4)
    _, ordering_weights = rolling_orderings(cut, np.full(108, np.nan), 9)
    assert ordering_weights.runs == 4
    before = rolling_orderings(whole.before(4), np.full(48, np.nan), 4)[1]
    assert ordering_weights.as_dict() == before.as_dict()
