"""Result tables into the store: many runs at once, each with its commit, change and attempts."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from testopt.errors import InputFileError
from testopt.ingest import update_caches
from testopt.ingest.attempts import number_attempts
from testopt.ingest.junit_runs import FileReport, IngestReport
from testopt.pluralize import pluralize
from testopt.results.tables import BadRow, read_changes, read_result_blocks
from testopt.schema import FAILING, Change, FileChange, Run, RunRecord, arrow_schema
from testopt.store.records import record_tables
from testopt.workspace import no_room, workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    import numpy.typing as npt

    from testopt.git.run_identity import RunIdentity
    from testopt.store import Store

_ROWS_PER_COMMIT: Final = 500_000
_SHOWN_COMMITS: Final = 3
_MAX_SHOWN: Final = 20
# Rows that are worked on at a time, some 500 bytes each; 64 files of them are 16 million rows.
_ROWS_IN_MEMORY: Final = 250_000
_FILES: Final = 64


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
    known = pa.array(store.run_ids(), pa.string())
    new, fresh = 0, 0
    with workspace() as folder:
        reader = _Reader(folder, known)
        reports = [reader.read(path) for path in paths]
        runs = _Progress(progress, len(reader.names))
        for rows in reader.tables():
            if rows.num_rows:
                new += _append(store, rows, identity, runs)
                fresh += rows.num_rows
    _warn_of_unknown(identity, runs.unknown)
    if new:
        update_caches(store, runs=new, results=fresh)
    return IngestReport(
        tuple(reports), tuple(reader.names), new, warnings=tuple(dict.fromkeys(identity.warnings))
    )


class _Parts:
    """Rows of a file, cut by run where they are many: each run is in one of ``_FILES`` parts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writers: dict[int, pa.RecordBatchStreamWriter] = {}
        self.held: list[pa.Table] = []
        self.rows = 0

    def add(self, rows: pa.Table) -> None:
        """Take some more rows."""
        self.held.append(rows)
        self.rows += rows.num_rows
        if self._writers or self.rows > _ROWS_IN_MEMORY:
            self.spill()

    def spill(self) -> None:
        """Write the rows in memory to files."""
        try:
            self._folder.mkdir(exist_ok=True)
            for rows in self.held:
                self._write(rows)
        except OSError as error:
            raise no_room(self._folder, error) from error
        self.held = []

    def _write(self, rows: pa.Table) -> None:
        encoded = rows["run_id"].combine_chunks().dictionary_encode()
        place = [crc32(name.encode()) % _FILES for name in encoded.dictionary.to_pylist()]
        part = np.array([*place, 0], np.int64)[np.asarray(encoded.indices)]
        for number in np.unique(part).tolist():
            if number not in self._writers:
                name = str(self._folder / f"{number}.arrow")
                self._writers[number] = pa.ipc.new_stream(name, rows.schema)
            self._writers[number].write_table(rows.filter(pa.array(part == number)))

    def read(self, number: int) -> list[pa.Table]:
        """Return the rows of a part: one table, or none."""
        writer = self._writers.get(number)
        if writer is None:
            return []
        writer.close()
        with pa.OSFile(str(self._folder / f"{number}.arrow")) as stream:
            return [pa.ipc.open_stream(stream).read_all()]


class _Reader:
    """Reads files of results; rows of runs that are known are passed over."""

    def __init__(self, folder: Path, known: pa.Array) -> None:
        self._folder, self._known = folder, known
        self._files: list[_Parts] = []
        self.names: dict[str, None] = {}

    def read(self, path: str) -> FileReport:
        """Read a file, all of it or nothing: a run must not be known by half of its rows."""
        counts: Counter[str] = Counter()
        names: dict[str, None] = {}
        bad: list[BadRow] = []
        parts, bad_rows = _Parts(self._folder / str(len(self._files))), 0
        try:
            for block in read_result_blocks(Path(path)):
                counts.update(block.rows["outcome"].to_pylist())
                names.update(dict.fromkeys(pc.unique(block.rows["run_id"]).to_pylist()))
                bad, bad_rows = [*bad, *block.bad][:_MAX_SHOWN], bad_rows + block.bad_rows
                is_known = pc.is_in(block.rows["run_id"], value_set=self._known)
                parts.add(block.rows.filter(pc.invert(is_known)))
                pa.default_memory_pool().release_unused()
        except InputFileError as error:
            return FileReport(path, rejected=error.message)
        self._files.append(parts)
        self.names.update(names)
        return _file_report(path, counts, bad, bad_rows)

    def tables(self) -> Iterator[pa.Table]:
        """Yield the rows of all files, those of a run together."""
        held = [table for parts in self._files for table in parts.held]
        if sum(parts.rows for parts in self._files) <= _ROWS_IN_MEMORY:
            yield from [pa.concat_tables(held)] if held else []
            return
        for parts in self._files:
            parts.spill()
        for number in range(_FILES):
            found = [table for parts in self._files for table in parts.read(number)]
            if found:
                yield pa.concat_tables(found)


def _file_report(
    path: str, outcomes: Counter[str], bad: Sequence[BadRow], bad_rows: int
) -> FileReport:
    rows, why = outcomes.total(), None
    if bad_rows:
        first = "; ".join(f"row {one.row}: {one.why}" for one in bad)
        why = f"{bad_rows} of {bad_rows + rows} rows left out: {first}"
    return FileReport(
        path,
        cases=rows,
        failed=outcomes["failed"],
        error=outcomes["error"],
        skipped=outcomes["skipped"],
        attempts=rows,
        rejected=why,
    )


class _Progress:
    """Counts the runs whose change was looked for, and keeps the commits of unknown ones."""

    def __init__(self, report: Callable[[int, int], None], total: int) -> None:
        self._report, self._total, self._done = report, total, 0
        self.unknown: set[str] = set()

    def step(self, run: Run, change: Change) -> None:
        """Count a run."""
        self._done += 1
        if run.commit and not change.known:
            self.unknown.add(run.commit)
        self._report(self._done, max(self._total, self._done))


def _append(
    store: Store,
    rows: pa.Table,
    identity: RunIdentity,
    progress: _Progress,
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


def _changes(runs: Sequence[Run], identity: RunIdentity, progress: _Progress) -> list[Change]:
    """Return the change of each run; equal ones are asked of git once."""
    asked: dict[tuple[str | None, str | None], Change] = {}
    changes = []
    for run in runs:
        if run.run_id in identity.changes:
            change = identity.change_of(run.run_id, commit=run.commit, base=run.base)
        else:
            key = (run.commit, run.base)
            if key not in asked:
                asked[key] = identity.change_of(run.run_id, commit=run.commit, base=run.base)
            change = asked[key]
        changes.append(change)
        progress.step(run, change)
    return changes


def _warn_of_unknown(identity: RunIdentity, commits: Collection[str]) -> None:
    if commits and identity.repo is not None:
        shown = ", ".join(commit[:12] for commit in sorted(commits)[:_SHOWN_COMMITS])
        identity.warnings.append(
            f"the change of {len(commits)} commits is unknown, such as {shown}: they or their "
            "bases are not in the repository"
        )


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
