"""Which cases belong to the front of an order whatever else speaks for the others.

Edited cases fail for other reasons than those that models learn from: what is wrong may be the
case itself, or what it was written for does not exist yet. What failed in the run before fails
again as long as nobody mends it. Needs numpy alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from testopt.ranking.cost_order import COST_FLOOR_S

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from testopt.features.run_features import RunFeatures

# What is added to a priority, which is 1 at most, before it is divided by the cost. Measured on
# commits of sqlparse and boltons whose tests were kept and whose source was undone, or had a fault
# seeded, with the commit before as base: 24 to 46 % of the edited cases fail there, 10 % of the new
# ones that are not edited. Where the source was undone the mean APFDc rises by .29 and .39 without
# a trained model, by .04 with one. From 1 and 4 on more changes nothing, .3 and .8 gain less.
EDITED: Final = 2.0
NEW: Final = 0.1
FAILING_BEFORE: Final = 4.0
# Where most things fail anyway a failure says little: with half of the cases failing in each run
# (ABB-IOFROL) a lead of what failed before costs .015 APFDc. Up to these it costs nothing.
FEW: Final = 3
FEW_SHARE: Final = 0.1
# Of the time of all cases, what those that must run may lead with, and so by how much others come
# later. On ABB-IOFROL, where half of the cases must run, all of them first cost .014 APFDc, three
# tenths .006, a tenth .001; on sqlparse a tenth gains .003 to .019, no less than all.
LEADING_SHARE: Final = 0.1


def lead(features: RunFeatures) -> NDArray[np.float64]:
    """Return what each case has for standing at the front beside its priority, shape (n,).

    Parameters
    ----------
    features : RunFeatures
        Features of a run's cases.
    """
    failing = features.failing_in_parent
    few = failing.sum() <= max(FEW, FEW_SHARE * len(failing))
    # before the first run all cases are new, and where no source is read that says less
    new = features.is_new & features.source_read & bool(features.executions.any())
    edited = np.where(features.in_change >= 1.0, EDITED, NEW * new)
    return np.where(failing & few, FAILING_BEFORE, edited).astype(np.float64)


def leading(
    must: NDArray[np.bool_], order: NDArray[np.int64], seconds: NDArray[Any]
) -> NDArray[np.bool_]:
    """Return which of the cases that must run go before all others, shape (n,).

    Parameters
    ----------
    must : ndarray of bool, shape (n,)
    order : ndarray of int64, shape (n,)
        Positions, what runs first first.
    seconds : ndarray, shape (n,)
        Expected durations.
    """
    cost = np.maximum(np.asarray(seconds, np.float64), 0.0) + COST_FLOOR_S
    most = LEADING_SHARE * cost.sum()
    rows = order[(must & (cost <= most))[order]]
    first = np.zeros(len(must), bool)
    first[rows[np.cumsum(cost[rows]) <= most]] = True
    return first
