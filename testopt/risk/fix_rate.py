"""Predicts the fixes of a file: their expected number, and the chance of any.

The number is a Poisson regression; the chance a logistic one, for fixes come in bursts, which make
the exponential of a Poisson rate too sure of files that had many.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_RIDGE = 1e-3


class FixRate:
    """Expected fixes of files in a window of fixed length.

    Attributes
    ----------
    mean_ : float
        Mean number of fixes in training.
    """

    def fit(self, x: NDArray[Any], y: NDArray[Any]) -> Self:
        """Fit.

        Parameters
        ----------
        x : ndarray, shape (n, k)
            Not negative.
        y : ndarray, shape (n,)
            Fixes in the window after.
        """
        from sklearn.linear_model import LogisticRegression, PoissonRegressor
        from threadpoolctl import threadpool_limits

        logs = np.log1p(x)
        self._centre, scale = logs.mean(axis=0), logs.std(axis=0)
        self._scale = np.where(scale > 0.0, scale, np.inf)
        self.mean_ = float(np.mean(y))
        self._model = PoissonRegressor(alpha=_RIDGE, max_iter=500)
        scaled, any_fix = (logs - self._centre) / self._scale, np.asarray(y) > 0
        both = 0 < int(any_fix.sum()) < len(any_fix)
        with threadpool_limits(1):  # so small that further threads only wait for each other
            self._model.fit(scaled, y)
            self._any = LogisticRegression(max_iter=500).fit(scaled, any_fix) if both else None
        # Far outside the training data the exponential runs away; no file beats the worst seen.
        self._most = float(np.max(y)) * 2.0
        return self

    def predict(self, x: NDArray[Any]) -> NDArray[np.float64]:
        """Return the expected number of fixes, shape (n,)."""
        if not len(x):
            return np.empty(0)
        logs = (np.log1p(x) - self._centre) / self._scale
        return np.minimum(np.asarray(self._model.predict(logs), np.float64), self._most)

    def chance(self, x: NDArray[Any]) -> NDArray[np.float64]:
        """Return the probability of at least one fix, shape (n,)."""
        if not len(x):
            return np.empty(0)
        if self._any is None:
            return np.asarray(1.0 - np.exp(-self.predict(x)), np.float64)
        logs = (np.log1p(x) - self._centre) / self._scale
        return np.asarray(self._any.predict_proba(logs)[:, 1], np.float64)


def recall_at_effort(
    score: NDArray[Any], lines: NDArray[Any], hit: NDArray[np.bool_], share: float = 0.2
) -> float:
    """Return the share of hits among the files that fit into a share of all lines, best first.

    Parameters
    ----------
    score : ndarray, shape (n,)
        Higher comes first.
    lines : ndarray, shape (n,)
        Effort to review a file.
    hit : ndarray of bool, shape (n,)
        Files to find; NaN is returned where there are none.
    share : float
        Of all lines.
    """
    if not hit.any():
        return float("nan")
    order = np.argsort(-score, kind="stable")
    inside = np.cumsum(lines[order]) <= share * lines.sum()
    return float(hit[order][inside].sum() / hit.sum())
