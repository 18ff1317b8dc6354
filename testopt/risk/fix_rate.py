"""Predicts the fixes of a file in any time to come: their expected number, and the chance of any.

One rate a file, learnt by a Poisson regression over windows of one length, holds for every time
ahead. Fixes come in bursts, so that the chance of any is that of a negative binomial number
(Lawless 1987) with one shape for all files; the exponential of a Poisson rate is too sure of files
that had many. On six repositories (windows of 30, 90 and 365 days) a growth over time that is
learnt, or a logistic regression for each length of time, had no smaller log loss.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_RIDGE = 1e-3
_LOG_SHAPES = np.linspace(-4.0, 4.0, 33)  # from bursts only to nearly Poisson


class FixRate:
    """Expected fixes of files, by windows of the length that it was taught with.

    Attributes
    ----------
    mean_ : float
        Mean number of fixes in training.
    shape_ : float
        Of the negative binomial distribution; small where fixes come in bursts.
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
        from sklearn.linear_model import PoissonRegressor
        from threadpoolctl import threadpool_limits

        logs = np.log1p(x)
        self._low, self._high = logs.min(axis=0), logs.max(axis=0)
        self._centre, scale = logs.mean(axis=0), logs.std(axis=0)
        self._scale = np.where(scale > 0.0, scale, np.inf)
        self.mean_ = float(np.mean(y))
        self._model = PoissonRegressor(alpha=_RIDGE, max_iter=500)
        with threadpool_limits(1):  # so small that further threads only wait for each other
            self._model.fit((logs - self._centre) / self._scale, y)
        self.shape_ = _likeliest_shape(self.expected(x), np.asarray(y, np.float64))
        return self

    def expected(self, x: NDArray[Any], windows: float = 1.0) -> NDArray[np.float64]:
        """Return the expected number of fixes in some windows to come, shape (n,).

        A file beyond all that was seen in training counts as the furthest that was.
        """
        if not len(x):
            return np.empty(0)
        logs = np.clip(np.log1p(x), self._low, self._high)
        return np.asarray(
            windows * self._model.predict((logs - self._centre) / self._scale), np.float64
        )

    def chance(self, x: NDArray[Any], windows: float = 1.0) -> NDArray[np.float64]:
        """Return the probability of at least one fix in some windows to come, shape (n,)."""
        return self.chance_of(self.expected(x, windows))

    def chance_of(self, rates: Any) -> NDArray[np.float64]:
        """Return the probability of at least one fix where so many are expected.

        Of a part of a file too: the fixes of all parts come in the bursts of the file.
        """
        rates = np.asarray(rates, np.float64)
        return np.asarray(-np.expm1(-self.shape_ * np.log1p(rates / self.shape_)), np.float64)


def _likeliest_shape(rates: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Return the shape under which the counts are likeliest, of some shapes."""
    from scipy.special import gammaln

    def log_likelihood(shape: float) -> float:
        counts = gammaln(y + shape) - gammaln(shape) - (y + shape) * np.log1p(rates / shape)
        return float(np.sum(counts - y * np.log(shape)))

    return float(max(np.exp(_LOG_SHAPES), key=log_likelihood))


def share_found(score: NDArray[Any], hits: NDArray[Any], share: float = 0.2) -> float:
    """Return the share of all hits that lie in a share of the files, best first.

    Parameters
    ----------
    score : ndarray, shape (n,)
        Higher comes first.
    hits : ndarray, shape (n,)
        What to find in each file; NaN is returned where there is nothing.
    share : float
        Of the files.
    """
    if not hits.sum():
        return float("nan")
    first = np.argsort(-score, kind="stable")[: max(1, int(share * len(score)))]
    return float(hits[first].sum() / hits.sum())


def recall_at_effort(
    score: NDArray[Any], lines: NDArray[Any], hits: NDArray[Any], share: float = 0.2
) -> float:
    """Return the share of hits in the files that fit into a share of all lines, best first.

    Parameters
    ----------
    score : ndarray, shape (n,)
        Higher comes first.
    lines : ndarray, shape (n,)
        Effort to review a file.
    hits : ndarray, shape (n,)
        What to find in each file; NaN is returned where there is nothing.
    share : float
        Of all lines.
    """
    if not hits.sum():
        return float("nan")
    order = np.argsort(-score, kind="stable")
    inside = np.cumsum(lines[order]) <= share * lines.sum()
    return float(hits[order][inside].sum() / hits.sum())
