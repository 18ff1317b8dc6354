"""By which rules the mined commits were told to be fixes, and how those of older rules are mended.

A mark beside the tables names the rules. It is written last: an interrupted change of rules is
begun again, and finds what is there already as it should be.
"""

from __future__ import annotations

import json
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from testopt.errors import StoreError
from testopt.schema import arrow_schema
from testopt.store.parquet import keys_of, read_file, write_files

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from testopt.store import Store
    from testopt.store.delta import TableLog
    from testopt.store.parquet import DataFile

JUDGED: Final = "state/fixes.json"
_VERSION: Final = 1
_TRIES: Final = 50  # while others rewrite the table


@dataclass(frozen=True, slots=True)
class JudgedFixes:
    """The rules by which ``is_fix`` was told.

    Attributes
    ----------
    rules : str
        From `testopt.git.subjects.fix_rules`.
    left : frozenset of str
        Commits that were told by older rules, as this clone of the repository had not got them.
    """

    rules: str
    left: frozenset[str] = frozenset()


def read_judged(store: Store) -> JudgedFixes | None:
    """Return by which rules the fixes of a store were told.

    Returns
    -------
    JudgedFixes or None
        None where nobody knows: for a store of an older testopt, and for a damaged mark.

    Raises
    ------
    StoreError
        When the store cannot be read.
    """
    data = store.read_blob(JUDGED)
    if data is None:
        return None
    try:
        document: dict[str, Any] = json.loads(data)
        if document["version"] != _VERSION:
            return None
        return JudgedFixes(str(document["rules"]), frozenset(map(str, document["left"])))
    except (ValueError, KeyError, TypeError):
        return None


def write_judged(store: Store, judged: JudgedFixes) -> None:
    """Record by which rules the fixes of a store are told now.

    Raises
    ------
    StoreError
        When it cannot be written.
    """
    document = {"version": _VERSION, "rules": judged.rules, "left": sorted(judged.left)}
    store.write_blob(JUDGED, json.dumps(document, separators=(",", ":")).encode())


def merge_judged(store: Store, source: Store, *, first: bool) -> None:
    """Record by which rules fixes are told where commits of another store were taken in.

    Parameters
    ----------
    store, source : Store
    first : bool
        The store had no commits of its own.
    """
    own, other = (None if first else read_judged(store)), read_judged(source)
    if other is not None and (first or (own is not None and own.rules == other.rules)):
        write_judged(store, JudgedFixes(other.rules, other.left | (own.left if own else set())))
    else:
        store.delete_blob(JUDGED)  # nobody knows of all of them: the next `mine` tells them anew


def replace_verdicts(log: TableLog, verdicts: Mapping[str, bool]) -> int:
    """Write the files of ``commits`` anew in which a commit is told otherwise.

    Of several processes that do so at once, all but one look again.

    Parameters
    ----------
    log : TableLog
        Of ``commits``.
    verdicts : mapping of str to bool
        Whether a commit is a fix; those not named stay as they are.

    Returns
    -------
    int
        Commits that are told otherwise now.

    Raises
    ------
    StoreError
        When the table cannot be written, or others rewrite it all the time.
    """
    for attempt in range(_TRIES):
        handle = log.refresh()
        removed: list[DataFile] = []
        added: list[DataFile] = []
        changed = 0
        for file in log.files(handle) if handle is not None else ():
            rows, n = _told_anew(log, file, verdicts)
            if n:
                keys = keys_of(log.location, log.table, file)
                added += write_files(
                    log.location, log.table, rows, modified=file.modified, keys=keys
                )
                removed.append(file)
                changed += n
        if handle is None or not removed:
            return 0
        if log.rewrite(handle, add=added, remove=removed):
            return changed
        time.sleep(random.uniform(0.0, min(0.01 * 2**attempt, 1.0)))  # noqa: S311 - no secret
    raise StoreError(
        f"table {log.table} of {log.location.url} is rewritten by other processes all the time",
        "repeat the command",
    )


def _told_anew(log: TableLog, file: DataFile, verdicts: Mapping[str, bool]) -> tuple[pa.Table, int]:
    """Return the rows of a file with the verdicts, and how many of them were others."""
    import pyarrow as pa

    schema = arrow_schema(log.table)
    rows = pa.concat_tables(
        [
            part.select(schema.names).cast(schema)
            for part in read_file(log.location, log.table, file.path, columns=schema.names)
        ]
        or [schema.empty_table()]
    )
    old = rows["is_fix"].to_pylist()
    new = [
        verdicts.get(sha, is_fix) for sha, is_fix in zip(rows["sha"].to_pylist(), old, strict=True)
    ]
    place = schema.get_field_index("is_fix")
    told = rows.set_column(place, schema.field(place), pa.array(new, pa.bool_()))
    return told, sum(a != b for a, b in zip(old, new, strict=True))
