"""Other stores into this one: runs that it lacks, kept plans, mined commits, labels and links."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from testopt.errors import UsageError
from testopt.ingest import update_caches
from testopt.store.examined import read_examined, write_examined
from testopt.store.judged_fixes import merge_judged
from testopt.store.records import rows_by_owner

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from testopt.store import Store

_ROWS_AT_ONCE: Final = 500_000
_OF_RUNS: Final = ("results", "run_changes", "predictions")


@dataclass(frozen=True, slots=True)
class MergeReport:
    """What came of another store.

    Attributes
    ----------
    source : str
        Its URL.
    runs, known : int
        Runs that were new, and those that were there already.
    refused : mapping of str to str
        Runs that were not taken, each with the reason.
    plans, commits, labels, links : int
        Kept plans, and rows of other tables, that were new.
    """

    source: str
    runs: int
    known: int
    refused: Mapping[str, str]
    plans: int
    commits: int
    labels: int
    links: int


def merge_store(
    store: Store, source: Store, *, expected: Mapping[str, str] | None = None
) -> MergeReport:
    """Take what another store holds; the same source twice adds nothing.

    A run counts as seen now: plans that were made before did not know it. Models and caches are
    not taken.

    Parameters
    ----------
    store : Store
        Where to.
    source : Store
        From where; nothing of it is believed that `expected` says otherwise.
    expected : mapping of str to str, optional
        Values that ``commit``, ``branch`` or ``job`` of each run must have: what the caller
        knows of the job that wrote the source.

    Raises
    ------
    StoreError
        When a table cannot be read or written.
    UsageError
        When both are the same store.
    """
    if _place(source) == _place(store):
        raise UsageError(f"{source.url} cannot be merged into itself", "name another store")
    rows = source.read("runs").to_pylist()
    known, seen = store.run_ids(), datetime.now(UTC)
    refused = {row["run_id"]: why for row in rows if (why := _refusal(row, expected or {}))}
    fresh = [r for r in rows if r["run_id"] not in known and r["run_id"] not in refused]
    n_results = 0
    for batch in _batches(fresh):
        n_results += _append_runs(store, source, [{**row, "seen": seen} for row in batch])
    plans = _append_plans(store, source, {row["run_id"] for row in rows} | known)
    commits = 0 if expected else _append_commits(store, source)
    others = {
        table: 0 if expected else _append_rows(store, source, table)
        for table in ("labels", "links")
    }
    if not expected and (examined := read_examined(source)):
        write_examined(store, examined)
    update_caches(store, runs=len(fresh), results=n_results)
    return MergeReport(
        source.url,
        runs=len(fresh),
        known=sum(row["run_id"] in known for row in rows),
        refused=refused,
        plans=plans,
        commits=commits,
        labels=others.get("labels", 0),
        links=others.get("links", 0),
    )


def _place(store: Store) -> str:
    return store.url if "://" in store.url else str(Path(store.url).resolve())


def _refusal(row: Mapping[str, Any], expected: Mapping[str, str]) -> str:
    """Say why a run is not taken; empty where it is."""
    for name, value in expected.items():
        if (row[name] or "") != value:
            return f"its {name} is {row[name]!r}, not {value!r}"
    return ""


def _batches(rows: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    size = 0
    for row in sorted(rows, key=lambda row: (row["time"], row["run_id"])):
        batch.append(row)
        size += row["cases"]
        if size >= _ROWS_AT_ONCE:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _append_runs(store: Store, source: Store, rows: Sequence[dict[str, Any]]) -> int:
    """Append runs with all that belongs to them; return how many results that were."""
    names = [row["run_id"] for row in rows]
    results = 0
    with store.writing():
        for table in _OF_RUNS:
            found = source.read(table, where=[("run_id", "in", names)])
            store.append(table, _by_run(found))
            results += found.num_rows if table == "results" else 0
        schema = source.read("runs", where=[("run_id", "==", "")]).schema
        store.append(
            "runs",
            {row["run_id"]: pa.Table.from_pylist([row], schema=schema) for row in rows},
        )
    return results


def _by_run(rows: pa.Table) -> dict[str, pa.Table]:
    return {run: own for batch in rows_by_owner(rows) for run, own in batch.items()}


def _append_plans(store: Store, source: Store, known: set[str]) -> int:
    """Append plans that are kept for runs which have not come yet."""
    if source.version("predictions") < 0:
        return 0
    rows = source.read("predictions", unfinished=True)
    kept = rows.filter(pc.invert(pc.is_in(rows["run_id"], pa.array(sorted(known), pa.string()))))
    return len(store.append("predictions", _by_run(kept)))


def _append_commits(store: Store, source: Store) -> int:
    """Append mined commits that are not known; what they change first, as `mine` does."""
    known = store.read("commits", columns=["sha"])["sha"]
    commits = source.read("commits")
    commits = commits.filter(pc.invert(pc.is_in(commits["sha"], known.combine_chunks())))
    if not commits.num_rows:
        return 0
    changes = source.read("file_changes")
    there = store.read("file_changes", columns=["sha"])["sha"].combine_chunks()
    fresh = pc.and_not(pc.is_in(changes["sha"], commits["sha"].combine_chunks()),
                       pc.is_in(changes["sha"], there))  # fmt: skip
    changes = changes.filter(fresh)
    key = _digest(commits.select(["sha"]))
    if changes.num_rows:
        store.append("file_changes", {f"merged {key}": changes})
    store.append("commits", {f"merged {key}": commits})
    merge_judged(store, source, first=not len(known))
    return int(commits.num_rows)


def _append_rows(store: Store, source: Store, table: str) -> int:
    """Append the rows of a table of which the latest count, each set of them once."""
    rows = source.read(table)
    if not rows.num_rows:
        return 0
    return rows.num_rows if store.append(table, {f"merged {_digest(rows)}": rows}) else 0


def _digest(rows: pa.Table) -> str:
    sink = pa.BufferOutputStream()
    ordered = rows.combine_chunks()
    with pa.ipc.new_stream(sink, ordered.schema) as writer:
        writer.write_table(ordered)
    return hashlib.sha256(sink.getvalue()).hexdigest()
