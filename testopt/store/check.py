"""What a store holds, and whether any of it is damaged."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from testopt.errors import ServerError, StoreError
from testopt.schema import SCHEMA_VERSION, TABLES
from testopt.store.compact import small_files, unreferenced_files
from testopt.store.delta import TableLog
from testopt.store.forgotten import COPIES
from testopt.store.forgotten_list import list_problems
from testopt.store.format import has_locks, is_unreadable, lock, write_format
from testopt.store.inspection import Problem, broken_log, inspect_files, log_gaps, snapshot
from testopt.store.location import FORMAT, explain
from testopt.store.rebuild import rebuild_table
from testopt.store.repair import forget_commits_of, mend_files
from testopt.store.row_problems import RowProblems, find_row_problems, mend_rows

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from testopt.store.location import Location

_TRIES: Final = 10  # while files are removed that were just replaced
__all__ = ["Problem", "StoreInfo", "TableInfo", "find_problems", "store_info"]


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
    """What a store holds; ``disk_bytes`` counts replaced files too (None: not local).

    Without locks (``has_locks`` false) nothing keeps a repair from writers.
    """

    url: str
    schema_version: int
    runs: int
    first_run: datetime | None
    last_run: datetime | None
    tables: tuple[TableInfo, ...]
    disk_bytes: int | None
    has_locks: bool


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
        has_locks=has_locks(location),
    )


def _disk(location: Location) -> int | None:
    if location.local is None:
        return None
    return sum(p.lstat().st_size for p in location.local.rglob("*") if p.is_file())


def repair_format(location: Location) -> list[Problem]:
    """Write ``format.json`` anew where it is damaged or gone, and the tables tell their format."""
    if not is_unreadable(location):
        return []
    columns = {}
    for table in TABLES:
        try:
            handle = TableLog(location, table).refresh()
        except ServerError:
            raise
        except StoreError:  # of a broken log: `find_problems` sees to it
            continue
        if handle is not None:
            columns[table] = {f.name for f in handle.schema().fields}
    if not write_format(location, columns):
        return []
    message = "the file was damaged or gone; the columns of the tables tell their format"
    return [Problem("format", "", message, FORMAT, mended=True)]


def find_problems(
    location: Location,
    logs: Mapping[str, TableLog],
    *,
    repair: bool = False,
    is_idle: bool = False,
) -> list[Problem]:
    """Return what is wrong with a store; with `repair` mend what can be mended.

    Parameters
    ----------
    location : Location
        Where the store is.
    logs : mapping of str to TableLog
        Its tables.
    repair : bool
        Mend it.
    is_idle : bool
        Whether the caller makes sure that nothing is written meanwhile; with `repair` always.
    """
    from deltalake.exceptions import DeltaError

    location.kept.clear()  # what was read before says nothing of the files that are there now
    failure: Exception | None = None
    for _ in range(_TRIES):
        before = location.read(COPIES[0])
        forgotten = list_problems(location, repair=repair)
        try:
            problems = _find_problems(location, logs, repair=repair, is_idle=is_idle)
        except (FileNotFoundError, DeltaError) as error:  # removed since the log was read
            failure = error
            continue
        except OSError as error:  # of a server, for longer than it is tried again
            raise explain(error, f"{location.url} cannot be checked") from error
        if repair or location.read(COPIES[0]) == before:
            break  # else somebody forgets meanwhile
    else:
        changes = failure or OSError("it changes all the time; check it again")
        raise explain(changes, f"{location.url} cannot be checked") from failure
    if not repair and any(p.kind == "forget" for p in forgotten):
        problems = [p for p in problems if p.kind != "incomplete"]  # runs are counted again later
    return forgotten + problems


def _find_problems(
    location: Location, logs: Mapping[str, TableLog], *, repair: bool, is_idle: bool
) -> list[Problem]:
    problems = _check_logs(location, logs, repair=repair)
    broken = {p.table for p in log_gaps(problems)}
    readable = {table: log for table, log in logs.items() if table not in broken}
    with lock(location, "runs", wait=False) as idle:
        states = snapshot(readable, is_idle=repair or is_idle or idle)
    for state in states.values():
        inspect_files(state)
        problems += [
            Problem("leftover", state.log.table, "a dead writer left it; compaction removes it", f)
            for f in unreferenced_files(state.log, state.handle, state.replaced)
        ]
    found = find_row_problems(states) if not broken else RowProblems()
    if not repair:
        problems += [p for state in states.values() for p in state.problems()]
        return problems + found.problems()
    problems += mend_files(states)
    return problems + mend_rows(found, readable)


def _check_logs(location: Location, logs: Mapping[str, TableLog], *, repair: bool) -> list[Problem]:
    problems: list[Problem] = []
    for table in sorted(logs, key=lambda name: name != "runs"):
        found = broken_log(location, logs[table])
        done = _made_anew(logs, table) if found and repair else ""
        problems += [replace(p, mended=bool(done), done=done) for p in found]
    return problems


def _made_anew(logs: Mapping[str, TableLog], table: str) -> str:
    """Make a table anew from its files; say what was done, with what became of others by it."""
    bare = ""
    if table == "file_changes" and "commits" in logs and logs[table].location.local:
        bare = forget_commits_of(logs[table], logs["commits"])  # first: it may die in between
    done = rebuild_table(logs[table])
    return f"{done}{bare}" if done else ""
