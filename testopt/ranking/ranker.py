"""P(case fails), calibrated; and the order in which cases should run, given what they cost."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from testopt.learning.calibration import fit_logit, sigmoid
from testopt.learning.forest import Forest
from testopt.learning.linear import Linear

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHARING = 0.25
_MIN_POSITIVES = 5  # fewer in the last part: no evidence to calibrate on


class FailureRanker(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """LightGBM and a logistic regression over the features of cases, averaged in log-odds.

    The two err in different ways: trees find what holds only together, the regression stays
    sober where failures are few. Where many cases of one run fail each weighs less, so that
    such a run does not outweigh all others.

    Rows are oldest first. The model is first fitted on the older rows and asked about the
    younger ones, which it has not seen: from its answers comes the calibration, a straight line
    in log-odds (Platt 1999), outside the model so that contributions keep their meaning. Then
    the model is fitted on all rows.

    Parameters
    ----------
    rounds : int
        Trees.
    learning_rate : float
        Weight of each tree.
    leaves : int
        Leaves of a tree, at most.
    min_leaf : int
        Rows in a leaf, at least.
    calibration_share : float
        Share of the rows, the youngest, that calibrate.
    seed : int
        Seed of the sampling of rows and columns.

    Attributes
    ----------
    booster_ : lightgbm.Booster
    forest_ : Forest
        The same trees as arrays.
    linear_ : Linear
        The logistic regression.
    calibration_ : tuple of float
        Intercept and slope in log-odds.
    """

    def __init__(
        self,
        *,
        rounds: int = 150,
        learning_rate: float = 0.05,
        leaves: int = 10,
        min_leaf: int = 50,
        calibration_share: float = 0.2,
        seed: int = 0,
    ) -> None:
        self.rounds = rounds
        self.learning_rate = learning_rate
        self.leaves = leaves
        self.min_leaf = min_leaf
        self.calibration_share = calibration_share
        self.seed = seed

    def fit(
        self,
        X: Any,  # noqa: N803
        y: Any,
        *,
        sample_weight: Any = None,
        runs: Any = None,
        calibrates: Any = None,
    ) -> Self:
        """Fit on rows that are oldest first.

        Parameters
        ----------
        X : array-like, shape (n, n_features)
            NaN where unknown.
        y : array-like of bool, shape (n,)
            Whether the case failed.
        sample_weight : array-like, shape (n,), optional
            Weights of the rows.
        runs : array-like of int, shape (n,), optional
            Run of each row, not decreasing: rows of one run are never split for calibration.
        calibrates : array-like of bool, shape (n,), optional
            Rows that say how often cases fail: not those of faults that were made, where there
            are others.

        Returns
        -------
        FailureRanker
        """
        x, target = validate_data(self, X, y, dtype=np.float32, ensure_all_finite="allow-nan")
        self.classes_ = np.unique(target)
        failed = target == self.classes_[-1]
        weight = None if sample_weight is None else np.asarray(sample_weight, np.float64)
        cut = self._cut(len(failed), runs)
        shared = shared_weight(failed, runs) * (1.0 if weight is None else weight)
        level = np.ones(len(failed), bool) if calibrates is None else np.asarray(calibrates, bool)
        self.calibration_ = self._calibrate(x, failed, weight, shared, cut, level)
        self.booster_, self.linear_ = self._parts(x, failed, shared)
        self.forest_ = Forest.from_lightgbm(self.booster_.dump_model())
        return self

    def margin(self, X: Any) -> NDArray[np.float64]:  # noqa: N803
        """Return the log-odds before calibration, shape (n,)."""
        check_is_fitted(self, "forest_")
        return _margin(self.booster_, self.linear_, np.asarray(X, np.float32))

    def predict_proba(self, X: Any) -> NDArray[np.float64]:  # noqa: N803
        """Return the probability of each class, shape (n, 2): passing, failing."""
        check_is_fitted(self, "forest_")
        x = validate_data(self, X, dtype=np.float32, ensure_all_finite="allow-nan", reset=False)
        intercept, slope = self.calibration_
        p = sigmoid(intercept + slope * self.margin(x))
        return np.column_stack([1 - p, p])[:, -len(self.classes_) :]

    def predict(self, X: Any) -> NDArray[Any]:  # noqa: N803
        """Return the likelier class of each row, shape (n,)."""
        return self.classes_[self.predict_proba(X).argmax(axis=1)]  # type: ignore[no-any-return]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.classifier_tags.multi_class = False
        return tags

    def _cut(self, rows: int, runs: Any) -> int:
        """Return the first row of the calibration part, at the border of a run."""
        cut = int(rows * (1 - self.calibration_share))
        if runs is None or cut in (0, rows):
            return cut
        of = np.asarray(runs)
        return int(np.searchsorted(of, of[cut], side="left"))

    def _calibrate(
        self,
        x: NDArray[Any],
        y: NDArray[np.bool_],
        weight: NDArray[Any] | None,
        shared: NDArray[Any],
        cut: int,
        level: NDArray[np.bool_],
    ) -> tuple[float, float]:
        young = y[cut:]
        parts = (young, ~young, y[:cut], ~y[:cut])
        if not len(young) or min(int(part.sum()) for part in parts) < _MIN_POSITIVES:
            return (0.0, 1.0)
        margin = _margin(*self._parts(x[:cut], y[:cut], shared[:cut]), x[cut:])
        keep = level_rows(level[cut:])
        return fit_logit(margin[keep], young[keep], None if weight is None else weight[cut:][keep])

    def _parts(
        self, x: NDArray[Any], y: NDArray[np.bool_], weight: NDArray[Any]
    ) -> tuple[Any, Linear]:
        with ThreadPoolExecutor(1) as pool:  # each on a core
            linear = pool.submit(Linear.fit, x, y, weight, seed=self.seed)
            return self._boost(x, y, weight), linear.result()

    def _boost(self, x: NDArray[Any], y: NDArray[np.bool_], weight: NDArray[Any]) -> Any:
        import lightgbm

        parameters = {
            "objective": "binary",
            "learning_rate": self.learning_rate,
            "num_leaves": self.leaves,
            "min_data_in_leaf": min(self.min_leaf, max(len(y) // 20, 1)),
            "feature_fraction": 0.5,
            "bagging_fraction": 0.8,
            "bagging_freq": 1,
            "lambda_l2": 5.0,
            "max_bin": 127,
            "num_threads": 1,  # more gain nothing on as few rows as there are
            "seed": self.seed,
            "deterministic": True,
            "force_col_wise": True,
            "verbosity": -1,
        }
        data = lightgbm.Dataset(x, y.astype(np.float32), weight=weight, free_raw_data=True)
        return lightgbm.train(parameters, data, self.rounds)


def level_rows(level: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which rows set the level of the probabilities: all, where none of `level` is known.

    Where few of them fail, or none, the calibration stays near what the model says itself
    (`fit_logit`). To take seeded faults instead made probabilities of everyday runs 2.9 and 5.1
    times too high on two replayed projects; now they are .6 and 1.0 times as high as they should.
    """
    return level if level.any() else np.ones(len(level), bool)


def shared_weight(failed: NDArray[np.bool_], runs: Any) -> NDArray[np.float64]:
    """Return 1 for rows that pass, and 1 / m^``SHARING`` for the m that fail in one run.

    Parameters
    ----------
    failed : ndarray of bool, shape (n,)
        What happened.
    runs : array-like of int, shape (n,), or None
        Run of each row; None: every row counts fully.

    Returns
    -------
    ndarray of float64, shape (n,)
        With 0 a run counts by how many fail, with 1 every failing run counts the same.
    """
    if runs is None:
        return np.ones(len(failed))
    _, of = np.unique(np.asarray(runs), return_inverse=True)
    many = np.maximum(np.bincount(of[failed], minlength=int(of.max(initial=0)) + 1), 1)
    return np.where(failed, many[of] ** -SHARING, 1.0)


def _margin(booster: Any, linear: Linear, x: NDArray[Any]) -> NDArray[np.float64]:
    trees: NDArray[np.float64] = booster.predict(x, raw_score=True)
    return 0.5 * (trees + linear.margin(x))
