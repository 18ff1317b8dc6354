"""Reads and writes the tables' Parquet files: sorted, and filtered by their statistics.

delta-rs 1.6 reads and compacts, too, and is not used for it, because a plan may take .6 s in all. A
cold process that reads the runs, and the results of five of them, from stores of 120 and of 2,000
runs takes .29 and .40 s of CPU and 124 MiB this way, imports counted; ``to_pyarrow_table`` and
``to_pyarrow_dataset`` with filters .64 to .72 s and 245 MiB, ``QueryBuilder`` .55 s and 172 MiB.
Of its files ``optimize`` makes others without our footers, of which a lost log is made anew, and
without the checksum in the name; its ``repair`` drops log entries of missing files, no more.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from testopt.schema import KEYS, arrow_schema

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    import pyarrow as pa

    from testopt.store.location import Location

Filter = tuple[str, str, Any]
Bounds = dict[str, tuple[Any, Any]]  # column -> its smallest and largest value

# Of a million, a merge of small files raised the peak of ingesting 10 million rows to 324 MiB.
ROWS_PER_FILE: Final = 500_000
ROWS_PER_GROUP: Final = 131_072
RUNS_KEY: Final = b"testopt.runs"  # footer entry: the run_ids of a file
KEYS_KEY: Final = b"testopt.keys"  # footer entry: the keys under which its rows were written
_ROWS_WORTH_THREADS: Final = 50_000
MAX_RUNS_LISTED: Final = 4_096  # of a file with more its rows are read
# A footer that names 65,536 keys takes 4.5 MB and 3 ms to open, one of 262,144 18 ms. pyarrow reads
# none above 100 MB, so that no more are merged into one file.
MAX_KEYS_MERGED: Final = 65_536
# pyarrow does not raise at each damaged footer: it may end the process (an abort in its reader of
# statistics, after one bit was flipped). Files up to this size are compared with the checksum in
# their name before it sees them, which takes 1 ms; larger ones by `check`, whose repair reads none.
_MAX_COMPARED: Final = 1 << 20
MAX_STATISTIC: Final = 200  # longer texts get no statistics
# Rows of one case stand together, so that its columns compress; runs by the time they came.
SORT: Final[dict[str, str]] = {
    "runs": "seen",
    "results": "case_id",
    "predictions": "case_id",
    "links": "case_id",
}
_STATISTICS: Final = ("time", "seen", "committed")


@dataclass(frozen=True, slots=True)
class DataFile:
    """One Parquet file of a table, as the table's log knows it.

    ``path`` is relative to the table; ``modified`` is in milliseconds; ``bounds`` maps columns to
    (smallest, largest) value.
    """

    path: str
    size: int
    modified: int
    rows: int
    bounds: dict[str, tuple[Any, Any]]


def sorted_rows(table: str, data: pa.Table) -> pa.Table:
    """Return the rows in the order of the table's files; rows of equal key keep their order."""
    column = SORT.get(table)
    if column is None or data.num_rows <= 1:
        return data
    import pyarrow.compute as pc

    data = data.unify_dictionaries()
    values = data[column].combine_chunks()
    if hasattr(values, "dictionary"):
        rank = pc.rank(values.dictionary, tiebreaker="dense")
        values = rank.take(values.indices)
    return data.take(pc.sort_indices(values))


def write_files(
    location: Location,
    table: str,
    data: pa.Table,
    *,
    modified: int,
    keys: Mapping[str, str] | None = None,
) -> list[DataFile]:
    """Write the rows to new files of at most ``ROWS_PER_FILE`` rows, and describe them.

    The files belong to the table only when its log says so. The keys that the rows are written
    under, each with its owner, stand in the footer, so that a log that is lost can be made anew.
    """
    return [
        _write_file(location, table, data.slice(at, ROWS_PER_FILE), modified=modified, keys=keys)
        for at in range(0, data.num_rows, ROWS_PER_FILE)
    ]


