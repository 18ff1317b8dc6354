"""The store: tables of commits, runs and results that many processes append to at once.

There is no transaction over several tables. The rows of a run go to ``results``,
``run_changes`` and ``predictions`` first and to ``runs`` last: that row is the commit mark, and
`Store.read` returns no row of a run without it.
"""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from testopt.errors import StoreError, UsageError
from testopt.schema import TABLES, arrow_schema
from testopt.store.compact import (
    RUN_TABLES,
    CompactReport,
    compact_table,
    drop_orphans,
    small_files,
)
from testopt.store.delta import TableLog
from testopt.store.export import HISTORY, export_table, history_chunks, history_schema
from testopt.store.forgotten import Forgotten, load_forgotten
from testopt.store.format import has_locks, lock, open_format
from testopt.store.location import Location, explain
from testopt.store.parquet import Filter, cast_rows, filter_mask, result_schema
from testopt.store.plain_files import PlainFiles
from testopt.store.process_tuning import skip_pandas
from testopt.store.records import record_batches, record_tables
from testopt.store.run_counts import COUNTED, counts_of, recounted, update_run
from testopt.store.scan import scan_files

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    import pyarrow as pa

    from testopt.schema import RunRecord
    from testopt.store.check import StoreInfo
    from testopt.store.inspection import Problem

__all__ = ["CompactReport", "Filter", "Store"]


