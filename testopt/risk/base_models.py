"""Fits the models behind change risk, averaged in log-odds: boosted trees and a spline model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from testopt.errors import BundleError
from testopt.learning.lightgbm_text import checked_text
from testopt.learning.spline_basis import SplineBasis
from testopt.risk.derived_metrics import DAY, HOUR, WEEKDAY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import lightgbm as lgb
    from numpy.typing import NDArray

_SPLINE_SHARE: Final = 0.2
_COMMON_PARAMETERS: Final[dict[str, Any]] = {
    "objective": "binary",
    "verbosity": -1,
    "deterministic": True,
    "force_row_wise": True,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "lambda_l2": 10.0,
}
# (rounds, parameters, with times): chosen by time-ordered validation within training parts.
_FORESTS: Final[tuple[tuple[int, dict[str, Any], bool], ...]] = (
    (300, {"learning_rate": 0.02, "num_leaves": 15, "min_data_in_leaf": 100}, False),
    (
        500,
        {"learning_rate": 0.03, "num_leaves": 31, "min_data_in_leaf": 30, "extra_trees": True},
        False,
    ),
    (
        500,
        {"learning_rate": 0.03, "num_leaves": 31, "min_data_in_leaf": 30, "extra_trees": True},
        True,
    ),
)
_TIME_COLUMNS: Final = frozenset({DAY, HOUR, WEEKDAY, "hour_sin", "hour_cos"})


@dataclass(frozen=True)
class RiskModels:
    """Fitted models with the columns that each of them reads."""

    boosters: tuple[tuple[lgb.Booster, NDArray[np.intp]], ...]
    spline: SplineBasis
    timeless: NDArray[np.intp]

    @classmethod
    def fit(
        cls,
        x: NDArray[np.float64],
        y: NDArray[np.bool_],
        weight: NDArray[np.float64],
        *,
        names: Sequence[str],
        seed: int,
        n_jobs: int | None,
    ) -> RiskModels:
        """Fit all models.

        Parameters
        ----------
        x : ndarray, shape (n, k)
            From ``risk.derived_metrics.derived_columns``.
        y : ndarray of bool, shape (n,)
        weight : ndarray, shape (n,)
        names : sequence of str, length k
        seed : int
        n_jobs : int, optional
            Threads; None: one; -1: all cores.
        """
        timeless = np.flatnonzero([name not in _TIME_COLUMNS for name in names])
        all_columns = np.arange(len(names))
        relative = weight / weight.mean()
        fitted = timeless if len(timeless) else all_columns
        boosters = tuple(
            (
                _boost(
                    x[:, columns],
                    y,
                    relative,
                    (rounds, _parameters(overrides, seed + i, n_jobs)),
                ),
                columns,
            )
            for i, (rounds, overrides, with_times) in enumerate(_FORESTS)
            for columns in [all_columns if with_times else fitted]
        )
        return cls(boosters, SplineBasis.fit(x[:, fitted], y, relative), fitted)

    def margin(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the log-odds before calibration, shape (n,)."""
        trees = np.zeros(len(x))  # one thread: on a busy machine more would wait for each other
        for booster, columns in self.boosters:
            trees += np.asarray(booster.predict(x[:, columns], raw_score=True, num_threads=1))
        spline = self.spline.contributions(x[:, self.timeless]).sum(axis=1) + self.spline.intercept
        out: NDArray[np.float64] = (1.0 - _SPLINE_SHARE) * trees / len(
            self.boosters
        ) + _SPLINE_SHARE * spline
        return out

    def contributions(self, x: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
        """Return what each column adds to the margin, shape (n, k), and the constant."""
        share = (1.0 - _SPLINE_SHARE) / len(self.boosters)
        out = np.zeros(x.shape)
        base = _SPLINE_SHARE * self.spline.intercept
        for booster, columns in self.boosters:
            shap = np.asarray(booster.predict(x[:, columns], pred_contrib=True, num_threads=1))
            out[:, columns] += share * shap[:, :-1]
            base += share * float(shap[0, -1]) if len(shap) else 0.0
        out[:, self.timeless] += _SPLINE_SHARE * self.spline.contributions(x[:, self.timeless])
        return out, base

    def dump(self) -> dict[str, Any]:
        """Return the models as plain data: LightGBM's text, and numbers."""
        return {
            "boosters": [(b.model_to_string(), c.tolist()) for b, c in self.boosters],
            "hinges": self.spline.dump(),
            "timeless": self.timeless.tolist(),
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
            timeless = _columns(data["timeless"], n_columns)
            pairs = [(text, _columns(columns, n_columns)) for text, columns in data["boosters"]]
            if len(pairs) != len(_FORESTS):
                raise ValueError(f"it has {len(pairs)} forests")
            boosters = tuple(
                (lgb.Booster(model_str=checked_text(text, len(columns))), columns)
                for text, columns in pairs
            )
            return cls(boosters, SplineBasis.load(data["hinges"], len(timeless)), timeless)
        except (KeyError, TypeError, ValueError, AttributeError, lgb.basic.LightGBMError) as error:
            raise BundleError(f"the risk model is damaged: {error}") from None


def _columns(numbers: Any, n_columns: int) -> NDArray[np.intp]:
    """Return positions of columns, each one once."""
    if not all(type(number) is int and 0 <= number < n_columns for number in numbers):
        raise ValueError("it reads other columns")
    if not 0 < len(numbers) == len(set(numbers)):
        raise ValueError("it reads a column twice, or none")
    return np.asarray(numbers, np.intp)


def _parameters(overrides: Mapping[str, Any], seed: int, n_jobs: int | None) -> dict[str, Any]:
    threads = 0 if n_jobs == -1 else n_jobs or 1  # 0: as many as LightGBM sees fit
    return {**_COMMON_PARAMETERS, **overrides, "seed": seed, "num_threads": threads}


def _boost(
    x: NDArray[np.float64],
    y: NDArray[np.bool_],
    weight: NDArray[np.float64],
    recipe: tuple[int, dict[str, Any]],
) -> lgb.Booster:
    import lightgbm as lgb

    rounds, params = recipe
    data = lgb.Dataset(x, y.astype(np.float64), weight=weight, free_raw_data=True, params=params)
    return lgb.train(params, data, num_boost_round=rounds)