def _write_file(
    location: Location,
    table: str,
    data: pa.Table,
    *,
    modified: int,
    keys: Mapping[str, str] | None = None,
) -> DataFile:
    import pyarrow as pa
    import pyarrow.parquet as pq

    data = sorted_rows(table, data)
    split = _numeric_columns(data)
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(
        sink,
        data.schema,
        compression="zstd",
        compression_level=3,
        store_schema=False,
        use_dictionary=[c for c in data.column_names if c not in split],
        column_encoding=dict.fromkeys(split, "BYTE_STREAM_SPLIT"),
        dictionary_pagesize_limit=8 << 20,
    ) as writer:
        writer.write_table(data, row_group_size=ROWS_PER_GROUP)
        # without the schema pyarrow writes none of its metadata either
        writer.add_key_value_metadata(_footer(table, data, keys))
    content = sink.getvalue()
    name = f"part-{_uuid()}-{checksum(content)}.parquet"
    size = location.write(f"{table}/{name}", lambda stream: stream.write(content))
    return DataFile(name, size, modified, data.num_rows, bounds_of(table, data))


def _uuid() -> str:
    import uuid

    return str(uuid.uuid4())


def _footer(table: str, data: pa.Table, keys: Mapping[str, str] | None) -> dict[bytes, str]:
    footer: dict[bytes, str] = {}
    if "run_id" in data.column_names and table != "runs":
        runs = data["run_id"].unique().to_pylist()
        if len(runs) <= MAX_RUNS_LISTED:
            footer[RUNS_KEY] = json.dumps(runs)
    # the key of a run's only part is its own id, which need not be said
    told = {key: owner for key, owner in (keys or {}).items() if key != owner}
    if told:  # all of them: a key that is left out would be written again
        footer[KEYS_KEY] = json.dumps(told)
    return footer


def keys_of(location: Location, table: str, file: DataFile) -> dict[str, str]:
    """Return the keys that the footer of a file names, each with its owner.

    Raises
    ------
    OSError, ValueError
        When the file is missing or damaged.
    """
    import pyarrow.parquet as pq

    with _open_compared(location, f"{table}/{file.path}") as stream:
        told = (pq.read_metadata(stream).metadata or {}).get(KEYS_KEY)
    return {} if told is None else {str(k): str(v) for k, v in json.loads(told).items()}


def _open_compared(location: Location, path: str) -> Any:
    """Open a file; raise ValueError where it is small and not what was written."""
    import pyarrow as pa

    stream = location.open_input(path)
    if stream.size() > _MAX_COMPARED:
        return stream
    with stream:
        content = stream.read_buffer()
    named = path.removesuffix(".parquet").rpartition("-")[2]
    if checksum(content) != named:
        raise ValueError("its checksum is not what was written")
    return pa.BufferReader(content)


def checksum(content: Any) -> str:
    """Return what stands in the name of a file with this content."""
    return hashlib.blake2b(content, digest_size=8).hexdigest()


def is_intact(location: Location, table: str, file: DataFile) -> bool:
    """Tell whether a file has the size in the log and the checksum in its name.

    Raises
    ------
    FileNotFoundError
        When it is missing.
    """
    with location.open_input(f"{table}/{file.path}") as stream:
        content = stream.read_buffer()
    named = file.path.removesuffix(".parquet").rpartition("-")[2]
    return content.size == file.size and checksum(content) == named


