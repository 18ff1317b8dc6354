"""Reads the application transactions of a table, which tell what was appended already."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Final

from testopt.errors import StoreError

if TYPE_CHECKING:
    from testopt.store.location import Location

_FEW_ENTRIES: Final = 20  # more stand in a checkpoint


class Transactions:
    """The application transactions of one table; what was read once is not read again.

    Parameters
    ----------
    location : Location
    table : str
    """

    def __init__(self, location: Location, table: str) -> None:
        self._location, self._table = location, table
        self._version, self._found = -1, dict[str, int]()

    def at(self, version: int) -> dict[str, int]:
        """Return the version of each application id in a version of the table.

        Raises
        ------
        StoreError
            When the log has no such version.
        """
        if 0 <= self._version < version <= self._version + _FEW_ENTRIES:
            try:
                for number in range(self._version + 1, version + 1):
                    self._found |= _of_entry(self._location, self._table, number)
                    self._version = number
            except StoreError:  # removed since: a checkpoint holds it
                self._version = -1
        if self._version != version:
            self._found = transactions(self._location, self._table, version)
            self._version = version
        return self._found


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
        found |= _of_entry(location, table, number)
    return found


def _of_entry(location: Location, table: str, number: int) -> dict[str, int]:
    content = location.read(f"{table}/_delta_log/{number:020d}.json")
    if content is None:
        raise StoreError(
            f"log entry {number} of table {table} of {location.url} is missing",
            "see `testopt store check`",
        )
    actions = (json.loads(line) for line in content.splitlines() if b'"txn"' in line)
    told = (action["txn"] for action in actions if "txn" in action)
    return {txn["appId"]: txn["version"] for txn in told}


def _checkpoint(version: int) -> str:
    return f"{version:020d}.checkpoint.parquet"


def _of_checkpoint(location: Location, name: str) -> dict[str, int]:
    import pyarrow.parquet as pq

    content = location.read(name) or b""
    rows = pq.read_table(io.BytesIO(content), columns=["txn"])["txn"].drop_null()
    return {row["appId"]: row["version"] for row in rows.to_pylist()}
