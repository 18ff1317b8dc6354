"""The selection score of each case, which cases must run, and which fit into a budget."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from testopt.ranking.cost_order import COST_FLOOR_S, value_per_cost
from testopt.ranking.orderings import cost_exponent, priority

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from testopt.features.run_features import RunFeatures

_EPSILON: Final = 1e-9


def selection_score(
    features: RunFeatures,
    p: NDArray[np.float64] | None,
    seconds: NDArray[Any],
    *,
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
    weight : ndarray, shape (n,), optional
        How many cases each row stands for; default 1.

    Returns
    -------
    ndarray of float64, shape (n,)
        In 0..1: the share of the cases that does not stand before this one in the
        order. Cases of equal value and cost have the score of the first of them.
    """
    if not len(features):
        return np.zeros(0)
    cost = np.maximum(np.asarray(seconds, np.float64), 0.0)
    value = value_per_cost(priority(features, p), seconds, cost_exponent(features, p))
    count = np.ones(len(features)) if weight is None else np.asarray(weight, np.float64)
    return 1.0 - _share_before(value, cost, count)


def _share_before(
    value: NDArray[Any], cost: NDArray[np.float64], count: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the share of the cases that stand before each one: of more value, then cheaper."""
    order = np.lexsort((cost, -value))
    count = count[order]
    before = np.cumsum(count) - count
    tied = np.zeros(len(order), bool)
    tied[1:] = (np.diff(value[order]) == 0) & (np.diff(cost[order]) == 0)
    # a tied place takes what stands before the first of its equals
    before = np.maximum.accumulate(np.where(tied, 0.0, before))
    share = np.empty(len(order))
    share[order] = before / float(count.sum())
    return share


def must_run(features: RunFeatures) -> NDArray[np.bool_]:
    """Return which cases run whatever their score, shape (n,): new, changed, or failing before."""
    last = np.where(features.has_parent, features.failing_in_parent, features.failing_last)
    return np.asarray(features.is_new | last | (features.in_change > 0), bool)


def fits_budget(
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
