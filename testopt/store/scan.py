"""Reads the rows of a table file by file, only those files that may hold what is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testopt.errors import StoreError
from testopt.store.parquet import may_match, read_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from testopt.store.delta import TableLog
    from testopt.store.parquet import Filter


def scan_files(
    log: TableLog,
    columns: Sequence[str],
    *,
    where: Sequence[Filter],
    dictionary: Sequence[str],
) -> Iterator[pa.Table]:
    """Yield columns of the rows that pass all filters, in blocks.

    Raises
    ------
    FileNotFoundError
        When a file was replaced and removed since the log was read.
    StoreError
        When a file is missing or damaged.
    """
    handle = log.refresh()
    needed = [*columns, *({c for c, _, _ in where} - set(columns))]
    for file in log.files(handle) if handle else ():
        if not may_match(file.bounds, where):
            continue
        try:
            for rows in read_file(
                log.location,
                log.table,
                file.path,
                columns=needed,
                where=where,
                dictionary=[c for c in needed if c in dictionary],
            ):
                yield rows.select(columns)
        except FileNotFoundError as error:
            if log.holds(file):
                raise _damage_error(log, file.path, "missing") from error
            raise
        except (OSError, ValueError) as error:
            raise _damage_error(log, file.path, "damaged") from error


def _damage_error(log: TableLog, path: str, what: str) -> StoreError:
    return StoreError(
        f"{log.location.url}/{log.table}/{path} is {what}",
        "`testopt store check --repair` drops its rows, so that they can be ingested again",
    )
