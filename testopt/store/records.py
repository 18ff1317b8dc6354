"""Converts finished runs (`RunRecord`) to the Arrow tables that are appended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from testopt.schema import arrow_schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    import pyarrow as pa

    from testopt.schema import FileChange, Result, RunRecord

_RESULTS_PER_COMMIT: Final = 500_000


def record_batches(records: Iterable[RunRecord]) -> Iterator[list[RunRecord]]:
    """Yield runs, as many at a time as one commit takes."""
    batch: list[RunRecord] = []
    rows = 0
    for record in records:
        batch.append(record)
        rows += len(record.results) + len(record.predictions)
        if rows >= _RESULTS_PER_COMMIT:
            yield batch
            batch, rows = [], 0
    if batch:
        yield batch


def rows_by_owner(rows: pa.Table) -> Iterator[dict[str, pa.Table]]:
    """Yield the rows of each run, many runs at a time; in other tables all rows are nobody's."""
    import numpy as np

    if "run_id" not in rows.column_names:
        if rows.num_rows:
            yield {"": rows}
        return
    ids = rows["run_id"].combine_chunks()
    ids = ids if hasattr(ids, "dictionary") else ids.dictionary_encode()
    code = ids.indices.to_numpy(zero_copy_only=False)
    order = np.argsort(code, kind="stable")
    starts = np.flatnonzero(np.diff(code[order], prepend=-1))
    names = ids.dictionary.to_pylist()
    batch: dict[str, pa.Table] = {}
    size = 0
    for part in np.split(order, starts[1:]) if len(order) else ():
        batch[names[code[part[0]]]] = rows.take(part)
        size += len(part)
        if size >= _RESULTS_PER_COMMIT:
            yield batch
            batch, size = {}, 0
    if batch:
        yield batch


def record_tables(record: RunRecord, *, seen: datetime) -> dict[str, pa.Table]:
    """Return the rows of a run by table, ``runs`` last.

    Parameters
    ----------
    record : RunRecord
        The run, its results, its change and what was predicted for it.
    seen : datetime
        When it was ingested.
    """
    run_id = record.run.run_id
    return {
        "results": _results(run_id, record.results),
        "run_changes": _changes(run_id, record.change.files),
        "predictions": predictions_table(run_id, record.predictions),
        "runs": _run(record, seen),
    }


def predictions_table(run_id: str, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Return what was predicted for a run, from rows that lack its id."""
    columns = {name: [row.get(name) for row in rows] for name in arrow_schema("predictions").names}
    return _from_columns("predictions", {**columns, "run_id": [run_id] * len(rows)})


def _from_columns(table: str, columns: dict[str, list[Any]]) -> pa.Table:
    import pyarrow as pa

    schema = arrow_schema(table)
    return pa.table([pa.array(columns[f.name], f.type) for f in schema], schema=schema)


def _results(run_id: str, results: Sequence[Result]) -> pa.Table:
    return _from_columns(
        "results",
        {
            "run_id": [run_id] * len(results),
            "case_id": [r.case_id for r in results],
            "file": [r.file for r in results],
            "outcome": [r.outcome for r in results],
            "duration_s": [r.duration_s for r in results],
            "attempt": [r.attempt for r in results],
            "message": [r.message for r in results],
        },
    )


def _changes(run_id: str, files: Sequence[FileChange]) -> pa.Table:
    return _from_columns(
        "run_changes",
        {
            "run_id": [run_id] * len(files),
            "path": [f.path for f in files],
            "old_path": [f.old_path for f in files],
            "status": [f.status for f in files],
            "added": [f.added for f in files],
            "deleted": [f.deleted for f in files],
            "tokens": [f.tokens for f in files],
            "patch": [f.patch for f in files],
        },
    )


def _run(record: RunRecord, seen: datetime) -> pa.Table:
    run, last = record.run, _last_attempts(record.results)
    outcomes = [r.outcome for r in last]
    spent = sum(r.duration_s or 0.0 for r in record.results)
    row = {
        "run_id": run.run_id,
        "commit": run.commit,
        "base": run.base,
        "branch": run.branch,
        "job": run.job,
        "kind": run.kind,
        "parent_run": run.parent_run,
        "time": run.time,
        "seen": seen,
        "source": run.source,
        "cases": len(last),
        "failed": outcomes.count("failed"),
        "error": outcomes.count("error"),
        "skipped": outcomes.count("skipped"),
        "duration_s": spent if run.duration_s is None else run.duration_s,
        "complete": run.complete,
        "environment_failure": run.environment_failure,
        "pipeline_run": run.pipeline_run,
        "tree": run.tree,
    }
    return _from_columns("runs", {name: [value] for name, value in row.items()})


def _last_attempts(results: Iterable[Result]) -> list[Result]:
    last: dict[str, Result] = {}
    for result in results:
        previous = last.get(result.case_id)
        if previous is None or result.attempt >= previous.attempt:
            last[result.case_id] = result
    return list(last.values())
