"""The orders that anyone could use instead, from the same knowledge that the model has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from testopt.features.effort import relative_seconds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

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
_STRANGER_SECONDS_LOG: Final = -3.0
_NAMES_FLOOR: Final = 0.3  # what a case keeps that shares no word with the change


def runs_since_failure(columns: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
    """Return the ticks since the last failure of each case; without one, its age, shape (n,).

    Parameters
    ----------
    columns : mapping of str to ndarray
        ``ticks_since_failure`` and ``age_ticks`` as log2(1 + ticks), NaN where unknown.
    """
    failed = np.exp2(columns["ticks_since_failure"].astype(np.float64)) - 1.0
    age = np.exp2(columns["age_ticks"].astype(np.float64))
    return np.where(np.isnan(failed), np.where(np.isnan(age), 0.5, age), failed)


def untrained_score(x: NDArray[np.float32], names: Sequence[str]) -> NDArray[np.float64]:
    """Return a score in 0 to 1 that needs no training: recent failures and closeness to the change.

    Parameters
    ----------
    x : ndarray of float32, shape (n, n_features)
        Features of a run's cases.
    names : sequence of str
        Names of the columns.

    Returns
    -------
    ndarray of float64, shape (n,)
        The recency of failures. With sources it is joined with the untrained affinity, which
        alone speaks of cases that never failed; where names alone are compared, which says less,
        it is weighed with the failure rate and then with the affinity.
    """
    columns = {name: x[:, j] for j, name in enumerate(names)}
    recent = recency(columns)
    close = np.nan_to_num(columns["prior"].astype(np.float64)).clip(0.0, 1.0)
    if reads_sources(x, names):
        failed = np.where(np.isnan(columns["runs_since_failure"]), 0.0, recent)
        return 1.0 - (1.0 - failed) * (1.0 - close)
    rate = pooled_rate(columns)
    # a few runs without a failure say little; else slow cases that failed would come behind them
    never = np.isnan(columns["runs_since_failure"]) & (columns["executions"] > 0)
    past = np.sqrt(np.where(never, np.minimum(recent, rate), recent) * rate)
    return past * (_NAMES_FLOOR + close) / (_NAMES_FLOOR + 1.0) if close.any() else past


def recency(columns: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
    """Return 1 / (1 + executions since the last failure) of each case, shape (n,).

    Executions and not runs of the suite: where only part of the cases runs each time, a case
    that failed whenever it ran has failed recently. One that never failed counts all of its
    executions, and a stranger comes right behind what failed last.

    Parameters
    ----------
    columns : mapping of str to ndarray
        ``executions`` as log2(1 + n) and ``runs_since_failure`` as log2(n), NaN where unknown.
    """
    since = np.exp2(columns["runs_since_failure"].astype(np.float64))
    ran = np.exp2(np.nan_to_num(columns["executions"].astype(np.float64)))
    never = np.where(ran > 1.0, ran, _STRANGER_SINCE)
    return np.asarray(1.0 / (1.0 + np.where(np.isnan(since), never, since)))


def reads_sources(x: NDArray[np.float32], names: Sequence[str]) -> bool:
    """Return whether the features rest on sources, not on names alone."""
    return bool((~np.isnan(x[:, list(names).index("in_change")])).any())


def pooled_rate(columns: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
    """Return the failure rate of each case, drawn towards that of all, shape (n,).

    Parameters
    ----------
    columns : mapping of str to ndarray
        ``executions`` as log2(1 + n) and ``failure_rate`` as (fails + 0.5) / (n + 2), NaN where
        unknown: such a case counts as one that fails one time in ten.
    """
    runs = np.exp2(np.nan_to_num(columns["executions"].astype(np.float64))) - 1.0
    known = runs > 0
    rate = np.nan_to_num(columns["failure_rate"].astype(np.float64))
    fails = np.where(known, (rate * (runs + 2.0) - 0.5).clip(0.0), 0.0)
    common = (fails.sum() + 0.5) / (runs.sum() + 10.0)
    return np.where(known, (fails + 2.0 * common) / (runs + 2.0), _STRANGER_RATE)


def expected_seconds(x: NDArray[np.float32], names: Sequence[str]) -> NDArray[np.float64]:
    """Return the expected durations that the features hold, shape (n,).

    A case of unknown duration takes as long as the median of the others, more where its text
    tells of long work.
    """
    logs = x[:, list(names).index("seconds_log")].astype(np.float64)
    known = np.sort(logs[~np.isnan(logs)])
    middle = float(known[len(known) // 2]) if len(known) else _STRANGER_SECONDS_LOG
    times = relative_seconds(x[:, list(names).index("effort")])
    return np.where(np.isnan(logs), np.exp2(middle) * times, np.exp2(logs))


def baseline_orders(
    x: NDArray[np.float32], names: Sequence[str], seconds: NDArray[Any], *, seed: int
) -> dict[str, NDArray[np.int64]]:
    """Return the order of each of ``BASELINES`` for one run; ties fall at random.

    Parameters
    ----------
    x : ndarray of float32, shape (n, n_features)
        Features of the run's cases, in the order of their ids: that in which they ran is not kept.
    names : sequence of str
        Names of the columns.
    seconds : ndarray, shape (n,)
        Expected durations.
    seed : int
        Seed of the ties.
    """
    columns = {name: x[:, j] for j, name in enumerate(names)}
    tie = np.random.default_rng(seed).random(len(x))
    cost = np.maximum(seconds, 0.0) + 1e-3
    since = runs_since_failure(columns)
    rate = np.nan_to_num(columns["failure_rate"].astype(np.float64), nan=0.5)
    age = np.nan_to_num(columns["age_ticks"], nan=0.0)
    keys = {
        "random": tie,
        "fast first": cost,
        "newest case first": age,
        "failed recently first": since,
        "failure rate": -rate,
        "failure rate per second": -rate / cost,
        "failed recently per second": (since + 1.0) * cost,
    }
    orders = {name: np.lexsort((tie, key)) for name, key in keys.items()}
    return {"by case id": np.arange(len(x)), **orders}
