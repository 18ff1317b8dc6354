"""Who orders the next run: credit for earlier runs, and a head start."""

from dataclasses import replace

import numpy as np
import pytest

from testopt.estimators.baselines import (
    expected_seconds,
    pooled_rate,
    recency,
    untrained_score,
)
from testopt.estimators.experts import (
    DEFAULT,
    EXPERTS,
    HEAD_START,
    HEAD_START_SOURCES,
    Standing,
    evidence_of,
    rolling_speakers,
    worth,
)
from testopt.estimators.ordering import run_order, value_per_cost
from testopt.features.pipeline import NAMES, Matrix
from testopt.reasons import words

PARTS = ("model", "untrained", "rate", "recent")


def features(n, **columns):
    x = np.full((n, len(NAMES)), np.nan, np.float32)
    for name, values in columns.items():
        x[:, NAMES.index(name)] = values
    return x


def history(runs, cases=12):
    """Runs in which the cases fail that the failure rate names, and recent failures mislead."""
    rate = np.where(np.arange(cases) < 2, 0.4, 0.3)
    since = np.where(np.arange(cases) < 2, 8.0, 1.0)
    one = features(
        cases, failure_rate=rate, executions=4.0, seconds_log=0.0, runs_since_failure=since,
    )  # fmt: skip
    failed = np.arange(cases) < 2
    return Matrix(
        np.tile(one, (runs, 1)), np.tile(failed, runs), np.repeat(np.arange(runs), cases),
        np.ones(runs * cases, np.float32), *np.zeros((2, runs * cases), bool),
    )  # fmt: skip


def test_the_default_speaks_first_and_the_best_order_soon():
    matrix = history(20)
    speakers, standing = rolling_speakers(matrix, np.full(len(matrix.y), np.nan), NAMES, 20)
    assert EXPERTS[Standing().weights(sources=False).argmax()] == EXPERTS[DEFAULT]
    assert speakers[0].weights["rate"] < 0.5 < speakers[-1].weights["rate"]
    assert standing.runs == 20
    lead = standing.gains.max() - standing.gains[DEFAULT]
    assert lead > HEAD_START


def test_sources_give_the_default_a_longer_say():
    gains = np.zeros(len(EXPERTS))
    gains[5] = (HEAD_START + HEAD_START_SOURCES) / 2
    assert Standing(gains, 9).weights(sources=False).argmax() == 5
    assert Standing(gains, 9).weights(sources=True).argmax() == DEFAULT


def test_a_model_that_knows_better_gets_the_word():
    matrix = history(30)
    matrix.y[:] = np.tile(np.arange(12) >= 10, 30)  # the contrary of what the rates say
    p = np.where(matrix.y, 0.9, 0.01)
    speakers, _ = rolling_speakers(matrix, p, NAMES, 30)
    assert speakers[-1].weights["model"] > max(0.5, speakers[0].weights["model"])


def test_runs_without_contrast_teach_nothing():
    standing = Standing()
    evidence = evidence_of(history(1).x, NAMES, None)
    for failed in (np.zeros(12, bool), np.ones(12, bool)):
        standing.learn(evidence, failed, np.ones(12))
    assert standing.runs == 0
    assert not standing.gains.any()


def test_the_speaker_of_a_run_does_not_depend_on_its_outcome():
    matrix, other = history(15), history(15)
    other.y[other.run >= 9] = np.random.default_rng(0).random(int((other.run >= 9).sum())) < 0.5
    p = np.full(len(matrix.y), np.nan)
    assert (
        rolling_speakers(matrix, p, NAMES, 15)[0][:10]
        == rolling_speakers(other, p, NAMES, 15)[0][:10]
    )


def test_worth_is_a_geometric_mean():
    expert = next(e for e in EXPERTS if e.parts == ("model", "rate"))
    evidence = {"model": np.array([0.04, 0.5]), "rate": np.array([0.25, 0.5])}
    assert worth(expert, evidence) == pytest.approx([0.1, 0.5])
    assert value_per_cost(np.array([1.0]), np.array([3.999]), 0.5) == pytest.approx([0.5])
    assert run_order(
        np.array([0.5, 0.4]), np.array([9.0, 1.0]), ["a", "b"], exponent=0.0
    ).tolist() == [0, 1]
    assert run_order(
        np.array([0.5, 0.4]), np.array([9.0, 1.0]), ["a", "b"], exponent=1.0
    ).tolist() == [1, 0]


