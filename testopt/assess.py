"""How risky is a change? Learns from the project's own commits and the defects traced to them."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from testopt.errors import BundleError, DataError, EmptyStoreError, StoreError
from testopt.features.kamei import AUTHOR_METRICS, NAMES, ChangeHistory
from testopt.features.replay import (
    COMMIT_COLUMNS,
    FILE_COLUMNS,
    entries,
    facts_of,
    named,
    replay,
    touched_files,
)
from testopt.schema import FileRisk, Risk, RiskPart, RiskReport

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    import pyarrow as pa

    from testopt.estimators.risk import ChangeRiskClassifier
    from testopt.features.kamei import CommitFacts, TouchedFile
    from testopt.schema import Change
    from testopt.store import Store

_VERSION: Final = 2  # changes with whatever changes the model
_RECENT: Final = 500  # changes that a percentile compares with
_FILES_SHOWN: Final = 20
_TABLES: Final = ("commits", "file_changes", "labels")
_MODEL_BLOB: Final = "state/risk-model.json"


@dataclass(frozen=True)
class _Trained:
    """A model with what the report says of it; plain data, so that it can be kept."""

    model: ChangeRiskClassifier
    facts: dict[str, Any]
    recent: list[float]
    typical: dict[str, float]


@dataclass(frozen=True)
class _Measured:
    """The history as metrics, and the state at its end."""

    shas: list[str]
    facts: list[CommitFacts]
    rows: list[list[float]]
    state: ChangeHistory


def assess(
    *,
    store: Store,
    changes: Mapping[str, Change],
    author_features: bool = True,
    seed: int = 0,
    now: datetime | None = None,
) -> RiskReport:
    """Return the risk of changes, the riskiest first.

    Parameters
    ----------
    store : Store
        With mined commits and traced labels.
    changes : mapping of str to Change
        By name; the full hash of a commit, or what else the user shall read.
    author_features : bool
        Let metrics of the author count.
    seed : int
        Of training.
    now : datetime, optional
        Time of changes that have none (uncommitted ones).

    Returns
    -------
    RiskReport

    Raises
    ------
    EmptyStoreError
        When no commits were mined, or no defects were traced.
    DataError
        When a change is not known.
    """
    for name, change in changes.items():
        if not change.known:
            raise DataError(f"the change {name} is not known: {change.why}")
    measured = _measure(store, changes)
    trained = _model(store, measured, author_features=author_features, seed=seed)
    clock = (now or datetime.now(UTC)).timestamp()
    at = {sha: i for i, sha in enumerate(measured.shas)}
    risks = []
    for name, change in changes.items():
        facts, files = facts_of(change, now=clock), touched_files(change.files)
        row = measured.state.measure(facts, files)
        if name in at:  # as it was then, not as it would be today
            facts, row = measured.facts[at[name]], measured.rows[at[name]]
        risks.append(_risk(name, facts, row, files=files, state=measured.state, trained=trained))
    risks.sort(key=lambda r: (-r.probability, r.name))
    return RiskReport(tuple(risks), compared=len(trained.recent), **trained.facts)


def _measure(store: Store, wanted: Mapping[str, object]) -> _Measured:
    commits = store.read("commits", columns=COMMIT_COLUMNS)
    if not commits.num_rows:
        raise EmptyStoreError("the store holds no commits", "read them first: testopt mine")
    state = ChangeHistory()
    history = entries(commits, store.read("file_changes", columns=FILE_COLUMNS))
    found = list(replay(history, state, wanted=wanted))
    shas, facts, rows = (list(part) for part in zip(*found, strict=True)) if found else ([],) * 3
    return _Measured(shas, facts, rows, state)


def defects(labels: pa.Table) -> set[str]:
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


def frame_of(
    facts: Sequence[CommitFacts], rows: Sequence[Sequence[float]], *, author_features: bool = True
) -> pd.DataFrame:
    """Return metrics as the estimator takes them, with ``date``."""
    import pandas as pd

    frame = pd.DataFrame(np.asarray(rows, np.float64).reshape(-1, len(NAMES)), columns=list(NAMES))
    if not author_features:
        frame = frame.drop(columns=sorted(AUTHOR_METRICS))
    frame["date"] = pd.to_datetime([f.time for f in facts], unit="s", utc=True)
    return frame


def _model(store: Store, measured: _Measured, *, author_features: bool, seed: int) -> _Trained:
    """Return the model of exactly these tables: the one that was kept, else a new one."""
    versions = {table: store.version(table) for table in _TABLES}
    key = {"version": _VERSION, "seed": seed, "authors": author_features, **versions}
    kept = _load(store.read_blob(_MODEL_BLOB), key)
    if kept is not None:
        return kept
    trained = _train(store, measured, author_features=author_features, seed=seed)
    with suppress(StoreError):  # a cache; a store that may only be read serves as well
        store.write_blob(_MODEL_BLOB, _dump(trained, key))
    return trained


def _train(store: Store, measured: _Measured, *, author_features: bool, seed: int) -> _Trained:
    from sklearn.metrics import roc_auc_score

    from testopt.estimators.risk import ChangeRiskClassifier

    labels = store.read("labels")
    if not labels.num_rows:
        raise EmptyStoreError(
            "no defects have been traced to the commits that introduced them",
            "trace them first: testopt szz",
        )
    guilty = defects(labels)
    frame = frame_of(measured.facts, measured.rows, author_features=author_features)
    y = np.array([sha in guilty for sha in measured.shas], dtype=bool)
    if not len(y):
        raise EmptyStoreError("no mined commit changes a file", "mine more: testopt mine")
    model = ChangeRiskClassifier(random_state=seed).fit(frame, y)
    at, p = model.held_out_
    both = len(at) > 0 and 0 < int(y[at].sum()) < len(at)
    facts = {
        "changes": len(y),
        "defects": int(y.sum()),
        "latency_days": model.latency_,
        "checked": len(at),
        "auc": float(roc_auc_score(y[at], p)) if both else None,
        "auc_lines": float(roc_auc_score(y[at], frame["la"].to_numpy()[at])) if both else None,
    }
    typical = {str(k): float(v) for k, v in frame.drop(columns="date").median().items()}
    return _Trained(model, facts, sorted(map(float, p[-_RECENT:])), typical)


def _dump(trained: _Trained, key: Mapping[str, Any]) -> bytes:
    body = {
        "model": trained.model.to_dict(),
        "facts": trained.facts,
        "recent": trained.recent,
        "typical": trained.typical,
    }
    text = json.dumps(body, sort_keys=True)
    check = hashlib.sha256(text.encode()).hexdigest()
    return json.dumps({"key": key, "sha256": check, "body": text}).encode()


def _load(data: bytes | None, key: Mapping[str, Any]) -> _Trained | None:
    """Return the kept model, or None when it is damaged or of other tables: it is a cache."""
    from testopt.estimators.risk import ChangeRiskClassifier

    try:
        kept = json.loads(data or b"null")
        if not isinstance(kept, dict) or kept["key"] != key:
            return None
        # LightGBM's parser can end the process on a damaged text, so it never sees one.
        if hashlib.sha256(kept["body"].encode()).hexdigest() != kept["sha256"]:
            return None
        body = json.loads(kept["body"])
        model = ChangeRiskClassifier.from_dict(body["model"])
        return _Trained(model, body["facts"], body["recent"], body["typical"])
    except (ValueError, KeyError, TypeError, AttributeError, BundleError):
        return None


def _risk(
    name: str,
    facts: CommitFacts,
    row: Sequence[float],
    *,
    files: Sequence[TouchedFile],
    state: ChangeHistory,
    trained: _Trained,
) -> Risk:
    model = trained.model
    frame = frame_of([facts], [row])
    p = float(model.predict_proba(frame)[0, -1])
    values = named(row)
    parts = [
        RiskPart(str(metric), values.get(str(metric)), float(v), trained.typical.get(str(metric)))
        for metric, v in model.contributions(frame).iloc[0].items()
    ]
    parts.sort(key=lambda part: (part.metric != "base", -abs(part.log_odds), part.metric))
    recent = trained.recent
    below = float(np.searchsorted(recent, p)) / len(recent) if recent else None
    shown = _file_risks(facts, files, state=state, model=model)
    return Risk(name, p, below, tuple(parts), shown, len(files))


def _file_risks(
    facts: CommitFacts,
    files: Sequence[TouchedFile],
    *,
    state: ChangeHistory,
    model: ChangeRiskClassifier,
) -> tuple[FileRisk, ...]:
    """Return the riskiest of the files with the most changed lines, each judged alone."""
    if not files:
        return ()
    largest = sorted(files, key=lambda f: -((f.added or 0) + (f.deleted or 0)))[:_FILES_SHOWN]
    rows = [state.measure(facts, [file]) for file in largest]
    p = model.predict_proba(frame_of([facts] * len(rows), rows))[:, -1]
    found = [
        FileRisk(f.path, float(v), f.added, f.deleted) for f, v in zip(largest, p, strict=True)
    ]
    return tuple(sorted(found, key=lambda f: (-f.probability, f.path)))
