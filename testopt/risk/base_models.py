"""Fits the models behind change risk: a regression that begins at lines added, and small trees.

That large changes break more is known of every project, and is hard to beat (LApredict: Zeng et
al. 2021). The regression therefore begins at "lines added alone" and leaves it only as far as the
project's own past justifies; boosted trees have a smaller say beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from testopt.errors import BundleError
from testopt.learning.lightgbm_text import checked_text
from testopt.learning.prior_regression import PriorRegression

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import lightgbm as lgb
    from numpy.typing import NDArray

LINES: Final = "la"  # the column at which the regression begins
# Measured by AUC on 94,918 changes of six projects, labels of SZZ, and on rdma-core, netty and
# meson, whose authors named culprits. The pull of other metrics towards 0: 30 .757 / .726, 200
# about .760 / .730. The say of the trees, on the former and on rdma-core: 0 .745 / .813, a third
# .758 / .808, a half .765 / .800, all .770 / .761: trees learn the habits of SZZ, too.
LINES_SLOPE: Final = 0.5  # of the log of the lines added
_LINES_STRENGTH: Final = 1.0
_STRENGTH: Final = 200.0
_TREES_SHARE: Final = 1.0 / 3.0
_ROUNDS: Final = 300
_PARAMETERS: Final[dict[str, Any]] = {
    "objective": "binary",
    "verbosity": -1,
    "deterministic": True,
    "force_row_wise": True,
    "learning_rate": 0.05,
    "num_leaves": 15,
    "min_data_in_leaf": 30,
    "extra_trees": True,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "lambda_l2": 10.0,
}


@dataclass(frozen=True)
class RiskModels:
    """A regression on the first columns, and trees on all of them (None: lines added alone)."""

    regression: PriorRegression
    columns: NDArray[np.intp]
    booster: lgb.Booster | None

    @classmethod
    def fit(
        cls,
        x: NDArray[np.float64],
        y: NDArray[np.bool_],
        weight: NDArray[np.float64],
        *,
        names: Sequence[str],
        given: int,
        seed: int,
        n_jobs: int | None,
    ) -> RiskModels:
        """Fit both models.

        Parameters
        ----------
        x : ndarray, shape (n, k)
            From ``risk.derived_metrics.derived_columns``.
        y : ndarray of bool, shape (n,)
        weight : ndarray, shape (n,)
        names : sequence of str, length k
        given : int
            So many columns come first that are not made of others: those of the regression.
        seed : int
        n_jobs : int, optional
            Threads; None: one; -1: all cores.
        """
        columns = np.arange(given)
        regression = _regression(x[:, columns], y, weight, names[:given])
        return cls(regression, columns, _boost(x, y, weight / weight.mean(), seed, n_jobs))

    @classmethod
    def fit_lines(
        cls,
        x: NDArray[np.float64],
        y: NDArray[np.bool_],
        weight: NDArray[np.float64],
        *,
        names: Sequence[str],
    ) -> RiskModels:
        """Fit on lines added alone, which is one of `names`."""
        columns = np.array([list(names).index(LINES)])
        return cls(_regression(x[:, columns], y, weight, [LINES]), columns, None)

    def margin(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the log-odds before calibration, shape (n,)."""
        line = self.regression.margin(x[:, self.columns])
        if self.booster is None:
            return line
        # one thread: on a busy machine more would wait for each other
        trees = np.asarray(self.booster.predict(x, raw_score=True, num_threads=1), np.float64)
        out: NDArray[np.float64] = (1.0 - _TREES_SHARE) * line + _TREES_SHARE * trees
        return out

    def contributions(self, x: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
        """Return what each column adds to the margin, shape (n, k), and the constant."""
        out = np.zeros(x.shape)
        out[:, self.columns] = self.regression.contributions(x[:, self.columns])
        if self.booster is None or not len(x):
            return out, self.regression.intercept
        shap = np.asarray(self.booster.predict(x, pred_contrib=True, num_threads=1))
        out = (1.0 - _TREES_SHARE) * out + _TREES_SHARE * shap[:, :-1]
        base = (1.0 - _TREES_SHARE) * self.regression.intercept
        return out, base + _TREES_SHARE * float(shap[0, -1])

    def dump(self) -> dict[str, Any]:
        """Return the models as plain data: LightGBM's text, and numbers."""
        return {
            "regression": self.regression.dump(),
            "columns": self.columns.tolist(),
            "trees": None if self.booster is None else self.booster.model_to_string(),
        }

    @classmethod
    def load(cls, data: Mapping[str, Any], n_columns: int) -> RiskModels:
        """Rebuild from what `dump` returned for so many columns, trusting nothing.

        Raises
        ------
        BundleError
            When the data are damaged.
        """
        import lightgbm as lgb

        try:
            text = data["trees"]
            columns = _columns(data["columns"], n_columns)
            booster = None
            if text is not None:
                booster = lgb.Booster(model_str=checked_text(text, n_columns))
            regression = PriorRegression.load(data["regression"], len(columns))
            return cls(regression, columns, booster)
        except (KeyError, TypeError, ValueError, AttributeError, lgb.basic.LightGBMError) as error:
            raise BundleError(f"the risk model is damaged: {error}") from None


def _columns(numbers: Any, n_columns: int) -> NDArray[np.intp]:
    """Return positions of columns, each one once."""
    if not all(type(number) is int and 0 <= number < n_columns for number in numbers):
        raise ValueError("it reads other columns")
    if not 0 < len(numbers) == len(set(numbers)):
        raise ValueError("it reads a column twice, or none")
    return np.asarray(numbers, np.intp)


def _regression(
    x: NDArray[np.float64],
    y: NDArray[np.bool_],
    weight: NDArray[np.float64],
    names: Sequence[str],
) -> PriorRegression:
    is_lines = np.array([name == LINES for name in names])
    return PriorRegression.fit(
        x,
        y,
        weight,
        slopes=np.where(is_lines, LINES_SLOPE, 0.0),
        strength=np.where(is_lines, _LINES_STRENGTH, _STRENGTH),
    )


def _boost(
    x: NDArray[np.float64],
    y: NDArray[np.bool_],
    weight: NDArray[np.float64],
    seed: int,
    n_jobs: int | None,
) -> lgb.Booster:
    import lightgbm as lgb

    threads = 0 if n_jobs == -1 else n_jobs or 1  # 0: as many as LightGBM sees fit
    params = {**_PARAMETERS, "seed": seed, "num_threads": threads}
    data = lgb.Dataset(x, y.astype(np.float64), weight=weight, free_raw_data=True, params=params)
    return lgb.train(params, data, num_boost_round=_ROUNDS)
