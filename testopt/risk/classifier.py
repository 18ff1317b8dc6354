"""Predicts P(a change introduces a defect) from its metrics: calibrated, and explained exactly.

A logistic regression begins at what other projects taught; trees stand beside it where labels are
complete. Younger changes weigh more; the slope is that of the youngest changes under models that
had not seen them, and where these do worse there than lines added, by more than chance, lines added
decide alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_is_fitted, validate_data

from testopt.errors import BundleError
from testopt.learning.calibration import fit_level, fit_logit, sigmoid
from testopt.learning.metrics import roc_auc, roc_auc_gain
from testopt.risk.base_models import LINES, RiskModels
from testopt.risk.change_table import ages, read_frame
from testopt.risk.derived_metrics import DAY, METRICS, derived_columns
from testopt.risk.label_latency import estimate_latency, latency_weights, share_weights

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from numpy.typing import NDArray

_HOLD_OUT: Final = 0.2  # youngest share of the rows that sets slope and level
_MIN_ROWS: Final = 60  # fewer rows, or fewer than _MIN_PER_CLASS of a class: lines added alone
_MIN_PER_CLASS: Final = 10
_BASE: Final = "base"
_MOST: Final = 1e9  # of a number of a saved model
_YEAR: Final = 365.0
_HALF_LIFE_CHANGES: Final = 1_000  # the last changes that weigh at least a half
# Standard errors by which lines added must do better to decide. At one, they decided in three of
# seven models of angular.js by what szz had traced, and by what the authors said .017 of AUC went.
_CLEARLY: Final = 2.0
_LEAST_SHARE: Final = 0.3  # of defects that are known by a change's age; known of fewer: too young


class ChangeRiskClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Probability that a change introduces a defect.

    Parameters
    ----------
    half_life : float or "auto" or None, default="auto"
        Days after which a change weighs half as much in training; used where `X` has ``date``.
        "auto": the time of the last 1,000 changes, at least a year, for a project that changes
        seldom cannot afford to forget. None: all weigh alike.
    latency : float or "auto" or None, default="auto"
        Mean days until a defect is found. Young commits are unlabelled, not clean: the youngest
        are left out and the others corrected for what is not known yet. "auto" estimates it from
        the fall of the rate at the end of the training data; None: labels are complete.
    random_state : int, default=0
        Seed of everything random.
    n_jobs : int or None, default=None
        Threads of LightGBM; None: one, which on a busy machine is the quicker; -1: all cores.

    Attributes
    ----------
    classes_ : ndarray, shape (2,)
    prior_ : float
        Rate of defects in training, smoothed by one of each class.
    latency_ : float
        Days, as given or estimated; 0: complete labels.
    calibration_ : tuple of float
        Intercept and slope in log-odds.
    held_out_ : tuple of ndarray
        Positions of the youngest rows of training, and their probabilities by a model that had
        not seen them (its calibration had); empty where there were too few. Not saved.
    aucs_ : tuple of float or None
        ROC-AUC on these rows, of the models and of lines added alone. Not saved.
    by_lines_ : bool
        Whether the models decide nothing: too few changes or defects, or they did worse.
    n_features_in_ : int

    Notes
    -----
    Rows are changes, oldest first. Known columns are the 14 metrics of Kamei et al., "A
    large-scale empirical study of just-in-time quality assurance", TSE 39 (2013), in lower case,
    and ``date``; any may be missing. Other numeric columns are used as they are, others ignored.
    With few changes or few defects lines added decide alone; without them (column ``la``) the rate.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from testopt import ChangeRiskClassifier
    >>> X = pd.DataFrame({"la": np.arange(200.0), "nf": np.ones(200)})
    >>> y = X["la"].to_numpy() % 7 == 0
    >>> ChangeRiskClassifier().fit(X, y).predict_proba(X).shape
    (200, 2)
    """

    def __init__(
        self,
        *,
        half_life: float | str | None = "auto",
        latency: float | str | None = "auto",
        random_state: int = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.half_life = half_life
        self.latency = latency
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any) -> Self:  # noqa: N803 - scikit-learn's name
        """Fit on changes, oldest first.

        Parameters
        ----------
        X : DataFrame or array-like, shape (n, k)
            Metrics; NaN where unknown.
        y : array-like, shape (n,)
            Two classes; the greater one (True) means that the change introduced a defect.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            When `y` has more than two classes, or `X` no usable column.
        """
        return self._fit_changes(X, y, None)

    def fit_examined(self, X: Any, y: Any, share: NDArray[np.float64]) -> Self:  # noqa: N803
        """Fit on labels that szz has traced, of which the youngest are not known yet.

        They are evidence and no truth, so the regression does without trees.

        Parameters
        ----------
        X, y
            As in `fit`.
        share : ndarray, shape (n,)
            Probability that a defect of each change would be known by now; 0: not examined.

        Returns
        -------
        self
        """
        return self._fit_changes(X, y, share)

    def _fit_changes(self, X: Any, y: Any, share: NDArray[np.float64] | None) -> Self:  # noqa: N803
        target, rows = self._checked(X, y)
        classes = np.unique(target)
        if len(classes) > 2:  # noqa: PLR2004 - a binary question
            raise ValueError(
                "Only binary classification is supported. The type of the target is "
                f"{type_of_target(target)}."
            )
        self.classes_ = np.array([False, True]) if target.dtype == bool else classes
        positive = target == self.classes_[-1]
        self._columns = self._frame_names(X)
        columns = self._read(X, rows)
        if not columns:
            raise ValueError("X has no numeric column")
        self.prior_ = float((positive.sum() + 1.0) / (len(positive) + 2.0))
        if len(self.classes_) == 1:
            self.prior_ = 1.0
        self._trees = share is None
        self._fit(columns, positive, share)
        return self

    def _checked(self, X: Any, y: Any) -> tuple[NDArray[Any], NDArray[np.float64] | None]:  # noqa: N803
        if hasattr(X, "columns"):
            self.feature_names_in_ = np.asarray([str(c) for c in X.columns], dtype=object)
            self.n_features_in_ = X.shape[1]
            target, rows = _labels(y), None
            if target.shape != (len(X),):
                raise ValueError(f"X has {len(X)} rows and y has shape {target.shape}")
        else:
            rows, target = validate_data(
                self, X, y, dtype=np.float64, ensure_all_finite="allow-nan"
            )
        check_classification_targets(target)
        return target, rows

    def _fit(
        self,
        columns: dict[str, NDArray[np.float64]],
        y: NDArray[np.bool_],
        share: NDArray[np.float64] | None,
    ) -> None:
        weight = self._weights(columns.pop(DAY, None), y, share)
        is_used = weight > 0.0
        self.models_: RiskModels | None = None
        self.calibration_ = (0.0, 1.0)
        self.held_out_ = (np.empty(0, np.intp), np.empty(0))
        self.aucs_: tuple[float, float] | None = None
        self.by_lines_ = True
        self.inputs_ = tuple(columns)
        if not columns:
            return
        matrix, self.sources_ = derived_columns(columns)
        n_positive = int(y[is_used].sum())
        if (
            min(n_positive, int(is_used.sum()) - n_positive) < _MIN_PER_CLASS
            or int(is_used.sum()) < _MIN_ROWS
        ):
            if LINES in columns and len(self.classes_) > 1:
                names = [name for name, _ in self.sources_]
                self.models_ = RiskModels.fit_prior(matrix, y, weight, names=names)
            return
        positions = np.flatnonzero(is_used)
        self._fit_models(matrix[is_used], y[is_used], weight[is_used])
        young, p = self.held_out_
        self.held_out_ = (positions[young], p)

    def _weights(
        self,
        day: NDArray[np.float64] | None,
        y: NDArray[np.bool_],
        share: NDArray[np.float64] | None,
    ) -> NDArray[np.float64]:
        """Return how much each row teaches: by its age, and by how much is known of it."""
        age = None if day is None or np.isnan(day).all() else ages(day)
        self.latency_ = self._latency(age, y) if share is None else 0.0
        weight = np.ones(len(y)) if share is None else share_weights(y, share, _LEAST_SHARE)
        if age is None:
            return weight
        weight = weight * latency_weights(age, y, self.latency_)
        out: NDArray[np.float64] = weight * np.exp2(-age / self._half_life(age))
        return out

    def _fit_models(
        self, matrix: NDArray[np.float64], y: NDArray[np.bool_], weight: NDArray[np.float64]
    ) -> None:
        cut = int(len(y) * (1.0 - _HOLD_OUT))
        old, young = slice(0, cut), slice(cut, None)
        self.by_lines_ = False
        if min(int(y[old].sum()), int((~y[old]).sum())) >= _MIN_PER_CLASS:
            trial = self._models(matrix[old], y[old], weight[old])
            trial = self._better(trial, matrix, y, weight, cut)
            margin = trial.margin(matrix[young])
            self.calibration_ = fit_logit(margin, y[young], weight[young] / weight[young].max())
            intercept, slope = self.calibration_
            self.held_out_ = (np.arange(len(y))[young], sigmoid(intercept + slope * margin))
        self.models_ = self._models(matrix, y, weight)
        # The trial tells the slope. The level follows the last changes, where younger ones weigh
        # more: six published sets have a calibration error of .023 so, of .033 by all rows alike.
        slope = self.calibration_[1]
        margin = slope * self.models_.margin(matrix)
        if self.half_life is not None:
            weight = weight * np.exp2(-np.arange(len(y))[::-1] / _HALF_LIFE_CHANGES)
        self.calibration_ = (fit_level(margin, y, weight), slope)

    def _models(
        self, matrix: NDArray[np.float64], y: NDArray[np.bool_], weight: NDArray[np.float64]
    ) -> RiskModels:
        names = tuple(name for name, _ in self.sources_)
        if self.by_lines_:
            return RiskModels.fit_lines(matrix, y, weight, names=names)
        return RiskModels.fit(
            matrix, y, weight, names=names, given=len(self.inputs_), trees=self._trees,
            seed=self.random_state, n_jobs=self.n_jobs,
        )  # fmt: skip

    def _better(
        self,
        trial: RiskModels,
        matrix: NDArray[np.float64],
        y: NDArray[np.bool_],
        weight: NDArray[np.float64],
        cut: int,
    ) -> RiskModels:
        """Return the models, or lines added where these do better on the rows from `cut` on."""
        young = y[cut:]
        if LINES not in self.inputs_ or not 0 < int(young.sum()) < len(young):
            return trial
        self.by_lines_ = True
        lines = self._models(matrix[:cut], y[:cut], weight[:cut])
        margins = trial.margin(matrix[cut:]), lines.margin(matrix[cut:])
        self.aucs_ = (roc_auc(young, margins[0]), roc_auc(young, margins[1]))
        gain, error = roc_auc_gain(young, *margins)
        self.by_lines_ = gain < -_CLEARLY * error
        return lines if self.by_lines_ else trial

    def _half_life(self, age: NDArray[np.float64]) -> float:
        if self.half_life is None:
            return np.inf
        if self.half_life != "auto":
            return float(self.half_life)
        return max(_YEAR, float(np.sort(age)[:_HALF_LIFE_CHANGES][-1]))

    def _latency(self, age: NDArray[np.float64] | None, y: NDArray[np.bool_]) -> float:
        if self.latency is None or age is None:
            return 0.0
        if self.latency == "auto":
            return estimate_latency(age, y)
        return float(self.latency)

    def predict_proba(self, X: Any) -> NDArray[np.float64]:  # noqa: N803
        """Return P(clean) and P(introduces a defect), shape (n, 2).

        Parameters
        ----------
        X : DataFrame or array-like, shape (n, k)
            Columns as in `fit`; a column that is absent counts as unknown.
        """
        defect = sigmoid(self.decision_function(X))
        if len(self.classes_) == 1:
            return np.ones((len(defect), 1))
        return np.column_stack([1.0 - defect, defect])

    def decision_function(self, X: Any) -> NDArray[np.float64]:  # noqa: N803
        """Return the log-odds of a defect, shape (n,)."""
        columns, n = self._for_prediction(X)
        if self.models_ is None or not n:
            return np.full(n, _logit(self.prior_))
        intercept, slope = self.calibration_
        out: NDArray[np.float64] = intercept + slope * self.models_.margin(
            derived_columns(columns)[0]
        )
        return out

    def predict(self, X: Any) -> NDArray[Any]:  # noqa: N803
        """Return the likelier class of each change, shape (n,)."""
        at = np.where(self.decision_function(X) > 0.0, len(self.classes_) - 1, 0)
        classes: NDArray[Any] = self.classes_[at]
        return classes

    def contributions(self, X: Any) -> pd.DataFrame:  # noqa: N803
        """Return what each metric adds to the log-odds; each row adds up to the logit.

        Parameters
        ----------
        X : DataFrame or array-like, shape (n, k)

        Returns
        -------
        DataFrame, shape (n, 1 + columns)
            ``base`` is the log-odds of an average change. SHAP values of the trees (Lundberg et
            al. 2020) and terms of the regression; what comes from a column made of several
            metrics is shared equally among them.
        """
        import pandas as pd

        columns, n = self._for_prediction(X)
        index = X.index if hasattr(X, "index") else None
        if self.models_ is None:
            return pd.DataFrame({_BASE: np.full(n, _logit(self.prior_))}, index=index)
        intercept, slope = self.calibration_
        parts, base = self.models_.contributions(derived_columns(columns)[0])
        out = {_BASE: np.full(n, intercept + slope * base)}
        for (_, sources), part in zip(self.sources_, parts.T, strict=True):
            for source in sources:
                out[source] = out.get(source, 0.0) + slope * part / len(sources)
        return pd.DataFrame(out, index=index)

    def to_dict(self) -> dict[str, Any]:
        """Return the fitted model as plain data for JSON: numbers, and LightGBM's text."""
        check_is_fitted(self, "calibration_")
        return {
            "parameters": self.get_params(),
            "inputs": list(self.inputs_),
            "prior": self.prior_,
            "latency": self.latency_,
            "calibration": list(self.calibration_),
            "by_lines": self.by_lines_,
            "models": None if self.models_ is None else self.models_.dump(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild a model fitted on a DataFrame from what `to_dict` returned.

        Raises
        ------
        BundleError
            When the data are damaged.
        """
        try:
            model = cls(**data["parameters"])
            model.inputs_ = tuple(map(str, data["inputs"]))
            model.prior_, model.latency_ = float(data["prior"]), float(data["latency"])
            intercept, slope = map(float, data["calibration"])
            saved, model.by_lines_ = data["models"], bool(data["by_lines"])
            numbers = (model.prior_, model.latency_, intercept, slope)
            if not (0.0 < model.prior_ <= 1.0 and all(abs(n) < _MOST for n in numbers)):
                raise ValueError("its numbers are none of a model")
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(f"the risk model is damaged: {error}") from None
        model.calibration_ = (intercept, slope)
        model.classes_ = np.array([False, True])
        model._columns = None
        model.sources_ = ()
        if model.inputs_:
            model.sources_ = derived_columns({n: np.zeros(1) for n in model.inputs_})[1]
        model.models_ = None if saved is None else RiskModels.load(saved, len(model.sources_))
        return model

    def _for_prediction(self, X: Any) -> tuple[dict[str, NDArray[np.float64]], int]:  # noqa: N803
        check_is_fitted(self, "calibration_")
        rows = None
        if not hasattr(X, "columns"):
            rows = validate_data(
                self, X, reset=False, dtype=np.float64, ensure_all_finite="allow-nan"
            )
        given = self._read(X, rows)
        n = len(X) if rows is None else len(rows)
        return {name: given.get(name, np.full(n, np.nan)) for name in self.inputs_}, n

    @staticmethod
    def _frame_names(X: Any) -> tuple[str, ...] | None:  # noqa: N803
        return tuple(map(str, X.columns)) if hasattr(X, "columns") else None

    def _read(
        self,
        X: Any,  # noqa: N803
        rows: NDArray[np.float64] | None,
    ) -> dict[str, NDArray[np.float64]]:
        """Return the numeric columns by name; infinities are unknown."""
        if rows is None:
            return read_frame(X)
        names = self._columns
        if names is None or len(names) != rows.shape[1]:
            names = METRICS if rows.shape[1] == len(METRICS) else _numbered(rows.shape[1])
        return dict(zip(names, rows.T, strict=True))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.input_tags.allow_nan = True
        return tags


def _labels(y: Any) -> NDArray[Any]:
    """Return labels as an array; booleans that came as objects are booleans."""
    target = np.asarray(y)
    if target.dtype == object and all(isinstance(v, bool | np.bool_) for v in target.ravel()):
        return target.astype(bool)
    return target


def _numbered(count: int) -> tuple[str, ...]:
    return tuple(f"x{i}" for i in range(count))


def _logit(p: float) -> float:
    return float(np.log(p) - np.log1p(-p)) if p < 1.0 else 20.0
