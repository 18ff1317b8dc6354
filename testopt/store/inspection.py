"""Looks for damage in the tables of a store: one snapshot, of which every file is read."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Final
from zlib import crc32

import numpy as np

from testopt.errors import ServerError, StoreError
from testopt.pluralize import pluralize
from testopt.schema import KEYS, TABLES
from testopt.store.compact import RUN_TABLES, replaced_files
from testopt.store.parquet import (
    extremes_of,
    filter_mask,
    is_intact,
    joined_bounds,
    read_file,
    result_schema,
    runs_of,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    import pyarrow as pa
    from deltalake import DeltaTable
    from numpy.typing import NDArray

    from testopt.store.delta import TableLog
    from testopt.store.location import Location
    from testopt.store.parquet import DataFile

# Tables whose key is that of one row. Coverage links and labels are measured again and again, and
# git may name a path of a commit twice.
_UNIQUE: Final = ("runs", *RUN_TABLES, "commits")
_IDS: Final = {"run_id", "case_id", "sha", "path"}
# Rows whose keys are compared at once: 3 million take 2.0 s of CPU and 268 MiB. Before they were
# divided by files, each part read all files: 5.0 s and 256 MiB, in time that grew with the square.
_ROWS_AT_ONCE: Final = 500_000


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


@dataclass(slots=True)
class TableState:
    """One table as it stood at one moment.

    Attributes
    ----------
    log : TableLog
    handle : DeltaTable
    files : list of DataFile
        What the log names.
    replaced : list of str
        Files that it named before, and nobody has removed.
    unnamed : list of DataFile
        Whole files in the folder that no log entry names, while nobody was writing.
    damaged, misjudged : list of (DataFile, Problem)
        Files that cannot be read as they were written, and whole ones of which the log tells
        something else.
    """

    log: TableLog
    handle: DeltaTable
    files: list[DataFile]
    replaced: list[str]
    unnamed: list[DataFile] = field(default_factory=list)
    damaged: list[tuple[DataFile, Problem]] = field(default_factory=list)
    misjudged: list[tuple[DataFile, Problem]] = field(default_factory=list)

    def problems(self) -> list[Problem]:
        """Return what is wrong with the files."""
        return [problem for _, problem in (*self.damaged, *self.misjudged)]

    def sound(self) -> list[DataFile]:
        """Return the files that can be read."""
        damaged = {file.path for file, _ in self.damaged}
        return [file for file in self.files if file.path not in damaged]

    def read(self, columns: Sequence[str]) -> pa.Table:
        """Return columns of all rows in sound files; texts are dictionary-encoded."""
        return read_files(self.log, self.sound(), columns)

    def parts(self, columns: Sequence[str]) -> Iterator[tuple[NDArray[np.int64], pa.Table]]:
        """Yield the rows of sound files in parts, each with all rows of its runs.

        Memory does not grow with the table so, and time no faster than it, as long as a run
        stands in few files: those that have runs in common are read once for each part of them.
        Past a network they are one part: to send them takes longer than all else. So is a table
        without runs.

        Parameters
        ----------
        columns : sequence of str
            With ``run_id``, where the table has it.

        Yields
        ------
        ndarray of int64
            Where each row stands among those that `read` returns, rising.
        pyarrow.Table
        """
        before, by_run = 0, "run_id" in columns
        for files in self._files_of_runs() if by_run else [self.sound()]:
            rows = sum(max(f.rows, 0) for f in files)
            in_parts = by_run and self.log.location.local is not None
            count = max(1, -(-rows // _ROWS_AT_ONCE)) if in_parts else 1
            end = before
            for number in range(count):
                places, part, end = self._part(columns, files, before, (number, count))
                yield places, part
            before = end

    def _files_of_runs(self) -> Iterator[list[DataFile]]:
        """Yield neighbouring files outside of which none of their runs stands."""
        files = self.sound()
        runs = [runs_of(self.log.location, self.log.table, file) for file in files]
        last = {run: at for at, own in enumerate(runs) for run in own}
        group: list[DataFile] = []
        until = -1  # the last file with a run of the group
        for at, file in enumerate(files):
            rows = sum(max(f.rows, 0) for f in [*group, file])
            if group and at > until and rows > _ROWS_AT_ONCE:
                yield group
                group = []
            group.append(file)
            until = max([until, *(last[run] for run in runs[at])])
        if group:
            yield group

    def _part(
        self,
        columns: Sequence[str],
        files: Sequence[DataFile],
        before: int,
        part: tuple[int, int],
    ) -> tuple[NDArray[np.int64], pa.Table, int]:
        """Return the rows of one part of some files, their places, and where the files end."""
        import pyarrow as pa

        number, count = part
        places = [np.empty(0, np.int64)]
        chunks = [_schema(self.log, columns).empty_table()]
        for rows in _rows_in(self.log, files, columns):
            chosen = np.ones(rows.num_rows, bool)
            if count > 1:
                chosen = _place(rows["run_id"], count) == number
            places.append(before + np.flatnonzero(chosen))
            chunks.append(rows.filter(pa.array(chosen)))
            before += rows.num_rows
        table = pa.concat_tables(chunks).unify_dictionaries().combine_chunks()
        return np.concatenate(places), table, before


def _place(runs: pa.ChunkedArray, count: int) -> NDArray[np.int64]:
    """Return the part, of `count`, that each run is in."""
    encoded = runs.combine_chunks()
    places = [crc32(run.encode()) % count for run in encoded.dictionary.to_pylist()]
    return np.asarray(np.array(places, np.int64)[encoded.indices.to_numpy()])


def read_files(log: TableLog, files: Iterable[DataFile], columns: Sequence[str]) -> pa.Table:
    """Return columns of some files of a table; ids are dictionary-encoded."""
    import pyarrow as pa

    chunks = [_schema(log, columns).empty_table(), *_rows_in(log, files, columns)]
    return pa.concat_tables(chunks).unify_dictionaries().combine_chunks()


def _schema(log: TableLog, columns: Sequence[str]) -> pa.Schema:
    return result_schema(log.table, columns, [c for c in columns if c in _IDS])


def _rows_in(
    log: TableLog, files: Iterable[DataFile], columns: Sequence[str]
) -> Iterator[pa.Table]:
    encoded = [c for c in columns if c in _IDS]
    for file in files:
        yield from read_file(
            log.location, log.table, file.path, columns=columns, dictionary=encoded
        )


def snapshot(logs: Mapping[str, TableLog], *, is_idle: bool) -> dict[str, TableState]:
    """Return the tables as they stand, ``runs`` first.

    A run whose row is seen has all its results then, however many writers there are.

    Parameters
    ----------
    logs : mapping of str to TableLog
        Those that can be read.
    is_idle : bool
        Whether nobody writes. Only then are files looked for that no log entry names: else they
        may be on their way.
    """
    found = {}
    for table in sorted(logs, key=lambda name: name != "runs"):
        log = logs[table]
        handle = log.refresh()
        if handle is not None:
            state = TableState(log, handle, log.files(handle), replaced_files(log, handle))
            found[table] = state
            if is_idle:
                known = {*state.replaced, *(file.path for file in state.files)}
                state.unnamed = whole_files(log, known)[0]
    return found


def whole_files(log: TableLog, but: Collection[str] = ()) -> tuple[list[DataFile], int]:
    """Return the files of a local table that are as they were written, and how many are not.

    Parameters
    ----------
    log : TableLog
    but : collection of str
        Names of files that are not looked at.
    """
    from testopt.store.parquet import DataFile

    root = log.location.local
    names = [] if root is None else sorted((root / log.table).glob("part-*.parquet"))
    whole, damaged = [], 0
    for path in (path for path in names if path.name not in but):
        try:
            stat = path.stat()
            file = DataFile(path.name, stat.st_size, int(stat.st_mtime * 1000), 0, {})
            is_whole = is_intact(log.location, log.table, file)
        except OSError:
            is_whole = False
        whole += [file] if is_whole else []
        damaged += not is_whole
    return whole, damaged


def broken_log(location: Location, log: TableLog) -> list[Problem]:
    """Find what makes a table's log unusable."""
    gaps = _gaps(location, log.table)
    try:
        handle = None if gaps else log.refresh()
        if handle is not None:
            log.written(handle, {"": ""})  # Delta reads what was written only when it is asked
    except ServerError:
        raise
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
    last = max(checkpoints)
    needed = [last, *sorted(e for e in entries if e > last)]
    holes = [(low + 1, high - 1) for low, high in pairwise(needed) if high != low + 1]
    if len(needed) == 1 and last >= 0 and last not in entries:
        holes.append((last, last))  # Delta appends to nothing but an entry
    return [
        Problem("log", table, f"log entries {low} to {high} are missing", "_delta_log")
        for low, high in holes
    ]


