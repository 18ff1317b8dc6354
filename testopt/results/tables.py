"""Reads result tables and change tables (CSV, Parquet) and says which rows cannot be used."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from testopt.errors import InputFileError
from testopt.input_files import require_file
from testopt.results.junit_values import (
    TOO_EARLY,
    TOO_LATE,
    parse_moment,
    parse_seconds,
    run_time_bounds,
)
from testopt.schema import OUTCOMES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import numpy.typing as npt

    Mask = npt.NDArray[np.bool_]

RESULT_COLUMNS: Final = {
    "run_id": True,
    "time": True,
    "case_id": True,
    "outcome": True,
    "duration_s": True,
    "file": False,
    "attempt": False,
    "commit": False,
    "base": False,
    "branch": False,
    "job": False,
}
CHANGE_COLUMNS: Final = {
    "run_id": True,
    "path": True,
    "added": False,
    "deleted": False,
}
_UTC: Final = pa.timestamp("us", tz="UTC")
_NUMBERS: Final = {
    "duration_s": pa.float32(),
    "attempt": pa.int16(),
    "added": pa.int32(),
    "deleted": pa.int32(),
}
_TICKS: Final = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}  # a second, by the unit
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_REPORTED: Final = 20
_ROWS_OF_BLOCK: Final = 32_000
_BYTES_OF_BLOCK: Final = 8 << 20


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that was left out: its number (the first row of data is 1) and why."""

    row: int
    why: str


@dataclass(frozen=True, slots=True)
class TableFile:
    """The usable rows of a table, the first bad ones, and how many bad ones there are."""

    rows: pa.Table
    bad: tuple[BadRow, ...] = ()
    bad_rows: int = 0


def read_result_blocks(path: Path) -> Iterator[TableFile]:
    """Read a table of results in blocks, so that memory does not grow with it.

    Row numbers go on from block to block; the rest as `read_results`.

    Raises
    ------
    InputFileError
        When the file cannot be read or lacks a required column.
    """
    before = 0
    for block in _load_blocks(path):
        found = _typed(path, block, RESULT_COLUMNS)
        bad = tuple(BadRow(one.row + before, one.why) for one in found.bad)
        yield TableFile(found.rows, bad, found.bad_rows)
        before += block.num_rows


def read_results(path: Path) -> TableFile:
    """Read a table of results.

    Parameters
    ----------
    path : Path
        CSV with a header, or Parquet (known by its first bytes), with the columns ``run_id``,
        ``time``, ``case_id``, ``outcome``, ``duration_s`` and optionally ``file``, ``attempt``,
        ``commit``, ``base``, ``branch``, ``job``; other columns are ignored. A time without a zone
        is UTC; a duration is a number of seconds, a time or a timedelta, an empty one is unknown;
        text is kept byte for byte.

    Returns
    -------
    TableFile
        All columns of ``RESULT_COLUMNS``, absent ones null. A row is left out when a required
        value is missing, its outcome unknown, its time or a number unreadable, its duration
        negative, or its time before the year 2000 or in the future.

    Raises
    ------
    InputFileError
        When the file cannot be read or lacks a required column.
    """
    return _read(path, RESULT_COLUMNS)


def read_changes(path: Path) -> TableFile:
    """Read a table of changed files: ``run_id``, ``path`` and optionally ``added``, ``deleted``.

    Raises
    ------
    InputFileError
        When the file cannot be read or lacks a required column.
    """
    return _read(path, CHANGE_COLUMNS)


def _read(path: Path, columns: Mapping[str, bool]) -> TableFile:
    return _typed(path, _load(path), columns)


def _typed(path: Path, table: pa.Table, columns: Mapping[str, bool]) -> TableFile:
    missing = [
        name for name, required in columns.items() if required and name not in table.schema.names
    ]
    if missing:
        raise InputFileError(
            f"{path} has no column {', '.join(missing)}",
            f"it needs {', '.join(n for n, required in columns.items() if required)}",
        )
    problems: dict[str, Mask] = {}
    typed = {}
    for name in columns:
        if name in table.schema.names:
            try:
                typed[name], refused = _column(name, table[name])
            except pa.ArrowException as error:
                kind = table.schema.field(name).type
                raise InputFileError(f"{path}: the column {name} cannot be {kind}") from error
        else:
            typed[name] = pa.nulls(table.num_rows, _type(name))
            refused = {}
        if columns[name] and name != "duration_s":
            empty = np.asarray(pc.is_null(typed[name]))
            if name != "time":
                empty |= np.asarray(pc.fill_null(pc.equal(typed[name], ""), True))
            refused.setdefault(f"no {name}", empty)
        problems |= refused
    return _usable_rows(pa.table(typed), table, problems)


