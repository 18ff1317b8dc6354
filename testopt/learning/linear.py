"""A logistic regression as numpy arrays: predicts without scikit-learn."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from testopt.errors import BundleError
from testopt.learning.sampling import sample_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

STRENGTH: Final = 1e-3  # inverse of the ridge
MAX_ROWS: Final = 60_000
_LIMIT: Final = 6.0  # standard deviations: what is farther out counts as this far
_SPREAD: Final = 1e-6
_MOST: Final = 1e12  # of a mean or a weight
_BLOCK: Final = 2_048  # rows of which the working copies stay in the processor's cache


@dataclass(frozen=True)
class Linear:
    """Log-odds as a weighted sum of standardised features; a missing value counts as zero.

    Attributes
    ----------
    mean, scale, weight : ndarray of float64, shape (n_features,)
        Centre and spread in the training data, and what one spread adds to the log-odds.
    intercept : ndarray of float64, shape (1,)
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    weight: NDArray[np.float64]
    intercept: NDArray[np.float64]

    @classmethod
    def fit(
        cls, x: NDArray[Any], y: NDArray[np.bool_], weight: NDArray[Any], *, seed: int = 0
    ) -> Linear:
        """Fit with a ridge, on at most about ``MAX_ROWS`` rows: all failing ones and a sample.

        Parameters
        ----------
        x : ndarray, shape (n, n_features)
            NaN where unknown.
        y : ndarray of bool, shape (n,)
            Both values occur.
        weight : ndarray, shape (n,)
            Weights of the rows.
        seed : int
            Seed of the sample.
        """
        from sklearn.linear_model import LogisticRegression

        keep, share = sample_rows(y, MAX_ROWS, seed)
        filled, target = _filled(x[keep]), y[keep]
        counts = np.asarray(weight, np.float64)[keep] * np.where(target, 1.0, 1.0 / share)
        mean, scale = filled.mean(axis=0), filled.std(axis=0)
        scale[scale < _SPREAD] = np.inf  # says nothing
        z = _standard(filled, mean, scale)
        model = LogisticRegression(C=STRENGTH, max_iter=300).fit(z, target, sample_weight=counts)
        return cls(mean, scale, model.coef_[0], np.asarray(model.intercept_, np.float64))

    def margin(self, x: NDArray[Any]) -> NDArray[np.float64]:
        """Return the log-odds of rows, shape (n,)."""
        blocks = (x[at : at + _BLOCK] for at in range(0, len(x), _BLOCK))
        sums = [self.contributions(block).sum(axis=1) for block in blocks]
        return np.asarray(np.concatenate([np.empty(0), *sums]) + self.intercept[0])

    def contributions(self, x: NDArray[Any]) -> NDArray[np.float64]:
        """Return what each feature adds to the log-odds, shape (n, n_features)."""
        z = _standard(_filled(x), self.mean, self.scale)
        z *= self.weight
        return z

    def dump(self) -> dict[str, NDArray[Any]]:
        """Return the arrays, for a file without pickle."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def load(cls, arrays: Mapping[str, NDArray[Any]], n_features: int) -> Linear:
        """Check and rebuild from what `dump` returned.

        Raises
        ------
        BundleError
            When the arrays are not those of `n_features` features, or not finite.
        """
        try:
            parts = {field.name: arrays[field.name] for field in fields(cls)}
        except KeyError as error:
            raise BundleError(f"the linear model lacks {error}", "run: testopt train") from None
        shapes = {"intercept": (1,)}
        sound = all(
            a.dtype == np.float64
            and a.shape == shapes.get(name, (n_features,))
            and not np.isnan(a).any()
            and (name == "scale" or (np.abs(a) <= _MOST).all())
            for name, a in parts.items()
        )
        if not sound or not (parts["scale"] >= _SPREAD).all():
            raise BundleError(
                "the linear model is damaged, or of another forest", "run: testopt train"
            )
        return cls(**parts)


def _filled(x: NDArray[Any]) -> NDArray[np.float64]:
    filled = np.array(x, np.float64)
    filled[~np.isfinite(filled)] = 0.0
    return filled


def _standard(
    x: NDArray[np.float64], mean: NDArray[np.float64], scale: NDArray[np.float64]
) -> NDArray[np.float64]:
    z = x - mean
    z /= scale
    return np.clip(z, -_LIMIT, _LIMIT, out=z)