def inspect_files(state: TableState) -> None:
    """Read every file of a table; note the damaged ones, and those that the log tells wrong."""
    for file in state.files:
        try:
            why = _misjudged(state.log, file)
        except FileNotFoundError:
            if state.log.holds(file):
                problem = Problem("missing", state.log.table, "the file is missing", file.path)
                state.damaged.append((file, problem))
        except ServerError:
            raise  # the file may be whole
        except (OSError, ValueError, StoreError) as error:
            reason = (str(error).splitlines() or ["no words"])[0]
            message = f"the file is damaged: {reason}"
            problem = Problem("damaged", state.log.table, message, file.path)
            state.damaged.append((file, problem))
        else:
            if why:
                problem = Problem("statistics", state.log.table, why, file.path)
                state.misjudged.append((file, problem))


def _misjudged(log: TableLog, file: DataFile) -> str:
    """Say what the log tells wrong of a whole file."""
    if not is_intact(log.location, log.table, file):
        raise ValueError("its size or checksum is not what was written")
    count, extremes = 0, []
    for rows in _rows_in(log, [file], list(TABLES[log.table])):
        count += rows.num_rows
        extremes.append(extremes_of(log.table, rows))
    if count != file.rows:
        said = f"{file.rows:,}" if file.rows >= 0 else "nothing"
        return f"the file holds {pluralize(count, 'row')}, the log says {said}"
    true = joined_bounds(extremes)
    wrong = next((c for c, bound in file.bounds.items() if c in true and true[c] != bound), None)
    return f"the log is wrong about the values of {wrong!r}" if wrong else ""


