"""Learns the risk model from the tables of a store, and keeps it beside them."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from testopt.errors import BundleError, EmptyStoreError, StoreError
from testopt.risk.change_metrics import AUTHOR_METRICS, NAMES, ChangeHistory
from testopt.risk.mined_metrics import COMMIT_COLUMNS, FILE_COLUMNS, measured_commits, mined_commits

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    import pandas as pd
    import pyarrow as pa

    from testopt.risk.change_metrics import ChangeFacts
    from testopt.risk.classifier import ChangeRiskClassifier
    from testopt.schema import Change
    from testopt.store import Store

_VERSION: Final = 5  # changes with whatever changes the model
_N_RECENT: Final = 500  # changes that a percentile compares with
_MAX_EXCLUDED_SHARE: Final = 0.2  # at most this share of the commits is kept from teaching
_TABLES: Final = ("commits", "file_changes", "labels")
_FACTS: Final = ("changes", "defects", "latency_days", "checked", "auc", "auc_lines")
_MODEL_BLOB: Final = "state/risk-model.json"


@dataclass(frozen=True)
class TrainedRiskModel:
    """A model with what the report says of it; plain data, so that it can be kept.

    Attributes
    ----------
    model : ChangeRiskClassifier
    facts : dict
        Fields of a `RiskReport`.
    recent : list of float
        Probabilities of the last changes by a model that had not seen them, ascending.
    typical : dict of str to float
        Median of each metric.
    """

    model: ChangeRiskClassifier
    facts: dict[str, Any]
    recent_probabilities: list[float]
    medians: dict[str, float]


@dataclass(frozen=True)
class MeasuredHistory:
    """The history as metrics, and the state at its end."""

    shas: list[str]
    facts: list[ChangeFacts]
    rows: list[list[float]]
    state: ChangeHistory


def measure_history(store: Store, wanted: Mapping[str, Change]) -> MeasuredHistory:
    """Return the metrics of all mined commits, each as of its own time.

    Parameters
    ----------
    store : Store
    wanted : mapping of str to Change
        Commits to measure even if they are merges.

    Raises
    ------
    EmptyStoreError
        When no commits were mined.
    """
    commits = store.read("commits", columns=COMMIT_COLUMNS)
    if not commits.num_rows:
        raise EmptyStoreError("the store holds no commits", "read them first: testopt mine")
    state = ChangeHistory()
    history = mined_commits(commits, store.read("file_changes", columns=FILE_COLUMNS))
    measured = list(measured_commits(history, state, wanted=wanted))
    shas, facts, rows = (
        (list(part) for part in zip(*measured, strict=True)) if measured else ([],) * 3
    )
    return MeasuredHistory(shas, facts, rows, state)


def defective_commits(labels: pa.Table) -> set[str]:
    """Return the commits that introduced a defect.

    Parameters
    ----------
    labels : pyarrow.Table
        Table ``labels``; of each fix the answers of the latest tracing count.
    """
    rows = labels.select(["fix_commit", "bug_commit", "chosen", "seen"]).to_pylist()
    latest: dict[str, datetime] = {}
    for row in rows:
        latest[row["fix_commit"]] = max(row["seen"], latest.get(row["fix_commit"], row["seen"]))
    return {
        row["bug_commit"]
        for row in rows
        if row["chosen"] and row["bug_commit"] and row["seen"] == latest[row["fix_commit"]]
    }


def metrics_frame(
    facts: Sequence[ChangeFacts], rows: Sequence[Sequence[float]], *, author_features: bool = True
) -> pd.DataFrame:
    """Return metrics as the estimator takes them, with ``date``."""
    import pandas as pd

    frame = pd.DataFrame(np.asarray(rows, np.float64).reshape(-1, len(NAMES)), columns=list(NAMES))
    if not author_features:
        frame = frame.drop(columns=sorted(AUTHOR_METRICS))
    frame["date"] = pd.to_datetime([f.time for f in facts], unit="s", utc=True)
    return frame


def trained_model(
    store: Store,
    history: MeasuredHistory,
    *,
    excluded: Collection[str] = (),
    author_features: bool = True,
    seed: int = 0,
) -> TrainedRiskModel:
    """Return the model of exactly these tables: the one that was kept, else a new one.

    Parameters
    ----------
    store : Store
        With traced labels.
    history : MeasuredHistory
        From `measure_history`.
    excluded : collection of str
        Commits that do not teach, because their risk is asked for; more than a fifth of the
        history teaches all the same.
    author_features : bool
        Let metrics of the author count.
    seed : int
        Of training.

    Raises
    ------
    EmptyStoreError
        When no defects were traced, or no commit changes a file.
    """
    left_out = sorted(set(excluded) & set(history.shas))
    if len(left_out) > _MAX_EXCLUDED_SHARE * len(history.shas):
        left_out = []
    versions = {table: store.version(table) for table in _TABLES}
    key = {"version": _VERSION, "seed": seed, "authors": author_features, "apart": left_out}
    cached = _load(store.read_blob(_MODEL_BLOB), {**key, **versions})
    if cached is not None:
        return cached
    trained = _train(store, history, left_out=left_out, author_features=author_features, seed=seed)
    with suppress(StoreError):  # a cache; a store that may only be read serves as well
        store.write_blob(_MODEL_BLOB, _dump(trained, {**key, **versions}))
    return trained


def defect_labels(store: Store, shas: Sequence[str]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Return which commits introduced a defect, shape (n,).

    Raises
    ------
    EmptyStoreError
        When no defects were traced, or there are no commits.
    """
    labels = store.read("labels")
    if not labels.num_rows:
        raise EmptyStoreError(
            "no defects have been traced to the commits that introduced them",
            "trace them: testopt szz (where it finds no fixes, there is nothing to learn from)",
        )
    if not len(shas):
        raise EmptyStoreError("no mined commit changes a file", "mine more: testopt mine")
    defective = defective_commits(labels)
    return np.array([sha in defective for sha in shas], dtype=bool)


