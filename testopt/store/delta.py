"""Reads and commits one Delta table: each append once, also when many processes write."""

from __future__ import annotations

import json
import os
import random
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import unquote

from testopt.errors import StoreError
from testopt.schema import TABLES, arrow_schema, digest
from testopt.store.conditional_put import require_conditional_put
from testopt.store.location import REBUILT, explain, is_refused
from testopt.store.parquet import DataFile, write_files
from testopt.store.transactions import Transactions

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    import pyarrow as pa
    from deltalake import DeltaTable

    from testopt.store.location import Location

_T = TypeVar("_T")

MAX_RETRY_S: Final = 300.0  # how long a writer keeps trying while others win
CHECKPOINT_EVERY: Final = 20  # commits that a reader may have to replay
_CHECKPOINT_REMOTE: Final = 5  # each entry since takes four requests of a writer, two of a reader
_LOG_FILES: Final = (".json", ".checkpoint.parquet")
_COMMIT_RETRIES: Final = 100
_REWRITE: Final = "rewrite"  # application id that all rewrites of a table share
_FEW_IDS: Final = 8  # one costs .3 ms and more, all of 20,000 took 30 ms to read
_GENERATION: Final = "generation\0"  # of an owner: how often rows of it were removed
# Old log entries are removed by compaction alone, never in the middle of an append.
_CONFIGURATION: Final = {
    "delta.enableExpiredLogCleanup": "false",
    "delta.logRetentionDuration": "interval 7 days",
}


def app_id(table: str, key: str, generation: int = 0) -> str:
    """Return the Delta application id under which the part `key` of a table is written."""
    return digest(f"{table}\0{key}\0{generation}" if generation else f"{table}\0{key}")


