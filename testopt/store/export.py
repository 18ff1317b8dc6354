"""Exports tables as plain files: Parquet and CSV.

Names and messages come from outside, and spreadsheets take texts that begin with ``=`` and the like
for formulas: in CSV such a text gets an apostrophe in front. Parquet holds each text as it is.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from testopt.schema import VARIANT_KINDS, arrow_schema
from testopt.store.location import explain

HISTORY: Final = "history"  # results with the facts of their runs
_HISTORY: Final = (
    "run_id", "time", "case_id", "outcome", "duration_s", "file", "attempt", "commit", "base",
    "branch", "job",
)  # fmt: skip
_FORMULA: Final = r"^([=+\-@\t\r])"  # what spreadsheets take for the beginning of a formula

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pyarrow as pa


def export_table(path: str, schema: pa.Schema, chunks: Iterable[pa.Table]) -> int:
    """Write chunks of rows to a file and return the number of rows; no half-written file stays.

    Parameters
    ----------
    path : str
        Local file; CSV when it ends in ``.csv``, else Parquet. Lists become texts in CSV, their
        items separated by spaces.
    schema : pyarrow.Schema
        Schema of the chunks.
    chunks : iterable of pyarrow.Table
        The rows.

    Raises
    ------
    StoreError
        When the file cannot be written.
    """
    part = Path(path + ".part")
    rows = 0
    try:
        with part.open("wb") as stream, _writer(path, schema, stream) as writer:
            for chunk in chunks:
                writer.write_table(_for_csv(chunk) if path.endswith(".csv") else chunk)
                rows += chunk.num_rows
        part.replace(path)
    except OSError as error:
        raise explain(error, f"{path} cannot be written") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    return rows


def _writer(path: str, schema: pa.Schema, stream: Any) -> Any:
    if path.endswith(".csv"):
        from pyarrow.csv import CSVWriter

        return CSVWriter(stream, _join_lists(schema.empty_table()).schema)
    from pyarrow.parquet import ParquetWriter

    return ParquetWriter(stream, schema, compression="zstd")


def _for_csv(rows: pa.Table) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = _join_lists(rows)
    for at, field in enumerate(rows.schema):
        if pa.types.is_string(field.type):
            safe = pc.replace_substring_regex(rows[field.name], _FORMULA, r"'\1")
            rows = rows.set_column(at, field, safe)
    return rows


def _join_lists(rows: pa.Table) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    for at, field in enumerate(rows.schema):
        if pa.types.is_list(field.type):
            rows = rows.set_column(at, field.name, pc.binary_join(rows[field.name], " "))
    return rows


def history_schema() -> pa.Schema:
    """Return the columns of a table of results that `testopt ingest --format table` takes."""
    import pyarrow as pa

    fields = [field for table in ("runs", "results") for field in arrow_schema(table)]
    known = {field.name: field for field in fields}
    return pa.schema([known[name] for name in _HISTORY])


def history_chunks(runs: pa.Table, results: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Yield results of runs that really happened, with the columns of `history_schema`.

    Parameters
    ----------
    runs : pyarrow.Table
        The table ``runs``.
    results : iterable of pyarrow.Table
        Chunks of the table ``results``.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    real = runs.filter(pc.invert(pc.is_in(runs["kind"], pa.array(sorted(VARIANT_KINDS)))))
    ids = real["run_id"].combine_chunks()
    for chunk in results:
        place = pc.index_in(chunk["run_id"], ids)
        rows, facts = chunk.filter(pc.is_valid(place)), real.take(pc.drop_null(place))
        columns = [(rows if n in rows.column_names else facts)[n] for n in _HISTORY]
        yield pa.table(columns, schema=history_schema())