def test_names_of_experts_are_different():
    assert len({e.name for e in EXPERTS}) == len(EXPERTS)


def test_a_standing_survives_the_manifest():
    _, standing = rolling_speakers(history(9), np.full(108, np.nan), NAMES, 9)
    again = Standing.from_dict(standing.as_dict())
    assert again.as_dict() == standing.as_dict()
    assert again.weights(sources=False) == pytest.approx(standing.weights(sources=False))
    assert "9 failing runs" in words(again.reason(sources=False))
    assert words(Standing().reason(sources=True)) == f"mostly by {EXPERTS[DEFAULT].name}"


def test_a_blend_is_the_weighted_mean_of_the_logarithms():
    gains = np.linspace(-1, 1, len(EXPERTS))
    standing = Standing(gains, 5)
    evidence = {part: np.array([0.2, 0.5]) ** (i + 1) for i, part in enumerate(PARTS)}
    seconds = np.array([0.3, 7.0])
    blend = standing.speaker(sources=False)
    made = np.log(value_per_cost(worth(blend, evidence), seconds, blend.cost))
    each = [np.log(value_per_cost(worth(e, evidence), seconds, e.cost)) for e in EXPERTS]
    assert made == pytest.approx(standing.weights(sources=False) @ np.array(each))
    assert sum(blend.shares) == pytest.approx(1.0)


def test_a_case_with_little_history_is_drawn_towards_the_others():
    columns = {
        "executions": np.log2(1.0 + np.array([1.0, 100.0, 0.0])),
        "failure_rate": np.array([0.5 / 3.0, 10.5 / 102.0, np.nan]),
    }
    never, often, stranger = pooled_rate(columns)
    assert never < often == pytest.approx(0.1, abs=0.01)
    assert stranger == 0.1


def test_names_weigh_less_than_sources():
    named = features(
        2, executions=4.0, failure_rate=[0.5, 0.05], runs_since_failure=[1.0, 4.0],
        prior=[0.0, 1.0],
    )  # fmt: skip
    read = named.copy()
    read[:, NAMES.index("in_change")] = 0.0
    far, near = untrained_score(named, NAMES)
    assert far > near
    far, near = untrained_score(read, NAMES)
    assert near > far


def test_recency_counts_executions():
    columns = {
        "executions": np.log2(1.0 + np.array([9.0, 9.0, 9.0, 0.0])),
        "runs_since_failure": np.array([0.0, 1.0, np.nan, np.nan]),
    }
    failed_last, failed_last_but_one, never, stranger = recency(columns)
    assert failed_last == pytest.approx(1 / 2)
    assert failed_last_but_one == pytest.approx(1 / 3)
    assert never == pytest.approx(1 / 11)
    assert failed_last > stranger > failed_last_but_one


@pytest.mark.parametrize("sources", [False, True])
@pytest.mark.parametrize("runs", [1, 2, 5])
def test_a_slow_case_that_just_failed_comes_before_quick_ones_that_never_did(runs, sources):
    x = np.full((200, len(NAMES)), np.nan, np.float32)
    column = NAMES.index
    x[:, column("executions")] = np.log2(1.0 + runs)
    x[:, column("failure_rate")] = 0.5 / (runs + 2.0)
    x[:, column("prior")] = np.linspace(0.0, 0.02, len(x))
    x[:, column("seconds_log")] = np.log2(0.01)
    if sources:
        x[:, column("in_change")] = 0.0
    x[7, column("failure_rate")] = 1.5 / (runs + 2.0)
    x[7, column("runs_since_failure")] = 0.0
    x[7, column("seconds_log")] = np.log2(60.0)
    speaker = Standing().speaker(sources=sources)
    value = worth(speaker, evidence_of(x, NAMES, None))
    order = run_order(
        value, expected_seconds(x, NAMES), [str(i) for i in range(len(x))], exponent=speaker.cost
    )
    assert order[0] == 7


def test_a_run_that_was_cut_short_credits_no_order():
    whole = history(9)
    cut = replace(whole, cut=whole.run >= 4)
    _, standing = rolling_speakers(cut, np.full(108, np.nan), NAMES, 9)
    assert standing.runs == 4
    before = rolling_speakers(whole.before(4), np.full(48, np.nan), NAMES, 4)[1]
    assert standing.as_dict() == before.as_dict()
