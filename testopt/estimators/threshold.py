"""Which cases may be left out, and what is promised then: one unit of evidence per regression.

Conformal risk control (Angelopoulos, Bates, Fisch, Lei and Schuster 2022) on the scores that
were predicted before each regression, on the latest of them. The level follows its own misses
(Gibbs and Candes 2021, "Adaptive conformal inference under distribution shift"): more misses
than allowed make it stricter for a while, and it never becomes laxer than what was asked for.
Needs numpy alone.

How a miss enters
-----------------
A case that was left out is unknown, never passed: a regression of which no failing case was
selected is no evidence until a later run executes such a case. Then it belongs to the change
that caused it, with the scores that were predicted for that change: `Regression` with its score
below the threshold of then. Evidence is gathered anew from the store at every training, and what
became known since comes from the track record. Until a run of everything has shown what was
missed, what a selection caught is left aside as well: the catches of a selection alone are those
that were easy to foresee. Where no score was logged, it is ``-inf``, which no threshold would have
caught.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from testopt.estimators.experts import evidence_of, worth
from testopt.estimators.ordering import COST_FLOOR_S, value_per_cost
from testopt.schema import Promise

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from testopt.estimators.experts import Expert
    from testopt.features.run_features import RunFeatures

WINDOW: Final = 100  # regressions, the latest, that a threshold rests on
KEPT: Final = 400  # regressions of which evidence is kept
KEPT_CASES: Final = 16  # scores kept of one regression
ALWAYS: Final = 0.08  # share of the cases, the first in the order, that is never left out
STEP: Final = 0.02  # how much a miss changes the level
CREDIT: Final = 2  # misses that past restraint pays for, so that the usual ones change nothing
REAL_ENOUGH: Final = 30  # real regressions, from which seeded ones count no more
_BEYOND: Final = {"always": math.inf, "never": -math.inf}
_EPSILON: Final = 1e-9
_Z: Final = 1.959964  # of a 95 % interval


@dataclass(frozen=True, slots=True)
class Regression:
    """What was predicted of the cases that a change made fail.

    Attributes
    ----------
    scores : tuple of float
        Selection scores of the regressing cases, highest first, at most ``KEPT_CASES``; ``inf``
        for a case that had to run whatever its score.
    seeded : bool
        Whether it was made and did not happen.
    """

    scores: tuple[float, ...]
    seeded: bool = False

    @classmethod
    def of(cls, scores: NDArray[np.float64], *, seeded: bool = False) -> Self:
        """Return the regression of some cases; of many, every so many and the lowest are kept."""
        ordered = np.sort(np.asarray(scores, np.float64))[::-1]
        if len(ordered) > KEPT_CASES:
            # each kept score stands for those above it, so that the loss is never understated
            ends = np.linspace(0, len(ordered), KEPT_CASES, dtype=int)[1:] - 1
            ordered = ordered[np.concatenate([[0], ends])]
        return cls(tuple(ordered.tolist()), seeded)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Past regressions, oldest first, at most ``KEPT``."""

    regressions: tuple[Regression, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values; infinite scores become the words ``always`` and ``never``."""
        return {
            "regressions": [
                {"scores": [_word(s) for s in r.scores], "seeded": r.seeded}
                for r in self.regressions[-KEPT:]
            ]
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        """Rebuild from what `to_dict` returned.

        Raises
        ------
        ValueError, TypeError, KeyError, AttributeError
            When the document is no such thing.
        """
        rows = document["regressions"]
        if not isinstance(rows, list) or len(rows) > KEPT:
            raise ValueError("the regressions are no list of the allowed length")
        return cls(tuple(_regression(row) for row in rows))


def selection_score(
    features: RunFeatures,
    p: NDArray[np.float64] | None,
    seconds: NDArray[Any],
    *,
    expert: Expert,
    weight: NDArray[Any] | None = None,
) -> NDArray[np.float64]:
    """Return how much speaks for running each case, on one scale for all runs, shape (n,).

    A place in the order and not a probability: how sure a model is differs from change to change
    and from model to model, and regressions that history cannot foresee get small probabilities,
    yet stand as far in front as the others.

    Parameters
    ----------
    features : RunFeatures
        Features of a run's cases.
    p : ndarray, shape (n,), optional
        P(case fails); None without a model.
    seconds : ndarray, shape (n,)
        Expected durations.
    expert : Expert
        Who orders this run.
    weight : ndarray, shape (n,), optional
        How many cases each row stands for; default 1.

    Returns
    -------
    ndarray of float64, shape (n,)
        In 0..1: the share of the cases that does not stand before this one in the expert's
        order. Cases of equal value and cost have the score of the first of them.
    """
    if not len(features):
        return np.zeros(0)
    cost = np.maximum(np.asarray(seconds, np.float64), 0.0)
    value = value_per_cost(worth(expert, evidence_of(features, p)), seconds, expert.cost)
    order = np.lexsort((cost, -value))
    count = np.ones(len(features)) if weight is None else np.asarray(weight, np.float64)[order]
    before = np.cumsum(count) - count
    tied = np.zeros(len(features), bool)
    tied[1:] = (np.diff(value[order]) == 0) & (np.diff(cost[order]) == 0)
    # a tied place takes what stands before the first of its equals
    before = np.maximum.accumulate(np.where(tied, 0.0, before))
    scores = np.empty(len(features))
    scores[order] = 1.0 - before / float(count.sum())
    return scores


def must_run(features: RunFeatures) -> NDArray[np.bool_]:
    """Return which cases run whatever their score, shape (n,): new, changed, or failing before."""
    last = np.where(features.has_parent, features.failing_in_parent, features.failing_last)
    return np.asarray(features.is_new | last | (features.in_change > 0), bool)


def within(
    scores: NDArray[np.float64], must: NDArray[np.bool_], seconds: NDArray[Any], budget: float
) -> NDArray[np.bool_]:
    """Return which cases fit into a budget, shape (n,).

    Parameters
    ----------
    scores : ndarray, shape (n,)
        Selection scores.
    must : ndarray of bool, shape (n,)
        Cases that run first, whatever their score, as long as they fit.
    seconds : ndarray, shape (n,)
        Expected durations.
    budget : float
        Seconds. Once a case does not fit, none with a lower score is taken: what a smaller
        budget selects is part of what a larger one does.
    """
    cost = np.maximum(np.asarray(seconds, np.float64), 0.0) + COST_FLOOR_S
    order = np.lexsort((cost, -scores, ~must))
    keep = np.zeros(len(scores), bool)
    keep[order] = np.cumsum(cost[order]) <= budget * (1.0 + _EPSILON)
    return keep


def regressions_needed(recall: float) -> int:
    """Return how many regressions a promise of this recall needs."""
    return max(math.ceil(1.0 / max(1.0 - recall, 1e-9) - 1.0 - 1e-9), 1)


def wilson(caught: float, of: int) -> tuple[float, float]:
    """Return the 95 % score interval of a share (Wilson 1927)."""
    if of == 0:
        return (0.0, 1.0)
    share, d = caught / of, 1.0 + _Z * _Z / of
    middle = share + _Z * _Z / (2.0 * of)
    half = _Z * math.sqrt(share * (1.0 - share) / of + _Z * _Z / (4.0 * of * of))
    return (max(0.0, (middle - half) / d), min(1.0, (middle + half) / d))


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
            why = _too_few(self.recall, have, needed)
            return Promise(self.recall, "none", None, have, needed - have, seeded=seeded, why=why)
        value = line.threshold()
        everything = value == -math.inf
        low, high = line.interval()
        made = Promise(
            self.recall, "promise", None if everything else value, have, 0, low, high, seeded
        )
        return replace(made, why=_words(made, everything=everything))

    def estimate(self, floor: float) -> Promise:
        """Return what selecting the scores from `floor` on would have caught of the evidence."""
        line, seeded = self._decisive()
        n = len(line.window)
        caught = float(sum((unit >= floor).mean() for unit in line.window))
        low, high = wilson(caught, n)
        why = "no past regressions say how many would be caught"
        if n:
            rests = f"{n} past regressions{' on seeded faults' if seeded else ''}"
            why = f"{caught:.3g} of {rests} would have been caught: {low:.3f} to {high:.3f}"
        return Promise(caught / max(n, 1), "estimate", floor, n, 0, low, high, seeded, why)

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

    def threshold(self) -> float:
        """Return the largest score whose expected loss is at most the level."""
        room = self.level * (len(self.window) + 1) - 1.0
        if room < -_EPSILON:
            return -math.inf
        there = self._weights > 0.0
        scores, weights = self._scores[there], self._weights[there]
        order = np.argsort(scores, kind="stable")
        below = np.cumsum(weights[order])
        place = int(np.searchsorted(below, room + _EPSILON, side="right"))
        return float(scores[order[min(place, len(scores) - 1)]])

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


def _too_few(recall: float, have: int, needed: int) -> str:
    if needed > WINDOW:
        most = 1.0 - 1.0 / (WINDOW + 1)
        return f"everything runs: a recall above {most:.3f} is never promised"
    return (
        f"everything runs: a recall of {recall:g} needs {needed} past regressions, and there are "
        f"{have}: {needed - have} more"
    )


def _words(promise: Promise, *, everything: bool) -> str:
    kind = " on seeded faults" if promise.seeded else ""
    rests = f"{promise.regressions} past regressions{kind}"
    if everything:
        return f"everything runs until the misses among {rests} are made up for"
    return (
        f"recall of {promise.recall:g} promised by {rests}, which show "
        f"{promise.low:.3f} to {promise.high:.3f}"
    )


def _word(score: float) -> float | str:
    return score if math.isfinite(score) else "always" if score > 0 else "never"


def _regression(row: Mapping[str, Any]) -> Regression:
    scores, seeded = row["scores"], row["seeded"]
    if (
        not isinstance(scores, list)
        or not 0 < len(scores) <= KEPT_CASES
        or type(seeded) is not bool
    ):
        raise ValueError("a regression is damaged")
    values = (_BEYOND[s] if isinstance(s, str) else float(s) for s in scores)
    ordered = tuple(sorted(values, reverse=True))
    if any(math.isnan(v) for v in ordered):
        raise ValueError("a score is not a number")
    return Regression(ordered, seeded)