def _type(name: str) -> pa.DataType:
    return _UTC if name == "time" else _NUMBERS.get(name, pa.string())


def _load(path: Path) -> pa.Table:
    return pa.concat_tables(_load_blocks(path))


def _load_blocks(path: Path) -> Iterator[pa.Table]:
    """Yield the rows of a file; one block at least, which may be empty."""
    try:
        require_file(path)
        with path.open("rb") as stream:
            parquet = stream.read(4) == b"PAR1"
        yield from _parquet_blocks(path) if parquet else _csv_blocks(path)
    except (OSError, UnicodeError, pa.ArrowException) as error:
        words = str(error).splitlines()
        raise InputFileError(f"{path} cannot be read: {words[0] if words else error}") from error


def _parquet_blocks(path: Path) -> Iterator[pa.Table]:
    with pq.ParquetFile(path) as file:
        names = _known(file.schema_arrow)
        yield file.schema_arrow.empty_table().select(names)
        for groups in _row_groups(file):
            for batch in file.iter_batches(_ROWS_OF_BLOCK, row_groups=groups, columns=names):
                table = pa.Table.from_batches([batch])
                # text may be no UTF-8, lists may point outside of their file
                table.validate(full=True)
                yield table


def _row_groups(file: pq.ParquetFile) -> Iterator[list[int]]:
    """Yield the row groups of a file, as many together as make a block.

    One reader of them all keeps what it has read: 156 MiB at the end of 10 million rows.
    """
    together: list[int] = []
    rows = 0
    for group in range(file.num_row_groups):
        together.append(group)
        rows += file.metadata.row_group(group).num_rows
        if rows >= _ROWS_OF_BLOCK:
            yield together
            together, rows = [], 0
    if together:
        yield together


def _csv_blocks(path: Path) -> Iterator[pa.Table]:
    parse = pa_csv.ParseOptions(newlines_in_values=True)
    read = pa_csv.ReadOptions(block_size=_BYTES_OF_BLOCK)
    with pa_csv.open_csv(path, read_options=read, parse_options=parse) as file:
        names = _known(file.schema)
    text = pa_csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()),
        include_columns=names,
        strings_can_be_null=False,
    )
    with pa_csv.open_csv(
        path, read_options=read, parse_options=parse, convert_options=text
    ) as file:
        yield file.schema.empty_table()
        for batch in file:
            yield pa.Table.from_batches([batch])


def _known(schema: pa.Schema) -> list[str]:
    """Return the columns of a file that are read.

    Raises
    ------
    pa.ArrowInvalid
        When several have one name.
    """
    known = {*RESULT_COLUMNS, *CHANGE_COLUMNS}
    names = [name for name in schema.names if name in known]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise pa.ArrowInvalid(f"more than one column {', '.join(twice)}")
    return names


def _column(name: str, values: pa.ChunkedArray) -> tuple[pa.ChunkedArray, dict[str, Mask]]:
    """Return a column in its type, and the rows whose value is no such thing, by reason."""
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if name == "time":
        return _times(values)
    if name in _NUMBERS:
        return _numbers(name, values)
    text = values.cast(pa.string())
    if name == "outcome":
        known = pc.is_in(text, value_set=pa.array(OUTCOMES))
        return text, {"unknown outcome": ~np.asarray(pc.fill_null(known, False))}
    if name not in {"run_id", "case_id", "path"}:
        text = pc.if_else(pc.equal(text, ""), None, text)
    return text, {}


