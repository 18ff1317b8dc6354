"""Which format version a store has, and how it is migrated to the present one."""

from __future__ import annotations

import errno
import fcntl
import json
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from testopt.errors import EmptyStoreError, ServerError, StoreError
from testopt.schema import SCHEMA_VERSION, TABLES
from testopt.store.location import DAMAGED, FORMAT, REBUILDING, REBUILT, explain, is_refused

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from testopt.store.location import Location

# Columns that came with a version: optional ones, so that readers give null for older rows.
ADDED: Final[Mapping[int, Mapping[str, tuple[str, ...]]]] = {
    2: {
        "runs": ("pipeline_run", "tree"),
        "run_changes": ("patch",),
        "predictions": ("shard",),
    },
}
_FOLDERS: Final = ("state", "models", DAMAGED, REBUILDING, REBUILT, "lost+found")


def _add_columns(location: Location) -> None:
    """Add the optional columns that tables lack: only their logs change, no file of rows does."""
    from testopt.store.delta import TableLog

    for table in TABLES:
        log = TableLog(location, table)
        try:
            handle = log.refresh()
        except ServerError:
            raise
        except StoreError:
            continue  # a broken log must open for `check` to mend; an append adds the columns
        if handle is not None:
            log.add_missing_columns()


# Version -> what makes the next one of it. A migration may be repeated after an interruption.
MIGRATIONS: Final[Mapping[int, Callable[[Location], None]]] = {1: _add_columns}
# Versions of which this program can read the rows as they are, as null where a column is missing.
_READABLE: Final = frozenset({1})


def open_format(
    location: Location,
    *,
    create: bool,
    current: int = SCHEMA_VERSION,
    migrations: Mapping[int, Callable[[Location], None]] = MIGRATIONS,
) -> None:
    """Make sure that the store at `location` is there and of the present version.

    Parameters
    ----------
    location : Location
        Where the store is.
    create : bool
        Make a new one where there is none.
    current : int
        The version that this program reads and writes.
    migrations : mapping of int to callable
        Steps from a version to the next one.

    Raises
    ------
    EmptyStoreError
        When there is no store and `create` is false.
    StoreError
        When it is of a newer version, of an older one without a way to the present one, or when
        its ``format.json`` is damaged or gone.
    """
    content = location.read(FORMAT)
    if content is None:
        if _has_tables(location):
            raise StoreError(
                f"{location.url} has tables but no {FORMAT}", "see `testopt store check --repair`"
            )
        if not create:
            raise EmptyStoreError(
                f"there is no store at {location.url}",
                "fill one with `testopt ingest` or `testopt mine`",
            )
        _create(location, current)
        return
    version = _version(content, location)
    if version > current:
        raise StoreError(
            f"{location.url} is of format {version}; this testopt knows formats up to {current}",
            "upgrade testopt; nothing was changed",
        )
    if version < current:
        try:
            _migrate(location, current, migrations)
        except StoreError as error:
            # who may not write can read on; who writes adds the columns, or says what is wrong
            if not (_READABLE.issuperset(range(version, current)) and _may_not_write(error)):
                raise


def _may_not_write(error: BaseException) -> bool:
    return is_refused(error.__cause__ or error)


def is_unreadable(location: Location) -> bool:
    """Tell whether there are tables of which ``format.json`` does not say the version."""
    content = location.read(FORMAT)
    try:
        return _has_tables(location) if content is None else _version(content, location) < 0
    except ServerError:
        raise
    except StoreError:
        return True


def write_format(location: Location, columns: Mapping[str, Collection[str]]) -> bool:
    """Write the version of the tables, which their columns tell; false where they do not.

    Parameters
    ----------
    location : Location
    columns : mapping of str to collection of str
        Columns of each table that there is. A migration that was interrupted leaves some tables
        with the columns of the next version: it is then done again.
    """
    fitting = [
        {v for v in range(1, SCHEMA_VERSION + 1) if set(found) == _columns_at(table, v)}
        for table, found in columns.items()
    ]
    if not all(fitting):
        return False
    version = min((max(of) for of in fitting), default=SCHEMA_VERSION)
    _write_version(location, version, keep=False)
    return True