def _numeric_columns(data: pa.Table) -> list[str]:
    """Return the columns of measured numbers: a dictionary of them would only add to them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    head = data.slice(0, ROWS_PER_GROUP)
    return [
        field.name
        for field in data.schema
        if pa.types.is_floating(field.type)
        and pc.count_distinct(head[field.name]).as_py() > head.num_rows / 8
    ]


def bounds_of(table: str, data: pa.Table) -> Bounds:
    """Return the smallest and largest value of the columns that readers filter by."""
    return joined_bounds([extremes_of(table, data)])


def joined_bounds(parts: Iterable[Bounds]) -> Bounds:
    """Return the bounds of rows that come in parts, each with its `extremes_of`."""
    joined: Bounds = {}
    for part in parts:
        for column, (low, high) in part.items():
            lowest, highest = joined.get(column, (low, high))
            joined[column] = min(low, lowest), max(high, highest)
    return {c: bound for c, bound in joined.items() if not any(map(_is_too_long, bound))}


def _is_too_long(value: Any) -> bool:
    return isinstance(value, str) and len(value) > MAX_STATISTIC


def extremes_of(table: str, data: pa.Table) -> Bounds:
    """Return the smallest and largest value of the columns that readers filter by, however long."""
    import pyarrow.compute as pc

    extremes_by_column: Bounds = {}
    for column in (*KEYS[table], *_STATISTICS):
        if column not in data.column_names or column == "attempt":
            continue
        values = data[column].unique()
        if hasattr(values, "dictionary"):
            values = values.cast("string")
        extremes = pc.min_max(values)
        low, high = extremes["min"].as_py(), extremes["max"].as_py()
        if low is not None:
            extremes_by_column[column] = (low, high)
    return extremes_by_column


def may_match(bounds: dict[str, tuple[Any, Any]], where: Iterable[Filter]) -> bool:
    """Tell whether a block with these bounds can hold rows that pass all filters."""
    return all(_bound_may_match(bounds[c], op, v) for c, op, v in where if c in bounds)


def _bound_may_match(bound: tuple[Any, Any], op: str, value: Any) -> bool:
    low, high = bound
    if op in {"=", "=="}:
        return bool(low <= value <= high)
    if op == "in":
        return any(low <= v <= high for v in value)
    if op in {"<", "<="}:
        return bool(low < value or (op == "<=" and low == value))
    if op in {">", ">="}:
        return bool(high > value or (op == ">=" and high == value))
    return True


def _all_match(bounds: Bounds, wanted: Filter) -> bool:
    """Tell whether a block has one value of a column, which passes: to filter costs an import."""
    column, op, value = wanted
    low, high = bounds.get(column, (None, None))
    if low is None or low != high or column not in KEYS["runs"]:  # others may have nulls
        return False
    return bool(low in value if op == "in" else op in _EQUALITY and low == value)


def read_file(
    location: Location,
    table: str,
    path: str,
    *,
    columns: Sequence[str],
    where: Sequence[Filter] = (),
    dictionary: Sequence[str] = (),
) -> Iterator[pa.Table]:
    """Yield the rows of one file that pass the filters, row group by row group.

    Parameters
    ----------
    location, table, path
        Which file.
    columns : sequence of str
        Columns to return, and those the filters need.
    where : sequence of (column, operator, value)
        Filters, all of which must hold.
    dictionary : sequence of str
        Text columns to return dictionary-encoded.

    Raises
    ------
    OSError, ValueError
        When the file is missing or damaged.
    """
    with _open_compared(location, f"{table}/{path}") as stream:
        file = _open(stream, dictionary)
        if not _lists_run(file, where):
            return
        schema = result_schema(table, columns, dictionary)
        asked = {column for column, _, _ in where}
        for group in range(file.num_row_groups):
            bounds = _group_bounds(file.metadata.row_group(group), asked)
            if may_match(bounds, where):
                threads = file.metadata.row_group(group).num_rows > _ROWS_WORTH_THREADS
                rows = file.read_row_group(group, columns=list(columns), use_threads=threads)
                rows = _with_columns(rows, schema)
                rows = filter_rows(rows, [f for f in where if not _all_match(bounds, f)])
                if rows.num_rows:
                    yield cast_rows(rows, schema)


def _open(stream: Any, dictionary: Sequence[str]) -> Any:
    """Open a file; one that is older than a column has no dictionary of it."""
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(stream, read_dictionary=list(dictionary))
    except KeyError:
        there = set(pq.ParquetFile(stream).schema_arrow.names)
        return pq.ParquetFile(stream, read_dictionary=[c for c in dictionary if c in there])


def cast_rows(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return the rows with exactly these types; a cast that is not needed costs an import."""
    return rows if rows.schema.equals(schema) else rows.cast(schema)


