"""Measures how good an order or a probability is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_Z: Final = 1.959964  # of a 95 % interval


def apfd(failed: NDArray[np.bool_]) -> float:
    """Average percentage of faults detected (Rothermel et al. 2001).

    Parameters
    ----------
    failed : ndarray of bool, shape (n,)
        Whether each case fails, in the order of execution; at least one does.
    """
    n, m = len(failed), int(failed.sum())
    positions = np.flatnonzero(failed) + 1
    return float(1 - positions.sum() / (n * m) + 1 / (2 * n))


def apfdc(failed: NDArray[np.bool_], seconds: NDArray[Any]) -> float:
    """Cost-cognizant APFD with equal severities (Elbaum et al. 2001).

    Parameters
    ----------
    failed : ndarray of bool, shape (n,)
        Whether each case fails, in the order of execution; at least one does.
    seconds : ndarray, shape (n,)
        Cost of each case, in the same order.
    """
    total = float(seconds.sum())
    done = np.cumsum(seconds)
    at = np.flatnonzero(failed)
    return float((total - done[at] + seconds[at] / 2).sum() / (total * len(at)))


def napfd(failed: NDArray[np.bool_], seconds: NDArray[Any], budget: float = 0.5) -> float:
    """Normalised APFD when only a share of the time is run (Qu et al. 2007)."""
    inside = np.cumsum(seconds) <= budget * float(seconds.sum()) + 1e-9
    n_found = failed & inside
    share, k = float(n_found.sum()) / float(failed.sum()), int(inside.sum())
    if k == 0:
        return 0.0
    positions = np.flatnonzero(n_found) + 1
    return float(share - positions.sum() / (k * failed.sum()) + share / (2 * k))


def first_failure(failed: NDArray[np.bool_], seconds: NDArray[Any]) -> float:
    """Seconds until the first failing case has finished."""
    return float(np.cumsum(seconds)[np.flatnonzero(failed)[0]])


def recall_at(failed: NDArray[np.bool_], seconds: NDArray[Any], budget: float) -> float:
    """Share of the failing cases that finish inside the first `budget` of the time."""
    inside = np.cumsum(seconds) <= budget * float(seconds.sum()) + 1e-9
    return float((failed & inside).sum() / failed.sum())


def roc_auc(y: NDArray[np.bool_], score: NDArray[Any]) -> float:
    """Return the chance that a positive has a higher score than a negative; ties count half.

    Parameters
    ----------
    y : ndarray of bool, shape (n,)
        Both values occur.
    score : ndarray, shape (n,)
    """
    _, group, counts = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - (counts - 1) / 2.0)[group]
    n = int(y.sum())
    return float((rank[y].sum() - n * (n + 1) / 2.0) / (n * (len(y) - n)))


def roc_auc_gain(
    y: NDArray[np.bool_], score: NDArray[Any], rival: NDArray[Any]
) -> tuple[float, float]:
    """Return by how much one score orders better than another, and the standard error of that.

    The error is that of two correlated areas (DeLong, DeLong and Clarke-Pearson 1988).

    Parameters
    ----------
    y : ndarray of bool, shape (n,)
        What happened; both outcomes did.
    score, rival : ndarray, shape (n,)
        The higher, the likelier.

    Returns
    -------
    tuple of float
        Difference of the areas under the ROC curve, and its standard error.
    """
    ones, zeros = (_wins(y, score) - _wins(y, rival)), ~y
    gain = float(ones[y].mean())
    spread = [
        float(part.var(ddof=1)) / len(part) if len(part) > 1 else np.inf
        for part in (ones[y], ones[zeros])
    ]
    return gain, math.sqrt(sum(spread))


def _wins(y: NDArray[np.bool_], score: NDArray[Any]) -> NDArray[np.float64]:
    """Return for each row which share of the rows of the other outcome it is rightly ordered to."""
    out = np.empty(len(y))
    for side in (y, ~y):
        others = np.sort(score[~side])
        below = np.searchsorted(others, score[side], "left")
        upto = np.searchsorted(others, score[side], "right")
        out[side] = (below + upto) / (2.0 * len(others))
    out[~y] = 1.0 - out[~y]
    return out


def expected_calibration_error(
    y: NDArray[Any], p: NDArray[Any], bins: int = 10, *, weight: NDArray[Any] | None = None
) -> float:
    """Mean distance of predicted and observed rates over bins of equal count (Naeini et al. 2015).

    Parameters
    ----------
    y : ndarray of bool, shape (n,)
        What happened.
    p : ndarray, shape (n,)
        Predicted probabilities.
    bins : int
        Number of bins.
    weight : ndarray, shape (n,), optional
        How many rows each one stands for, where a part was sampled.
    """
    p, y = np.asarray(p, float), np.asarray(y, float)
    w = np.ones(len(y)) if weight is None else np.asarray(weight, float)
    gap = 0.0
    for part in _bins(p, w, bins):
        gap += abs(float((w[part] * (y[part] - p[part])).sum()))
    return gap / max(float(w.sum()), 1.0)


def _bins(p: NDArray[Any], weight: NDArray[Any], bins: int) -> list[NDArray[np.int64]]:
    """Return the rows of each bin, by rising prediction; the bins weigh about the same."""
    order = np.argsort(p, kind="stable")
    done = np.cumsum(weight[order])
    edges = np.searchsorted(done, float(weight.sum()) / bins * np.arange(1, bins) + 1e-9, "right")
    return [part for part in np.split(order, edges) if len(part)]


def brier_score(y: NDArray[Any], p: NDArray[Any]) -> float:
    """Mean squared distance of predictions and what happened (Brier 1950); NaN for none."""
    if not len(y):
        return float("nan")
    return float(np.mean((np.asarray(p, float) - np.asarray(y, float)) ** 2))


def reliability(
    y: NDArray[Any], p: NDArray[Any], bins: int = 10
) -> list[tuple[int, float, float, float]]:
    """Compare predicted with observed rates over bins of equal count.

    Parameters
    ----------
    y : ndarray of bool, shape (n,)
        What happened.
    p : ndarray, shape (n,)
        Predicted probabilities.
    bins : int
        Number of bins.

    Returns
    -------
    list of (int, float, float, float)
        Rows, mean prediction, observed rate, and its standard error were the prediction right,
        by rising prediction.
    """
    p, y = np.asarray(p, float), np.asarray(y, float)
    return [
        (
            len(part),
            float(p[part].mean()),
            float(y[part].mean()),
            float(np.sqrt((p[part] * (1.0 - p[part])).sum()) / len(part)),
        )
        for part in _bins(p, np.ones(len(p)), bins)
    ]


def wilson(hits: float, trials: int) -> tuple[float, float]:
    """Return the 95 % score interval of a share (Wilson 1927)."""
    if trials == 0:
        return (0.0, 1.0)
    share, d = hits / trials, 1.0 + _Z * _Z / trials
    middle = share + _Z * _Z / (2.0 * trials)
    half = _Z * math.sqrt(share * (1.0 - share) / trials + _Z * _Z / (4.0 * trials * trials))
    return (max(0.0, (middle - half) / d), min(1.0, (middle + half) / d))
