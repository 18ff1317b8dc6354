"""Removes what a store is told to forget: from tables, logs, replaced files and ``damaged``.

The caller makes sure that nothing is written meanwhile, and that the store is whole. Every step
may be repeated, so that an interrupted one is finished by doing all of it again.
"""

from __future__ import annotations

import json
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, Final
from uuid import uuid4

from testopt.errors import StoreError
from testopt.schema import TABLES, arrow_schema
from testopt.store.check import find_problems
from testopt.store.compact import keys_of_files, replaced_files, unreferenced_files
from testopt.store.forgotten import (
    AUTHOR_TABLES,
    CASE_TABLES,
    load_forgotten,
    plain,
    save_forgotten,
)
from testopt.store.format import has_locks, lock
from testopt.store.inspection import cases_of_runs, read_files, snapshot
from testopt.store.location import DAMAGED, REBUILDING, explain
from testopt.store.parquet import checksum, filter_mask, read_file, write_files
from testopt.store.run_counts import COUNTED, recounted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    import pyarrow as pa

    from testopt.store.delta import TableLog
    from testopt.store.forgotten import Forgotten
    from testopt.store.location import Location
    from testopt.store.parquet import DataFile

_HOLDERS: Final = {
    **dict.fromkeys(CASE_TABLES, "case_id"),
    **dict.fromkeys(AUTHOR_TABLES, "author"),
}


def forget_rows(logs: Mapping[str, TableLog], forgotten: Forgotten) -> None:
    """Remove the rows of cases, and the names of authors; count again what runs hold.

    The keys under which rows were written stay: the same run again is no new one.

    Raises
    ------
    StoreError
        When another process rewrites a table at the same time.
    """
    for table, column in _HOLDERS.items():
        _rewrite(logs[table], forgotten, column)
    _recount(logs)


def _rewrite(log: TableLog, forgotten: Forgotten, column: str) -> None:
    handle = log.refresh()
    added: list[DataFile] = []
    removed: list[DataFile] = []
    for file in log.files(handle) if handle else ():
        chunks = read_file(
            log.location, log.table, file.path, columns=[column], dictionary=[column]
        )
        if any(forgotten.kept(names) is not names for names in chunks):
            rows = forgotten.kept(_rows(log, file))
            removed.append(file)
            keys = keys_of_files(log, [file])
            added += write_files(log.location, log.table, rows, modified=file.modified, keys=keys)
    _replace(log, added, removed)


def _rows(log: TableLog, file: DataFile) -> pa.Table:
    rows = read_files(log, [file], list(TABLES[log.table]))
    return rows.cast(arrow_schema(log.table))  # a dictionary names what was removed as well


def _replace(log: TableLog, added: Collection[DataFile], removed: Collection[DataFile]) -> None:
    if removed and not log.rewrite(log.create(), add=list(added), remove=list(removed)):
        raise StoreError(
            f"table {log.table} of {log.location.url} was rewritten by another process",
            "repeat the command",
        )


def _recount(logs: Mapping[str, TableLog]) -> None:
    """Count again the results of the runs that have another number of cases than they say."""
    import pyarrow as pa

    states = snapshot({name: logs[name] for name in ("runs", "results")}, is_idle=False)
    if len(states) < len(("runs", "results")):
        return
    runs, results = states["runs"], states["results"]
    rows = runs.read(["run_id", "cases"])
    said = dict(zip(rows["run_id"].to_pylist(), rows["cases"].to_pylist(), strict=True))
    there = cases_of_runs(results)
    wrong = {run for run, cases in said.items() if there.get(run, 0) != cases}
    names = pa.array(sorted(wrong), pa.string())
    found = [arrow_schema("results").empty_table().select(COUNTED)]
    for file in results.files if wrong else ():
        own = plain(read_files(results.log, [file], COUNTED))
        found.append(own.filter(filter_mask(own["run_id"], "in", names)))
    added: list[DataFile] = []
    removed: list[DataFile] = []
    for file in runs.files if wrong else ():
        old = _rows(runs.log, file)
        new = recounted(old, pa.concat_tables(found), wrong)
        if not new.equals(old):
            removed.append(file)
            keys = keys_of_files(runs.log, [file])
            added += write_files(runs.log.location, "runs", new, modified=file.modified, keys=keys)
    _replace(runs.log, added, removed)


def erase_traces(location: Location, logs: Mapping[str, TableLog], forgotten: Forgotten) -> None:
    """Remove the bytes: replaced files, what dead writers left, old logs and ``damaged``.

    On an object store files of dead writers go only when they are older than a day.

    Raises
    ------
    StoreError
        When something cannot be removed.
    """
    from deltalake.exceptions import DeltaError

    for log in logs.values():
        handle = log.refresh()
        if handle is None:
            continue
        try:
            _erase_files(log, handle)
            _clean_log(log, forgotten)
            handle = log.create()
            log.asked(handle.create_checkpoint)
        except (DeltaError, OSError) as error:
            what = f"old files of table {log.table} of {location.url} cannot be removed"
            raise explain(error, what) from error
        _erase_checkpoints(log, int(handle.version()))
    _erase_drafts(location)
    for name in location.list(f"{REBUILDING}/"):
        location.delete(name)
    for name in location.list(f"{DAMAGED}/"):
        _clean_damaged(location, name, forgotten)


