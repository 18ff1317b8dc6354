"""Finds out whether an object store lets one of several writers win, as Delta needs it.

A commit is the creation of a log entry that must not be there yet (``If-None-Match: *``). A server
that does not know the condition lets every writer win, and all commits but one are lost in silence.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from testopt.errors import StoreError
from testopt.schema import digest
from testopt.store.location import FORMAT, explain
from testopt.store.remote import endpoint_of

if TYPE_CHECKING:
    from threading import Barrier

    from testopt.store.location import Location

# Delta looks before it writes, so that a probe is a race: of 60 races of two and of four writers at
# a server without the condition, 58 were won by more than one. Three in a row miss it once in
# some 27,000, and take 40 requests, once for each store and server.
_WRITERS: Final = 4
_RACES: Final = 3
_PROBE: Final = "probe"
_KEY: Final = "conditional_put"  # in ``format.json``: servers that were tried
_SERVERS: Final = 20  # of them are remembered


def require_conditional_put(location: Location) -> None:
    """Make sure that a server refuses to write a file that is there; ask it only once.

    Raises
    ------
    StoreError
        When two writers can win at once.
    """
    if location.local is not None or location.facts.get(_KEY):
        return
    server = digest(f"{endpoint_of(location.url)}\0{location.url}")[:16]
    content = location.read(FORMAT)
    document = json.loads(content) if content else {}
    tried = document.get(_KEY, [])
    if server not in tried:
        _try(location)
        if document:
            document[_KEY] = [*tried, server][-_SERVERS:]
            told = json.dumps(document).encode()
            location.write(FORMAT, lambda stream: stream.write(told))
    location.facts[_KEY] = True


def _try(location: Location) -> None:
    from deltalake.exceptions import DeltaError

    failures = (DeltaError, OSError)
    try:
        one_wins = location.retried(lambda: _race(location), failures=failures)
    except failures as error:
        raise explain(error, f"{location.url} cannot be tried") from error
    if not one_wins:
        server = endpoint_of(location.url)
        raise StoreError(
            f"{location.url}: the server {server or 'of the store'} lets several writers win at "
            "once, so that runs would be lost: it ignores If-None-Match",
            "use a server with conditional writes (docs/object-storage.md), or a folder",
        )


def _race(location: Location) -> bool:
    """Tell whether of writers that commit at once one wins, and no more."""
    from concurrent.futures import ThreadPoolExecutor
    from threading import Barrier

    import pyarrow as pa
    from deltalake import DeltaTable

    name = f"{_PROBE}/{os.urandom(8).hex()}"
    url = location.table_url(name)
    try:
        DeltaTable.create(
            url, schema=pa.schema([("x", pa.string())]), storage_options=location.options
        )
        won = 0
        with ThreadPoolExecutor(_WRITERS) as pool:
            for _ in range(_RACES):
                handles = [
                    DeltaTable(url, storage_options=location.options) for _ in range(_WRITERS)
                ]
                barrier = Barrier(_WRITERS)
                won += sum(pool.map(lambda handle, b=barrier: _commits(handle, b), handles))
        return won <= int(DeltaTable(url, storage_options=location.options).version())
    finally:
        _clean(location, name)


def _commits(handle: Any, barrier: Barrier) -> bool:
    """Tell whether a commit was acknowledged, at the same moment as others try."""
    from deltalake import CommitProperties, PostCommitHookProperties
    from deltalake.exceptions import DeltaError
    from deltalake.transaction import AddAction

    barrier.wait()
    try:
        handle.create_write_transaction(
            [AddAction(os.urandom(8).hex(), 1, {}, 0, True, "{}")],
            "append",
            handle.schema(),
            commit_properties=CommitProperties(max_commit_retries=0),
            post_commithook_properties=PostCommitHookProperties(
                create_checkpoint=False, cleanup_expired_logs=False
            ),
        )
    except (DeltaError, OSError):
        return False
    return True


def _clean(location: Location, name: str) -> None:
    with suppress(StoreError, OSError):  # leftovers of some 100 bytes
        for path in location.list(f"{name}/"):
            location.delete(path)
