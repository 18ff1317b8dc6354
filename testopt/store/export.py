"""Exports tables as plain files: Parquet and CSV."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testopt.store.location import explain

if TYPE_CHECKING:
    from collections.abc import Iterable

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
                writer.write_table(_join_lists(chunk) if path.endswith(".csv") else chunk)
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


def _join_lists(rows: pa.Table) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    for at, field in enumerate(rows.schema):
        if pa.types.is_list(field.type):
            rows = rows.set_column(at, field.name, pc.binary_join(rows[field.name], " "))
    return rows
