"""How near a change is to each case, learnt on other projects: for repositories never seen.

A small forest corrects the untrained blend instead of starting from nothing: few projects cannot
teach more than they know, and where they are silent the untrained order remains. No tree may turn
a signal round: what is nearer to the change never becomes less likely to fail by that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from testopt.learning.forest import Forest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

PRIOR: Final = "prior"
PRIOR_WEIGHT: Final = 6.0  # log-odds between an untrained blend of 0 and one of 1
_FALLING: Final = ("hops", "hops_more", "import_hops", "edited")
# Coverage comes on top of what the model says: the projects it learns on have none.
# How large cases, files and what they reach are tells projects apart more than it tells faults:
# with these features a model did worse on projects held out.
LEFT_OUT: Final = frozenset(
    {"siblings", "file_share", "document_words", "reach_rank", "effort", "ran_change"}
)


@dataclass(frozen=True, slots=True)
class ClosenessModel:
    """A model that knows no project: the untrained blend and what a forest adds to it.

    Attributes
    ----------
    names : tuple of str
        Features that the forest reads, ``prior`` among them.
    forest : Forest
        What is added, in log-odds.
    prior_weight : float
        Log-odds between an untrained blend of 0 and one of 1.
    """

    names: tuple[str, ...]
    forest: Forest
    prior_weight: float = PRIOR_WEIGHT

    def closeness(self, columns: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
        """Return the closeness of each case to the change, from 0 to 1, shape (n,).

        Parameters
        ----------
        columns : mapping of str to ndarray, shape (n,)
            Features of the cases of one run by name; those of ``names`` are among them.

        Returns
        -------
        ndarray of float64, shape (n,)
            On the scale of the untrained blend, 0 for the farthest case; nothing but zeros
            where the untrained blend sees no closeness at all.
        """
        prior = np.nan_to_num(columns[PRIOR].astype(np.float64))
        if not prior.any():
            return prior
        x = np.column_stack([columns[name] for name in self.names]).astype(np.float32)
        close = prior + self.forest.margin(x) / self.prior_weight
        close -= close.min()
        return np.asarray(close / max(1.0, close.max()))


def fit_closeness(
    x: NDArray[np.float32],
    y: NDArray[np.bool_],
    weight: NDArray[Any],
    names: Sequence[str],
    *,
    rounds: int = 40,
    seed: int = 0,
) -> tuple[ClosenessModel, str]:
    """Fit on rows of several projects.

    Parameters
    ----------
    x : ndarray of float32, shape (n, len(names))
    y : ndarray of bool, shape (n,)
        Whether the case fails.
    weight : ndarray, shape (n,)
        Weights of the rows.
    names : sequence of str
        Names of the columns, ``prior`` among them.
    rounds : int
        Trees.
    seed : int
        Same rows, same seed: same model.

    Returns
    -------
    tuple of ColdModel and str
        The model, and its trees as LightGBM's own text.
    """
    import lightgbm

    prior = PRIOR_WEIGHT * np.nan_to_num(x[:, list(names).index(PRIOR)].astype(np.float64))
    data = lightgbm.Dataset(
        x,
        y.astype(np.float32),
        weight=weight * (len(y) / weight.sum()),
        init_score=prior - np.average(prior, weights=weight),
    )
    booster = lightgbm.train(_parameters(names, seed), data, rounds)
    forest = Forest.from_lightgbm(booster.dump_model())
    return ClosenessModel(tuple(names), forest), booster.model_to_string()


def _parameters(names: Sequence[str], seed: int) -> dict[str, Any]:
    return {
        "objective": "binary",
        "boost_from_average": False,
        "learning_rate": 0.05,
        "num_leaves": 8,
        "min_data_in_leaf": 50,
        "feature_fraction": 0.3,
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "lambda_l2": 20.0,
        "max_bin": 63,
        "monotone_constraints": [direction(name) for name in names],
        "seed": seed,
        "deterministic": True,
        "force_col_wise": True,
        "num_threads": 1,
        "verbosity": -1,
    }


def direction(name: str) -> int:
    """Return 1 where more of a feature means nearer to the change, -1 where less does."""
    return -1 if name in _FALLING or name.endswith("_rank") else 1
