"""The order in which cases should run: probability per second. Needs numpy alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

COST_EXPONENT = 0.5  # 0: by probability alone, 1: by probability per second
COST_FLOOR_S = 1e-3  # what starting a case costs beside its duration


def run_order(
    worth: NDArray[Any],
    seconds: NDArray[Any],
    cases: Sequence[str],
    *,
    exponent: float = COST_EXPONENT,
) -> NDArray[np.int64]:
    """Return the positions of the cases in the order in which they should run.

    Parameters
    ----------
    worth, seconds : ndarray, shape (n,)
        P(case fails), or what else speaks for running it, and its expected duration.
    cases : sequence of str
        Case ids: among equals the cheaper runs first, then the smaller id.
    exponent : float
        How much the duration counts: 0 not at all, 1 fully.

    Returns
    -------
    ndarray of int64, shape (n,)
        ``order[0]`` runs first.
    """
    cost = np.maximum(np.asarray(seconds, np.float64), 0.0)
    value = value_per_cost(worth, seconds, exponent)
    by_id = np.empty(len(cases), np.int64)
    by_id[sorted(range(len(cases)), key=cases.__getitem__)] = np.arange(len(cases))
    return np.lexsort((by_id, cost, -value))


def value_per_cost(
    worth: NDArray[Any], seconds: NDArray[Any], exponent: float
) -> NDArray[np.float64]:
    """Return `worth` divided by a power of the duration in seconds, shape (n,)."""
    cost = np.maximum(np.asarray(seconds, np.float64), 0.0) + COST_FLOOR_S
    return np.asarray(worth / cost**exponent, np.float64)
