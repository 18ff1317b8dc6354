"""Result tables into the store: many runs at once, each with its commit, change and attempts."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from testopt.errors import InputFileError
from testopt.ingest import update_caches
from testopt.ingest.attempts import number_attempts
from testopt.ingest.junit_runs import FileReport, IngestReport
from testopt.pluralize import pluralize
from testopt.results.tables import read_changes, read_results
from testopt.schema import FAILING, Change, FileChange, Run, RunRecord, arrow_schema
from testopt.store.records import record_tables

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt

    from testopt.git.run_identity import RunIdentity
    from testopt.store import Store

_ROWS_PER_COMMIT: Final = 500_000
_SHOWN_COMMITS: Final = 3


def ingest_table(
    *,
    store: Store,
    paths: Sequence[str],
    identity: RunIdentity,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> IngestReport:
    """Read tables of results and append their runs; runs that are there already are skipped.

    Rows of one case in one run that carry no attempt number are separate executions, of which
    any failing one counts: they are numbered with failing ones last, because the last one counts.

    Parameters
    ----------
    store : Store
        Where to.
    paths : sequence of str
        CSV or Parquet files, see `testopt.results.tables.read_results`.
    identity : RunIdentity
        What it names stands in for columns that are absent; with its repository the change of each
        run is taken from git, unless its changes name the run.
    progress : callable
        Receives the numbers of runs whose change is known, and of all.

    Returns
    -------
    IngestReport
        A file that cannot be read is reported, and the others are kept.

    Raises
    ------
    StoreError
        When the store cannot be written.
    """
    reports, tables = [], []
    for path in paths:
        report, rows = _read(path)
        reports.append(report)
        if rows is not None and rows.num_rows:
            tables.append(rows)
    if not tables:
        return IngestReport(tuple(reports), (), 0)
    known = store.run_ids()
    rows = pa.concat_tables(tables)
    names = pc.unique(rows["run_id"]).to_pylist()
    fresh = rows.filter(pc.invert(pc.is_in(rows["run_id"], value_set=pa.array(known, pa.string()))))
    new = _append(store, fresh, identity, progress) if fresh.num_rows else 0
    update_caches(store, runs=new, results=fresh.num_rows)
    return IngestReport(
        tuple(reports), tuple(names), new, warnings=tuple(dict.fromkeys(identity.warnings))
    )


def _read(path: str) -> tuple[FileReport, pa.Table | None]:
    try:
        table = read_results(Path(path))
    except InputFileError as error:
        return FileReport(path, rejected=error.message), None
    counts = {c["values"]: c["counts"] for c in pc.value_counts(table.rows["outcome"]).to_pylist()}
    why = None
    if table.bad_rows:
        first = "; ".join(f"row {bad.row}: {bad.why}" for bad in table.bad)
        why = f"{table.bad_rows} of {table.bad_rows + table.rows.num_rows} rows left out: {first}"
    report = FileReport(
        path,
        cases=table.rows.num_rows,
        failed=counts.get("failed", 0),
        error=counts.get("error", 0),
        skipped=counts.get("skipped", 0),
        attempts=table.rows.num_rows,
        rejected=why,
    )
    return report, table.rows


def _append(
    store: Store,
    rows: pa.Table,
    identity: RunIdentity,
    progress: Callable[[int, int], None],
) -> int:
    run_ids, rows, bounds = _by_run(rows)
    attempts, last = _attempts(rows)
    runs = _runs(run_ids, rows, bounds, identity)
    results = _results(rows, attempts)
    counts = _counts(rows, last, bounds)
    changes = _changes(runs, identity, progress)
    seen = datetime.now(UTC)
    parts: dict[str, dict[str, pa.Table]] = {"results": {}, "run_changes": {}, "runs": {}}
    new, held = 0, 0
    run_rows = _run_rows(runs, changes, counts, seen)
    for n, run in enumerate(runs):
        key = run.run_id
        parts["results"][key] = results.slice(bounds[n], bounds[n + 1] - bounds[n])
        if changes[n].files:
            parts["run_changes"][key] = record_tables(RunRecord(run, (), changes[n]), seen=seen)[
                "run_changes"
            ]
        parts["runs"][key] = run_rows.slice(n, 1)
        held += int(bounds[n + 1] - bounds[n])
        if held >= _ROWS_PER_COMMIT:
            new, held = new + _flush(store, parts), 0
    return new + _flush(store, parts)


def _flush(store: Store, parts: dict[str, dict[str, pa.Table]]) -> int:
    written: set[str] = set()
    with store.writing():
        for table, rows_by_run in parts.items():
            written = store.append(table, rows_by_run)
            rows_by_run.clear()
    return len(written)


def _by_run(rows: pa.Table) -> tuple[list[str], pa.Table, npt.NDArray[np.int64]]:
    """Sort rows by run, runs in the order of their first row; return where each run begins."""
    encoded = rows["run_id"].combine_chunks().dictionary_encode()
    codes = np.asarray(encoded.indices, dtype=np.int64)
    rows = rows.take(pa.array(np.argsort(codes, kind="stable")))
    names = encoded.dictionary.to_pylist()
    bounds = np.concatenate([[0], np.cumsum(np.bincount(codes, minlength=len(names)))])
    return names, rows, bounds.astype(np.int64)


def _codes(values: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    return np.asarray(values.combine_chunks().dictionary_encode().indices, dtype=np.int64)


def _attempts(rows: pa.Table) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.bool_]]:
    """Return the attempt of each execution of a case in its run, and whether it is the last."""
    cases = _codes(rows["case_id"])
    executed = _codes(rows["run_id"]) * (int(cases.max()) + 1) + cases
    failing = np.asarray(pc.is_in(rows["outcome"], value_set=pa.array(sorted(FAILING))))
    given = np.asarray(rows["attempt"].cast(pa.int64()).fill_null(0))
    order = np.lexsort((failing, given, executed))
    numbered, final = number_attempts(executed[order])
    attempts, last = np.empty_like(numbered), np.empty_like(final)
    attempts[order], last[order] = numbered, final
    same = np.diff(executed[order]) == 0
    if given.min() > 0 and not (same & (np.diff(given[order]) == 0)).any():
        attempts = given.astype(np.int16)  # complete and without repeats: kept as they are
    return attempts, last


def _results(rows: pa.Table, attempts: npt.NDArray[np.int16]) -> pa.Table:
    schema = arrow_schema("results")
    made = {
        "attempt": pa.array(attempts),
        "message": pa.nulls(rows.num_rows, pa.string()),
    }
    return pa.table(
        [made.get(name) if name in made else rows[name] for name in schema.names],
        schema=schema,
    )


def _counts(
    rows: pa.Table, last: npt.NDArray[np.bool_], bounds: npt.NDArray[np.int64]
) -> dict[str, npt.NDArray[Any]]:
    """Return the counts of final outcomes and the time spent, by run."""
    run = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
    outcome = rows["outcome"].combine_chunks()
    durations = np.asarray(rows["duration_s"].fill_null(0), dtype=np.float64)

    def count(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        return np.bincount(run[mask], minlength=len(bounds) - 1)

    by_outcome = {
        o: count(last & np.asarray(pc.equal(outcome, o))) for o in ("failed", "error", "skipped")
    }
    spent = np.bincount(run, weights=durations, minlength=len(bounds) - 1)
    return {"cases": count(last), **by_outcome, "duration_s": spent}


def _runs(
    run_ids: Sequence[str], rows: pa.Table, bounds: npt.NDArray[np.int64], identity: RunIdentity
) -> list[Run]:
    """Return the runs: the first value of each column counts, and the earliest time."""
    default = {
        "commit": identity.commit,
        "base": identity.base,
        "branch": identity.branch,
        "job": identity.job,
    }
    first = {name: _first(rows[name], bounds) for name in default}
    times = rows["time"].combine_chunks()
    micros = np.minimum.reduceat(np.asarray(times.cast(pa.int64())), bounds[:-1])
    moments = pa.array(micros).cast(times.type).to_pylist()
    return [
        Run(
            run_id=run_id,
            time=moments[n],
            job=first["job"][n] or default["job"] or "",
            commit=first["commit"][n] or default["commit"],
            base=first["base"][n] or default["base"],
            branch=first["branch"][n] or default["branch"],
            source="table",
        )
        for n, run_id in enumerate(run_ids)
    ]


def _first(values: pa.ChunkedArray, bounds: npt.NDArray[np.int64]) -> list[str | None]:
    """Return the first value of each run that is not null."""
    valid = np.flatnonzero(np.asarray(pc.is_valid(values)))
    if not len(valid):
        return [None] * (len(bounds) - 1)
    at = np.searchsorted(valid, bounds[:-1])
    position = valid[np.minimum(at, len(valid) - 1)]
    found = (at < len(valid)) & (position < bounds[1:])
    taken = values.take(pa.array(position)).to_pylist()
    return [value if ok else None for value, ok in zip(taken, found, strict=True)]


def _changes(
    runs: Sequence[Run], identity: RunIdentity, progress: Callable[[int, int], None]
) -> list[Change]:
    """Return the change of each run; equal ones are asked of git once."""
    asked: dict[tuple[str | None, str | None], Change] = {}
    changes = []
    for done, run in enumerate(runs):
        if run.run_id in identity.changes:
            change = identity.change_of(run.run_id, commit=run.commit, base=run.base)
        else:
            key = (run.commit, run.base)
            if key not in asked:
                asked[key] = identity.change_of(run.run_id, commit=run.commit, base=run.base)
            change = asked[key]
        changes.append(change)
        progress(done + 1, len(runs))
    unknown = sorted(
        {r.commit for r, c in zip(runs, changes, strict=True) if r.commit and not c.known}
    )
    if unknown and identity.repo is not None:
        shown = ", ".join(commit[:12] for commit in unknown[:_SHOWN_COMMITS])
        identity.warnings.append(
            f"the change of {len(unknown)} commits is unknown, such as {shown}: they or their "
            "bases are not in the repository"
        )
    return changes


def _run_rows(
    runs: Sequence[Run],
    changes: Sequence[Change],
    counts: Mapping[str, npt.NDArray[Any]],
    seen: datetime,
) -> pa.Table:
    schema = arrow_schema("runs")
    columns = {name: [getattr(run, name, None) for run in runs] for name in schema.names}
    columns["base"] = [run.base or change.base for run, change in zip(runs, changes, strict=True)]
    columns["seen"] = [seen] * len(runs)
    arrays = {
        name: pa.array(values, schema.field(name).type)
        for name, values in columns.items()
        if name not in counts
    }
    arrays |= {
        name: pa.array(values).cast(schema.field(name).type) for name, values in counts.items()
    }
    return pa.table([arrays[name] for name in schema.names], schema=schema)


def read_run_changes(path: Path) -> tuple[dict[str, list[FileChange]], str | None]:
    """Read a table of changed files; return them by run, and what was left out.

    Parameters
    ----------
    path : Path
        CSV or Parquet, see `testopt.results.tables.read_changes`.

    Raises
    ------
    InputFileError
        When it cannot be read.
    """
    table = read_changes(path)
    changes: dict[str, dict[str, FileChange]] = {}
    for row in table.rows.to_pylist():
        file = FileChange(row["path"], row["added"], row["deleted"])
        changes.setdefault(row["run_id"], {}).setdefault(row["path"], file)
    left = f"{path}: {pluralize(table.bad_rows, 'row')} left out" if table.bad_rows else None
    return {run_id: list(files.values()) for run_id, files in changes.items()}, left
