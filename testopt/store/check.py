"""What a store holds, and whether any of it is damaged."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from testopt.errors import StoreError
from testopt.pluralize import pluralize
from testopt.schema import SCHEMA_VERSION, TABLES
from testopt.store.compact import (
    RUN_TABLES,
    drop_runs,
    orphan_runs,
    small_files,
    unreferenced_files,
)
from testopt.store.location import DAMAGED
from testopt.store.parquet import is_intact, read_file, runs_of
from testopt.store.rebuild import rebuild_table, save_damaged_file, save_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from deltalake import DeltaTable

    from testopt.store.delta import TableLog
    from testopt.store.location import Location
    from testopt.store.parquet import DataFile


@dataclass(frozen=True, slots=True)
class TableInfo:
    """One table: its version, rows, files and bytes."""

    table: str
    version: int
    rows: int
    files: int
    small_files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class StoreInfo:
    """What a store holds; ``disk_bytes`` counts replaced files too (None: not local)."""

    url: str
    schema_version: int
    runs: int
    first_run: datetime | None
    last_run: datetime | None
    tables: tuple[TableInfo, ...]
    disk_bytes: int | None


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with a store: what kind, in which table and file, in words.

    ``done`` says what was done about it.
    """

    kind: str
    table: str
    message: str
    file: str = ""
    mended: bool = False
    done: str = ""


def store_info(location: Location, logs: Mapping[str, TableLog]) -> StoreInfo:
    """Return what the store at `location` holds; no row is read."""
    tables = []
    times: list[Any] = []
    for table, log in logs.items():
        handle = log.refresh()
        if handle is None:
            continue
        files = log.files(handle)
        if table == "runs":
            times = [t for f in files for t in f.bounds.get("time", ())]
        tables.append(
            TableInfo(
                table,
                int(handle.version()),
                sum(f.rows for f in files),
                len(files),
                len(small_files(files)),
                sum(f.size for f in files),
            )
        )
    return StoreInfo(
        url=location.url,
        schema_version=SCHEMA_VERSION,
        runs=sum(t.rows for t in tables if t.table == "runs"),
        first_run=min(times, default=None),
        last_run=max(times, default=None),
        tables=tuple(tables),
        disk_bytes=_disk(location),
    )


def _disk(location: Location) -> int | None:
    if location.local is None:
        return None
    return sum(p.lstat().st_size for p in location.local.rglob("*") if p.is_file())


def find_problems(
    location: Location, logs: Mapping[str, TableLog], *, repair: bool = False
) -> list[Problem]:
    """Return what is wrong with a store; with `repair` mend what can be mended.

    Parameters
    ----------
    location : Location
        Where the store is.
    logs : mapping of str to TableLog
        Its tables.
    repair : bool
        Remove the rows of damaged files and of incomplete runs, so that they can come again.
    """
    problems: list[Problem] = []
    rows: Counter[str] = Counter()
    for table, log in logs.items():
        broken = _broken_log(location, log)
        done = rebuild_table(log) if broken and repair else ""
        problems += [replace(p, mended=bool(done), done=done) for p in broken]
        handle = log.refresh() if done or not broken else None
        if handle is None:
            continue
        problems += [
            Problem("leftover", table, "a writer that died left it; compaction removes it", name)
            for name in unreferenced_files(log, handle)
        ]
        damaged = list(_damaged_files(log, handle, rows))
        problems += _report(log, handle, damaged, repair=repair)
    if not any(p.kind == "log" and not p.mended for p in problems):
        problems += _check_runs(logs, rows, repair=repair)
    return problems


def _broken_log(location: Location, log: TableLog) -> list[Problem]:
    """Find what makes a table's log unusable."""
    gaps = _gaps(location, log.table)
    try:
        if not gaps:
            log.refresh()
    except StoreError as error:
        return [Problem("log", log.table, error.message)]
    return gaps


def _gaps(location: Location, table: str) -> list[Problem]:
    """Find missing entries in a table's log: what came after one would silently not be seen."""
    entries, checkpoints = [], [-1]
    for name in location.list(f"{table}/_delta_log/"):
        number, _, rest = name.rpartition("/")[2].partition(".")
        if number.isdigit() and rest == "json":
            entries.append(int(number))
        elif number.isdigit() and rest.startswith("checkpoint"):
            checkpoints.append(int(number))
    needed = [max(checkpoints), *sorted(e for e in entries if e > max(checkpoints))]
    return [
        Problem("log", table, f"log entries {low + 1} to {high - 1} are missing", "_delta_log")
        for low, high in pairwise(needed)
        if high != low + 1
    ]


def _damaged_files(
    log: TableLog, handle: DeltaTable, rows: Counter[str]
) -> Iterator[tuple[DataFile, Problem]]:
    """Read every file; yield the damaged ones, and count the rows of each run in the sound ones."""
    for file in log.files(handle):
        try:
            count = _count(log, file, rows)
        except FileNotFoundError:
            yield file, Problem("missing", log.table, "the file is missing", file.path)
        except (OSError, ValueError, StoreError) as error:
            reason = (str(error).splitlines() or ["no words"])[0]
            yield file, Problem("damaged", log.table, f"the file is damaged: {reason}", file.path)
        else:
            if count != file.rows:
                message = f"the file holds {pluralize(count, 'row')}, the log says {file.rows}"
                yield file, Problem("damaged", log.table, message, file.path)


