"""Compacts a store: merges small files, drops rows of unfinished runs, removes old files.

Every step is one commit that replaces exactly the files it has read, so rows appended meanwhile
stay, and a step that loses against another process is left for next time.
"""

from __future__ import annotations

import re
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from testopt.schema import TABLES
from testopt.store.format import lock
from testopt.store.location import explain
from testopt.store.parquet import (
    MAX_KEYS_MERGED,
    ROWS_PER_FILE,
    filter_mask,
    keys_of,
    read_file,
    runs_of,
    write_files,
)
from testopt.store.superseded import drop_superseded

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    import pyarrow as pa
    from deltalake import DeltaTable

    from testopt.store.delta import TableLog
    from testopt.store.location import Location
    from testopt.store.parquet import DataFile

RUN_TABLES: Final = ("results", "run_changes", "predictions")  # readers join them on ``runs``
BYTES_PER_FILE: Final = 64 << 20  # compressed; bounds the memory of a merge
DAY_S: Final = 86_400.0
_LONGEST_DAYS: Final = 36_500.0  # Delta takes no more than fits into its hours
_TEMPORARY_FILE: Final = re.compile(r"\.tmp-.*|.*#\d+|.*\.tmp")
_TEXTS: Final = {"tokens", "patch", "message", "lines", "subject_digest"}  # hardly ever repeat


@dataclass(frozen=True, slots=True)
class TableCompaction:
    """What compaction did to one table; ``busy``: another process was at it."""

    table: str
    files_before: int
    files_after: int
    bytes_before: int
    bytes_after: int
    orphan_runs: int = 0
    removed_files: int = 0
    busy: bool = False


@dataclass(frozen=True, slots=True)
class CompactReport:
    """What compaction did to each table."""

    tables: tuple[TableCompaction, ...]


