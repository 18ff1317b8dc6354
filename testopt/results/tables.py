"""Reads result tables and change tables (CSV, Parquet) and reports unusable rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from testopt.errors import InputFileError
from testopt.results.junit_values import parse_timestamp
from testopt.schema import OUTCOMES

if TYPE_CHECKING:
    from collections.abc import Mapping
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
_MAX_REPORTED: Final = 20


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


def read_results(path: Path) -> TableFile:
    """Read a table of results.

    Parameters
    ----------
    path : Path
        CSV with a header, or Parquet (known by its first bytes), with the columns ``run_id``,
        ``time``, ``case_id``, ``outcome``, ``duration_s`` and optionally ``file``, ``attempt``,
        ``commit``, ``base``, ``branch``, ``job``; other columns are ignored. A time without a zone
        is UTC; an empty duration is unknown; text is kept byte for byte.

    Returns
    -------
    TableFile
        All columns of ``RESULT_COLUMNS``, absent ones null. A row is left out when a required
        value is missing, its outcome unknown, its time or a number unreadable.

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
    table = _load(path)
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
            typed[name], unusable = _column(name, table[name])
        else:
            typed[name] = pa.nulls(table.num_rows, _type(name))
            unusable = {}
        if columns[name] and name != "duration_s":
            empty = np.asarray(pc.is_null(typed[name]))
            if name != "time":
                empty |= np.asarray(pc.fill_null(pc.equal(typed[name], ""), True))
            unusable.setdefault(f"no {name}", empty)
        problems |= unusable
    return _usable_rows(pa.table(typed), table, problems)


def _type(name: str) -> pa.DataType:
    return _UTC if name == "time" else _NUMBERS.get(name, pa.string())


def _load(path: Path) -> pa.Table:
    try:
        with path.open("rb") as stream:
            parquet = stream.read(4) == b"PAR1"
        if parquet:
            return pq.ParquetFile(path).read()
        convert = pa_csv.ConvertOptions(
            column_types={n: pa.string() for n in (*RESULT_COLUMNS, *CHANGE_COLUMNS)},
            strings_can_be_null=False,
        )
        return pa_csv.read_csv(
            path,
            parse_options=pa_csv.ParseOptions(newlines_in_values=True),
            convert_options=convert,
        )
    except (OSError, pa.ArrowException) as error:
        words = str(error).splitlines()
        raise InputFileError(f"{path} cannot be read: {words[0] if words else error}") from error


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
        is_known = pc.is_in(text, value_set=pa.array(OUTCOMES))
        return text, {"unknown outcome": ~np.asarray(pc.fill_null(is_known, False))}
    if name not in {"run_id", "case_id", "path"}:
        text = pc.if_else(pc.equal(text, ""), None, text)
    return text, {}


def _times(values: pa.ChunkedArray) -> tuple[pa.ChunkedArray, dict[str, Mask]]:
    if pa.types.is_timestamp(values.type) or pa.types.is_date(values.type):
        # Arrow keeps times with a zone in UTC; those without one are taken as UTC.
        naive = (
            values.cast(pa.timestamp("us", tz=values.type.tz))
            if pa.types.is_timestamp(values.type)
            else values.cast(pa.timestamp("us"))
        )
        return naive.cast(_UTC), {}
    text = values.cast(pa.string()).combine_chunks().dictionary_encode()
    distinct = text.dictionary.to_pylist()
    moments = pa.array([parse_timestamp(word) for word in distinct], _UTC)
    return moments.take(text.indices), {}


def _numbers(name: str, values: pa.ChunkedArray) -> tuple[pa.ChunkedArray, dict[str, Mask]]:
    kind = _NUMBERS[name]
    is_given = pc.is_valid(values)
    if not (pa.types.is_floating(values.type) or pa.types.is_integer(values.type)):
        text = pc.utf8_trim_whitespace(values.cast(pa.string()))
        is_given = pc.not_equal(text, "")
        pattern = r"^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d{1,3})?$"
        is_number = pc.match_substring_regex(text, pattern)
        values = pc.if_else(is_number, text, None).cast(pa.float64())
    numbers = np.asarray(values.cast(pa.float64()).fill_null(np.nan), dtype=np.float64)
    low, high = (
        (0.0, np.inf)
        if name == "duration_s"
        else (
            float(name == "attempt"),
            float(np.iinfo(np.int16 if name == "attempt" else np.int32).max),
        )
    )
    is_wrong = ~(np.isfinite(numbers) & (numbers >= low) & (numbers <= high))
    unusable = is_wrong & np.asarray(pc.fill_null(is_given, False))
    if name == "duration_s":
        # An unusable duration says nothing of the outcome: it becomes unknown.
        unusable = np.zeros(len(numbers), dtype=bool)
    typed = pa.array(np.where(is_wrong, 0, numbers), mask=is_wrong).cast(kind, safe=False)
    return pa.chunked_array([typed]), {f"{name} is no usable number": unusable}


def _usable_rows(rows: pa.Table, raw: pa.Table, problems: Mapping[str, Mask]) -> TableFile:
    unusable = np.zeros(rows.num_rows, dtype=bool)
    bad: list[BadRow] = []
    for why, mask in problems.items():
        new_rows = np.flatnonzero(mask & ~unusable)
        unusable |= mask
        column = next((c for c in raw.schema.names if c in why.split()), None)
        for row in new_rows[:_MAX_REPORTED]:
            value = raw[column][int(row)].as_py() if column is not None else None
            bad.append(BadRow(int(row) + 1, f"{why} ({str(value)[:80]!r})" if value else why))
    bad.sort(key=lambda b: b.row)
    usable = rows.filter(pa.array(~unusable)) if unusable.any() else rows
    return TableFile(usable, tuple(bad[:_MAX_REPORTED]), int(unusable.sum()))