class Store(PlainFiles):
    """Tables under one URL; make one with `Store.open`.

    Examples
    --------
    >>> import tempfile
    >>> from testopt import Store
    >>> folder = tempfile.TemporaryDirectory()
    >>> store = Store.open(folder.name, create=True)
    >>> store.read("runs", columns=["run_id", "time"]).to_pandas().empty
    True
    """

    def __init__(
        self,
        location: Location,
        *,
        compact_files: int,
        retention_days: float,
        light: bool = False,
    ) -> None:
        super().__init__(location)
        self._light = light
        self._compact_files, self._retention_days = compact_files, retention_days
        self._logs = {table: TableLog(location, table) for table in TABLES}
        self._last_committed: tuple[tuple[int, list[Filter]], pa.Array] | None = None

    @classmethod
    def open(
        cls,
        url: str | os.PathLike[str],
        *,
        create: bool = False,
        compact_files: int = 64,
        retention_days: float = 7.0,
        light: bool = False,
    ) -> Store:
        """Open the store at a folder or URL.

        Parameters
        ----------
        url : str or path
            Folder, or a URL such as ``s3://bucket/prefix``.
        create : bool
            Make a new store where there is none; safe when many processes do so at once.
        compact_files : int
            Small files in a table that start a compaction.
        retention_days : float
            Days before replaced files are removed.
        light : bool
            For a process of our own that may not read a table at all: pyarrow is imported when one
            is read, without pandas.

        Raises
        ------
        EmptyStoreError
            When there is no store and `create` is false.
        StoreError
            When it is damaged or was written by a newer testopt.
        """
        location = Location(os.fspath(url))
        open_format(location, create=create)
        return cls(
            location, compact_files=compact_files, retention_days=retention_days, light=light
        )

    @classmethod
    def repair_format(cls, url: str | os.PathLike[str]) -> list[Problem]:
        """Write ``format.json`` anew where it is damaged or gone and the tables fit.

        Returns
        -------
        list of Problem
            What was mended: empty where nothing was wrong, or where it cannot be known.
        """
        from testopt.store.check import repair_format

        return repair_format(Location(os.fspath(url)))

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
            written once, however often and by how many processes at once it is appended; what the
            store was told to forget is left out.

        Returns
        -------
        set of str
            The keys that this call wrote.

        Raises
        ------
        StoreError
            When the rows do not fit the table or cannot be written.
        """
        if not parts:
            return set()
        with self.writing():
            log, forgotten = self._log(table), load_forgotten(self._location)
            written = log.append(self._kept(table, parts, forgotten) if forgotten else parts)
        if written:
            self._compact_if_needed(table)
        return written

    def _kept(
        self, table: str, parts: Mapping[str, pa.Table], forgotten: Forgotten
    ) -> dict[str, pa.Table]:
        kept = {key: forgotten.kept(part) for key, part in parts.items()}
        if table == "runs" and forgotten.cases:  # whose results came before them
            where = [("run_id", "in", sorted(run for part in kept.values() for run in _runs(part)))]
            results = self.read("results", columns=COUNTED, where=where, unfinished=True)
            kept = {key: recounted(part, results, _runs(part)) for key, part in kept.items()}
        return {key: part for key, part in kept.items() if part.num_rows or not parts[key].num_rows}

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Keep a repair away, which takes what it meets for what a dead writer left.

        Whoever appends a run in several steps holds this from the first to the last one.
        """
        with lock(self._location, "runs", shared=True):
            yield

    def _compact_if_needed(self, table: str) -> None:
        """Compact a table of many small files; a failure costs space, not rows, so it can wait."""
        log = self._logs[table]
        handle = log.refresh()
        if handle is None or len(small_files(log.files(handle))) < self._compact_files:
            return
        bad = (StoreError, OSError, ValueError)  # a damaged file is for `check` to name
        with suppress(*bad), lock(self._location, "compact", wait=False) as free:
            if free:
                compact_table(log, retention_days=self._retention_days)

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
        with self.writing():
            return sum(self._append_batch(batch, moment) for batch in record_batches(records))

    def _append_batch(self, records: Sequence[RunRecord], seen: datetime) -> int:
        known = self._known_runs([r.run.run_id for r in records])
        parts: dict[str, dict[str, pa.Table]] = {table: {} for table in (*RUN_TABLES, "runs")}
        for record in records:
            if record.run.run_id not in known:
                for table, rows in record_tables(record, seen=seen).items():
                    if rows.num_rows:
                        parts[table].setdefault(record.run.run_id, rows)
        new: set[str] = set()
        for table, rows_by_run in parts.items():
            new = self.append(table, rows_by_run)
        return len(new)

    def _known_runs(self, run_ids: Sequence[str]) -> set[str]:
        log = self._logs["runs"]
        handle = log.refresh()
        return set() if handle is None else log.written(handle, {run: run for run in run_ids})

    def read(
        self,
        table: str,
        *,
        columns: Sequence[str] | None = None,
        where: Sequence[Filter] = (),
        dictionary: Sequence[str] = (),
        unfinished: bool = False,
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
        unfinished : bool
            Rows of runs whose own row has not come (yet) as well, such as kept plans.

        Raises
        ------
        StoreError
            When a file is missing or damaged.
        """
        import pyarrow as pa

        self._log(table)
        schema = arrow_schema(table)
        wanted = list(columns) if columns is not None else list(schema.names)
        for name in {*wanted, *dictionary, *(c for c, _, _ in where)} - set(schema.names):
            raise UsageError(f"table {table} has no column {name!r}")
        rows = self._scan if unfinished else self._chunks
        try:
            chunks = list(rows(table, wanted, where=where, dictionary=dictionary))
        except FileNotFoundError:  # replaced and removed since the log was read
            chunks = list(rows(table, wanted, where=where, dictionary=dictionary))
        if not chunks:
            chunks = [result_schema(table, wanted, dictionary).empty_table()]
        return pa.concat_tables(chunks).unify_dictionaries()

    def scan(
        self, table: str, *, columns: Sequence[str], where: Sequence[Filter] = ()
    ) -> Iterator[pa.Table]:
        """Yield rows of a table in blocks, so that memory does not grow with it.

        Parameters
        ----------
        table : str
        columns : sequence of str
            Texts among them are dictionary-encoded, with a dictionary for each block.
        where : sequence of (column, operator, value)
            As in `read`.

        Raises
        ------
        StoreError
            When a file is missing or damaged.
        """
        self._log(table)
        texts = [c for c in columns if TABLES[table][c][0] == "string"]
        try:
            yield from self._chunks(table, list(columns), where=where, dictionary=texts)
        except FileNotFoundError as error:
            raise StoreError(
                f"table {table} of {self.url} was compacted while it was read", "read it again"
            ) from error

    def _chunks(
        self,
        table: str,
        wanted: Sequence[str],
        *,
        where: Sequence[Filter],
        dictionary: Sequence[str],
    ) -> Iterator[pa.Table]:
        if table not in RUN_TABLES:
            yield from self._scan(table, wanted, where=where, dictionary=dictionary)
            return
        committed = self._committed([f for f in where if f[0] == "run_id"])
        columns = [*wanted, *({"run_id"} - set(wanted))]
        encoded = [*dictionary, "run_id"]
        for rows in self._scan(table, columns, where=where, dictionary=encoded):
            of_runs = rows.filter(filter_mask(rows["run_id"], "in", committed))
            yield cast_rows(of_runs.select(wanted), result_schema(table, wanted, dictionary))

    def _scan(
        self,
        table: str,
        columns: Sequence[str],
        *,
        where: Sequence[Filter],
        dictionary: Sequence[str],
    ) -> Iterator[pa.Table]:
        yield from scan_files(self._log(table), columns, where=where, dictionary=dictionary)

    def _committed(self, where: Sequence[Filter]) -> pa.Array:
        """Return the ids of the runs that pass filters on run_id; asked once for several tables."""
        handle = self._logs["runs"].refresh()
        asked = (-1 if handle is None else handle.version(), list(where))
        if self._last_committed is None or self._last_committed[0] != asked:
            rows = self.read("runs", columns=["run_id"], where=where)
            self._last_committed = asked, rows["run_id"].combine_chunks()
        return self._last_committed[1]

    def export(self, table: str, path: str) -> int:
        """Write the rows of a table to a Parquet file, or to CSV where `path` ends so.

        Parameters
        ----------
        table : str
            Name of the table; ``history``: results with the facts of their runs, in the columns
            that `testopt ingest --format table` takes.
        path : str
            Local file; replaced when there is one.

        Returns
        -------
        int
            Number of rows.

        Raises
        ------
        StoreError
            When the store cannot be read or the file cannot be written.
        """
        source = "results" if table == HISTORY else table
        self._log(source)
        columns = list(arrow_schema(source).names)
        chunks = self._chunks(source, columns, where=(), dictionary=())
        if table == HISTORY:
            return export_table(path, history_schema(), history_chunks(self.read("runs"), chunks))
        return export_table(path, arrow_schema(table), chunks)

    def recount(self, run_id: str, **values: Any) -> bool:
        """Count the results of a run that is there already anew, and set further columns of it.

        Returns
        -------
        bool
            Whether its row is another one now.
        """
        columns, where = ["case_id", "outcome", "duration_s", "attempt"], [("run_id", "=", run_id)]

        def count() -> dict[str, Any]:
            return counts_of(self.read("results", columns=columns, where=where)) | values

        # a log of its own: to read results moves the version that this store looks at
        with self.writing():
            return update_run(TableLog(self._location, "runs"), run_id, count)

    def judge_fixes(self, verdicts: Mapping[str, bool]) -> int:
        """Tell commits to be fixes or none; return how many were told otherwise before."""
        from testopt.store.judged_fixes import replace_verdicts

        with self.writing():
            return replace_verdicts(TableLog(self._location, "commits"), verdicts)

    def run_ids(self) -> set[str]:
        """Return the ids of all runs."""
        return set(self.read("runs", columns=["run_id"])["run_id"].to_pylist())

    def version(self, table: str) -> int:
        """Return the version of a table: it grows with each commit; -1 when there is none."""
        newest = self._existing_log(table).newest()
        if newest is not None:
            return newest
        handle = self._log(table).refresh()
        return -1 if handle is None else int(handle.version())

    def info(self) -> StoreInfo:
        """Return what the store holds."""
        from testopt.store.check import store_info

        return store_info(self._location, self._logs)

    def check(self, *, repair: bool = False) -> list[Problem]:
        """Look for damage: everything is read, and compared with what the logs say.

        Parameters
        ----------
        repair : bool
            Mend what can be mended, while nobody writes: rows that are lost are taken from other
            files of the store where they are whole; else the rows of damaged files and of
            incomplete runs are removed, so that they can come again.

        Raises
        ------
        StoreError
            When the store is on a file system without locks and a repair is asked for.
        """
        from testopt.store.check import find_problems

        if not repair:
            return find_problems(self._location, self._logs)
        if not has_locks(self._location):
            raise StoreError(
                f"{self.url} is on a file system without locks, where a repair could drop what "
                f"others write",
                "copy the store to a local disk, repair the copy, and put it back",
            )
        with lock(self._location, "runs"), lock(self._location, "compact"):
            return find_problems(self._location, self._logs, repair=True)

    def compact(self, *, retention_days: float | None = None) -> CompactReport:
        """Merge small files, drop rows without a run, remove what was replaced long ago.

        Parameters
        ----------
        retention_days : float, optional
            Days before replaced files are removed; default: those that the store was opened with.

        Raises
        ------
        StoreError
            When a file is damaged or the disk is full; no row is lost.
        """
        days = self._retention_days if retention_days is None else retention_days
        try:
            orphans = drop_orphans(self._location, self._logs, self.run_ids)
            with lock(self._location, "compact"):
                reports = [
                    compact_table(log, retention_days=days, orphans=orphans.get(table, 0))
                    for table, log in self._logs.items()
                ]
        except (OSError, ValueError) as error:
            raise explain(error, f"{self.url} cannot be compacted") from error
        return CompactReport(tuple(reports))

    def has_locks(self) -> bool:
        """Tell whether a repair can keep writers away; false on some network file systems."""
        return has_locks(self._location)

    def check_room(self) -> None:
        """Raise a StoreError where nothing can be written: on a full or read-only disk."""
        self._location.check_room()

    def forgotten(self) -> Forgotten:
        """Return what the store was told to forget."""
        return load_forgotten(self._location)

    @contextmanager
    def forgetting(
        self, *, cases: Collection[str] = (), authors: Collection[str] = ()
    ) -> Iterator[Forgotten]:
        """Remove cases, and name nobody in place of authors, for good.

        Rows, older versions and what is under ``damaged`` are gone when this yields; the caller
        then removes what was made of them. If that is interrupted, doing it again finishes it.

        Parameters
        ----------
        cases : collection of str
            Case ids.
        authors : collection of str
            Pseudonyms.

        Yields
        ------
        Forgotten
            All that the store was ever told to forget.

        Raises
        ------
        StoreError
            When the store is damaged or has no locks.
        """
        from testopt.store.forget import forgetting

        with forgetting(self._location, self._logs, cases=cases, authors=authors) as forgotten:
            yield forgotten

    def _log(self, table: str) -> TableLog:
        if self._light:
            self._light = False
            skip_pandas()
        return self._existing_log(table)

    def _existing_log(self, table: str) -> TableLog:
        try:
            return self._logs[table]
        except KeyError:
            raise StoreError(
                f"the store has no table {table!r}", f"tables: {', '.join(TABLES)}"
            ) from None


def _runs(part: pa.Table) -> list[str]:
    return [str(run) for run in part["run_id"].to_pylist()]
