"""Simulates a selection on past runs: what it leaves out, misses and saves."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from testopt.learning.metrics import wilson
from testopt.pool import THIS_PROCESS
from testopt.ranking.baselines import expected_seconds
from testopt.ranking.cost_order import COST_FLOOR_S
from testopt.ranking.rolling import rolling_probabilities
from testopt.selection.evidence import KEPT, Regression
from testopt.selection.score import fits_budget, must_run, selection_score
from testopt.selection.threshold import RecallTracker

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from testopt.features.run_features import RunFeatures
    from testopt.features.training_set import TrainingSet
    from testopt.pool import Pool
    from testopt.schema import Promise

EVIDENCE_ROWS: Final = 50_000  # to fit each model on, whose predictions serve as evidence alone
FRACTIONS: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0)


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A run that is over, as a selection is judged by it; all arrays of shape (n,).

    Attributes
    ----------
    scores : ndarray of float64
        Selection scores, as predicted before the run.
    must : ndarray of bool
        Cases that run whatever their score.
    regressing : ndarray of bool
        Cases that failed here and passed in the ancestor run.
    expected, seconds : ndarray of float64
        What each case was expected to take, and what it took; 0 where it was skipped.
    seeded : bool
        Whether its faults were seeded.
    """

    scores: NDArray[np.float64]
    must: NDArray[np.bool_]
    regressing: NDArray[np.bool_]
    expected: NDArray[np.float64]
    seconds: NDArray[np.float64]
    seeded: bool = False

    def regression(self) -> Regression | None:
        """Return the run as evidence; None where nothing regresses."""
        if not self.regressing.any():
            return None
        scores = np.where(self.must, np.inf, self.scores)[self.regressing]
        return Regression.of(scores, seeded=self.seeded)

    def selected(self, threshold: float | None) -> NDArray[np.bool_]:
        """Return which cases run at a threshold; at None, all."""
        if threshold is None:
            return np.ones(len(self.scores), bool)
        return (self.scores >= threshold) | self.must


@dataclass(frozen=True, slots=True)
class SelectionQuality:
    """What one way of selecting would have done.

    Attributes
    ----------
    runs, regressions, caught : int
        Runs judged, those with a regressing case, and those of them with one selected.
    change_recall, low, high : float
        Share caught with its 95 % interval.
    case_recall : float
        Share of the regressing cases selected.
    saved_all, saved_failing, saved_passing : float
        Share of the time left out: of all runs, of those with a regression, of the others.
    left_out : float
        Share of the cases left out, of all runs.
    """

    runs: int
    regressions: int
    caught: int
    change_recall: float
    low: float
    high: float
    case_recall: float
    saved_all: float
    saved_failing: float
    saved_passing: float
    left_out: float


@dataclass(frozen=True, slots=True)
class PromiseReport:
    """How a promise was kept; ``promised`` counts only the runs for which it was given."""

    recall: float
    by_case: bool
    runs_without: int
    every: SelectionQuality
    promised: SelectionQuality
    last: Promise

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """What a budget would have caught: a share of the expected time of each run, or seconds."""

    fraction: float | None
    budget_s: float | None
    quality: SelectionQuality


