"""Reads the application transactions of a table, which tell what was appended already."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

from testopt.errors import StoreError

if TYPE_CHECKING:
    from testopt.store.location import Location


def transactions(location: Location, table: str, version: int) -> dict[str, int]:
    """Return the version of each application id in a version of a table.

    It reads what Delta's protocol says: the last checkpoint, and the log entries behind it.

    Parameters
    ----------
    location : Location
    table : str
    version : int
        Of the table.

    Raises
    ------
    StoreError
        When the log has no such version.
    """
    folder = f"{table}/_delta_log/"
    names = {name.removeprefix(folder) for name in location.list(folder)}
    start = next((v for v in range(version, -1, -1) if _checkpoint(v) in names), -1)
    found = _of_checkpoint(location, folder + _checkpoint(start)) if start >= 0 else {}
    for number in range(start + 1, version + 1):
        content = location.read(f"{folder}{number:020d}.json")
        if content is None:
            raise StoreError(
                f"log entry {number} of table {table} of {location.url} is missing",
                "see `testopt store check`",
            )
        for line in content.splitlines():
            if b'"txn"' in line and (action := json.loads(line).get("txn")):
                found[action["appId"]] = action["version"]
    return found


def _checkpoint(version: int) -> str:
    return f"{version:020d}.checkpoint.parquet"


def _of_checkpoint(location: Location, name: str) -> dict[str, int]:
    import pyarrow.parquet as pq

    content = location.read(name) or b""
    rows = pq.read_table(io.BytesIO(content), columns=["txn"])["txn"].drop_null()
    return {row["appId"]: row["version"] for row in rows.to_pylist()}