class TableLog:
    """The log of one table: what it holds, and how to change it.

    Each part is written under an application id, made of its key and of the generation of its
    owner: the run whose rows it holds, or nobody in a table without runs. Whoever removes rows
    raises the generation, so that whatever parts they came in may come again. The application
    version of a part is odd where it is written; older programs made it even to remove it.
    """

    def __init__(self, location: Location, table: str) -> None:
        self.location, self.table = location, table
        self._url = location.table_url(table)
        self._handle: DeltaTable | None = None
        self._has_all_columns = False
        self._transactions = Transactions(location, table)

    def refresh(self) -> DeltaTable | None:
        """Return a handle on the newest version, or None when the table does not exist."""
        from deltalake.exceptions import DeltaError, TableNotFoundError

        try:
            self._handle = self.asked(self._open)
        except TableNotFoundError:
            self._handle = None
            self._check_absent()
        except (DeltaError, OSError, ValueError) as error:
            raise explain(error, f"table {self.table} of {self.location.url}") from error
        return self._handle

    def asked(self, action: Callable[[], _T]) -> _T:
        """Do something with Delta that may be repeated, while a server is out of order.

        Its client itself tries again what cannot be sent, but not an answer that is cut short.
        """
        from deltalake.exceptions import DeltaError

        return self.location.retried(action, failures=(DeltaError, OSError))

    def _open(self) -> DeltaTable:
        from deltalake import DeltaTable

        if self._handle is None:
            return DeltaTable(self._url, storage_options=self.location.options)
        self._handle.update_incremental()
        return self._handle

    def newest(self) -> int | None:
        """Return the number of the newest entry of a local log, without reading it.

        Returns
        -------
        int or None
            The version of the table; -1 without a log, None where the store is not local.
        """
        root = self.location.local
        if root is None:
            return None
        folder = root / self.table / "_delta_log"
        try:
            names = [path.name for path in folder.iterdir()]
        except OSError:
            return -1
        numbers = (name.partition(".")[0] for name in names if name.endswith(_LOG_FILES))
        return max((int(n) for n in numbers if n.isdecimal()), default=-1)

    def _check_absent(self) -> None:
        """Make sure that a table without a log has no rows either: they must not be lost."""
        if self.location.local and self.location.list(f"{REBUILT}/{self.table}/"):
            raise StoreError(
                f"a repair of table {self.table} of {self.location.url} was interrupted",
                "`testopt store check --repair` finishes it",
            )
        names = self.location.list(f"{self.table}/")
        if any("/_delta_log/" in name for name in names):
            return  # another process has just made it
        if any("/part-" in name for name in names):
            raise StoreError(
                f"table {self.table} of {self.location.url} has files but its log is gone",
                "`testopt store check --repair` makes the table anew from them",
            )

    def reopen(self) -> None:
        """Forget the version that was seen: the table was replaced."""
        self._handle = None
        self._has_all_columns = False
        self._transactions = Transactions(self.location, self.table)

    def create(self) -> DeltaTable:
        """Return a handle on the newest version; create the table when there is none."""
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError

        require_conditional_put(self.location)
        for attempt in range(20):
            handle = self.refresh()
            if handle is not None:
                return self.add_missing_columns()
            failure: Exception | None = None
            try:
                DeltaTable.create(
                    self._url,
                    schema=arrow_schema(self.table),
                    mode="ignore",
                    storage_options=self.location.options,
                    configuration=_CONFIGURATION,
                )
            except (DeltaError, OSError) as error:  # another process was faster
                failure = error
                _pause(attempt)
        raise explain(failure or OSError("no table"), f"{self._url} cannot be created")

    def add_missing_columns(self) -> DeltaTable:
        """Add the optional columns that the table lacks; return a handle on the newest version.

        An older program, which knows less columns, may have made the table a moment ago.

        Raises
        ------
        StoreError
            When there is no table, or its log cannot be written.
        """
        from deltalake import Field, PostCommitHookProperties, Schema
        from deltalake.exceptions import DeltaError

        deadline = time.monotonic() + MAX_RETRY_S
        for attempt in range(1_000_000):
            handle = self.refresh()
            if handle is None:
                raise StoreError(f"table {self.table} of {self.location.url} is gone")
            missing = self._missing_columns(handle)
            if not missing:
                return handle
            wanted = Schema.from_arrow(arrow_schema(self.table)).fields
            quiet = PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)
            fields = [Field(f.name, f.type, nullable=True) for f in wanted if f.name in missing]
            try:
                handle.alter.add_columns(fields, post_commithook_properties=quiet)
            except (DeltaError, OSError, ValueError) as error:
                # another process may have added them, or appended meanwhile
                if is_refused(error) or time.monotonic() > deadline:
                    raise explain(error, f"{self._url} cannot be altered") from error
                _pause(attempt)
        raise AssertionError

    def _missing_columns(self, handle: DeltaTable) -> set[str]:
        if self._has_all_columns:
            return set()
        there = {field.name for field in handle.schema().fields}
        missing = {c for c, (_, required) in TABLES[self.table].items() if not required} - there
        self._has_all_columns = not missing
        return missing

    def files(self, handle: DeltaTable) -> list[DataFile]:
        """Return the files of a version, oldest first."""
        import pyarrow as pa

        batch = pa.table(handle.get_add_actions(flatten=True)).to_pylist()
        with_bounds = [c for c in TABLES[self.table] if batch and f"min.{c}" in batch[0]]
        files = [
            DataFile(
                unquote(row["path"]),
                row["size_bytes"],
                row["modification_time"],
                -1 if row.get("num_records") is None else row["num_records"],  # not said
                {
                    c: (row[f"min.{c}"], row[f"max.{c}"])
                    for c in with_bounds
                    if row[f"min.{c}"] is not None and row[f"max.{c}"] is not None
                },
            )
            for row in batch
        ]
        return sorted(files, key=lambda f: (f.modified, f.path))

    def holds(self, file: DataFile) -> bool:
        """Tell whether the newest version names a file."""
        handle = self.refresh()
        return handle is not None and file.path in {f.path for f in self.files(handle)}

    def written(self, handle: DeltaTable, owners: Mapping[str, str]) -> set[str]:
        """Return those of some keys whose part the table holds.

        Parameters
        ----------
        handle : DeltaTable
        owners : mapping of str to str
            The owner of each key: a run, or nobody.
        """
        ids = self._app_ids(handle, owners)
        versions = self._versions(handle, ids.values())
        return {k for k, i in ids.items() if versions[i] % 2}

    def _app_ids(self, handle: DeltaTable, owners: Mapping[str, str]) -> dict[str, str]:
        ids = {whose: app_id(self.table, f"{_GENERATION}{whose}") for whose in owners.values()}
        generation = self._versions(handle, ids.values())
        return {k: app_id(self.table, k, generation[ids[whose]]) for k, whose in owners.items()}

    def _versions(self, handle: DeltaTable, ids: Collection[str]) -> dict[str, int]:
        """Return the versions of application ids, 0 for those never used.

        Delta reads its log for each one that it is asked for, so that of many all are read; and
        of a store past a network, which took 527 requests to append a run behind 18 others.
        """
        from deltalake.exceptions import DeltaError

        try:
            if self.location.local and len(ids) <= _FEW_IDS:
                return {i: handle.transaction_version(i) or 0 for i in ids}
            found = self._transactions.at(handle.version())
        except (DeltaError, OSError, ValueError, LookupError, TypeError) as error:
            raise explain(error, f"the log of table {self.table} of {self.location.url}") from error
        return {i: found.get(i, 0) for i in ids}

    def append(
        self, parts: Mapping[str, pa.Table], *, names: Mapping[str, Collection[str]] | None = None
    ) -> set[str]:
        """Append the parts that the table does not hold yet, in one commit.

        Parameters
        ----------
        parts : mapping of str to pyarrow.Table
            Rows by key, of one owner each.
        names : mapping of str to collection of str, optional
            Further keys of a part, under which its rows were once written.

        Returns
        -------
        set of str
            The keys that this call wrote.

        Raises
        ------
        StoreError
            When it cannot be written; then none of the parts is in the table.
        """
        typed = {key: self._typed(part) for key, part in parts.items()}
        owners = {key: owner_of(part) for key, part in typed.items()}
        handle = self.create()
        files: list[DataFile] = []
        missing: set[str] = set()
        began = time.monotonic()
        failing: float | None = None  # since when the server is out of order
        for attempt in range(1_000_000):
            now_missing = set(typed) - self.written(handle, owners)
            if not now_missing:
                return set()
            if now_missing != missing:
                self.discard(files)
                missing = now_missing
                keys = {k: owners[k] for k in typed if k in missing}
                keys |= {n: owners[k] for k in missing for n in (names or {}).get(k, ())}
                files = self._write([typed[k] for k in typed if k in missing], keys)
            failure = self._try_commit(handle, add=files, keys=keys)
            handle = self.create()
            if failure is None or self._committed(handle, files, keys):
                self.location.sync(f"{self.table}/_delta_log", f"{handle.version():020d}.json")
                self.checkpoint(handle)
                return missing
            if is_conflict(failure):
                since, failing = began, None
            else:
                since = failing = failing or time.monotonic()
            if time.monotonic() - since >= self._patience_s(failure):
                self._discard_failed(files, failure)
                raise explain(failure, f"{self._url} cannot be appended to") from failure
            _pause(attempt)
        raise AssertionError

    def _typed(self, part: pa.Table) -> pa.Table:
        import pyarrow as pa

        schema = arrow_schema(self.table)
        try:
            return part if part.schema.equals(schema) else part.select(schema.names).cast(schema)
        except (KeyError, ValueError, pa.ArrowException) as error:
            raise StoreError(f"rows do not fit table {self.table}: {error}") from error

    def _write(self, parts: Sequence[pa.Table], keys: Mapping[str, str]) -> list[DataFile]:
        import pyarrow as pa

        now, rows = int(time.time() * 1000), pa.concat_tables(parts)
        return write_files(self.location, self.table, rows, modified=now, keys=keys)

    def discard(self, files: Sequence[DataFile]) -> None:
        """Remove files that no version of the table names."""
        for file in files:
            with suppress(OSError):
                self.location.delete(f"{self.table}/{file.path}")

    def _patience_s(self, failure: Exception) -> float:
        """Return how long a commit is tried again: other writers and servers give way in time."""
        if is_conflict(failure):
            return MAX_RETRY_S
        return self.location.retry_s if self.location.may_pass(failure) else 0.0

    def _discard_failed(self, files: Sequence[DataFile], failure: Exception) -> None:
        """Remove files whose commit failed, unless a server may carry it out a moment later."""
        if self.location.local or is_conflict(failure):
            self.discard(files)

    def _try_commit(
        self,
        handle: DeltaTable,
        *,
        add: Sequence[DataFile],
        remove: Sequence[DataFile] = (),
        keys: Mapping[str, str] | None = None,
        gone: Collection[str] = (),
        rewrite: Collection[str] = (),
    ) -> Exception | None:
        from deltalake import CommitProperties, PostCommitHookProperties, Transaction
        from deltalake.exceptions import DeltaError
        from deltalake.transaction import AddAction, RemoveAction

        ids = [*self._app_ids(handle, keys or {}).values(), *rewrite]
        ids += [app_id(self.table, f"{_GENERATION}{owner}") for owner in gone]
        versions = self._versions(handle, ids)
        now = int(time.time() * 1000)
        actions: list[AddAction | RemoveAction] = [
            AddAction(f.path, f.size, {}, f.modified, not rewrite, _statistics(f)) for f in add
        ]
        actions += [
            RemoveAction(f.path, data_change=False, deletion_timestamp=now, size=f.size)
            for f in remove
        ]
        try:
            handle.create_write_transaction(
                actions,
                "append",
                handle.schema(),
                commit_properties=CommitProperties(
                    max_commit_retries=_COMMIT_RETRIES,
                    app_transactions=[
                        Transaction(i, version + 1) for i, version in versions.items()
                    ],
                ),
                post_commithook_properties=PostCommitHookProperties(
                    create_checkpoint=False, cleanup_expired_logs=False
                ),
            )
        except (DeltaError, OSError, ValueError) as error:
            return error
        return None

    def rewrite(
        self,
        handle: DeltaTable,
        *,
        add: Sequence[DataFile],
        remove: Sequence[DataFile],
        gone: Collection[str] = (),
    ) -> bool:
        """Replace files of the version in `handle` by others; appends may go on meanwhile.

        Delta would let two rewrites of the same files both succeed and so double their rows: all
        rewrites share one application id, which makes the later one fail.

        Parameters
        ----------
        handle : DeltaTable
            The version from which the replaced files were read.
        add, remove : sequence of DataFile
            New files, which are deleted again when this fails, and those they replace.
        gone : collection of str
            Owners whose parts are gone with it, and may be appended again.

        Returns
        -------
        bool
            False when another process changed the table's files meanwhile.

        Raises
        ------
        StoreError
            When the log cannot be written.
        """
        if not {f.path for f in remove} <= {f.path for f in self.files(handle)}:
            self.discard(add)  # another process has replaced some of them
            return False
        own = [] if add else [f"{_REWRITE}-{os.urandom(8).hex()}"]  # no new file tells that it was
        ids = [_REWRITE, *own]
        failure = self._try_commit(handle, add=add, remove=remove, gone=gone, rewrite=ids)
        fresh = self.create()
        if failure is None:
            self.location.sync(f"{self.table}/_delta_log", f"{fresh.version():020d}.json")
            return True
        named = {f.path for f in self.files(fresh)}
        if all(self._versions(fresh, own).values()) and {f.path for f in add} <= named:
            return True  # it happened, and the answer was lost
        self._discard_failed(add, failure)
        if is_conflict(failure):
            return False
        raise explain(failure, f"{self._url} cannot be rewritten") from failure

    def _committed(
        self, handle: DeltaTable, files: Sequence[DataFile], keys: Mapping[str, str]
    ) -> bool:
        """Tell whether a commit that reported an error has happened all the same."""
        if self.written(handle, keys) != set(keys):
            return False
        return {f.path for f in files} <= {f.path for f in self.files(handle)}

    def checkpoint(self, handle: DeltaTable) -> None:
        """Write a checkpoint now and then; it only saves time, so a failure is no error."""
        from deltalake.exceptions import DeltaError

        every = CHECKPOINT_EVERY if self.location.local else _CHECKPOINT_REMOTE
        if handle.version() and handle.version() % every == 0:
            with suppress(DeltaError, OSError):
                handle.create_checkpoint()


def owner_of(part: pa.Table) -> str:
    """Return the run whose rows a part holds; nobody in a table without runs."""
    if "run_id" not in part.column_names or not part.num_rows:
        return ""
    return str(part["run_id"][0].as_py())


def _statistics(file: DataFile) -> str:
    bounds = {c: (_plain(low), _plain(high)) for c, (low, high) in file.bounds.items()}
    return json.dumps(
        {
            "numRecords": file.rows,
            "minValues": {c: low for c, (low, _) in bounds.items()},
            "maxValues": {c: high for c, (_, high) in bounds.items()},
            "nullCount": {},
        }
    )


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return value


def is_conflict(error: Exception) -> bool:
    """Tell whether a commit failed because of other writers, and not of the disk."""
    from deltalake.exceptions import CommitFailedError

    return isinstance(error, CommitFailedError) and not is_refused(error)


def _pause(attempt: int) -> None:
    time.sleep(random.uniform(0, min(1.0, 0.005 * 2 ** min(attempt, 8))))  # noqa: S311
