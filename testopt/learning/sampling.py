"""Which rows a model is fitted on, where there are more than it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def sample_rows(y: NDArray[np.bool_], limit: int, seed: int) -> tuple[NDArray[np.bool_], float]:
    """Choose all failing rows and a sample of the passing ones, at most about `limit` rows.

    Parameters
    ----------
    y : ndarray of bool, shape (n,)
        Whether each row failed.
    limit : int
        Rows to keep; of the passing ones at least a quarter of this.
    seed : int
        Seed of the sample.

    Returns
    -------
    tuple of ndarray of bool, shape (n,), and float
        Which rows to keep, and the share of the passing rows that this is.
    """
    passing = int((~y).sum())
    room = max(limit - int(y.sum()), limit // 4)
    if passing <= room:
        return np.ones(len(y), bool), 1.0
    share = room / passing
    return y | (np.random.default_rng(seed).random(len(y)) < share), share