def doubled_rows(state: TableState, runs: Collection[str]) -> NDArray[np.bool_] | None:
    """Return which rows of the sound files repeat the key of an earlier one; None where none do.

    Rows of other runs than those given are not looked at: nobody sees them.
    """
    if state.log.table not in _UNIQUE:
        return None
    import pyarrow as pa

    count, found = 0, [np.empty(0, np.int64)]
    for places, rows in state.parts(KEYS[state.log.table]):
        code = _codes(rows)
        order = np.argsort(code, kind="stable")
        later = np.sort(order[1:][np.diff(code[order]) == 0])
        if len(later) and "run_id" in rows.column_names:
            of_runs = rows["run_id"].take(pa.array(later))
            seen = filter_mask(of_runs, "in", pa.array(sorted(runs), pa.string()))
            later = later[seen.to_numpy()]
        count += len(places)
        found.append(places[later])
    doubled = np.concatenate(found)
    again = np.zeros(count, bool)
    again[doubled] = True
    return again if len(doubled) else None


def _codes(rows: pa.Table) -> NDArray[np.int64]:
    """Return a number for each row: the same where all columns are."""
    code = np.zeros(rows.num_rows, np.int64)
    for column in rows.columns:
        values = column.combine_chunks()
        encoded = values if hasattr(values, "dictionary") else values.dictionary_encode()
        part = encoded.indices.fill_null(len(encoded.dictionary)).to_numpy(zero_copy_only=False)
        code = code * (len(encoded.dictionary) + 1) + part
    return code


def cases_of_runs(state: TableState | None) -> dict[str, int]:
    """Return how many different cases each run has in the table of results."""
    if state is None:
        return {}
    counts: dict[str, int] = {}
    for _, rows in state.parts(["run_id", "case_id"]):
        runs, cases = (rows[c].combine_chunks().dictionary for c in ("run_id", "case_id"))
        pairs = np.sort(_codes(rows))  # numpy.unique takes eight times as long
        pairs = pairs[np.diff(pairs, prepend=-1) != 0] // (len(cases) + 1)
        of_run = np.bincount(pairs, minlength=len(runs))
        found = zip(runs.to_pylist(), of_run.tolist(), strict=True)
        counts |= {run: count for run, count in found if count}
    return counts


def log_gaps(problems: Iterable[Problem]) -> Iterator[Problem]:
    """Yield the problems because of which a table cannot be read."""
    return (p for p in problems if p.kind == "log" and not p.mended)