def _times(values: pa.ChunkedArray) -> tuple[pa.ChunkedArray, dict[str, Mask]]:
    """Return times in microseconds, UTC; those without a zone are taken as UTC."""
    first, last = (round(moment.timestamp() * 1e6) for moment in run_time_bounds())
    if pa.types.is_date(values.type):
        values = values.cast(pa.timestamp("ms"))
    if pa.types.is_timestamp(values.type):
        given = np.asarray(pc.is_valid(values))
        ticks = np.asarray(values.cast(pa.int64()).fill_null(0))
        per_second = _TICKS[values.type.unit]
        # Compared in the unit of the file: a year such as 50000 has no microseconds.
        early = given & (ticks < first * per_second // 10**6)
        late = given & (ticks > last * per_second // 10**6)
        ticks = np.where(early | late, 0, ticks)
        coarser, finer = max(10**6 // per_second, 1), max(per_second // 10**6, 1)
        times = ticks * coarser // finer
    else:
        text = values.cast(pa.string()).combine_chunks().dictionary_encode()
        words = [parse_moment(word) for word in text.dictionary.to_pylist()]
        micros = pa.array([None if w is None else _micros(w) for w in words], pa.int64())
        found = micros.take(text.indices)
        given = np.asarray(pc.is_valid(found))
        times = np.asarray(found.fill_null(0))
        early, late = given & (times < first), given & (times > last)
    typed = pa.array(times, mask=early | late | ~given).cast(_UTC)
    return pa.chunked_array([typed]), {f"time {TOO_EARLY}": early, f"time {TOO_LATE}": late}


def _micros(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _numbers(name: str, values: pa.ChunkedArray) -> tuple[pa.ChunkedArray, dict[str, Mask]]:
    kind = _NUMBERS[name]
    given = np.asarray(pc.is_valid(values))
    if name == "duration_s":
        numbers = _durations(values)
        # An unreadable duration says nothing of the outcome: it becomes unknown.
        wrong = ~(np.isfinite(numbers) & (numbers >= 0))
        refused = {"duration_s is negative": given & (numbers < 0)}
    else:
        if not _is_number(values.type):
            text = pc.utf8_trim_whitespace(values.cast(pa.string()))
            given = np.asarray(pc.fill_null(pc.not_equal(text, ""), False))
            values = _plain_numbers(text)
        numbers = np.asarray(values.cast(pa.float64()).fill_null(np.nan), dtype=np.float64)
        high = np.iinfo(np.int16 if name == "attempt" else np.int32).max
        wrong = ~(np.isfinite(numbers) & (numbers >= (name == "attempt")) & (numbers <= high))
        refused = {f"{name} is not a usable number": wrong & given}
    typed = pa.array(np.where(wrong, 0, numbers), mask=wrong).cast(kind, safe=False)
    return pa.chunked_array([typed]), refused


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))


def _plain_numbers(text: pa.ChunkedArray) -> pa.ChunkedArray:
    pattern = r"^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d{1,3})?$"
    return pc.if_else(pc.match_substring_regex(text, pattern), text, None).cast(pa.float64())


def _durations(values: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    """Return durations in seconds; NaN for what is none."""
    kind = values.type
    if pa.types.is_duration(kind) or pa.types.is_time(kind):
        whole = pa.int32() if pa.types.is_time32(kind) else pa.int64()
        ticks = values.cast(whole).cast(pa.float64()).fill_null(np.nan)
        return np.asarray(ticks, dtype=np.float64) / _TICKS[kind.unit]
    if _is_number(kind):
        return np.asarray(values.cast(pa.float64()).fill_null(np.nan), dtype=np.float64)
    text = pc.utf8_trim_whitespace(values.cast(pa.string()))
    numbers = np.array(_plain_numbers(text).fill_null(np.nan).to_numpy(), dtype=np.float64)
    given = np.asarray(pc.fill_null(pc.not_equal(text, ""), False))
    odd = np.flatnonzero(np.isnan(numbers) & given)
    words = text.take(pa.array(odd)).to_pylist()
    seconds = {word: _odd_duration(word) for word in set(words)}
    numbers[odd] = [seconds[word] for word in words]
    return numbers


# `0 days 00:00:01.5` as pandas writes it, `0:00:01.5` as Python does.
_CLOCK_TIME: Final = re.compile(
    r"(?:(-?\d{1,6}) days?,? \+?)?(-?)(\d{1,6}):(\d\d):(\d\d(?:\.\d+)?)\Z"
)


def _odd_duration(text: str) -> float:
    match = _CLOCK_TIME.match(text)
    if match is None:
        seconds = parse_seconds(text.removeprefix("-"))
        sign = -1.0 if text.startswith("-") else 1.0
        return np.nan if seconds is None else sign * seconds
    hours, minutes, rest = (float(part) for part in match.groups()[2:])
    clock = (hours * 60 + minutes) * 60 + rest
    return float(match[1] or 0) * 86400 + (-clock if match[2] else clock)


def _shown(value: pa.Scalar) -> object:
    try:
        return value.as_py()
    except (ValueError, OverflowError):  # a time that Python has no type for
        return value.value


def _usable_rows(rows: pa.Table, raw: pa.Table, problems: Mapping[str, Mask]) -> TableFile:
    refused = np.zeros(rows.num_rows, dtype=bool)
    bad: list[BadRow] = []
    for why, mask in problems.items():
        fresh = np.flatnonzero(mask & ~refused)
        refused |= mask
        column = next((c for c in raw.schema.names if c in why.split()), None)
        for at in fresh[:_MAX_REPORTED]:
            value = _shown(raw[column][int(at)]) if column is not None else None
            bad.append(BadRow(int(at) + 1, f"{why} ({str(value)[:80]!r})" if value else why))
    bad.sort(key=lambda b: b.row)
    kept = rows.filter(pa.array(~refused)) if refused.any() else rows
    return TableFile(kept, tuple(bad[:_MAX_REPORTED]), int(refused.sum()))
