"""Whether the newest values differ from those before: tests over windows of several sizes.

Plans are few, correlated within a run and looked at after each: runs are what is permuted, the
level is strict, and a difference must also be large.
"""

from __future__ import annotations

from math import comb
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

WINDOWS: Final = (10, 20, 40, 80)  # newest runs that are compared with those before
BINS: Final = 12
LARGE_PSI: Final = 0.25  # "a major shift" (Siddiqi 2006)
LEVEL: Final = 0.01
_PERMUTATIONS: Final = 999
_EMPTY: Final = 1e-4  # share of a bin that holds nothing


def log_odds_histogram(p: NDArray[Any]) -> NDArray[np.int64]:
    """Count probabilities in bins of equal width in log-odds, shape (``BINS``,).

    Parameters
    ----------
    p : ndarray, shape (n,)
        Probabilities.
    """
    edges = 1.0 / (1.0 + np.exp(-np.arange(2.0 - BINS, 1.0)))
    return np.bincount(np.searchsorted(edges, p), minlength=BINS)


def stability_index(before: NDArray[Any], after: NDArray[Any]) -> NDArray[np.float64]:
    """Return the population stability index of histograms (Siddiqi 2006).

    Parameters
    ----------
    before, after : ndarray, shape (..., bins)
        Counts or shares.

    Returns
    -------
    ndarray, shape (...)
        0 where they are alike; above 0.25 is taken for a major shift.
    """
    a, b = (
        np.maximum(h / np.maximum(h.sum(axis=-1, keepdims=True), 1e-12), _EMPTY)
        for h in (np.asarray(before, float), np.asarray(after, float))
    )
    index: NDArray[np.float64] = ((b - a) * np.log(b / a)).sum(axis=-1)
    return index


def shift(histograms: NDArray[Any], *, seed: int = 0) -> tuple[int, float, float] | None:
    """Look for a shift of the newest runs against those before them.

    Parameters
    ----------
    histograms : ndarray, shape (n_runs, bins)
        One histogram a run, oldest first; each run weighs the same.
    seed : int
        Of the permutations of the runs.

    Returns
    -------
    tuple of int, float, float, or None
        How many of the newest runs, their stability index, and the p-value of it times the
        number of windows tried; None where no shift is both large and significant.
    """
    runs = np.asarray(histograms, float)
    runs = runs / np.maximum(runs.sum(axis=1, keepdims=True), 1e-12)
    sizes = [w for w in WINDOWS if len(runs) >= 2 * w]
    rng = np.random.default_rng(seed)
    largest = None
    for size in sizes:
        index = _newest(runs, size, np.arange(len(runs)))
        if index < LARGE_PSI:
            continue
        permuted = [_newest(runs, size, rng.permutation(len(runs))) for _ in range(_PERMUTATIONS)]
        p = len(sizes) * (1 + sum(d >= index - 1e-12 for d in permuted)) / (_PERMUTATIONS + 1)
        if p <= LEVEL and (largest is None or index > largest[1]):
            largest = (size, index, min(p, 1.0))
    return largest


def _newest(runs: NDArray[np.float64], size: int, order: NDArray[np.int64]) -> float:
    before, after = runs[order[:-size]].sum(axis=0), runs[order[-size:]].sum(axis=0)
    return float(stability_index(before, after))


def rise_of_rate(values: Sequence[bool]) -> tuple[int, float] | None:
    """Look for a higher rate among the newest values than among those before them.

    Fisher's exact test (1935), one-sided, for each window size.

    Parameters
    ----------
    values : sequence of bool
        Oldest first.

    Returns
    -------
    tuple of int, float, or None
        How many of the newest values, and the p-value times the number of windows tried; None
        where no rise is significant.
    """
    sizes = [w for w in WINDOWS if len(values) >= 2 * w]
    tried = [(size, min(len(sizes) * _upper_tail(values, size), 1.0)) for size in sizes]
    size, p = min(tried, key=lambda t: t[1], default=(0, 1.0))
    return (size, p) if p <= LEVEL else None


def _upper_tail(values: Sequence[bool], size: int) -> float:
    """Return how likely so many of all hits fall among the newest by chance alone."""
    n, hits, newest = len(values), sum(values), sum(values[-size:])
    ways = sum(comb(hits, k) * comb(n - hits, size - k) for k in range(newest, min(hits, size) + 1))
    return ways / comb(n, size)
