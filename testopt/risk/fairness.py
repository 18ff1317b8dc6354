"""How errors and calibration of the risk model differ by author tenure and by folder.

Groups are of changes, never of named people, and a tenure that fewer than three people have is
left out: its row would speak of one of them.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from testopt.errors import DataError, UsageError
from testopt.risk.known_history import explained
from testopt.risk.measured_history import DefectLabels, measure_history
from testopt.risk.model import metrics_frame

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from testopt.risk.measured_history import MeasuredHistory
    from testopt.store import Store

FLAGGED: Final = 0.2  # the riskiest share of the changes counts as flagged
_MIN_PEOPLE: Final = 3
_MAX_FOLDERS: Final = 8  # the others are one group
_MIN_CHANGES: Final = 20  # fewer changes tell nothing of a group
_DAY_S: Final = 86_400.0
_TENURES: Final = (
    (30.0, "first month"),
    (365.0, "first year"),
    (float("inf"), "over a year"),
)


@dataclass(frozen=True, slots=True)
class GroupFigures:
    """Figures of one group of changes; NaN where a rate has no denominator.

    ``rate`` of defects, mean ``predicted`` probability; of clean changes the share that is
    flagged (``false_alarms``), of defective ones the share that is not (``missed``).
    """

    by: str  # "tenure" or "folder"
    group: str
    changes: int
    rate: float
    predicted: float
    false_alarms: float
    missed: float
    auc: float


@dataclass(frozen=True, slots=True)
class FairnessReport:
    """Figures by group on the youngest changes, by a model that had not learnt from them.

    ``auc_without_authors`` is that of a model without metrics of the author: what it costs to
    switch them off. ``hidden`` counts changes in groups of too few people or changes.
    """

    groups: tuple[GroupFigures, ...]
    checked: int
    auc: float
    auc_without_authors: float
    hidden: int


def risk_fairness(
    *, store: Store, repo: Path | None = None, author_features: bool = True, seed: int = 0
) -> FairnessReport:
    """Return errors and calibration of change risk by author tenure and by folder.

    Parameters
    ----------
    store : Store
        With mined commits and traced labels.
    repo : Path, optional
        Repository whose messages tell how many words explain a change.
    author_features : bool
        Let metrics of the author count.
    seed : int
        Of training.

    Returns
    -------
    FairnessReport

    Raises
    ------
    EmptyStoreError
        When no commits were mined, or no defects were traced.
    DataError
        When there are too few changes or defects to check anything.
    UsageError
        When fairlearn is not installed.
    """
    metric_frame = _metric_frame()
    history = measure_history(store, {}, words=explained(store, repo))
    labels = DefectLabels(store, history)
    y = labels.known(math.inf)
    checked, p = _held_out(history, labels, author_features=author_features, seed=seed)
    truth = y[checked]
    if not 0 < int(truth.sum()) < len(truth):
        raise DataError(
            "too few changes or defects to check risk on", "mine and trace more history"
        )
    checked_without, p_without = _held_out(history, labels, author_features=False, seed=seed)
    metrics = _metrics(float(np.quantile(p, 1.0 - FLAGGED)))
    groups: list[GroupFigures] = []
    hidden = 0
    for by, names in (
        ("tenure", _tenures(history, checked)),
        ("folder", _folders(store, history, checked)),
    ):
        frame = metric_frame(
            metrics=metrics, y_true=truth, y_pred=p, sensitive_features=np.asarray(names)
        ).by_group
        for name, row in frame.iterrows():
            if name == "" or row["changes"] < _MIN_CHANGES:
                hidden += int(row["changes"])
                continue
            groups.append(GroupFigures(by, str(name), int(row["changes"]), *_rates(row)))
    return FairnessReport(
        tuple(groups), len(checked), _auc(truth, p), _auc(y[checked_without], p_without), hidden
    )


def _metric_frame() -> Callable[..., Any]:
    try:
        from fairlearn.metrics import MetricFrame
    except ImportError:
        raise UsageError(
            "fairlearn is not installed", "install it: pip install 'testopt[fairness]'"
        ) from None
    frame: Callable[..., Any] = MetricFrame
    return frame


def _held_out(
    history: MeasuredHistory, labels: DefectLabels, *, author_features: bool, seed: int
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    from testopt.risk.classifier import ChangeRiskClassifier

    frame = metrics_frame(history.facts, history.rows, author_features=author_features)
    y, (share, _) = labels.known(math.inf), labels.found_shares(math.inf)
    model = ChangeRiskClassifier(half_life=None, random_state=seed)
    return model.fit_examined(frame, y, share).held_out_


def _metrics(threshold: float) -> dict[str, Callable[[Any, Any], float]]:
    """Return the figures of a group as functions of labels and probabilities."""

    def false_alarms(y: NDArray[np.bool_], p: NDArray[np.float64]) -> float:
        return _mean(np.asarray(p)[~np.asarray(y)] > threshold)

    def missed(y: NDArray[np.bool_], p: NDArray[np.float64]) -> float:
        return _mean(np.asarray(p)[np.asarray(y)] <= threshold)

    return {
        "changes": lambda y, _p: float(len(y)),
        "rate": lambda y, _p: _mean(y),
        "predicted": lambda _y, p: _mean(p),
        "false_alarms": false_alarms,
        "missed": missed,
        "auc": _auc,
    }


def _rates(row: Mapping[str, Any]) -> list[float]:
    return [float(row[n]) for n in ("rate", "predicted", "false_alarms", "missed", "auc")]


def _mean(values: Any) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def _auc(y: Any, p: Any) -> float:
    from sklearn.metrics import roc_auc_score

    has_both_classes = 0 < int(np.sum(y)) < len(y)
    return float(roc_auc_score(y, p)) if has_both_classes else float("nan")


def _tenures(history: MeasuredHistory, checked: NDArray[np.intp]) -> list[str]:
    """Return how long the author of each change was known then; empty for too few people."""
    since: dict[str, float] = {}
    for facts in history.facts:
        since.setdefault(facts.author, facts.time)
    names: list[str] = []
    people: dict[str, set[str]] = {}
    for i in checked:
        facts = history.facts[i]
        days = (facts.time - since[facts.author]) / _DAY_S
        name = next(text for limit, text in _TENURES if days <= limit)
        people.setdefault(name, set()).add(facts.author)
        names.append(name)
    return [name if len(people[name]) >= _MIN_PEOPLE else "" for name in names]


def _folders(store: Store, history: MeasuredHistory, checked: NDArray[np.intp]) -> list[str]:
    """Return the subsystem in which most of the changed files of each change lie."""
    shas = [history.shas[i] for i in checked]
    files = store.read("file_changes", columns=["sha", "subsystem"], where=[("sha", "in", shas)])
    counts: dict[str, Counter[str]] = {}
    for sha, folder in zip(files["sha"].to_pylist(), files["subsystem"].to_pylist(), strict=True):
        counts.setdefault(sha, Counter())[folder] += 1
    names = [min(counts[s], key=lambda f: (-counts[s][f], f)) if s in counts else "." for s in shas]
    common = {name for name, _ in Counter(names).most_common(_MAX_FOLDERS)}
    return [name if name in common else "(others)" for name in names]