def _columns_at(table: str, version: int) -> set[str]:
    later = (of.get(table, ()) for v, of in ADDED.items() if v > version)
    return set(TABLES[table]).difference(*later)


def _has_tables(location: Location) -> bool:
    return any(location.list(f"{table}/_delta_log/") for table in TABLES)


def _create(location: Location, version: int) -> None:
    _check_free(location)
    try:
        if location.local:
            location.local.mkdir(parents=True, exist_ok=True)
            location.write(".gitignore", lambda stream: stream.write(b"*\n"), keep=True)
    except OSError as error:
        raise explain(error, f"{location.url} cannot be created") from error
    _write_version(location, version, keep=True)


def _check_free(location: Location) -> None:
    """Make sure that a folder holds nothing of somebody else: git is told to ignore all of it."""
    if location.local is None or not location.local.is_dir():
        return
    own = {FORMAT, ".gitignore", *TABLES, *_FOLDERS}  # another process may be creating it
    try:
        names = sorted(path.name for path in location.local.iterdir())
    except OSError as error:
        raise explain(error, f"{location.url} cannot be read") from error
    hidden = (".tmp-", ".lock-", ".nfs", ".gitkeep", ".DS_Store")
    other = next((n for n in names if n not in own and not n.startswith(hidden)), "")
    if other:
        raise StoreError(
            f"{location.url} is not a store: it holds other files, such as {other}",
            "name a folder that is new or empty",
        )


def _write_version(location: Location, version: int, *, keep: bool = False) -> None:
    content = json.dumps({"format": "testopt store", "schema_version": version}).encode()
    location.write(FORMAT, lambda stream: stream.write(content), keep=keep)


def _version(content: bytes, location: Location) -> int:
    try:
        version = json.loads(content)["schema_version"]
        if type(version) is not int or version < 0:
            raise ValueError(version)
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{location.url}/{FORMAT} is damaged", "see `testopt store check --repair`"
        ) from error
    return version


def _migrate(
    location: Location, current: int, migrations: Mapping[int, Callable[[Location], None]]
) -> None:
    with lock(location, "migrate"):
        version = _version(location.read(FORMAT) or b"", location)  # another may have been faster
        missing = [v for v in range(version, current) if v not in migrations]
        if missing:
            raise StoreError(
                f"{location.url} has format {version}: it cannot be migrated to format {current}",
                "use an older testopt, or a new store; nothing was changed",
            )
        for step in range(version, current):
            migrations[step](location)
            _write_version(location, step + 1)


@contextmanager
def lock(
    location: Location, name: str, *, shared: bool = False, wait: bool = True
) -> Iterator[bool]:
    """Hold a lock of a local store, which the system releases when the process dies.

    Yields
    ------
    bool
        False when `wait` is false and others hold it, or none can be had. Always true on an object
        store, which has no locks: there, conflicting commits are refused instead.
    """
    if location.local is None:
        yield True
        return
    try:
        handle = os.open(location.local / f".lock-{name}", os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise explain(error, f"{location.url} cannot be locked") from error
    try:
        mode = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        try:
            fcntl.flock(handle, mode if wait else mode | fcntl.LOCK_NB)
            held = True
        except OSError:  # held by others, or a file system without locks: see `has_locks`
            held = False
        yield held
    finally:
        os.close(handle)


def has_locks(location: Location) -> bool:
    """Tell whether the file system of a local store has locks; true where there is no telling."""
    if location.local is None:
        return True
    try:
        handle = os.open(location.local / FORMAT, os.O_RDONLY)
    except OSError:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in {errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES}
    finally:
        os.close(handle)
    return True
