"""Predicts each past run by a model that was fitted on earlier runs only."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from testopt.learning.calibration import fit_logit, sigmoid
from testopt.pool import THIS_PROCESS, in_order
from testopt.ranking.orderings import FIRST_FAILING
from testopt.ranking.ranker import FailureRanker, level_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from testopt.features.training_set import TrainingSet
    from testopt.pool import Pool, Task

FIRST_RUNS: Final = 30
GROWTH: Final = 1.15  # the next model is fitted when there are this many times as many runs
FIT_ROWS: Final = 100_000  # that a model is fitted on; on 230,000 rows 60,000 did as well as all
_CALIBRATION_ROWS: Final = 200_000


def retraining_points(runs: int, every: int | None = None) -> Iterator[int]:
    """Yield the positions of the runs before which a model is fitted.

    Parameters
    ----------
    runs : int
        Number of runs; the points up to a run do not depend on it.
    every : int, optional
        Runs between two models; default: when there are 15 % more runs.
    """
    at = FIRST_RUNS
    while at < runs:
        yield at
        at += every or max(5, int(at * (GROWTH - 1.0)))


def rolling_probabilities(
    rows: TrainingSet,
    runs: int,
    *,
    every: int | None = None,
    first: int = 0,
    max_rows: int = FIT_ROWS,
    seed: int = 0,
    pool: Pool = THIS_PROCESS,
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.float64]:
    """Return P(case fails) of each row, predicted before its run.

    The calibration follows the same rule: it is fitted on predictions made earlier.

    Parameters
    ----------
    rows : TrainingSet
        Rows of all runs, oldest first.
    runs : int
        Number of runs.
    every, seed
        See `retraining_points` and `FailureRanker`.
    first : int
        Position of the first run whose rows are needed.
    max_rows : int
        Rows to fit a model on, at most about: all that fail, and a sample of the others.
    pool : Pool
        Where the models are fitted, each of which needs none of the others.
    progress : callable, optional
        Called with the number of runs done and of all runs.

    Returns
    -------
    ndarray of float64, shape (n,)
        NaN for the rows of runs before the first model, and of those that are not needed.
    """
    margin = np.full(len(rows.y), np.nan)
    p = np.full(len(rows.y), np.nan)
    points = [*retraining_points(runs, every), runs]
    spans = [(start, stop) for start, stop in pairwise(points) if stop > first]
    tasks = (_ask(rows, span, max_rows, seed, pool) for span in spans)
    for (start, stop), found in zip(spans, in_order(tasks, pool), strict=True):
        if found is None:
            continue
        begin, end = np.searchsorted(rows.run, [start, stop], side="left")
        intercept, slope = _calibration_before(rows, int(begin), margin)
        margin[begin:end] = found
        p[begin:end] = sigmoid(intercept + slope * found)
        if progress:
            progress(stop, runs)
    return p


def _ask(
    rows: TrainingSet, span: tuple[int, int], max_rows: int, seed: int, pool: Pool
) -> Task[NDArray[np.float64] | None]:
    """Ask for the margins of the rows of some runs, by a model of the earlier ones."""
    earlier = rows.before(span[0]).learnable()
    if len(np.unique(earlier.run[earlier.y])) < FIRST_FAILING or earlier.y.all():
        return pool.submit(_nothing)
    part = earlier.thinned(max_rows, seed)
    begin, end = np.searchsorted(rows.run, span, side="left")
    asked = rows.features.matrix[begin:end]
    return pool.submit(_margins, part.features.matrix, part.y, part.weight, part.run, asked, seed)


def _nothing() -> None:
    """Too few runs have failed for a model."""


def _margins(
    x: NDArray[np.float32],
    y: NDArray[np.bool_],
    weight: NDArray[np.float32],
    run: NDArray[np.int32],
    asked: NDArray[np.float32],
    seed: int,
) -> NDArray[np.float64]:
    """Fit a model on rows, and return the log-odds that it gives to others."""
    if not len(asked):
        return np.zeros(0)
    ranker = FailureRanker(calibration_share=0.0, random_state=seed)
    return ranker.fit(x, y, sample_weight=weight, groups=run).margin(asked)


def _calibration_before(
    rows: TrainingSet, end: int, margin: NDArray[np.float64]
) -> tuple[float, float]:
    """Fit intercept and slope of the calibration on the margins predicted for earlier rows."""
    learnt = rows.weight[:end] > 0
    return _recent_line(margin[:end][learnt], rows.y[:end][learnt], rows.is_seeded[:end][learnt])


def _recent_line(
    margin: NDArray[np.float64], y: NDArray[np.bool_], is_seeded: NDArray[np.bool_]
) -> tuple[float, float]:
    recent = np.flatnonzero(~np.isnan(margin))[-_CALIBRATION_ROWS:]
    if y[recent].sum() < FIRST_FAILING:
        return (0.0, 1.0)
    recent = recent[level_rows(~is_seeded[recent])]
    return fit_logit(margin[recent], y[recent])
