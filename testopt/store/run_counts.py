"""Counts the results of a run anew: one that comes in parts has them all only at the end.

The row of a run is written once, by whoever brings its first part. What it counts is made from
the results that are there, so that each part, also one that comes again, leaves the same row.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any, Final

from testopt.schema import arrow_schema
from testopt.store.parquet import keys_of, may_match, read_file, write_files
from testopt.store.records import rows_by_owner

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    import pyarrow as pa

    from testopt.store.delta import TableLog
    from testopt.store.parquet import DataFile

COUNTED: Final = ["run_id", "case_id", "outcome", "duration_s", "attempt"]
_TRIES: Final = 50  # while others rewrite the table; then the counts wait for the next part


def counts_of(results: pa.Table) -> dict[str, Any]:
    """Return what a row of ``runs`` counts, from the results of the run.

    Parameters
    ----------
    results : pyarrow.Table
        ``case_id``, ``outcome``, ``duration_s`` and ``attempt``; the last attempt of a case counts.
    """
    import pyarrow.compute as pc

    last = results.sort_by("attempt").group_by("case_id", use_threads=False)
    outcomes = last.aggregate([("outcome", "last")])["outcome_last"].to_pylist()
    return {
        "cases": len(outcomes),
        **{name: outcomes.count(name) for name in ("failed", "error", "skipped")},
        "duration_s": float(pc.sum(results["duration_s"].cast("float64")).as_py() or 0.0),
    }


def recounted(runs: pa.Table, results: pa.Table, of: Collection[str]) -> pa.Table:
    """Return rows of ``runs`` which count the results that there are, but for the time they took.

    Parameters
    ----------
    runs : pyarrow.Table
    results : pyarrow.Table
        Columns ``COUNTED``, of the runs in `of` at least.
    of : collection of str
        Runs that are counted; the rows of others stay as they are.
    """
    import pyarrow as pa

    counts = {run: counts_of(own) for batch in rows_by_owner(results) for run, own in batch.items()}
    nothing = counts_of(results.slice(0, 0))
    rows = [
        row | counts.get(row["run_id"], nothing) | {"duration_s": row["duration_s"]}
        if row["run_id"] in of
        else row
        for row in runs.to_pylist()
    ]
    return pa.Table.from_pylist(rows, schema=arrow_schema("runs"))


def update_run(log: TableLog, run_id: str, values: Callable[[], Mapping[str, Any]]) -> bool:
    """Write the row of a run anew, where some of its columns have other values now.

    Of several processes that do so at once, all but one read the values again.

    Parameters
    ----------
    log : TableLog
        Of ``runs``.
    run_id : str
    values : callable
        Returns the columns; called after the table was looked at.

    Returns
    -------
    bool
        Whether the row was written.
    """
    for attempt in range(_TRIES):
        handle = log.refresh()
        file = None if handle is None else _file_of(log, log.files(handle), run_id)
        if handle is None or file is None:
            return False
        rows = _rows(log, file)
        changed = _changed(rows, run_id, values())
        if changed is None:
            return False
        keys = keys_of(log.location, "runs", file)
        added = write_files(log.location, "runs", changed, modified=file.modified, keys=keys)
        if log.rewrite(handle, add=added, remove=[file]):
            return True
        time.sleep(random.uniform(0.0, min(0.01 * 2**attempt, 1.0)))  # noqa: S311 - no secret
    return False


def _file_of(log: TableLog, files: list[DataFile], run_id: str) -> DataFile | None:
    for file in files:
        if may_match(file.bounds, [("run_id", "=", run_id)]):
            parts = read_file(log.location, "runs", file.path, columns=["run_id"])
            if any(run_id in rows["run_id"].to_pylist() for rows in parts):
                return file
    return None


def _rows(log: TableLog, file: DataFile) -> list[dict[str, Any]]:
    names = list(arrow_schema("runs").names)
    parts = read_file(log.location, "runs", file.path, columns=names)
    return [row for rows in parts for row in rows.to_pylist()]


def _changed(rows: list[dict[str, Any]], run_id: str, values: Mapping[str, Any]) -> pa.Table | None:
    """Return rows with other values in that of a run; None where they are there already."""
    import pyarrow as pa

    new = [{**row, **values} if row["run_id"] == run_id else row for row in rows]
    return None if new == rows else pa.Table.from_pylist(new, schema=arrow_schema("runs"))
