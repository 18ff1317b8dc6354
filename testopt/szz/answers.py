"""What is said of each fix, and how the store keeps it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from testopt.schema import arrow_schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import pyarrow as pa

    from testopt.store import Store

METHOD: Final = "szz-6"  # changes with whatever changes answers


@dataclass(frozen=True, slots=True)
class Label:
    """One candidate of a fix: its probability, whether it is the answer, and why."""

    bug_commit: str
    confidence: float
    chosen: bool
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TracedFix:
    """A fix and who introduced its defect: the likeliest first, nobody where it is unknown.

    ``why`` says why the commit counts as a fix, ``notes`` what was left out on the way.
    ``git_failed``: something could not be read; such an answer is not kept, and the next time
    asks again.
    """

    fix_commit: str
    labels: tuple[Label, ...] = ()
    why: str = ""
    notes: tuple[str, ...] = ()
    time: datetime | None = None
    git_failed: bool = False


@dataclass(frozen=True, slots=True)
class FixTask:
    """A fix to trace: why it counts as one, and what is asked."""

    fix: str
    why: str
    before: datetime | None
    stated: bool
    by_rules: bool = False  # told by its message and changes, not by a list or an issue

    @property
    def method(self) -> str:
        """How its answer is found; answers of other methods are not kept."""
        date = f" before {self.before.isoformat()}" if self.before else ""
        return METHOD + ("+stated" if self.stated else "") + date


def write_answers(store: Store | None, batch: Sequence[tuple[FixTask, TracedFix]]) -> None:
    """Append a batch of answers, once however often it is tried.

    Parameters
    ----------
    store : Store or None
        None: nothing is kept.
    batch : sequence of tuple
        Each fix with its answer; those that git could not read are left out.
    """
    batch = [(task, traced) for task, traced in batch if not traced.git_failed]
    if store is None or not batch:
        return
    seen = datetime.now(UTC)
    rows = [row for task, traced in batch for row in _rows(task, traced, seen)]
    key = hashlib.sha256("\n".join(f"{t.fix} {t.method}" for t, _ in batch).encode()).hexdigest()
    store.append("labels", {f"szz {key}": _table(rows)})


def _table(rows: list[dict[str, Any]]) -> pa.Table:
    import pyarrow as pa

    return pa.Table.from_pylist(rows, schema=arrow_schema("labels"))


def _rows(task: FixTask, traced: TracedFix, seen: datetime) -> Iterator[dict[str, Any]]:
    evidence = {"why": traced.why, "notes": traced.notes, "by_rules": task.by_rules}
    for label in traced.labels or (None,):
        yield {
            "fix_commit": traced.fix_commit,
            "bug_commit": label.bug_commit if label else None,
            "confidence": label.confidence if label else 0.0,
            "chosen": bool(label and label.chosen),
            "evidence": json.dumps({**evidence, "reasons": label.reasons if label else ()}),
            "time": traced.time or datetime.fromtimestamp(0, UTC),
            "seen": seen,
            "method": task.method,
        }


def known_answers(store: Store | None, tasks: Iterable[FixTask]) -> dict[str, TracedFix]:
    """Return the answers that the store already has, found by the same method.

    Parameters
    ----------
    store : Store or None
        None: it has none.
    tasks : iterable of FixTask
        The fixes that are asked for.

    Returns
    -------
    dict of str to TracedFix
        By fixing commit.
    """
    methods = {task.fix: task.method for task in tasks}
    if store is None or not methods:
        return {}
    traced: dict[str, TracedFix] = {}
    newest: dict[str, datetime] = {}
    rows = store.read("labels").to_pylist()
    for row in rows:
        fix = row["fix_commit"]
        if methods.get(fix) == row["method"]:
            newest[fix] = max(newest.get(fix, row["seen"]), row["seen"])
    for row in rows:
        fix = row["fix_commit"]
        if methods.get(fix) == row["method"] and row["seen"] == newest[fix]:
            traced[fix] = _with_row(traced.get(fix), row)
    return traced


def _with_row(traced: TracedFix | None, row: Mapping[str, Any]) -> TracedFix:
    """Add a row of the store to an answer."""
    evidence = json.loads(row["evidence"])
    if traced is None:
        traced = TracedFix(
            row["fix_commit"], (), evidence["why"], tuple(evidence["notes"]), row["time"]
        )
    if row["bug_commit"] is None:
        return traced
    confidence = round(row["confidence"], 6)
    label = Label(row["bug_commit"], confidence, row["chosen"], tuple(evidence["reasons"]))
    labels = sorted((*traced.labels, label), key=lambda x: (-x.chosen, -x.confidence))
    return replace(traced, labels=tuple(labels))
