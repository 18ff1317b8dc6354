"""Drops coverage links that later measurements of the same cases have replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from testopt.schema import LINK_OUTSIDE, LINK_SET_UP, TABLES
from testopt.store.parquet import keys_of, read_file, write_files

if TYPE_CHECKING:
    from datetime import datetime

    import pyarrow as pa

    from testopt.store.delta import TableLog
    from testopt.store.parquet import DataFile

Latest = dict[str, tuple["datetime", str | None]]  # case -> moment and commit of its last links


def drop_superseded(log: TableLog) -> None:
    """Rewrite the files of ``links`` that hold rows which no reader asks for any more.

    Those are rows of a case older than its latest ones, and rows outside of cases of a commit at
    which no case was measured last. Another process that rewrites the table meanwhile wins.
    """
    handle = log.refresh()
    if handle is None:
        return
    files = log.files(handle)
    if len({moment for file in files for moment in file.bounds.get("seen", ())}) < 2:  # noqa: PLR2004
        return
    latest = _latest(log, files)
    commits = {commit for _, commit in latest.values()}
    added: list[DataFile] = []
    removed: list[DataFile] = []
    for file in files:
        rows = _read(log, file, list(TABLES["links"]))
        keep = [_is_wanted(row, latest, commits) for row in _keys(rows)]
        if not all(keep):
            import pyarrow as pa

            removed.append(file)
            wanted = rows.filter(pa.array(keep, pa.bool_()))
            keys = keys_of(log.location, log.table, file)
            added += write_files(log.location, log.table, wanted, modified=file.modified, keys=keys)
    if removed:
        log.rewrite(handle, add=added, remove=removed)


def _read(log: TableLog, file: DataFile, columns: list[str]) -> pa.Table:
    import pyarrow as pa

    return pa.concat_tables(read_file(log.location, log.table, file.path, columns=columns))


def _keys(rows: pa.Table) -> Any:
    names = ("case_id", "commit", "seen")
    return zip(*(rows[name].to_pylist() for name in names), strict=True)


def _latest(log: TableLog, files: list[DataFile]) -> Latest:
    import pyarrow.compute as pc

    latest: Latest = {}
    for file in files:
        rows = _read(log, file, ["case_id", "path", "commit", "seen"])
        for case, commit, seen in _keys(rows.filter(pc.equal(rows["path"], ""))):
            if case not in latest or seen > latest[case][0]:
                latest[case] = seen, commit
    return latest


def _is_wanted(
    row: tuple[str, str | None, datetime], latest: Latest, commits: set[str | None]
) -> bool:
    case, commit, seen = row
    if case in (LINK_OUTSIDE, LINK_SET_UP):
        return commit in commits
    return case not in latest or seen == latest[case][0]