def _erase_files(log: TableLog, handle: Any) -> None:
    old = replaced_files(log, handle)
    names = {*old, *unreferenced_files(log, handle, old)}
    root = log.location.local
    if root is not None:
        live = {file.path for file in log.files(handle)}
        found = (p for p in (root / log.table).rglob("*") if p.is_file())
        paths = {p.relative_to(root / log.table).as_posix() for p in found}
        names = {p for p in paths - live if not p.startswith("_delta_log/") or _is_draft(p)}
    for name in sorted(names):
        log.location.delete(f"{log.table}/{name}")


def _erase_drafts(location: Location) -> None:
    """Remove what dead writers of plain files left: caches and bundles name cases."""
    for path in location.local.rglob(".tmp-*") if location.local else ():
        with suppress(FileNotFoundError):  # its writer has just finished it
            path.unlink()


def _is_draft(path: str) -> bool:
    """Tell whether a file of a log is what a dead writer was writing."""
    name = path.rpartition("/")[2]
    return name.startswith((".tmp-", "_commit_")) or name.endswith(".tmp") or "#" in name


def _clean_log(log: TableLog, forgotten: Forgotten) -> None:
    """Take forgotten cases out of the bounds in log entries; these stay for who reads on."""
    for name in log.location.list(f"{log.table}/_delta_log/"):
        content = log.location.read(name) if name.endswith(".json") else None
        if not content:
            continue
        lines = content.decode().split("\n")  # a text may hold other ends of lines
        clean = [_clean_entry(line, forgotten) for line in lines]
        if clean != lines:
            log.location.write(name, partial(_fill, "\n".join(clean).encode()))


def _fill(content: bytes, stream: BinaryIO) -> None:
    stream.write(content)


def _clean_entry(line: str, forgotten: Forgotten) -> str:
    if '"case_id' not in line and '\\"case_id' not in line:
        return line
    try:
        entry = json.loads(line)
    except ValueError:  # nobody can read it, and a checkpoint has taken its place
        return ""
    action = entry.get("add") or entry.get("remove") or {}
    try:
        statistics = json.loads(action.get("stats") or "{}")
    except ValueError:  # a check puts that right
        action["stats"] = "{}"
        return json.dumps(entry)
    sides = [statistics.get(side) or {} for side in ("minValues", "maxValues")]
    if not any(forgotten.among([side["case_id"]]) for side in sides if "case_id" in side):
        return line
    for side in sides:
        side.pop("case_id", None)
    action["stats"] = json.dumps(statistics)
    return json.dumps(entry)


def _erase_checkpoints(log: TableLog, newest: int) -> None:
    for name in log.location.list(f"{log.table}/_delta_log/"):
        number, _, rest = name.rpartition("/")[2].partition(".")
        if rest.startswith("checkpoint") and number.isdigit() and int(number) < newest:
            log.location.delete(name)


def _clean_damaged(location: Location, name: str, forgotten: Forgotten) -> None:
    """Take what is forgotten out of a file under ``damaged``; one that cannot be read goes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kept = None
    if _is_whole_rows(location, name):
        with suppress(OSError, ValueError, pa.ArrowException), location.open_input(name) as stream:
            rows = pq.read_table(stream)
            kept = forgotten.kept(rows)
            if kept is rows:
                return
    if kept is None or not kept.num_rows:
        location.delete(name)
        return
    content = kept.replace_schema_metadata(None)
    location.delete(name)  # its name may hold a checksum
    name = f"{name.rpartition('/')[0]}/rows-{uuid4()}.parquet"
    location.write(name, lambda stream: pq.write_table(content, stream))


def _is_whole_rows(location: Location, name: str) -> bool:
    folder, _, file = name.rpartition("/")
    if not file.endswith(".parquet") or folder.endswith("_delta_log"):
        return False
    named = file.removesuffix(".parquet").rpartition("-")[2]
    return not file.startswith("part-") or checksum(location.read(name) or b"") == named


@contextmanager
def forgetting(
    location: Location,
    logs: Mapping[str, TableLog],
    *,
    cases: Collection[str],
    authors: Collection[str],
) -> Iterator[Forgotten]:
    """Remove cases and authors; afterwards the caller removes what is made of them.

    See `Store.forgetting`.
    """
    if not has_locks(location):
        raise StoreError(
            f"{location.url} is on a file system without locks, where others could write what is "
            f"being forgotten",
            "copy the store to a local disk, forget there, and put it back",
        )
    with lock(location, "runs"), lock(location, "compact"):
        found = find_problems(location, logs, is_idle=True)
        bad = [p for p in found if p.kind not in {"leftover", "orphan", "forget"}]
        if bad:
            raise StoreError(
                f"{location.url} is damaged: what it holds cannot all be found",
                "mend it first: testopt store check --repair",
            )
        forgotten = load_forgotten(location).adding(cases, authors)
        save_forgotten(location, forgotten)
        forget_rows(logs, forgotten)
        erase_traces(location, logs, forgotten)
        yield forgotten
        save_forgotten(location, replace(forgotten, pending=False))
