"""Logistic regression on piecewise linear columns with knots at quantiles (a simple GAM)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from testopt.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_QUANTILES: Final = (0.1, 0.3, 0.5, 0.7, 0.9)
_C: Final = 0.02  # inverse strength of the ridge; chosen by time-ordered validation


@dataclass(frozen=True)
class SplineBasis:
    """A fitted model; the margin is a sum of one function of each column.

    Attributes
    ----------
    knots : ndarray, shape (q, k)
        Where each column may turn; the first row also stands for a missing value.
    mean, scale, coef : ndarray, shape ((q + 1) * k,)
        Standardisation and weight of each piece.
    intercept : float
        Margin at the mean of the training data.
    """

    knots: NDArray[np.float64]
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    coef: NDArray[np.float64]
    intercept: float

    @classmethod
    def fit(
        cls, x: NDArray[np.float64], y: NDArray[np.bool_], weight: NDArray[np.float64]
    ) -> SplineBasis:
        """Fit on a matrix of shape (n, k) with NaN where unknown."""
        from sklearn.linear_model import LogisticRegression
        from threadpoolctl import threadpool_limits

        filled = np.where(np.isnan(x), np.nan, x)
        empty = np.isnan(filled).all(axis=0)
        filled[:, empty] = 0.0
        order = [2, 0, 1, 3, 4]  # the median first: missing values take its place
        knots = np.nanquantile(filled, [_QUANTILES[i] for i in order], axis=0)
        pieces = _pieces(x, knots)
        mean, scale = pieces.mean(axis=0), pieces.std(axis=0)
        scale[scale < 1e-9] = np.inf  # noqa: PLR2004 - a constant piece says nothing
        model = LogisticRegression(C=_C, max_iter=500)
        with threadpool_limits(1):  # on a busy machine more threads wait for each other
            model.fit((pieces - mean) / scale, y, sample_weight=weight)
        return cls(knots, mean, scale, model.coef_[0], float(model.intercept_[0]))

    def contributions(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what each column adds to the margin, shape (n, k); the intercept is apart."""
        terms = (_pieces(x, self.knots) - self.mean) / self.scale * self.coef
        out: NDArray[np.float64] = terms.reshape(len(x), -1, x.shape[1]).sum(axis=1)
        return out

    def dump(self) -> dict[str, Any]:
        """Return the model as plain data."""
        scale = np.where(np.isinf(self.scale), 0.0, self.scale)
        return {
            "knots": self.knots.tolist(),
            "mean": self.mean.tolist(),
            "scale": scale.tolist(),
            "coef": self.coef.tolist(),
            "intercept": self.intercept,
        }

    @classmethod
    def load(cls, data: Mapping[str, Any], n_columns: int) -> SplineBasis:
        """Rebuild from what `dump` returned for so many columns.

        Raises
        ------
        BundleError
            When the data do not fit together.
        """
        try:
            knots = np.asarray(data["knots"], np.float64)
            rest = [np.asarray(data[n], np.float64) for n in ("mean", "scale", "coef")]
            intercept = float(data["intercept"])
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(f"the risk model is damaged: {error}") from None
        width = (len(_QUANTILES) + 1) * n_columns
        shapes = [knots.shape, *(part.shape for part in rest)]
        if shapes != [(len(_QUANTILES), n_columns), *[(width,)] * len(rest)]:
            raise BundleError("the risk model is damaged: its parts have other sizes")
        finite = all(bool(np.isfinite(part).all()) for part in (knots, *rest))
        finite = finite and math.isfinite(intercept)
        if not finite or (rest[1] < 0).any():
            raise BundleError("the risk model is damaged: its numbers are none of a model")
        mean, scale, coef = rest
        return cls(knots, mean, np.where(scale == 0.0, np.inf, scale), coef, intercept)


def _pieces(x: NDArray[np.float64], knots: NDArray[np.float64]) -> NDArray[np.float64]:
    filled = np.where(np.isnan(x), knots[0], x)
    bends = [np.maximum(filled - knot, 0.0) for knot in knots]
    return np.concatenate([filled, *bends], axis=1)
