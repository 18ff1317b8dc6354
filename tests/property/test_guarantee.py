"""The promise is kept on average over histories: steady ones and drifting ones, seen or hidden.

A history is a sequence of changes of which some regress. With selection switched on, what was
left out is unknown: a missed regression becomes evidence when the next full run finds it.
"""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testopt.selection.evidence import Evidence, Regression
from testopt.selection.simulation import FinishedRun, rolling_promises
from testopt.selection.threshold import RecallTracker, recall_threshold

CHANGES = 300
FULL_RUN = 15  # changes from one full run to the next
EXPLORED = 0.05


def steady(at):
    return 0.0


def sliding(at):
    """Regressions become harder to foresee, little by little."""
    return 1.0 * at


def jumping(at):
    """They become harder at once, and easier again."""
    return 1.0 if 0.4 < at < 0.7 else 0.0


def swaying(at):
    return 0.5 * math.sin(12.0 * at)


def history(random, drift):
    """Return the scores of the regressing cases of each regression."""
    rows = []
    for i in range(CHANGES):
        hard = random.normal(0.0, 1.0) + drift(i / CHANGES) - 1.0
        cases = hard + random.normal(0.0, 0.5, random.integers(1, 6))
        rows.append(1.0 / (1.0 + np.exp(cases)))
    return rows


def realised(random, drift, recall, *, hidden, by_case=False):
    """Return the loss under the promise, summed, and how many regressions had one."""
    tracker = RecallTracker(recall, by_case=by_case)
    loss, judged, since = 0.0, 0, []
    for i, scores in enumerate(history(random, drift)):
        promise = tracker.promise()
        if promise.kind == "promise":
            missed = scores < (-math.inf if promise.threshold is None else promise.threshold)
            loss += missed.mean() if by_case else missed.all()
            judged += 1
        since.append(Regression.of(scores))
        # what a selection finds at once are the easy ones: none counts before all are known
        if not hidden or random.random() < EXPLORED or i % FULL_RUN == FULL_RUN - 1:
            for regression in since:
                tracker.learn(regression)
            since.clear()
    return loss, judged


def miss_rate(histories, drift, recall, **kind):
    """Return the mean miss rate of histories and the half width of its 95 % interval."""
    pairs = [
        realised(np.random.default_rng([7, i]), drift, recall, **kind) for i in range(histories)
    ]
    rates = np.array([loss / judged for loss, judged in pairs])
    return rates.mean(), 1.96 * rates.std(ddof=1) / math.sqrt(histories)


DRIFTS = [steady, sliding, jumping, swaying]


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize(("drift", "recall"), [(steady, 0.95), (sliding, 0.9)])
def test_the_promise_is_kept_on_a_few_histories(drift, recall, hidden):
    mean, half = miss_rate(8, drift, recall, hidden=hidden)
    assert mean - half <= 1 - recall
    assert mean > (1 - recall) / 4  # neither does everything run


@pytest.mark.slow
@pytest.mark.parametrize("by_case", [False, True])
@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("drift", DRIFTS)
def test_the_promise_is_kept_on_a_thousand_histories(drift, hidden, by_case):
    mean, half = miss_rate(1000, drift, 0.9, hidden=hidden, by_case=by_case)
    assert mean - half <= 0.1
    assert mean > 0.05


SCORES = st.sampled_from([0.0, 0.2, 0.5, 0.7, 0.9, 1.0]) | st.floats(0.0, 1.0)
UNITS = st.lists(
    st.tuples(st.lists(SCORES, min_size=1, max_size=4), st.booleans()), max_size=130
).map(lambda rows: [Regression(tuple(sorted(s)[::-1]), seeded) for s, seeded in rows])


@settings(deadline=None, max_examples=40)
@given(UNITS, st.floats(0.01, 0.99), st.floats(0.01, 0.99), st.booleans())
def test_a_higher_recall_never_has_a_higher_threshold(past, a, b, by_case):
    low, high = (
        recall_threshold(Evidence(tuple(past)), r, by_case=by_case).threshold
        for r in sorted((a, b))
    )
    assert high is None or (low is not None and high <= low)


def judged(random, n=6):
    regressing = random.random(n) < 0.3
    scores = random.permutation(n) / n
    return FinishedRun(scores, random.random(n) < 0.1, regressing, np.ones(n), np.ones(n))


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**6), st.integers(20, 59), st.booleans())
def test_the_future_does_not_reach_a_promise(seed, at, by_case):
    random = np.random.default_rng(seed)
    runs = [judged(random) for _ in range(60)]
    whole = rolling_promises(runs, 0.8, by_case=by_case)
    cut = rolling_promises(runs[: at + 1], 0.8, by_case=by_case)
    mixed = rolling_promises(
        [*runs[:at], *(judged(random) for _ in range(60 - at))], 0.8, by_case=by_case
    )
    assert whole[: at + 1] == cut == mixed[: at + 1]
