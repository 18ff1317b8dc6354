"""Rebuilds a table whose log is gone or broken from the files that are intact.

Files that were replaced or never committed may be among them: of rows with one key the newest
counts. Rows whose run was removed belong to no run, so that no reader sees them, unless the table
of runs is made anew as well.
"""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from testopt.errors import StoreError
from testopt.schema import KEYS, arrow_schema
from testopt.store.compact import keys_of_files, rows_of
from testopt.store.delta import TableLog
from testopt.store.inspection import whole_files
from testopt.store.location import DAMAGED, REBUILDING, REBUILT, Location
from testopt.store.parquet import filter_mask
from testopt.store.records import rows_by_owner

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    import pyarrow as pa

    from testopt.store.parquet import DataFile

_CACHES: Final = (
    "state/features-", "state/recent.json", "state/risk-model.json", "state/szz.json",
    "state/fixes.json",
)  # fmt: skip
COMMANDS: Final = {
    "commits": "testopt mine", "file_changes": "testopt mine", "labels": "testopt szz",
    "links": "testopt ingest --coverage",
}  # fmt: skip


def rebuild_table(log: TableLog) -> str:
    """Make a table of a local store anew; the broken one is kept under ``damaged``.

    The caller makes sure that nothing is appended meanwhile.

    Parameters
    ----------
    log : TableLog
        Of the table; opened anew.

    Returns
    -------
    str
        What was done; empty where the store is not local and nothing was.

    Raises
    ------
    StoreError
        When it cannot be written; the broken table then stays where it is.
    """
    root = log.location.local
    if root is None:
        return ""
    ready, folder = root / REBUILT / log.table, root / log.table
    again = f"; read again what it lacks: {COMMANDS[log.table]}" if log.table in COMMANDS else ""
    if ready.exists() and not folder.exists():  # killed between the two moves
        _move(ready, folder)
        log.reopen()
        return f"an interrupted repair was finished{again}"
    backup = _unused_path(root / DAMAGED / f"{log.table}-{datetime.now(UTC):%Y%m%dT%H%M%S}")
    files, n_damaged = _files(log)
    rebuilt = TableLog(Location(str(root / REBUILDING)), log.table)
    shutil.rmtree(root / REBUILDING, ignore_errors=True)  # of an interrupted one
    rows = 0
    keys = _keys(log, files)
    for batch in rows_by_owner(_distinct(log, files)):
        # under the keys that the rows once had, so that a writer that died half-way goes on
        own = {owner: keys.get(owner) or [owner or "rebuilt"] for owner in batch}
        parts = {own[owner][0]: part for owner, part in batch.items()}
        rebuilt.append(parts, names={names[0]: names for names in own.values()})
        rows += sum(part.num_rows for part in parts.values())
    shutil.rmtree(ready, ignore_errors=True)
    if rows:
        _move(root / REBUILDING / log.table, ready)  # whole from here on
    _delete_caches(log.location)
    _move(folder, backup)
    if rows:
        try:
            _move(ready, folder)
        except StoreError:
            backup.rename(folder)
            raise
    log.reopen()
    damaged = f", {n_damaged} damaged ones left out" if n_damaged else ""
    return (
        f"made anew with {rows} rows from {len(files)} files{damaged}; "
        f"the broken one is kept in {DAMAGED}/{backup.name}{again}"
    )


def _keys(log: TableLog, files: Sequence[DataFile]) -> dict[str, list[str]]:
    """Return the keys that files name, by their owner."""
    found: dict[str, list[str]] = {}
    for key, owner in keys_of_files(log, files).items():
        found.setdefault(owner, []).append(key)
    return found


def _delete_caches(location: Location) -> None:
    """Remove what is kept by version of a table: the new table counts from the beginning."""
    for name in location.list("state/"):
        if name.startswith(_CACHES):
            location.delete(name)


def save_damaged_file(location: Location, table: str, file: DataFile) -> str:
    """Keep a damaged file under ``damaged``, as far as it can be read; return where."""
    try:
        with location.open_input(f"{table}/{file.path}") as stream:
            content = stream.read()
    except OSError:
        return ""
    name = f"{DAMAGED}/{table}/{file.path}"
    location.write(name, lambda stream: stream.write(content))
    return name


def save_rows(
    log: TableLog, files: Sequence[DataFile], runs: Collection[str], *, moment: str
) -> None:
    """Keep the rows of some runs under ``damaged``, before they are dropped."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not files:
        return
    rows = rows_of(log, files)
    saved = rows.filter(filter_mask(rows["run_id"], "in", pa.array(sorted(runs), pa.string())))
    if saved.num_rows:
        name = f"{DAMAGED}/runs-{moment}/{log.table}.parquet"
        log.location.write(name, lambda stream: pq.write_table(saved, stream))


def _unused_path(path: Path) -> Path:
    """Return a path that is not taken."""
    numbered = (path.with_name(f"{path.name}-{n}") for n in range(2, 1000))
    return next(candidate for candidate in (path, *numbered) if not candidate.exists())


def _move(source: Path, target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        source.rename(target)
    except OSError as error:
        raise StoreError(f"{source} cannot be moved: {error.strerror}") from error


def _files(log: TableLog) -> tuple[list[DataFile], int]:
    """Return the whole files of a table's folder, newest first, and how many are damaged."""
    whole, damaged = whole_files(log)
    return sorted(whole, key=lambda f: (f.modified, f.path), reverse=True), damaged


def _distinct(log: TableLog, files: Sequence[DataFile]) -> pa.Table:
    """Return the rows of the files, of each key the first."""
    import pyarrow as pa

    if not files:
        return arrow_schema(log.table).empty_table()
    rows = rows_of(log, files).unify_dictionaries()
    # coverage links and labels are measured again and again: of them whole rows are compared
    keys = list(KEYS[log.table]) if log.table not in {"links", "labels"} else rows.column_names
    numbered = rows.select(keys).append_column("at", pa.array(range(rows.num_rows), pa.int64()))
    first = numbered.group_by(keys, use_threads=False).aggregate([("at", "min")])
    return rows.take(first["at_min"].sort())
