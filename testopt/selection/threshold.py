"""Which cases may be left out, and what is promised then: one unit of evidence per regression.

Conformal risk control (Angelopoulos, Bates, Fisch, Lei and Schuster 2022) on the scores that
were predicted before each regression, on the latest of them. The level follows its own misses
(Gibbs and Candes 2021, "Adaptive conformal inference under distribution shift"): more misses
than allowed make it stricter for a while, and it never becomes laxer than what was asked for.
Needs numpy alone.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from testopt.learning.metrics import wilson
from testopt.schema import Promise
from testopt.selection.promise_texts import estimated, promised, too_few

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from testopt.selection.evidence import Evidence, Regression

WINDOW: Final = 100  # regressions, the latest, that a threshold rests on
ALWAYS: Final = 0.08  # share of the cases, the first in the order, that is never left out
STEP: Final = 0.02  # how much a miss changes the level
CREDIT: Final = 2  # misses that past restraint pays for, so that the usual ones change nothing
REAL_ENOUGH: Final = 30  # real regressions, from which seeded ones count no more
_EPSILON: Final = 1e-9


def regressions_needed(recall: float) -> int:
    """Return how many regressions a promise of this recall needs."""
    return max(math.ceil(1.0 / max(1.0 - recall, 1e-9) - 1.0 - 1e-9), 1)


def recall_threshold(evidence: Evidence, recall: float, *, by_case: bool = False) -> Promise:
    """Return the score from which cases must be selected, and what may be promised then.

    Parameters
    ----------
    evidence : Evidence
        Past regressions, oldest first.
    recall : float
        Share in 0..1, 1 excluded: of regressions with a failing case selected.
    by_case : bool
        Promise instead the share of regressing cases that are selected.

    Returns
    -------
    Promise
        ``threshold`` is None where everything runs. Thresholds of a higher recall are never
        higher.
    """
    tracker = RecallTracker(recall, by_case=by_case)
    for regression in evidence.regressions:
        tracker.learn(regression)
    return tracker.promise()


def recall_estimate(
    evidence: Evidence, floor: float, *, recall: float | None = None, by_case: bool = False
) -> Promise:
    """Return what selecting the scores from `floor` on would have caught of past regressions.

    Parameters
    ----------
    evidence : Evidence
        Past regressions, oldest first.
    floor : float
        Lowest score that is selected.
    recall : float, optional
        What was asked for; default: what would have been caught.
    by_case : bool
        Count the share of regressing cases that are selected.

    Returns
    -------
    Promise
        An estimate, with its 95 % score interval.
    """
    tracker = RecallTracker(recall or 0.0, by_case=by_case)
    for regression in evidence.regressions:
        tracker.learn(regression)
    found = tracker.estimate(floor)
    return found if recall is None else replace(found, recall=recall)


class RecallTracker:
    """Follows regressions, oldest first, and says after each what may be promised.

    With weighted misses in place of counts it is conformal risk control for any loss that falls
    with the threshold; here the share of a regression's cases with a lower score.

    Parameters
    ----------
    recall : float
        Share in 0..1, 1 excluded: of regressions with a failing case selected.
    by_case : bool
        Promise instead the share of regressing cases that are selected.
    """

    def __init__(self, recall: float, *, by_case: bool = False) -> None:
        self.recall = recall
        self._by_case = by_case
        self._real, self._all = (_Line(1.0 - recall) for _ in range(2))
        self._seeded: deque[bool] = deque(maxlen=WINDOW)

    def learn(self, regression: Regression) -> None:
        """Take in the next regression; it is judged by the threshold of before."""
        scores = regression.scores if self._by_case else regression.scores[:1]
        unit = np.array(scores, np.float64)
        self._all.learn(unit)
        self._seeded.append(regression.seeded)
        if not regression.seeded:
            self._real.learn(unit)

    def promise(self) -> Promise:
        """Return the threshold of now; see `recall_threshold`."""
        line, seeded = self._decisive()
        have, needed = len(line.window), regressions_needed(self.recall)
        if have < needed:
            why = too_few(self.recall, have, needed, window=WINDOW)
            return Promise(self.recall, "none", None, have, needed - have, seeded=seeded, why=why)
        low, high = line.interval()
        promise = Promise(
            self.recall, "promise", line.threshold(), have, 0, low, high, seeded=seeded
        )
        return replace(promise, why=promised(promise))

    def estimate(self, floor: float) -> Promise:
        """Return what selecting the scores from `floor` on would have caught of the evidence."""
        line, seeded = self._decisive()
        n = len(line.window)
        caught = float(sum((unit >= floor).mean() for unit in line.window))
        low, high = wilson(caught, n)
        estimate = Promise(caught / max(n, 1), "estimate", floor, n, 0, low, high, seeded=seeded)
        return replace(estimate, why=estimated(caught, estimate))

    def _decisive(self) -> tuple[_Line, bool]:
        """Return the regressions that decide, and whether seeded ones are among them.

        Which ones is no question of the recall, so that selections stay nested.
        """
        if len(self._real.window) >= REAL_ENOUGH:
            return self._real, False
        return self._all, any(self._seeded)


class _Line:
    """Regressions of one kind: the latest, and the level that their misses have led to."""

    def __init__(self, alpha: float) -> None:
        self.alpha = alpha
        self.balance = alpha + CREDIT * STEP
        self.window: deque[NDArray[np.float64]] = deque(maxlen=WINDOW)
        # the same as arrays, one row a regression: entries of weight 0 are no scores
        self._scores = np.zeros((WINDOW, 1))
        self._weights = np.zeros((WINDOW, 1))
        self._next = 0

    @property
    def level(self) -> float:
        """Share of the units that may be missed now."""
        return min(self.balance, self.alpha)

    def learn(self, scores: NDArray[np.float64]) -> None:
        # past regressions may all have been easy to foresee: some room for harder ones
        unit = np.minimum(scores, 1.0 - ALWAYS)
        self._follow(unit)
        self.window.append(scores)
        more = len(unit) - self._scores.shape[1]
        if more > 0:
            self._scores, self._weights = (
                np.pad(a, ((0, 0), (0, more))) for a in (self._scores, self._weights)
            )
        self._weights[self._next] = 0.0
        self._scores[self._next, : len(unit)] = unit
        self._weights[self._next, : len(unit)] = 1.0 / len(unit)
        self._next = (self._next + 1) % WINDOW

    def threshold(self) -> float | None:
        """Return the largest score whose expected loss is at most the level; None: no score."""
        room = self.level * (len(self.window) + 1) - 1.0
        if room < -_EPSILON:
            return None
        there = self._weights > 0.0
        scores, weights = self._scores[there], self._weights[there]
        order = np.argsort(scores, kind="stable")
        below = np.cumsum(weights[order])
        place = int(np.searchsorted(below, room + _EPSILON, side="right"))
        score = float(scores[order[min(place, len(scores) - 1)]])
        return score if math.isfinite(score) else None

    def interval(self) -> tuple[float, float]:
        """Return the 95 % interval of the recall, given this window (Vovk 2012)."""
        n = len(self.window)
        missed = int(np.floor(max(self.level * (n + 1) - 1.0, 0.0) + _EPSILON))
        return (1.0 - _beta_quantile(0.975, missed, n), 1.0 - _beta_quantile(0.025, missed, n))

    def _follow(self, unit: NDArray[np.float64]) -> None:
        """Change the balance by whether the unit was missed, or how close it came.

        A case is missed where the level is at least `reach`. The error grows evenly from 0 to 1
        over the last ``STEP`` before that: it is never less than what was missed, so that over
        T units the share of misses exceeds alpha by at most (alpha / STEP + CREDIT + 1) / T,
        whatever the units are (Gibbs and Candes 2021, proposition 4.1); and of two levels the
        lower stays the lower, so that the selections of two promises are nested.
        """
        passed = np.array([self._weights[self._scores <= score].sum() for score in unit])
        reach = (passed + 1.0) / (len(self.window) + 1)
        error = float(np.clip(1.0 - (reach - self.level) / STEP, 0.0, 1.0).mean())
        most = self.alpha + CREDIT * STEP
        self.balance = min(most, self.balance + STEP * (self.alpha - error))


def _beta_quantile(q: float, missed: int, n: int) -> float:
    """Return where the rate of misses lies, a beta variable with missed + 1 and n - missed."""
    low, high = 0.0, 1.0
    for _ in range(30):
        rate = (low + high) / 2.0
        term = (1.0 - rate) ** n
        fewer = term  # the chance of so few misses, term by term
        for i in range(missed):
            term *= (n - i) / (i + 1) * rate / (1.0 - rate)
            fewer += term
        low, high = (rate, high) if 1.0 - fewer < q else (low, rate)
    return (low + high) / 2.0
