"""Mends a store: takes rows back from whole files, and removes what is of no use.

The caller makes sure that nothing is written meanwhile. What is removed is kept under ``damaged``,
and may be appended again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from testopt.pluralize import pluralize
from testopt.schema import KEYS, TABLES, arrow_schema, digest
from testopt.store.compact import RUN_TABLES, drop_runs, keys_of_files
from testopt.store.inspection import TableState, read_files, whole_files
from testopt.store.location import DAMAGED
from testopt.store.parquet import filter_mask, is_intact, keys_of, runs_of, write_files
from testopt.store.rebuild import COMMANDS, save_damaged_file, save_rows
from testopt.store.records import rows_by_owner
from testopt.store.run_counts import counts_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from testopt.store.delta import TableLog
    from testopt.store.inspection import Problem
    from testopt.store.parquet import DataFile

States = Mapping[str, TableState]
# Runs of a backfill: what they replayed is not told by their results, and can be replayed again.
_REPLAYED: Final = re.compile(r"[0-9a-f]{16}")


def mend_files(states: States) -> list[Problem]:
    """Remove damaged files from the tables, and correct what logs say of whole ones."""
    problems: list[Problem] = []
    for state in states.values():
        problems += _correct(state)
        problems += _remove(state, states)
    return problems


def _correct(state: TableState) -> list[Problem]:
    log, done = state.log, []
    for file, problem in state.misjudged:
        mended = log.rewrite(log.create(), add=_anew(log, file, _rows(log, [file])), remove=[file])
        done.append(replace(problem, mended=mended, done="corrected; no row is lost"))
    return done


def _rows(log: TableLog, files: Sequence[DataFile]) -> pa.Table:
    """Return all rows of some files, in the types of the table."""
    return read_files(log, files, list(TABLES[log.table])).cast(arrow_schema(log.table))


def _anew(log: TableLog, file: DataFile, rows: pa.Table) -> list[DataFile]:
    """Write rows of a file to another one, under the same keys."""
    keys = keys_of(log.location, log.table, file)
    return write_files(log.location, log.table, rows, modified=file.modified, keys=keys)


def _remove(state: TableState, states: States) -> list[Problem]:
    log, files = state.log, [file for file, _ in state.damaged]
    if not files:
        return []
    copies = [save_damaged_file(log.location, log.table, file) for file in files]
    gone, half = _owners(state, states)
    if log.table == "file_changes" and "commits" in states:
        _forget_commits(state, states["commits"])  # first: who repeats a repair finds the file
    moment, again = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}", COMMANDS.get(log.table, "")
    left = [file for file in state.sound() if half and half & runs_if_known(log, file)]
    save_rows(log, left, half, moment=f"{moment}-unfinished")
    done = [
        replace(problem, mended=True, done=_removed(copy, again))
        for (_, problem), copy in zip(state.damaged, copies, strict=True)
    ]
    _write_down(log, done, gone | half, f"{DAMAGED}/{log.table}-{moment}.txt")
    handle = log.create()
    if drop_runs(log, handle, files=left, runs=gone | half, damaged=files):
        return done
    return [problem for _, problem in state.damaged]


def _write_down(log: TableLog, done: Sequence[Problem], runs: Collection[str], name: str) -> None:
    """Keep what is about to be removed in words: a repair that dies tells nobody."""
    lines = [f"{log.table}/{p.file}: {p.message}: {p.done}" for p in done]
    lines += [f"run {run!r}" for run in sorted(runs) if run]
    words = "".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace")
    log.location.write(name, lambda stream: stream.write(words))


def _removed(copy: str, again: str) -> str:
    text = "its rows were removed, unless other files hold them"
    text += f"; read them again: {again}" if again else ""
    return text + (f"; it is kept in {copy}" if copy else "")


def _owners(state: TableState, states: States) -> tuple[set[str], set[str]]:
    """Return whose parts may be gone with the damaged files of a table: wholly, or a part of them.

    Of the latter only those of runs that never ended: the row of the others says how many they are.
    """
    if state.log.table not in {*RUN_TABLES, "runs"}:
        return {""}, set()
    left = set(state.read(["run_id"])["run_id"].unique().to_pylist())
    known = {run for file, _ in state.damaged for run in runs_if_known(state.log, file)}
    ended = states.get("runs")
    runs = set() if ended is None else set(ended.read(["run_id"])["run_id"].to_pylist())
    rows = set(runs)
    # of runs that have no row yet the files that were replaced tell, and the bounds themselves
    old = whole_files(state.log, {file.path for file in state.files})[0]
    runs |= {run for file in old for run in runs_if_known(state.log, file)}
    for name in RUN_TABLES:
        if name in states:
            runs |= set(states[name].read(["run_id"])["run_id"].unique().to_pylist())
    bounds = [f.bounds["run_id"] for f, _ in state.damaged if "run_id" in f.bounds]
    runs |= {run for bound in bounds for run in bound}
    known |= {run for run in runs if any(low <= run <= high for low, high in bounds)}
    half = (known & left) - rows
    if ended is not None:
        half -= ended.log.written(ended.handle, {run: run for run in half})
    return known - left, half


def runs_if_known(log: TableLog, file: DataFile) -> set[str]:
    """Return the runs of a file that is whole: pyarrow may end the process at another one."""
    try:
        is_whole = is_intact(log.location, log.table, file)
        return runs_of(log.location, log.table, file) if is_whole else set()
    except (OSError, ValueError):
        return set()


def _shas(rows: pa.Table) -> pa.Array:
    found = rows["sha"].unique()
    return found.dictionary if hasattr(found, "dictionary") else found


def _forget_commits(changes: TableState, commits: TableState) -> None:
    if changes.log.location.local is not None:  # files that no log entry names are taken back
        forget_commits_of(changes.log, commits.log)
        return
    bad = {file.path for file, _ in commits.damaged}
    forget_bare_commits(commits.log, _shas(changes.read(["sha"])), bad)


def forget_commits_of(changes: TableLog, commits: TableLog) -> str:
    """Remove the commits without a row in whole files of `changes`, of a local store; say so."""
    mined = _shas(read_files(changes, whole_files(changes)[0], ["sha"]))
    whole = {file.path for file in whole_files(commits)[0]}
    bad = {file.path for file in commits.files(commits.create())} - whole
    count = forget_bare_commits(commits, mined, bad)
    return f"; {pluralize(count, 'commit')} without changed files will be mined again" * bool(count)


def forget_bare_commits(commits: TableLog, mined: pa.Array, damaged: Collection[str]) -> int:
    """Remove the commits without any changed file, so that `testopt mine` reads both again.

    Parameters
    ----------
    commits : TableLog
    mined : pyarrow.Array
        The commits whose changed files are there.
    damaged : collection of str
        Files of the table that cannot be read; they stay.

    Returns
    -------
    int
        How many commits were removed.
    """
    handle = commits.create()
    files = [f for f in commits.files(handle) if f.path not in damaged]
    rows = _rows(commits, files)
    kept = rows.filter(filter_mask(rows["sha"], "in", mined))
    modified = max((f.modified for f in files), default=0)
    if kept.num_rows < rows.num_rows:
        added = write_files(commits.location, "commits", kept, modified=modified)
        commits.rewrite(handle, add=added, remove=files, gone=[""])
    return int(rows.num_rows - kept.num_rows)


def take_back(states: States, lost: Collection[str], tables: Collection[str]) -> dict[str, int]:
    """Append rows that only files hold which no log entry names, or which were replaced.

    Parameters
    ----------
    states : mapping of str to TableState
    lost : collection of str
        Runs of which rows are missing: those in replaced files count, too.
    tables : collection of str
        Tables without runs of which rows are missing, likewise.

    Returns
    -------
    dict of str to int
        How many rows each table got back.
    """
    found = {
        name: missing_rows(state, states, lost, replaced=name in tables)
        for name, state in states.items()
    }
    back = {
        name: _append(states[name].log, rows, files)
        for name, (rows, files) in sorted(found.items(), key=lambda item: item[0] == "runs")
        if rows.num_rows
    }
    for state in states.values():
        for file in state.unnamed:  # else they would bring back what is removed later
            save_damaged_file(state.log.location, state.log.table, file)
        state.log.discard(state.unnamed)
    return back


def missing_rows(
    state: TableState, states: States, lost: Collection[str] = (), *, replaced: bool = False
) -> tuple[pa.Table, list[DataFile]]:
    """Return rows that belong to a table and are in none of its files, and where they stand."""
    log = state.log
    live = {file.path for file in state.sound()}
    spare, by_run = state.unnamed, log.table in {*RUN_TABLES, "runs"}
    if lost if by_run else state.damaged or replaced:
        spare = whole_files(log, live)[0]
    if not spare:
        return arrow_schema(log.table).empty_table(), []
    rows = _rows(log, spare)
    if by_run:
        rows = rows.filter(filter_mask(rows["run_id"], "in", _wanted(states, lost)))
    elif log.table == "commits" and "file_changes" in states:  # without them they are mined again
        mined = _shas(states["file_changes"].read(["sha"]))
        kept = rows.filter(filter_mask(rows["sha"], "in", mined))
        spare = spare if kept.num_rows == rows.num_rows else []  # its keys may come again, too
        rows = kept
    return _without(rows, state), spare


def _wanted(states: States, lost: Collection[str]) -> pa.Array:
    """Return the runs whose rows are wanted: those that are there, or whose row is found."""
    import pyarrow as pa

    runs = states.get("runs")
    known: set[str] = set(lost)
    if runs is not None:
        known |= set(
            read_files(runs.log, [*runs.sound(), *runs.unnamed], ["run_id"])["run_id"].to_pylist()
        )
    return pa.array(sorted(known), pa.string())


def _without(rows: pa.Table, state: TableState) -> pa.Table:
    """Return rows whose key no sound file of a table holds, one of each."""
    import pyarrow as pa

    keys = list(KEYS[state.log.table])
    live = state.read(keys)
    live = live.cast(pa.schema([arrow_schema(state.log.table).field(k) for k in keys]))
    held = set(zip(*(live[k].to_pylist() for k in keys), strict=True))
    keep = []
    for key in zip(*(rows[k].to_pylist() for k in keys), strict=True):
        keep.append(key not in held)
        held.add(key)
    return rows.filter(pa.array(keep, pa.bool_()))


def _append(log: TableLog, rows: pa.Table, files: Sequence[DataFile]) -> int:
    """Append rows under the keys that they had, as far as these are known."""
    keys = keys_of_files(log, files)
    parts, names = {}, {}
    for batch in rows_by_owner(rows):
        for owner, part in batch.items():
            key = _free_key(log, owner, part)
            parts[key], names[key] = part, [k for k, whose in keys.items() if whose == owner]
    written = log.append(parts, names=names)
    return sum(parts[key].num_rows for key in written)


def _free_key(log: TableLog, owner: str, part: pa.Table) -> str:
    """Return a key for rows of an owner: its own id where the table holds no such part."""
    handle = log.create()
    if owner and not log.written(handle, {owner: owner}):
        return owner
    first = digest(repr([part[k][0].as_py() for k in KEYS[log.table]]))
    return f"{owner}#taken-back-{part.num_rows}-{first}"


def recover_runs(states: States, lost: Collection[str]) -> tuple[set[str], set[str]]:
    """Make rows anew for runs that have results and no row of their own.

    What results do not tell (commit, branch, job) stays unknown, and such a run is incomplete.

    Returns
    -------
    tuple of set of str
        The runs that were recovered, and those that cannot be.
    """
    import pyarrow as pa

    results, runs = states.get("results"), states.get("runs")
    able = {run for run in lost if not _REPLAYED.fullmatch(run)}
    if results is None or runs is None or not able:
        return set(), set(lost)
    rows, modified = _results_of(results, able)
    parts = {}
    for batch in rows_by_owner(rows):
        for run, own in batch.items():
            when = datetime.fromtimestamp(modified[run] / 1000, UTC)
            row = dict.fromkeys(TABLES["runs"]) | counts_of(own)
            row |= {"run_id": run, "time": when, "seen": when, "source": "recovered"}
            row |= {"job": "", "kind": "real", "complete": False}
            parts[run] = pa.Table.from_pylist([row], schema=arrow_schema("runs"))
    written = runs.log.append(parts)
    return written, set(lost) - written


def _results_of(state: TableState, runs: Collection[str]) -> tuple[pa.Table, dict[str, int]]:
    """Return the results of runs, and when the first of each were written, in milliseconds."""
    import pyarrow as pa

    columns = ["run_id", "case_id", "outcome", "duration_s", "attempt"]
    wanted = pa.array(sorted(runs), pa.string())
    found, modified = [], dict[str, int]()
    for file in state.sound():
        rows = read_files(state.log, [file], columns)
        rows = rows.filter(filter_mask(rows["run_id"], "in", wanted))
        for run in rows["run_id"].unique().to_pylist():
            modified.setdefault(run, file.modified)
        found.append(rows)
    return pa.concat_tables(found).unify_dictionaries(), modified


def remove_doubles(state: TableState, again: NDArray[np.bool_]) -> bool:
    """Write the files that hold repeated rows anew, without them."""
    import pyarrow as pa

    log, at = state.log, 0
    added: list[DataFile] = []
    removed: list[DataFile] = []
    for file in state.sound():
        end = at + file.rows
        if again[at:end].any():
            rows = _rows(log, [file]).filter(pa.array(~again[at:end]))
            added += _anew(log, file, rows)
            removed.append(file)
        at = end
    return log.rewrite(log.create(), add=added, remove=removed)


def remove_runs(states: States, runs: Collection[str], *, moment: str) -> bool:
    """Remove runs from all tables, their commit mark first; what there is of them is kept."""
    done = True
    for table in ("runs", *RUN_TABLES):
        if table in states:
            log = states[table].log
            handle = log.create()
            files = [f for f in log.files(handle) if set(runs) & runs_if_known(log, f)]
            save_rows(log, files, runs, moment=moment)
            done = drop_runs(log, handle, files=files, runs=runs) and done
    return done
