"""Logistic regression that begins at what is known beforehand and leaves it as evidence grows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from testopt.errors import BundleError
from testopt.learning.calibration import sigmoid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_LIMIT: Final = 5.0  # standard deviations: what is farther out counts as this far
_ROUNDS: Final = 50
_CONVERGED: Final = 1e-8
_INTERCEPT_RIDGE: Final = 1.0  # as much as about ten rows say of the rate
_RATE: Final = 0.1  # share of ones where nothing is known


@dataclass(frozen=True)
class PriorRegression:
    """Log-odds as a weighted sum of standardised columns; what is missing counts as typical.

    Attributes
    ----------
    mean, scale, coef : ndarray, shape (k,)
        Centre and spread in the training data, and what one spread adds to the log-odds.
    intercept : float
        Log-odds of a typical row.
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    coef: NDArray[np.float64]
    intercept: float

    @classmethod
    def fit(
        cls,
        x: NDArray[np.float64],
        y: NDArray[Any],
        weight: NDArray[np.float64],
        *,
        slopes: NDArray[np.float64],
        strength: NDArray[np.float64],
    ) -> PriorRegression:
        """Fit by Newton's method under a Gaussian prior.

        Parameters
        ----------
        x : ndarray, shape (n, k)
            NaN where unknown.
        y : ndarray, shape (n,)
            0 or 1.
        weight : ndarray, shape (n,)
        slopes, strength : ndarray, shape (k,)
            Expected log-odds for each unit of a column, and how strongly its coefficient (in
            standard deviations of the column) is held there: the inverse variance of the prior.
        """
        count = np.maximum((~np.isnan(x)).sum(axis=0), 1)
        mean = np.nansum(x, axis=0) / count
        scale = np.sqrt(np.nansum((x - mean) ** 2, axis=0) / count)
        scale[scale < 1e-9] = np.inf  # noqa: PLR2004 - a constant column says nothing
        rate = (float(weight @ y) + 1.0) / (float(weight.sum()) + 1.0 / _RATE)
        design = np.column_stack([np.ones(len(x)), _standard(x, mean, scale)])
        expected = slopes * np.where(np.isinf(scale), 0.0, scale)
        prior = np.concatenate([[np.log(rate / (1.0 - rate))], expected])
        ridge = np.concatenate([[_INTERCEPT_RIDGE], strength])
        beta = _newton(design, np.asarray(y, np.float64), weight, prior, ridge)
        return cls(mean, scale, beta[1:], float(beta[0]))

    def margin(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the log-odds, shape (n,)."""
        return np.asarray(self.contributions(x).sum(axis=1) + self.intercept)

    def contributions(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what each column adds to the log-odds, shape (n, k)."""
        return _standard(x, self.mean, self.scale) * self.coef

    def dump(self) -> dict[str, Any]:
        """Return the model as plain data."""
        scale = np.where(np.isinf(self.scale), 0.0, self.scale)
        return {
            "mean": self.mean.tolist(),
            "scale": scale.tolist(),
            "coef": self.coef.tolist(),
            "intercept": self.intercept,
        }

    @classmethod
    def load(cls, data: Mapping[str, Any], n_columns: int) -> PriorRegression:
        """Rebuild from what `dump` returned for so many columns.

        Raises
        ------
        BundleError
            When the data do not fit together.
        """
        try:
            mean, scale, coef = (
                np.asarray(data[name], np.float64) for name in ("mean", "scale", "coef")
            )
            intercept = float(data["intercept"])
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(f"the risk model is damaged: {error}") from None
        parts = (mean, scale, coef)
        if any(part.shape != (n_columns,) for part in parts):
            raise BundleError("the risk model is damaged: its parts have other sizes")
        finite = math.isfinite(intercept) and all(bool(np.isfinite(part).all()) for part in parts)
        if not finite or (scale < 0).any():
            raise BundleError("the risk model is damaged: its numbers are none of a model")
        return cls(mean, np.where(scale == 0.0, np.inf, scale), coef, intercept)


def _newton(
    design: NDArray[np.float64],
    y: NDArray[np.float64],
    weight: NDArray[np.float64],
    prior: NDArray[np.float64],
    ridge: NDArray[np.float64],
) -> NDArray[np.float64]:
    beta = prior.copy()
    for _ in range(_ROUNDS):
        p = sigmoid(design @ beta)
        gradient = design.T @ (weight * (p - y)) + ridge * (beta - prior)
        curvature = (design * (weight * p * (1.0 - p))[:, None]).T @ design + np.diag(ridge)
        step = np.linalg.solve(curvature, gradient)
        size = float(np.abs(step).max())
        beta = beta - step * min(1.0, 2.0 / max(size, 1e-12))
        if size < _CONVERGED:
            break
    return beta


def _standard(
    x: NDArray[np.float64], mean: NDArray[np.float64], scale: NDArray[np.float64]
) -> NDArray[np.float64]:
    return np.clip(np.nan_to_num((x - mean) / scale, nan=0.0), -_LIMIT, _LIMIT)
