"""P(case fails), calibrated; and the order in which cases should run, given what they cost."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets, type_of_target
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
    n_estimators : int, default=150
        Trees.
    learning_rate : float, default=0.05
        Weight of each tree.
    num_leaves : int, default=10
        Leaves of a tree, at most.
    min_child_samples : int, default=50
        Rows in a leaf, at least.
    calibration_share : float, default=0.2
        Share of the rows, the youngest, that calibrate.
    random_state : int, default=0
        Seed of the sampling of rows and columns.

    Attributes
    ----------
    classes_ : ndarray, shape (2,)
    n_features_in_ : int
    booster_ : lightgbm.Booster
    forest_ : Forest
        The same trees as arrays.
    linear_ : Linear
        The logistic regression.
    calibration_ : tuple of float
        Intercept and slope in log-odds.

    Examples
    --------
    >>> import numpy as np
    >>> from testopt import FailureRanker
    >>> X = np.arange(400.0).reshape(-1, 1) % 10  # one feature of 40 runs with 10 cases each
    >>> y = X[:, 0] == 3  # one of these cases fails
    >>> ranker = FailureRanker(n_estimators=20).fit(X, y, groups=np.repeat(np.arange(40), 10))
    >>> int(ranker.predict_proba(X[:10])[:, 1].argmax())
    3
    """

    def __init__(
        self,
        *,
        n_estimators: int = 150,
        learning_rate: float = 0.05,
        num_leaves: int = 10,
        min_child_samples: int = 50,
        calibration_share: float = 0.2,
        random_state: int = 0,
    ) -> None:
        self.n_estimators = n_estimators
        self.learning_rate = learning_rate
        self.num_leaves = num_leaves
        self.min_child_samples = min_child_samples
        self.calibration_share = calibration_share
        self.random_state = random_state

    def fit(
        self,
        X: Any,  # noqa: N803
        y: Any,
        *,
        sample_weight: Any = None,
        groups: Any = None,
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
        groups : array-like, shape (n,), optional
            Run of each row, the rows of a run one after the other: a run is never split for
            calibration, and of many cases that fail in one run each weighs less.
        calibrates : array-like of bool, shape (n,), optional
            Rows that say how often cases fail: not those of faults that were made, where there
            are others.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            When `y` has more than two classes, or `X` fewer than two rows.
        """
        x, failed = self._checked(X, y)
        weight = None if sample_weight is None else np.asarray(sample_weight, np.float64)
        cut = self._cut(len(failed), groups)
        shared = shared_weight(failed, groups) * (1.0 if weight is None else weight)
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
        likelier = self.predict_proba(X).argmax(axis=1)
        return self.classes_[likelier]  # type: ignore[no-any-return]

    def _checked(self, X: Any, y: Any) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:  # noqa: N803
        x, target = validate_data(
            self, X, y, dtype=np.float32, ensure_all_finite="allow-nan", ensure_min_samples=2
        )
        check_classification_targets(target)
        self.classes_ = np.unique(target)
        if len(self.classes_) > 2:  # noqa: PLR2004 - a binary question
            raise ValueError(
                "Only binary classification is supported. The type of the target is "
                f"{type_of_target(target)}."
            )
        return x, target == self.classes_[-1]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.classifier_tags.multi_class = False
        return tags

    def _cut(self, rows: int, groups: Any) -> int:
        """Return the first row of the calibration part, at the border of a run."""
        cut = int(rows * (1 - self.calibration_share))
        if groups is None or cut in (0, rows):
            return cut
        of = np.asarray(groups)
        return int(np.argmax(of == of[cut]))

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
            linear = pool.submit(Linear.fit, x, y, weight, seed=self.random_state)
            return self._boost(x, y, weight), linear.result()

    def _boost(self, x: NDArray[Any], y: NDArray[np.bool_], weight: NDArray[Any]) -> Any:
        import lightgbm

        parameters = {
            "objective": "binary",
            "learning_rate": self.learning_rate,
            "num_leaves": self.num_leaves,
            "min_data_in_leaf": min(self.min_child_samples, max(len(y) // 20, 1)),
            "feature_fraction": 0.5,
            "bagging_fraction": 0.8,
            "bagging_freq": 1,
            "lambda_l2": 5.0,
            "max_bin": 127,
            "num_threads": 1,  # more gain nothing on as few rows as there are
            "seed": self.random_state,
            "deterministic": True,
            "force_col_wise": True,
            "verbosity": -1,
        }
        data = lightgbm.Dataset(x, y.astype(np.float32), weight=weight, free_raw_data=True)
        return lightgbm.train(parameters, data, self.n_estimators)


def level_rows(level: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which rows set the level of the probabilities: all, where none of `level` is known.

    Where few of them fail, or none, the calibration stays near what the model says itself
    (`fit_logit`). To take seeded faults instead made probabilities of everyday runs 2.9 and 5.1
    times too high on two replayed projects; now they are .6 and 1.0 times as high as they should.
    """
    return level if level.any() else np.ones(len(level), bool)


def shared_weight(failed: NDArray[np.bool_], groups: Any) -> NDArray[np.float64]:
    """Return 1 for rows that pass, and 1 / m^``SHARING`` for the m that fail in one run.

    Parameters
    ----------
    failed : ndarray of bool, shape (n,)
        What happened.
    groups : array-like, shape (n,), or None
        Run of each row; None: every row counts fully.

    Returns
    -------
    ndarray of float64, shape (n,)
        With 0 a run counts by how many fail, with 1 every failing run counts the same.
    """
    if groups is None:
        return np.ones(len(failed))
    _, of = np.unique(np.asarray(groups), return_inverse=True)
    many = np.maximum(np.bincount(of[failed], minlength=int(of.max(initial=0)) + 1), 1)
    return np.where(failed, many[of] ** -SHARING, 1.0)


def _margin(booster: Any, linear: Linear, x: NDArray[Any]) -> NDArray[np.float64]:
    trees: NDArray[np.float64] = booster.predict(x, raw_score=True)
    return 0.5 * (trees + linear.margin(x))
