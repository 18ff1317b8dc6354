"""Fits the models behind change risk: a regression that begins at size, and small trees.

That large changes break more is known of every project, and is hard to beat (LApredict: Zeng et
al. 2021); so do changes that need many words of explanation, and those of files that change often.
The regression therefore begins at these, with the weights that other projects taught, and leaves
them only as far as the project's own past justifies. Where labels are the truth to be foretold,
boosted trees have a say that grows with them; of labels that szz has traced they would learn its
habits (openvswitch: AUC by the labels .806 with trees, .791 without; by what the authors said .793
and .798), and the regression decides alone.
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

LINES: Final = "la"  # the column that decides alone where it does better than the models
# Who taught the slopes: culprits that authors named, by a regression with a constant for each
# project and tenth of its history (scripts/train_risk.py). None is judged in docs/benchmarks.md.
TAUGHT_BY: Final = (
    "DPDK/dpdk", "FRRouting/frr", "NetworkManager/NetworkManager", "curl/curl", "haproxy/haproxy",
    "xen-project/xen",
)  # fmt: skip
# Log-odds a unit of the log.
_SLOPES: Final = {LINES: 0.37, "words": 0.21, "nuc": 0.14}
# How strongly all coefficients are held there. With labels of szz, mean gain over lines added on
# eleven repositories: 1,000 .0446 (worst -.004), 3,000 .0445 (-.001), no learning .0439 (-.002).
_STRENGTH: Final = 3_000.0
_LINES_ALONE: Final = (0.27, 1.0)
_DEFECTS: Final = 1_000.0  # at which trees have half of the say
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
    """A regression on some columns, and trees on all of them, which have a share of the say."""

    regression: PriorRegression
    columns: NDArray[np.intp]
    booster: lgb.Booster | None
    share: float = 0.0

    @classmethod
    def fit(
        cls,
        x: NDArray[np.float64],
        y: NDArray[np.bool_],
        weight: NDArray[np.float64],
        *,
        names: Sequence[str],
        given: int,
        trees: bool,
        seed: int,
        n_jobs: int | None,
    ) -> RiskModels:
        """Fit the regression, and trees beside it where they are asked for.

        Parameters
        ----------
        x : ndarray, shape (n, k)
            From ``risk.derived_metrics.derived_columns``.
        y : ndarray of bool, shape (n,)
        weight : ndarray, shape (n,)
        names : sequence of str, length k
        given : int
            So many columns come first that are not made of others: those of the regression.
        trees : bool
        seed : int
        n_jobs : int, optional
            Threads; None: one; -1: all cores.
        """
        columns = np.arange(given)
        regression = _regression(x[:, columns], y, weight, names[:given])
        if not trees:
            return cls(regression, columns, None)
        defects = float(y.sum())
        share = defects / (defects + _DEFECTS)
        return cls(regression, columns, _boost(x, y, weight / weight.mean(), seed, n_jobs), share)

    @classmethod
    def fit_prior(
        cls,
        x: NDArray[np.float64],
        y: NDArray[np.bool_],
        weight: NDArray[np.float64],
        *,
        names: Sequence[str],
    ) -> RiskModels:
        """Fit the level alone: what other projects taught decides."""
        columns = np.array([i for i, name in enumerate(names) if name in _SLOPES])
        used = [names[i] for i in columns]
        return cls(_regression(x[:, columns], y, weight, used), columns, None)

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
        slope, strength = (np.array([value]) for value in _LINES_ALONE)
        line = PriorRegression.fit(x[:, columns], y, weight, slopes=slope, strength=strength)
        return cls(line, columns, None)

    def margin(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the log-odds before calibration, shape (n,)."""
        line = self.regression.margin(x[:, self.columns])
        if self.booster is None:
            return line
        # one thread: on a busy machine more would wait for each other
        trees = np.asarray(self.booster.predict(x, raw_score=True, num_threads=1), np.float64)
        out: NDArray[np.float64] = (1.0 - self.share) * line + self.share * trees
        return out

    def contributions(self, x: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
        """Return what each column adds to the margin, shape (n, k), and the constant."""
        out = np.zeros(x.shape)
        out[:, self.columns] = self.regression.contributions(x[:, self.columns])
        if self.booster is None or not len(x):
            return out, self.regression.intercept
        shap = np.asarray(self.booster.predict(x, pred_contrib=True, num_threads=1))
        out = (1.0 - self.share) * out + self.share * shap[:, :-1]
        base = (1.0 - self.share) * self.regression.intercept
        return out, base + self.share * float(shap[0, -1])

    def dump(self) -> dict[str, Any]:
        """Return the models as plain data: LightGBM's text, and numbers."""
        return {
            "regression": self.regression.dump(),
            "columns": self.columns.tolist(),
            "share": self.share,
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
        try:
            text = data["trees"]
            columns = _columns(data["columns"], n_columns)
            booster = None if text is None else _booster(text, n_columns)
            regression = PriorRegression.load(data["regression"], len(columns))
            share = float(data["share"])
            if not 0.0 <= share <= 1.0:
                raise ValueError("its trees have no share")
            return cls(regression, columns, booster, share)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BundleError(f"the risk model is damaged: {error}") from None


def _booster(text: Any, n_columns: int) -> lgb.Booster:
    import lightgbm as lgb

    try:
        return lgb.Booster(model_str=checked_text(text, n_columns))
    except lgb.basic.LightGBMError as error:
        raise ValueError(str(error)) from None


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
    return PriorRegression.fit(
        x,
        y,
        weight,
        slopes=np.array([_SLOPES.get(name, 0.0) for name in names]),
        strength=np.full(len(names), _STRENGTH),
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