def _count(log: TableLog, file: DataFile, rows: Counter[str]) -> int:
    if not is_intact(log.location, log.table, file):
        raise ValueError("its size or checksum is not what was written")
    rows_by_run: Counter[str] = Counter()
    count = 0
    columns = list(TABLES[log.table])
    encoded = [c for c in columns if c in {"run_id", "case_id"}]
    for part in read_file(log.location, log.table, file.path, columns=columns, dictionary=encoded):
        count += part.num_rows
        if log.table in {"results", "runs"}:
            for entry in part["run_id"].value_counts():
                rows_by_run[f"{log.table}/{entry['values']}"] += entry["counts"].as_py()
    rows.update(rows_by_run)
    return count


def _report(
    log: TableLog, handle: DeltaTable, damaged: Sequence[tuple[DataFile, Problem]], *, repair: bool
) -> list[Problem]:
    files = [file for file, _ in damaged]
    problems = [problem for _, problem in damaged]
    if repair and damaged and log.table in {*RUN_TABLES, "runs"}:
        run_ids = [_runs_if_known(log, file) for file in files]
        copies = [save_damaged_file(log.location, log.table, file) for file in files]
        keys = log.written(handle, set().union(*run_ids))
        mended = log.rewrite(handle, add=[], remove=files, keys=keys)
        done = [
            _dropped(*outcome) if mended else "" for outcome in zip(run_ids, copies, strict=True)
        ]
        problems = [replace(p, mended=mended, done=d) for p, d in zip(problems, done, strict=True)]
    return problems


def _dropped(runs: set[str], copy: str) -> str:
    whose = f"those of {pluralize(len(runs), 'run')}" if runs else "of which runs it does not say"
    return f"its rows were dropped, {whose}" + (f"; it is kept in {copy}" if copy else "")


def _runs_if_known(log: TableLog, file: DataFile) -> set[str]:
    try:
        return runs_of(log.location, log.table, file)
    except (OSError, ValueError):
        return set()


def _check_runs(logs: Mapping[str, TableLog], rows: Counter[str], *, repair: bool) -> list[Problem]:
    log = logs["runs"]
    handle = log.refresh()
    problems: list[Problem] = []
    cases: dict[str, int] = {}
    for file in log.files(handle) if handle else ():
        try:
            for part in read_file(log.location, "runs", file.path, columns=["run_id", "cases"]):
                cases.update(zip(*part.to_pydict().values(), strict=True))
        except (OSError, ValueError):
            continue  # reported as a damaged file
    problems += [
        Problem("doubled", "runs", f"run {run!r} stands there {rows[f'runs/{run}']} times")
        for run in cases
        if rows[f"runs/{run}"] > 1
    ]
    incomplete = {run for run, n in cases.items() if rows[f"results/{run}"] < n}
    moment = f"{datetime.now(UTC):%Y%m%dT%H%M%S}"
    mended = bool(repair and incomplete and _drop_incomplete(logs, incomplete, moment=moment))
    outcome = f"the run was dropped: ingest it again; its rows are kept in {DAMAGED}/runs-{moment}"
    done = outcome if mended else ""
    problems += [
        Problem("incomplete", "results", f"run {run!r} lacks results", mended=mended, done=done)
        for run in sorted(incomplete)
    ]
    return problems + _orphans(logs, set(cases), moment=moment, repair=repair)


def _drop_incomplete(logs: Mapping[str, TableLog], runs: set[str], *, moment: str) -> bool:
    """Remove runs from all tables, their commit mark first; what there is of them is kept."""
    done = True
    for table in ("runs", *RUN_TABLES):
        handle = logs[table].refresh()
        if handle is not None:
            files = [f for f in logs[table].files(handle) if runs & _runs_if_known(logs[table], f)]
            save_rows(logs[table], files, runs, moment=moment)
            done = drop_runs(logs[table], handle, files=files, runs=runs) and done
    return done


def _orphans(
    logs: Mapping[str, TableLog], committed: set[str], *, moment: str, repair: bool
) -> list[Problem]:
    problems = []
    for table in RUN_TABLES:
        log, mended = logs[table], False
        handle = log.refresh()
        if handle is None:
            continue
        try:
            files, orphans = orphan_runs(log, log.files(handle), committed)
            if repair and orphans:
                save_rows(log, files, orphans, moment=moment)
                mended = drop_runs(log, handle, files=files, runs=orphans)
        except (OSError, ValueError):
            continue  # reported as a damaged file
        if orphans:
            message = f"rows of {len(orphans)} runs that were never finished"
            done = f"dropped; kept in {DAMAGED}/runs-{moment}" if mended else ""
            problems.append(Problem("orphan", table, message, mended=mended, done=done))
    return problems
