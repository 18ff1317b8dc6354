"""Recall estimated without bias from left-out cases that were drawn to run anyway."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TAIL: Final = 0.025  # on either side of a 95 % interval


@dataclass(frozen=True, slots=True)
class WeightedRecall:
    """Share of regressing cases that were selected, with its 95 % interval.

    Attributes
    ----------
    recall, low, high : float
    selected : float
        Regressing cases that were selected: all of them ran.
    found : int
        Regressing cases that were left out, ran by the draw, and failed.
    missed : float
        Estimated number of regressing cases that were left out.
    """

    recall: float
    low: float
    high: float
    selected: float
    found: int
    missed: float


def horvitz_thompson(values: NDArray[Any], propensity: NDArray[Any]) -> float:
    """Return an unbiased estimate of the sum over all units from those that were drawn.

    Each is weighted by the inverse of the probability with which it was to be drawn (Horvitz and
    Thompson 1952).

    Parameters
    ----------
    values : ndarray, shape (n,)
        Of the units that were drawn.
    propensity : ndarray, shape (n,)
        In (0, 1].
    """
    return float((np.asarray(values, float) / np.asarray(propensity, float)).sum())


def weighted_recall(
    selected: int, propensity: NDArray[Any], *, least_propensity: float
) -> WeightedRecall:
    """Estimate the recall on cases of a selection that leaves cases out and draws some of them.

    The number left out is estimated by inverse propensity; its interval is that of a weighted sum
    of Poisson counts (Fay and Feuer 1997), which stays wide where nothing was found.

    Parameters
    ----------
    selected : int
        Regressing cases that were selected.
    propensity : ndarray, shape (n,)
        Of the regressing cases that were left out and ran all the same.
    least_propensity : float
        The smallest of all cases that were left out.

    Returns
    -------
    WeightedRecall
        NaN as the recall where nothing regressed.
    """
    from scipy.stats import gamma

    weights = 1.0 / np.asarray(propensity, float)
    missed = horvitz_thompson(np.ones(len(weights)), np.asarray(propensity, float))
    variance = float((weights**2).sum())
    largest = max(1.0 / least_propensity, float(weights.max(initial=0.0)))
    least = 0.0
    if missed > 0:
        least = float(gamma.ppf(_TAIL, missed**2 / variance, scale=variance / missed))
    wide, sure = missed + largest, variance + largest**2
    most = float(gamma.ppf(1.0 - _TAIL, wide**2 / sure, scale=sure / wide))
    return WeightedRecall(
        _share(selected, missed),
        _share(selected, most),
        _share(selected, least),
        selected,
        len(weights),
        missed,
    )


def _share(selected: float, missed: float) -> float:
    return selected / (selected + missed) if selected + missed > 0 else math.nan
