"""How long defects stay undiscovered: young commits are unlabelled, not clean.

A defect is found some time after its commit, so the youngest commits of any training set carry
too few labels. The delay is taken as exponential; it is told apart from a rate that merely
drifts by which of the two explains the labels better (verification latency: Cabral et al. 2019;
weighting positive and unlabelled examples: Elkan and Noto 2008).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from testopt.learning.calibration import fit_logit, sigmoid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_MIN_DEFECTS: Final = 20
_MIN_GAIN: Final = 3.0  # log-likelihood by which latency must beat drift
_GRID_SIZE: Final = 60
_MIN_FOUND: Final = 0.5  # commits less likely than this to be labelled teach nothing
_LEFT: Final = 0.05  # a single late delay does not take all before it for rare


def estimate_latency(age: NDArray[np.float64], y: NDArray[np.bool_]) -> float:
    """Estimate the mean days until a defect is found, from the fall of the rate near the end.

    Parameters
    ----------
    age : ndarray, shape (n,)
        Days between each commit and the end of the data.
    y : ndarray of bool, shape (n,)
        Known to have introduced a defect.

    Returns
    -------
    float
        Days; 0 where a drifting rate explains the labels as well, or there are too few.
    """
    span = float(age.max()) if len(age) else 0.0
    if int(y.sum()) < _MIN_DEFECTS or span <= 0.0:
        return 0.0
    delays = np.geomspace(span / 1000.0, span, _GRID_SIZE)
    best = max(
        (_log_likelihood(y, _defect_rate(y, s) * s), d) for d, s in _known_shares(age, delays)
    )
    intercept, slope = _fit_drift(age / span, y)
    drift = _log_likelihood(y, sigmoid(intercept + slope * (age / span)))
    return float(best[1]) if best[0] > drift + _MIN_GAIN else 0.0


def known_share(age: NDArray[np.float64], latency: float) -> NDArray[np.float64]:
    """Return the probability that a defect of each age has been found, shape (n,)."""
    if latency <= 0.0:
        return np.ones(len(age))
    share: NDArray[np.float64] = 1.0 - np.exp(-np.maximum(age, 0.0) / latency)
    return share


def latency_weights(
    age: NDArray[np.float64], y: NDArray[np.bool_], latency: float
) -> NDArray[np.float64]:
    """Return weights under which the labels stand for what will be known in the end.

    Parameters
    ----------
    age : ndarray, shape (n,)
        Days.
    y : ndarray of bool, shape (n,)
        Labels known so far.
    latency : float
        From `estimate_latency`.

    Returns
    -------
    ndarray, shape (n,)
        As of `share_weights`.
    """
    share = known_share(age, latency)
    return share if latency <= 0.0 else share_weights(y, share)


def share_weights(
    y: NDArray[np.bool_], share: NDArray[np.float64], least: float = _MIN_FOUND
) -> NDArray[np.float64]:
    """Return weights under which the labels stand for what will be known in the end.

    Parameters
    ----------
    y : ndarray of bool, shape (n,)
        Labels known so far.
    share : ndarray, shape (n,)
        Probability that a defect of each change would be known by now; 0: not examined.
    least : float
        A change of a smaller share is too young to tell.

    Returns
    -------
    ndarray, shape (n,)
        Defects weigh 1 / P(found); unlabelled commits P(clean | unlabelled); commits too young
        to tell, 0.
    """
    rate = _defect_rate(y & (share > 0.0), share)
    safe = np.maximum(share, least)
    weight: NDArray[np.float64] = np.where(y, 1.0 / safe, (1.0 - rate) / (1.0 - rate * safe))
    weight[share < least] = 0.0
    return weight


def found_share(
    delay: NDArray[np.float64], seen: NDArray[np.float64], age: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Estimate the probability that a defect of each age has been found, from known delays.

    A defect is known only if it was found before the end, so young commits show short delays
    alone; the estimate corrects for that (product limit for data truncated at the right:
    Lynden-Bell 1971; Woodroofe 1985).

    Parameters
    ----------
    delay : ndarray, shape (m,)
        Days from each known defect to its fix.
    seen : ndarray, shape (m,)
        Days from each known defect to the end, none less than its delay.
    age : ndarray, shape (n,)
        Days from each commit to the end; what is negative was committed after it.

    Returns
    -------
    ndarray, shape (n,)
        1 at the longest delay that is known, and from there on.
    """
    if not len(delay):
        return (age >= 0.0).astype(np.float64)
    times = np.unique(delay)
    # of the defects that could have been found as late as each delay, those found by then
    upto = np.searchsorted(np.sort(delay), times, side="right")
    at_risk = np.maximum(upto - np.searchsorted(np.sort(seen), times, side="left"), 1)
    found = upto - np.searchsorted(np.sort(delay), times, side="left")
    left = np.clip(1.0 - found / at_risk, _LEFT, 1.0)
    share = np.append(np.cumprod(left[1:][::-1])[::-1], 1.0)
    at = np.searchsorted(times, age, side="right")
    out: NDArray[np.float64] = np.where(at > 0, share[np.maximum(at - 1, 0)], 0.0)
    return out


def _known_shares(
    age: NDArray[np.float64], delays: NDArray[np.float64]
) -> Iterator[tuple[float, NDArray[np.float64]]]:
    for delay in delays:
        yield float(delay), known_share(age, float(delay))


def _defect_rate(y: NDArray[np.bool_], share: NDArray[np.float64]) -> float:
    """Return the rate of defects, found or not, when it is the same throughout."""
    return min(float(y.sum()) / max(float(share.sum()), 1e-9), 0.95)


def _fit_drift(x: NDArray[Any], y: NDArray[np.bool_]) -> tuple[float, float]:
    """Return the line in log-odds through the labels; rising and falling ones alike."""
    forward = fit_logit(x, y)
    back = fit_logit(-x, y)
    ends = [(forward[0], forward[1]), (back[0], -back[1])]
    return max(ends, key=lambda e: _log_likelihood(y, sigmoid(e[0] + e[1] * x)))


def _log_likelihood(y: NDArray[np.bool_], p: NDArray[np.float64]) -> float:
    p = np.clip(p, 1e-9, 1.0 - 1e-9)
    return float(np.where(y, np.log(p), np.log1p(-p)).sum())