def _train(
    store: Store,
    history: MeasuredHistory,
    *,
    left_out: Sequence[str],
    author_features: bool,
    seed: int,
) -> TrainedRiskModel:
    from sklearn.metrics import roc_auc_score

    from testopt.risk.classifier import ChangeRiskClassifier

    y = defect_labels(store, history.shas)
    frame = metrics_frame(history.facts, history.rows, author_features=author_features)
    if left_out:
        excluded = set(left_out)
        in_training = np.array([sha not in excluded for sha in history.shas])
        frame, y = frame[in_training].reset_index(drop=True), y[in_training]
    model = ChangeRiskClassifier(random_state=seed).fit(frame, y)
    at, p = model.held_out_
    has_both_classes = len(at) > 0 and 0 < int(y[at].sum()) < len(at)
    facts = {
        "changes": len(y),
        "defects": int(y.sum()),
        "latency_days": model.latency_,
        "checked": len(at),
        "auc": float(roc_auc_score(y[at], p)) if has_both_classes else None,
        "auc_lines": float(roc_auc_score(y[at], frame["la"].to_numpy()[at]))
        if has_both_classes
        else None,
    }
    typical = {str(k): float(v) for k, v in frame.drop(columns="date").median().items()}
    return TrainedRiskModel(model, facts, sorted(map(float, p[-_N_RECENT:])), typical)


def _dump(trained: TrainedRiskModel, key: Mapping[str, Any]) -> bytes:
    body = {
        "model": trained.model.to_dict(),
        "facts": trained.facts,
        "recent": trained.recent_probabilities,
        "typical": trained.medians,
    }
    text = json.dumps(body, sort_keys=True)
    check = hashlib.sha256(text.encode()).hexdigest()
    return json.dumps({"key": key, "sha256": check, "body": text}).encode()


def _load(data: bytes | None, key: Mapping[str, Any]) -> TrainedRiskModel | None:
    """Return the kept model, or None when it is damaged or of other tables: it is a cache."""
    from testopt.risk.classifier import ChangeRiskClassifier

    try:
        saved = json.loads(data or b"null")
        if not isinstance(saved, dict) or saved["key"] != key:
            return None
        if hashlib.sha256(saved["body"].encode()).hexdigest() != saved["sha256"]:
            return None
        body = json.loads(saved["body"])
        model = ChangeRiskClassifier.from_dict(body["model"])
        return TrainedRiskModel(model, *_checked_facts(body))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, BundleError):
        return None


def _checked_facts(
    body: Mapping[str, Any],
) -> tuple[dict[str, Any], list[float], dict[str, float]]:
    """Return what is said of a kept model: numbers, some of which may be unknown."""
    facts, recent, medians = body["facts"], body["recent"], body["typical"]
    numbers = [*(v for v in facts.values() if v is not None), *recent, *medians.values()]
    if not all(type(number) in {int, float} for number in numbers):
        raise ValueError("a number is none")
    if set(facts) != set(_FACTS) or len(recent) > _N_RECENT or not set(medians) <= set(NAMES):
        raise ValueError("they are facts of another model")
    return dict(facts), list(recent), dict(medians)
