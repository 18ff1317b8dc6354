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
    probability: NDArray[Any], seconds: NDArray[Any], cases: Sequence[str]
) -> NDArray[np.int64]:
    """Return the positions of the cases in the order in which they should run.

    Parameters
    ----------
    probability, seconds : ndarray, shape (n,)
        P(case fails) and its expected duration.
    cases : sequence of str
        Case ids: among equals the cheaper runs first, then the smaller id.

    Returns
    -------
    ndarray of int64, shape (n,)
        ``order[0]`` runs first.
    """
    cost = np.maximum(np.asarray(seconds, np.float64), 0.0)
    value = probability / (cost + COST_FLOOR_S) ** COST_EXPONENT
    by_id = np.empty(len(cases), np.int64)
    by_id[sorted(range(len(cases)), key=cases.__getitem__)] = np.arange(len(cases))
    return np.lexsort((by_id, cost, -value))
