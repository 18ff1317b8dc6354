"""The rows of a run beside its results, for runs whose counts are known already."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testopt.schema import arrow_schema
from testopt.store.records import record_tables

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    import pyarrow as pa

    from testopt.schema import RunRecord


def run_tables(
    record: RunRecord, *, seen: datetime, counts: Mapping[str, float]
) -> dict[str, pa.Table]:
    """Return the rows of ``run_changes`` and ``runs`` of a run whose results are appended apart.

    Parameters
    ----------
    record : RunRecord
        The run and its change, without results.
    seen : datetime
        When it was ingested.
    counts : mapping
        Columns of ``runs`` that count results: cases, failed, error, skipped, duration_s.
    """
    tables = record_tables(record, seen=seen)
    row = {**tables["runs"].to_pylist()[0], **counts}
    integers = ("cases", "failed", "error", "skipped")
    row |= {name: int(counts[name]) for name in integers}
    runs = type(tables["runs"]).from_pylist([row], schema=arrow_schema("runs"))
    return {"run_changes": tables["run_changes"], "runs": runs}
