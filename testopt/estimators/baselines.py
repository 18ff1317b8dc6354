"""The orders that anyone could use instead, from the same knowledge that the model has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

BASELINES: Final = (
    "as run",
    "random",
    "fast first",
    "newest case first",
    "failed recently first",
    "failure rate",
    "failure rate per second",
    "failed recently per second",
)


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
        1 / (1 + runs since the last failure), where strangers come right behind what failed last,
        joined with the untrained affinity where the text of the change is known.
    """
    columns = {name: x[:, j] for j, name in enumerate(names)}
    recent = 1.0 / (1.0 + runs_since_failure(columns))
    close = np.nan_to_num(columns["prior"].astype(np.float64)).clip(0.0, 1.0)
    return 1.0 - (1.0 - recent) * (1.0 - close)


def baseline_orders(
    x: NDArray[np.float32], names: Sequence[str], seconds: NDArray[Any], *, seed: int
) -> dict[str, NDArray[np.int64]]:
    """Return the order of each of ``BASELINES`` for one run; ties fall at random.

    Parameters
    ----------
    x : ndarray of float32, shape (n, n_features)
        Features of the run's cases, in the order in which they ran.
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
    return {"as run": np.arange(len(x)), **orders}
