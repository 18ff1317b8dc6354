"""How far `testopt szz` has looked: what was committed later is not examined, and not clean.

The mark stands beside the tables. It moves when all fixes of a history (or of a list) have been
traced, never back, and never for a tracing that was interrupted. A tracing of the newest fixes
alone says since when it traced them.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from testopt.store import Store

_NAME: Final = "state/szz.json"
_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Examined:
    """The latest commit up to which all fixes were traced.

    Attributes
    ----------
    until : datetime
        When that commit was committed. A commit that is younger than this and has no label is
        unlabelled: no fix of it can have been seen.
    head : str
        Its full hash.
    fixes, unread : int
        Fixes looked at, and those of them for which git could not read all that was needed.
    since : datetime, optional
        Fixes committed up to then were not all traced: what is older is not examined either.
    """

    until: datetime
    head: str
    fixes: int = 0
    unread: int = 0
    since: datetime | None = None


def read_examined(store: Store) -> Examined | None:
    """Return how far fixes were traced.

    Returns
    -------
    Examined or None
        None where `testopt szz` never came to an end on this store, or where the labels that it
        made are gone.

    Raises
    ------
    StoreError
        When the store cannot be read.
    """
    data = store.read_blob(_NAME)
    examined = None if data is None else _parsed(data)
    if examined is None:
        return None
    gone = examined.fixes > examined.unread and store.version("labels") < 0
    return None if gone else examined


def write_examined(store: Store, examined: Examined) -> None:
    """Record how far fixes were traced, unless the store knows of a later commit or of more.

    Raises
    ------
    StoreError
        When it cannot be written.
    """
    known = read_examined(store)
    if known is None or (known.until <= examined.until and _days(known) <= _days(examined)):
        document = {
            "version": _VERSION,
            "until": int(examined.until.timestamp()),
            "head": examined.head,
            "fixes": examined.fixes,
            "unread": examined.unread,
        }
        if examined.since is not None:
            document["since"] = int(examined.since.timestamp())
        store.write_blob(_NAME, json.dumps(document, separators=(",", ":")).encode())


def _days(examined: Examined) -> float:
    """Return how long a time was examined."""
    return (
        math.inf
        if examined.since is None
        else (examined.until - examined.since) / timedelta(days=1)
    )


def _parsed(data: bytes) -> Examined | None:
    """Return what a file says; None for one that is damaged or of a newer testopt."""
    try:
        document: dict[str, Any] = json.loads(data)
        if document["version"] != _VERSION:
            return None
        until = datetime.fromtimestamp(int(document["until"]), UTC)
        fixes, unread = int(document["fixes"]), int(document["unread"])
        since = document.get("since")
        from_then = None if since is None else datetime.fromtimestamp(int(since), UTC)
        return Examined(until, str(document["head"]), fixes, unread, from_then)
    except (ValueError, KeyError, TypeError, OverflowError, OSError):
        return None