def small_files(files: Sequence[DataFile]) -> list[DataFile]:
    """Return the files that are worth merging."""
    return [f for f in files if f.rows < ROWS_PER_FILE // 2 and f.size < BYTES_PER_FILE // 2]


def merge(log: TableLog) -> bool:
    """Merge the small files of a table; return false when another process was at it."""
    handle = log.refresh()
    if handle is None:
        return True
    for group, keys in _groups(log, small_files(log.files(handle))):
        merged = write_files(
            log.location,
            log.table,
            rows_of(log, group),
            modified=max(f.modified for f in group),
            keys=keys,
        )
        if not log.rewrite(handle, add=merged, remove=group):
            return False
        handle = log.create()
    return True


def keys_of_files(log: TableLog, files: Sequence[DataFile]) -> dict[str, str]:
    """Return the keys that some files name, each with its owner."""
    keys: dict[str, str] = {}
    for file in files:
        keys |= keys_of(log.location, log.table, file)
    return keys


def compact_table(log: TableLog, *, retention_days: float, orphans: int = 0) -> TableCompaction:
    """Merge the small files of a table and remove what is no longer needed."""
    before = _present(log)
    if log.table == "links":
        drop_superseded(log)
    done = merge(log)
    removed = vacuum(log, retention_days)
    after = _present(log)
    return TableCompaction(
        log.table,
        len(before),
        len(after),
        sum(f.size for f in before),
        sum(f.size for f in after),
        orphan_runs=orphans,
        removed_files=removed,
        busy=not done,
    )


def _present(log: TableLog) -> list[DataFile]:
    handle = log.refresh()
    return [] if handle is None else log.files(handle)


def _groups(
    log: TableLog, files: Sequence[DataFile]
) -> Iterator[tuple[list[DataFile], dict[str, str]]]:
    """Yield neighbours in time that fit into one file together, two at least, and their keys."""
    group: list[DataFile] = []
    keys: dict[str, str] = {}
    for file in files:
        own = keys_of(log.location, log.table, file)
        full = sum(f.rows for f in group) + file.rows > ROWS_PER_FILE
        full = full or sum(f.size for f in group) + file.size > BYTES_PER_FILE
        if full or len(keys) + len(own) > MAX_KEYS_MERGED:
            if len(group) > 1:
                yield group, keys
            group, keys = [], {}
        group.append(file)
        keys |= own
    if len(group) > 1:
        yield group, keys


def rows_of(log: TableLog, files: Sequence[DataFile], without: pa.Array | None = None) -> pa.Table:
    """Return the rows of some files, but those of the runs `without`."""
    import pyarrow as pa

    columns = TABLES[log.table]
    texts = [c for c, (kind, _) in columns.items() if kind == "string" and c not in _TEXTS]
    chunks = []
    for file in files:
        for rows in read_file(
            log.location, log.table, file.path, columns=list(columns), dictionary=texts
        ):
            keep = None if without is None else filter_mask(rows["run_id"], "not in", without)
            chunks.append(rows if keep is None else rows.filter(keep))
    return pa.concat_tables(chunks)


def drop_orphans(
    location: Location, logs: Mapping[str, TableLog], runs: Callable[[], Collection[str]]
) -> dict[str, int]:
    """Remove rows older than a day whose run was never committed, unless runs are appended now.

    The parts may be appended again afterwards.

    Parameters
    ----------
    location : Location
    logs : mapping of str to TableLog
    runs : callable
        Returns the committed runs.

    Returns
    -------
    dict of str to int
        How many runs had rows that were removed, by table.
    """
    with lock(location, "runs", wait=False) as free:
        committed = runs() if free else ()
        if not committed:
            return {}  # rather a table that is gone than runs that never ended
        return {table: _drop_orphans(logs[table], committed) for table in RUN_TABLES}


def _drop_orphans(log: TableLog, committed: Collection[str]) -> int:
    handle = log.refresh()
    if handle is None:
        return 0
    stale, orphans = orphan_runs(log, log.files(handle), committed)
    return len(orphans) if drop_runs(log, handle, files=stale, runs=orphans) else 0


def drop_runs(
    log: TableLog,
    handle: DeltaTable,
    *,
    files: Sequence[DataFile],
    runs: Collection[str],
    damaged: Sequence[DataFile] = (),
) -> bool:
    """Remove the rows of some runs in one commit; the runs may come again.

    Parameters
    ----------
    log : TableLog
    handle : DeltaTable
    files : sequence of DataFile
        Those that hold the rows.
    runs : collection of str
    damaged : sequence of DataFile
        Files that are removed as they are.

    Returns
    -------
    bool
        False when another process rewrote the table meanwhile.
    """
    import pyarrow as pa

    dropped = pa.array(sorted(runs), pa.string())
    added: list[DataFile] = []
    for file in files:
        remaining = rows_of(log, [file], without=dropped)
        keys = {k: run for k, run in keys_of_files(log, [file]).items() if run not in runs}
        added += write_files(log.location, log.table, remaining, modified=file.modified, keys=keys)
    removed = [*files, *damaged]
    return not (removed or runs) or log.rewrite(handle, add=added, remove=removed, gone=runs)


def orphan_runs(
    log: TableLog, files: Sequence[DataFile], committed: Collection[str]
) -> tuple[list[DataFile], set[str]]:
    """Return the runs that own rows older than a day without being committed, and their files."""
    limit = (time.time() - DAY_S) * 1000
    owned = [(f, runs_of(log.location, log.table, f).difference(committed)) for f in files]
    fresh = {run for f, runs in owned if f.modified >= limit for run in runs}
    orphans = {run for f, runs in owned if f.modified < limit for run in runs} - fresh
    return [f for f, runs in owned if runs & orphans], orphans


def vacuum(log: TableLog, retention_days: float) -> int:
    """Remove replaced files older than the retention, and what dead writers left behind.

    Returns
    -------
    int
        Number of removed files.
    """
    from deltalake.exceptions import DeltaError

    handle = log.refresh()
    if handle is None:
        return 0
    try:
        # Delta would say in two commits that it removes files, which all writers read afterwards
        removed = replaced_files(log, handle, retention_days)
        removed += unreferenced_files(log, handle, replaced_files(log, handle))
        for path in removed:
            log.location.delete(f"{log.table}/{path}")
        log.asked(handle.create_checkpoint)
        log.asked(handle.cleanup_metadata)
    except (DeltaError, OSError) as error:
        what = f"table {log.table} of {log.location.url} cannot be vacuumed"
        raise explain(error, what) from error
    return len(removed)


def replaced_files(log: TableLog, handle: DeltaTable, days: float = 0.0) -> list[str]:
    """Return the files that commits replaced so many days ago, and nobody has removed."""
    hours = max(0, int(min(days, _LONGEST_DAYS) * 24))
    look = partial(handle.vacuum, hours, dry_run=True, enforce_retention_duration=False)
    return list(log.asked(look))


def unreferenced_files(log: TableLog, handle: DeltaTable, replaced: Collection[str]) -> list[str]:
    """Return files older than a day that no commit ever named: dead writers leave them.

    Younger ones may be about to be committed; `replaced` ones are no such files.
    """
    look = partial(handle.vacuum, 24, dry_run=True, enforce_retention_duration=False, full=True)
    files = sorted(set(log.asked(look)).difference(replaced))
    if log.location.local is None:
        return files
    folder = log.location.local / log.table
    for path in folder.rglob("*"):
        with suppress(OSError):
            if _TEMPORARY_FILE.fullmatch(path.name) and time.time() - path.stat().st_mtime > DAY_S:
                files.append(path.relative_to(folder).as_posix())
    return files
