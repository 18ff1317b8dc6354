"""What each family of features adds to a model's answer: exact Shapley values.

The value of a set of families is the mean answer when they are as in the row and all others as
in rows of a background (Štrumbelj and Kononenko 2014, "Explaining prediction models and
individual predictions with feature contributions"; the interventional form of Lundberg and Lee
2017). Families instead of single features, because a model spreads what correlated features say
over them as it happens to.
"""

from __future__ import annotations

from math import factorial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

MAX_FAMILIES: Final = 10  # the number of answers doubles with each


def contributions(
    margin: Callable[[NDArray[Any]], NDArray[np.float64]],
    row: NDArray[Any],
    background: NDArray[Any],
    groups: Sequence[Sequence[int]],
) -> tuple[float, NDArray[np.float64]]:
    """Return what each group of features adds to a model's answer.

    Parameters
    ----------
    margin : callable
        The model: rows of features, shape (m, n_features) -> answers, shape (m,).
    row : ndarray, shape (n_features,)
        What is explained.
    background : ndarray, shape (b, n_features)
        What it is compared with; at least one row.
    groups : sequence of sequence of int
        Columns of each group, at most ``MAX_FAMILIES``; columns in none stay as in the row.

    Returns
    -------
    base : float
        Mean answer when all groups are as in the background.
    values : ndarray of float64, shape (n_groups,)
        In the unit of the answers; with `base` they add up to the answer for the row.

    Raises
    ------
    ValueError
        For too many groups or an empty background.
    """
    n = len(groups)
    if n > MAX_FAMILIES or not len(background):
        raise ValueError(f"takes 1 to {MAX_FAMILIES} groups and a background")
    rows = [_mixed(row, background, groups, subset) for subset in range(1 << n)]
    mean_margin = margin(np.concatenate(rows)).reshape(1 << n, len(background)).mean(axis=1)
    values = np.zeros(n)
    for subset in range(1 << n):
        size = subset.bit_count()
        for i in range(n):
            if not subset >> i & 1:
                weight = factorial(size) * factorial(n - size - 1) / factorial(n)
                values[i] += weight * (mean_margin[subset | 1 << i] - mean_margin[subset])
    return float(mean_margin[0]), values


def _mixed(
    row: NDArray[Any], background: NDArray[Any], groups: Sequence[Sequence[int]], subset: int
) -> NDArray[Any]:
    """Return the background with the groups of a subset, and ungrouped columns, as in the row."""
    x = np.repeat(row[None, :], len(background), axis=0)
    for i, columns in enumerate(groups):
        if not subset >> i & 1:
            x[:, list(columns)] = background[:, list(columns)]
    return x
