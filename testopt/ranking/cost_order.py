"""The order in which cases should run: probability per second. Needs numpy alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

ALIKE = 0.9  # share of a value that is worth about the same
COST_FLOOR_S = 1e-3  # what starting a case costs beside its duration
# Of one function, the case after which the next one counts half. In 71 failing first runs of five
# projects 12, 24, 48 and none brought the first failure on after 2.9, 2.8, 2.8 and 3.3 % of the
# time; 2, 3, 4 and 6 runs failed later than in the order of the files by more than 5 %. APFDc was
# .916 (48 and none: .915), on sqlparse alone .950, .952, .953 and .954.
CROWD = 24.0


def run_order(
    priority: NDArray[Any],
    seconds: NDArray[Any],
    cases: Sequence[str],
    *,
    exponent: float,
) -> NDArray[np.int64]:
    """Return the positions of the cases in the order in which they should run.

    Parameters
    ----------
    priority, seconds : ndarray, shape (n,)
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
    value = value_per_cost(priority, seconds, exponent)
    by_id = np.empty(len(cases), np.int64)
    by_id[sorted(range(len(cases)), key=cases.__getitem__)] = np.arange(len(cases))
    return np.lexsort((by_id, cost, -value))


def spread(
    priority: NDArray[Any], seconds: NDArray[Any], cases: Sequence[str], *, exponent: float
) -> NDArray[np.float64]:
    """Return priorities that let not all cases of one function stand before those of another.

    Each case of a function that has passed makes it less likely that its others fail.

    Parameters
    ----------
    priority, seconds, cases, exponent
        As in `run_order`.

    Returns
    -------
    ndarray of float64, shape (n,)
        The order of the cases of one function stays as it is.
    """
    value = np.asarray(priority, np.float64)
    functions: dict[str, int] = {}
    code = np.fromiter(
        (functions.setdefault(c.partition("[")[0], len(functions)) for c in cases),
        np.int64,
        len(cases),
    )
    if len(functions) == len(cases):
        return value
    order = run_order(value, seconds, cases, exponent=exponent)
    order = order[np.argsort(code[order], kind="stable")]
    first = np.diff(code[order], prepend=-1) != 0
    place = np.arange(len(order))
    spread_out = value.copy()
    spread_out[order] *= CROWD / (CROWD + place - np.maximum.accumulate(np.where(first, place, 0)))
    return spread_out


def steps(values: NDArray[Any]) -> list[int]:
    """Return where in an order the value falls by a tenth, and then by a tenth again.

    Between two such places cases are worth about the same, so that another reason, such as the
    files that they stand in, may decide which runs first.

    Parameters
    ----------
    values : ndarray, shape (n,)
        Positive; the largest first.

    Returns
    -------
    list of int
        Positions from 0; the first one is 0.
    """
    found, at = [], 0
    while at < len(values):
        found.append(at)
        # one on at least, whatever the values are
        at = max(at + 1, int(np.searchsorted(-values, -ALIKE * values[at], side="right")))
    return found


def value_per_cost(
    priority: NDArray[Any], seconds: NDArray[Any], exponent: float
) -> NDArray[np.float64]:
    """Return `priority` divided by a power of the duration in seconds, shape (n,)."""
    cost = np.maximum(np.asarray(seconds, np.float64), 0.0) + COST_FLOOR_S
    return np.asarray(priority / cost**exponent, np.float64)