def regressing(features: RunFeatures, failed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which cases regressed, shape (n,).

    Parameters
    ----------
    features : RunFeatures
        Features of a run's cases, from before the run.
    failed : ndarray of bool, shape (n,)
        What happened.

    Returns
    -------
    ndarray of bool, shape (n,)
        Failed here and not in the nearest ancestor run. Where no such run is known, and for a
        case that never ran, the label is missing: it does not count; nor does a case that failed
        when it last ran, if that was before the ancestor.
    """
    known = ~features.is_new & ~(features.ran_before_parent & features.failing_last)
    passed = features.has_parent & ~features.failing_in_parent
    return np.asarray(failed & known & passed, bool)


def rolling_promises(
    runs: Iterable[FinishedRun], recall: float, *, by_case: bool = False
) -> list[Promise]:
    """Return what would have been promised before each run, from earlier regressions only.

    Parameters
    ----------
    runs : iterable of FinishedRun
        Oldest first.
    recall, by_case
        See `recall_threshold`.
    """
    tracker = RecallTracker(recall, by_case=by_case)
    promises, now = [], tracker.promise()
    for run in runs:
        promises.append(now)
        regression = run.regression()
        if regression is not None:
            tracker.learn(regression)
            now = tracker.promise()
    return promises


def rolling_evidence(
    rows: TrainingSet,
    seeded: NDArray[np.bool_],
    *,
    excluded: NDArray[np.bool_] | None = None,
    seed: int = 0,
    pool: Pool = THIS_PROCESS,
) -> dict[int, Regression]:
    """Return the latest regressions with the scores that were predicted before them.

    Parameters
    ----------
    rows : TrainingSet
        Rows of all runs, oldest first; a row of weight 0 is no evidence.
    seeded : ndarray of bool, shape (n_runs,)
        Runs whose faults were seeded.
    excluded : ndarray of bool, shape (n,), optional
        Rows that fail because of an earlier run, which left the case out.
    seed : int
        Seed of the models.
    pool : Pool
        Where these are fitted.

    Returns
    -------
    dict of int to Regression
        By position of the run, oldest first, at most ``KEPT``.
    """
    bad = regressing(rows.features, rows.y) & (rows.weight > 0)
    if excluded is not None:
        bad &= ~excluded
    positions = np.unique(rows.run[bad])[-KEPT:].tolist()
    if not positions:
        return {}
    runs = len(seeded)
    p = rolling_probabilities(
        rows, runs, first=positions[0], max_rows=EVIDENCE_ROWS, seed=seed, pool=pool
    )
    found = {}
    for run in positions:
        part = slice(*np.searchsorted(rows.run, [run, run + 1]))
        features, own = rows.features.at(part), p[part]
        scores = selection_score(
            features, None if np.isnan(own).any() else own, expected_seconds(features),
            weight=rows.weight[part],
        )  # fmt: skip
        reached = np.where(must_run(features), np.inf, scores)[bad[part]]
        found[run] = Regression.of(reached, seeded=bool(seeded[run]))
    return found


def selection_quality(
    runs: Sequence[FinishedRun], selected: Sequence[NDArray[np.bool_]]
) -> SelectionQuality:
    """Return what selections would have missed and saved.

    Parameters
    ----------
    runs : sequence of FinishedRun
        The runs to judge by.
    selected : sequence of ndarray of bool, each of shape (n,)
        The selection of each.
    """
    rows = np.array([_row(r, s) for r, s in zip(runs, selected, strict=True)]).reshape(-1, 7)
    fails = rows[:, 1] > 0
    regressions, caught = int(fails.sum()), int((rows[fails, 2] > 0).sum())
    low, high = wilson(caught, regressions)
    saved_all, saved_failing, saved_passing = (
        1.0 - _share(rows[part, 4].sum(), rows[part, 3].sum())
        for part in (slice(None), fails, ~fails)
    )
    return SelectionQuality(
        len(rows), regressions, caught, _share(caught, regressions), low, high,
        _share(rows[:, 2].sum(), rows[:, 1].sum()), saved_all, saved_failing, saved_passing,
        1.0 - _share(rows[:, 6].sum(), rows[:, 5].sum()),
    )  # fmt: skip


def promise_report(
    runs: Sequence[FinishedRun],
    promises: Sequence[Promise],
    *,
    first: int = 0,
    by_case: bool = False,
) -> PromiseReport:
    """Return how rolling promises were kept, on the runs from position `first` on."""
    late, given = runs[first:], promises[first:]
    chosen = [r.selected(p.threshold) for r, p in zip(late, given, strict=True)]
    promised = [i for i, p in enumerate(given) if p.kind != "none"]
    return PromiseReport(
        promises[-1].recall, by_case, len(given) - len(promised),
        selection_quality(late, chosen),
        selection_quality([late[i] for i in promised], [chosen[i] for i in promised]),
        promises[-1],
    )  # fmt: skip


def recall_curve(
    runs: Sequence[FinishedRun],
    fractions: Sequence[float] = FRACTIONS,
    budgets: Sequence[float] = (),
) -> list[CurvePoint]:
    """Return what budgets would have caught: must-run cases first, then by score.

    Parameters
    ----------
    runs : sequence of FinishedRun
        Oldest first.
    fractions : sequence of float
        Shares of the expected time in 0..1; what was really saved stands in the quality.
    budgets : sequence of float
        Expected seconds.
    """
    suite_s = [float((r.expected.clip(0.0) + COST_FLOOR_S).sum()) for r in runs]
    shares = [
        CurvePoint(f, None, _budget_quality(runs, [f * w for w in suite_s])) for f in fractions
    ]
    return [
        *shares,
        *(CurvePoint(None, b, _budget_quality(runs, [b] * len(runs))) for b in budgets),
    ]


def _budget_quality(runs: Sequence[FinishedRun], budgets: Sequence[float]) -> SelectionQuality:
    pairs = zip(runs, budgets, strict=True)
    return selection_quality(runs, [fits_budget(r.scores, r.must, r.expected, b) for r, b in pairs])


def _row(run: FinishedRun, keep: NDArray[np.bool_]) -> tuple[float, ...]:
    """Return of a run: 1, regressing cases, seconds and cases that ran, each also of those kept."""
    fails, seconds = run.regressing, run.seconds
    ran = seconds > 0  # not skipped: starting one costs something
    return (
        1.0, fails.sum(), (fails & keep).sum(), seconds.sum(), seconds[keep].sum(),
        ran.sum(), (ran & keep).sum(),
    )  # fmt: skip


def _share(part: float, total: float) -> float:
    return float(part) / float(total) if total > 0 else 1.0