def _with_columns(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return the columns of a schema; a file older than an optional one has nulls there."""
    import pyarrow as pa

    for field in schema:
        if field.nullable and field.name not in rows.schema.names:
            rows = rows.append_column(field, pa.nulls(rows.num_rows, field.type))
    return rows.select(schema.names)


def runs_of(location: Location, table: str, file: DataFile) -> set[str]:
    """Return the run_ids of a file: from its bounds or footer where they say it, else read."""
    import pyarrow.parquet as pq

    low, high = file.bounds.get("run_id", (None, None))
    if low is not None and low == high:
        return {low}
    with _open_compared(location, f"{table}/{file.path}") as stream:
        listed = (pq.read_metadata(stream).metadata or {}).get(RUNS_KEY)
    if listed is not None:
        return set(json.loads(listed))
    chunks = read_file(location, table, file.path, columns=["run_id"], dictionary=["run_id"])
    return {run for rows in chunks for run in rows["run_id"].unique().to_pylist()}


def _lists_run(file: Any, where: Sequence[Filter]) -> bool:
    wanted = [
        set(v) if op == "in" else {v} for c, op, v in where if c == "run_id" and op in _EQUALITY
    ]
    listed = (file.metadata.metadata or {}).get(RUNS_KEY)
    if not wanted or listed is None:
        return True
    runs = set(json.loads(listed))
    return all(runs & run_ids for run_ids in wanted)


_EQUALITY: Final = ("=", "==", "in")


def _group_bounds(group: Any, columns: Collection[str]) -> dict[str, tuple[Any, Any]]:
    bounds = {}
    for index in range(group.num_columns if columns else 0):
        column = group.column(index)
        if column.path_in_schema not in columns:
            continue
        statistics = column.statistics
        if statistics is not None and statistics.has_min_max:
            bounds[column.path_in_schema] = (statistics.min, statistics.max)
    return bounds


def result_schema(table: str, columns: Sequence[str], dictionary: Sequence[str]) -> pa.Schema:
    """Return the schema of a result: chosen columns, some of them dictionary-encoded."""
    return _result_schema(table, tuple(columns), tuple(dictionary))


@lru_cache(maxsize=64)  # the same for every file of a table
def _result_schema(table: str, columns: tuple[str, ...], dictionary: tuple[str, ...]) -> pa.Schema:
    import pyarrow as pa

    encoded = pa.dictionary(pa.int32(), pa.string())
    fields = [arrow_schema(table).field(c) for c in columns]
    return pa.schema([f.with_type(encoded) if f.name in dictionary else f for f in fields])


def filter_rows(rows: pa.Table, where: Iterable[Filter]) -> pa.Table:
    """Return the rows that pass all filters; unknown (null) values do not pass."""
    for column, op, value in where:
        rows = rows.filter(filter_mask(rows[column], op, value))
    return rows


def filter_mask(values: pa.ChunkedArray, op: str, value: Any) -> pa.ChunkedArray:
    """Return which values pass ``op value``; dictionary-encoded columns are decided once a word."""
    import pyarrow as pa

    if not pa.types.is_dictionary(values.type):
        return _compare(values, op, value)
    chunks = [_compare(c.dictionary, op, value).take(c.indices) for c in values.chunks]
    return pa.chunked_array(chunks, pa.bool_())


def _compare(values: Any, op: str, value: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    if op in {"in", "not in"}:
        members = value if isinstance(value, pa.Array) else pa.array(list(value), values.type)
        is_member = pc.is_in(values, value_set=members)
        return pc.invert(is_member) if op == "not in" else is_member
    compare = {
        "=": pc.equal,
        "==": pc.equal,
        "!=": pc.not_equal,
        "<": pc.less,
        "<=": pc.less_equal,
        ">": pc.greater,
        ">=": pc.greater_equal,
    }[op]
    return compare(values, pa.scalar(value, values.type))
