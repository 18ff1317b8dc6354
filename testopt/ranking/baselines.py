"""Simple orders to compare with, from the features that the model has too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from testopt.code.effort import relative_seconds
from testopt.features.history import DURATION_FLOOR_S

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from testopt.features.run_features import RunFeatures

BASELINES: Final = (
    "by case id",
    "random",
    "fast first",
    "newest case first",
    "failed recently first",
    "failure rate",
    "failure rate per second",
    "failed recently per second",
)

_STRANGER_RATE: Final = 0.1
_STRANGER_SINCE: Final = 1.2
_STRANGER_SECONDS: Final = 0.125
_NAMES_FLOOR: Final = 0.3  # what a case keeps that shares no word with the change


def ticks_without_failure(features: RunFeatures) -> NDArray[np.float64]:
    """Return the ticks since the last failure of each case; without one, its age, shape (n,)."""
    failed, age = features.ticks_since_failure.astype(np.float64), features.age_ticks + 1.0
    return np.where(np.isnan(failed), np.where(np.isnan(age), 0.5, age), failed)


def untrained_score(features: RunFeatures) -> NDArray[np.float64]:
    """Return a score in 0 to 1 that needs no training: recent failures and closeness to the change.

    Parameters
    ----------
    features : RunFeatures
        Features of a run's cases.

    Returns
    -------
    ndarray of float64, shape (n,)
        The recency of failures. With sources it is joined with the untrained affinity, which
        alone speaks of cases that never failed; where names alone are compared, which says less,
        it is the geometric mean with the failure rate, weighed with the affinity.
    """
    recent, close = recency(features), features.closeness
    if features.sources_read:
        failed = np.where(np.isnan(features.runs_since_failure), 0.0, recent)
        return 1.0 - (1.0 - failed) * (1.0 - close)
    past = np.sqrt(recent * pooled_rate(features))
    return past * (_NAMES_FLOOR + close) / (_NAMES_FLOOR + 1.0) if close.any() else past


def recency(features: RunFeatures) -> NDArray[np.float64]:
    """Return 1 / (2 + executions since the last failure) of each case, shape (n,).

    Executions and not runs of the suite: where only part of the cases runs each time, a case
    that failed whenever it ran has failed recently. One that never failed counts all of its
    executions, and a stranger comes right behind what failed last.
    """
    since = features.runs_since_failure.astype(np.float64) + 1.0
    never = np.where(features.is_new, _STRANGER_SINCE, features.executions + 1.0)
    return np.asarray(1.0 / (1.0 + np.where(np.isnan(since), never, since)))


def pooled_rate(features: RunFeatures) -> NDArray[np.float64]:
    """Return the failure rate of each case, drawn towards that of all, shape (n,).

    A case that was never executed counts as one that fails one time in ten.
    """
    runs, fails = features.executions, features.failures
    common = (fails.sum() + 0.5) / (runs.sum() + 10.0)
    return np.where(features.is_new, _STRANGER_RATE, (fails + 2.0 * common) / (runs + 2.0))


def expected_seconds(features: RunFeatures) -> NDArray[np.float64]:
    """Return the expected durations that the features hold, shape (n,).

    A case of unknown duration takes as long as the median of the others, more where its text
    tells of long work.
    """
    # as in the column of the matrix, whose logarithm needs a floor
    seconds = features.seconds.astype(np.float64) + DURATION_FLOOR_S
    unmeasured = np.isnan(seconds)
    known = np.sort(seconds[~unmeasured])
    middle = float(known[len(known) // 2]) if len(known) else _STRANGER_SECONDS
    return np.where(unmeasured, middle * relative_seconds(features.effort), seconds)


def baseline_orders(
    features: RunFeatures, seconds: NDArray[Any], *, seed: int
) -> dict[str, NDArray[np.int64]]:
    """Return the order of each of ``BASELINES`` for one run; ties fall at random.

    Parameters
    ----------
    features : RunFeatures
        Features of the run's cases, in the order of their ids: that in which they ran is not kept.
    seconds : ndarray, shape (n,)
        Expected durations.
    seed : int
        Seed of the ties.
    """
    tie = np.random.default_rng(seed).random(len(features))
    cost = np.maximum(seconds, 0.0) + 1e-3
    since = ticks_without_failure(features)
    rate = np.nan_to_num(features.failure_rate, nan=0.5)
    keys = {
        "random": tie,
        "fast first": cost,
        "newest case first": np.nan_to_num(features.age_ticks, nan=0.0),
        "failed recently first": since,
        "failure rate": -rate,
        "failure rate per second": -rate / cost,
        "failed recently per second": (since + 1.0) * cost,
    }
    orders = {name: np.lexsort((tie, key)) for name, key in keys.items()}
    return {"by case id": np.arange(len(features)), **orders}
