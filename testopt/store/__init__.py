"""The store: tables of commits, runs and results that many processes append to at once.

There is no transaction over several tables. The rows of a run go to ``results``,
``run_changes`` and ``predictions`` first and to ``runs`` last: that row is the commit mark, and
`Store.read` returns no row of a run without it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from testopt.errors import StoreError, UsageError
from testopt.schema import TABLES, arrow_schema
from testopt.store.delta import Log
from testopt.store.format import open_format
from testopt.store.location import Location, blob_name
from testopt.store.parquet import Filter, mask, may_hold, read_file
from testopt.store.records import tables_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import pyarrow as pa

    from testopt.schema import RunRecord

__all__ = ["Filter", "Store"]

RUN_TABLES: Final = ("results", "run_changes", "predictions")  # joined on committed runs
_RESULTS_PER_COMMIT: Final = 500_000


class Store:
    """Tables under one URL; make one with `Store.open`."""

    def __init__(self, location: Location, *, compact_files: int, retention_days: float) -> None:
        self._location = location
        self._compact_files, self._retention_days = compact_files, retention_days
        self._logs = {table: Log(location, table) for table in TABLES}

    @classmethod
    def open(
        cls,
        url: str,
        *,
        create: bool = False,
        compact_files: int = 64,
        retention_days: float = 7.0,
    ) -> Store:
        """Open the store at a folder or URL.

        Parameters
        ----------
        url : str
            Folder, or a URL such as ``s3://bucket/prefix``.
        create : bool
            Make a new store where there is none; safe when many processes do so at once.
        compact_files : int
            Small files in a table that start a compaction.
        retention_days : float
            Days before replaced files are removed.

        Raises
        ------
        EmptyStoreError
            When there is no store and `create` is false.
        StoreError
            When it is damaged or was written by a newer testopt.
        """
        location = Location(url)
        open_format(location, create=create)
        return cls(location, compact_files=compact_files, retention_days=retention_days)

    @property
    def url(self) -> str:
        """Where the store is."""
        return self._location.url

    def append(self, table: str, parts: Mapping[str, pa.Table]) -> set[str]:
        """Append the parts that are not there yet, in one commit.

        Parameters
        ----------
        table : str
            Name of the table.
        parts : mapping of str to pyarrow.Table
            Rows by key. A key (a run_id, ``run_id#3`` for a chunk, a range of commits) is
            written once, however often and by how many processes at once it is appended.

        Returns
        -------
        set of str
            The keys that this call wrote.

        Raises
        ------
        StoreError
            When the rows do not fit the table or cannot be written.
        """
        return self._log(table).append(parts) if parts else set()

    def append_runs(self, records: Iterable[RunRecord], *, seen: datetime | None = None) -> int:
        """Append whole runs; those already there are skipped.

        Parameters
        ----------
        records : iterable of RunRecord
            Runs with their results; consumed in batches, so a generator saves memory.
        seen : datetime, optional
            When they were ingested; default now.

        Returns
        -------
        int
            Number of runs that were new.
        """
        moment = seen or datetime.now(UTC)
        return sum(self._append_batch(batch, moment) for batch in _batches(records))

    def _append_batch(self, records: Sequence[RunRecord], seen: datetime) -> int:
        known = self._known_runs([r.run.run_id for r in records])
        parts: dict[str, dict[str, pa.Table]] = {table: {} for table in (*RUN_TABLES, "runs")}
        for record in records:
            if record.run.run_id not in known:
                for table, rows in tables_of(record, seen=seen).items():
                    if rows.num_rows:
                        parts[table].setdefault(record.run.run_id, rows)
        new: set[str] = set()
        for table, rows_by_run in parts.items():
            new = self.append(table, rows_by_run)
        return len(new)

    def _known_runs(self, run_ids: Sequence[str]) -> set[str]:
        log = self._logs["runs"]
        handle = log.refresh()
        return set() if handle is None else log.written(handle, run_ids)

    def read(
        self,
        table: str,
        *,
        columns: Sequence[str] | None = None,
        where: Sequence[Filter] = (),
        dictionary: Sequence[str] = (),
    ) -> pa.Table:
        """Return rows of a table.

        Parameters
        ----------
        table : str
            Name of the table; an absent one gives an empty result of its schema.
        columns : sequence of str, optional
            Columns to return; default all.
        where : sequence of (column, operator, value)
            Filters that must all hold; operators ``= == != < <= > >= in``, ``not in``.
        dictionary : sequence of str
            Text columns to return dictionary-encoded, with one dictionary for all chunks:
            a tenth of the memory for run_id and case_id.

        Raises
        ------
        StoreError
            When a file is missing or damaged.
        """
        import pyarrow as pa

        schema = arrow_schema(table) if table in TABLES else self._log(table)
        wanted = list(columns) if columns is not None else list(schema.names)
        for name in {*wanted, *dictionary, *(c for c, _, _ in where)} - set(schema.names):
            raise UsageError(f"table {table} has no column {name!r}")
        chunks = list(self._chunks(table, wanted, list(where), dictionary))
        if not chunks:
            empty = pa.schema([schema.field(c) for c in wanted])
            return _encoded(pa.Table.from_batches([], schema=empty), dictionary)
        return pa.concat_tables(chunks).unify_dictionaries()

    def _chunks(
        self, table: str, wanted: list[str], where: list[Filter], dictionary: Sequence[str]
    ) -> Iterator[pa.Table]:
        log = self._log(table)
        committed = self._committed() if table in RUN_TABLES else None
        handle = log.refresh()
        if handle is None:
            return
        needed = {*wanted, *(c for c, _, _ in where), *(["run_id"] if committed else [])}
        columns = [c for c in TABLES[table] if c in needed]
        encoded = [c for c in columns if c in dictionary or c == "run_id" and committed]
        for file in log.files(handle):
            if not may_hold(file.bounds, where):
                continue
            for rows in read_file(
                self._location, table, file.path, columns=columns, where=where, dictionary=encoded
            ):
                kept = rows
                if committed is not None:
                    kept = rows.filter(mask(rows["run_id"], "in", committed))
                kept = kept.select(wanted)
                if "run_id" in wanted and "run_id" not in dictionary and committed is not None:
                    at = wanted.index("run_id")
                    kept = kept.set_column(at, "run_id", kept["run_id"].cast("string"))
                yield kept

    def _committed(self) -> pa.Array:
        return self.read("runs", columns=["run_id"])["run_id"].combine_chunks()

    def run_ids(self) -> set[str]:
        """Return the ids of all runs."""
        return set(self.read("runs", columns=["run_id"])["run_id"].to_pylist())

    def version(self, table: str) -> int:
        """Return the version of a table: it grows with each commit; -1 when there is none."""
        handle = self._log(table).refresh()
        return -1 if handle is None else int(handle.version())

    def read_blob(self, name: str) -> bytes | None:
        """Return a plain file of the store, or None when there is none."""
        return self._location.read(blob_name(name))

    def write_blob(self, name: str, data: bytes) -> None:
        """Write a plain file: readers see the old or the new content, never a part.

        Raises
        ------
        StoreError
            When it cannot be written; the old content then remains.
        """
        self._location.write(blob_name(name), lambda stream: stream.write(data))

    def list_blobs(self, prefix: str) -> list[str]:
        """Return the names of plain files that begin with `prefix`, sorted."""
        return self._location.list(prefix)

    def delete_blob(self, name: str) -> None:
        """Remove a plain file; one that is not there is fine."""
        self._location.delete(blob_name(name))

    def _log(self, table: str) -> Log:
        try:
            return self._logs[table]
        except KeyError:
            raise StoreError(
                f"the store has no table {table!r}", f"tables: {', '.join(TABLES)}"
            ) from None


def _batches(records: Iterable[RunRecord]) -> Iterator[list[RunRecord]]:
    source = iter(records)
    batch: list[RunRecord] = []
    rows = 0
    for record in source:
        batch.append(record)
        rows += len(record.results) + len(record.predictions)
        if rows >= _RESULTS_PER_COMMIT:
            yield batch
            batch, rows = [], 0
    if batch:
        yield batch


def _encoded(rows: pa.Table, dictionary: Sequence[str]) -> pa.Table:
    import pyarrow as pa

    for name in dictionary:
        if name in rows.column_names:
            at = rows.column_names.index(name)
            kind = pa.dictionary(pa.int32(), pa.string())
            rows = rows.set_column(at, name, rows[name].cast(kind))
    return rows
