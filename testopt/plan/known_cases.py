"""Which cases a project has, by its last runs: one rule for the engine and the command line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from testopt.errors import EmptyStoreError
from testopt.pluralize import pluralize
from testopt.runners.case_ids import split_case
from testopt.store.run_summary import real_runs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from testopt.schema import Change
    from testopt.store import Store

_COMMITS: Final = 5  # whose cases are the known ones


@dataclass(frozen=True, slots=True)
class KnownCases:
    """Sorted ids of the cases of the last runs.

    Attributes
    ----------
    ids : list of str
    at_last_commit : int
        How many cases the runs of the last commit had.
    """

    ids: list[str]
    at_last_commit: int

    @property
    def note(self) -> str:
        """What the user should know of them; empty where all were in the last runs."""
        if self.at_last_commit == len(self.ids):
            return ""
        return (
            f"{pluralize(len(self.ids), 'case')} of the last runs, of which the last had "
            f"{self.at_last_commit:,} (see --cases)"
        )


def known_cases(
    store: Store | None, root: Path | None = None, change: Change | None = None
) -> KnownCases:
    """Return the cases of the last runs that really happened, with those that plans left out.

    A run may be of a part of the suite only: so the cases are those of the last ``_COMMITS``
    commits, with all their jobs, shards and repeats.

    Parameters
    ----------
    store : Store or None
    root : Path, optional
        Top folder of the repository: cases of earlier commits whose file or function is gone from
        there are left out; so are those of a file that has been run since, where it is not known.
    change : Change, optional
        The change at hand: cases of files that it renames have their new ids, those of files that
        it deletes are left out.

    Raises
    ------
    EmptyStoreError
        When there is no store, or it holds no run.
    """
    commits = _cases_by_commit(store) if store is not None else []
    if not commits:
        raise EmptyStoreError("the store holds no runs", "read some first: testopt ingest PATH")
    if change is not None:
        commits = [_as_changed(cases, change) for cases in commits]
    found = set(commits[0])
    words = lru_cache(None)(lambda file: _words_of(root, file))
    for cases in commits[1:]:
        files = {_file_of(case) for case in found}
        functions = {split_case(case)[0] for case in found}
        for case in cases:
            function, file = split_case(case)[0], _file_of(case)
            if "::" not in case or function in functions:
                continue  # a file that could not be collected, or other parameters now
            known = words(file)
            there = file not in files if known is None else function.rpartition("::")[2] in known
            if there:
                found.add(case)
    return KnownCases(sorted(found), len(commits[0]))


def _as_changed(cases: set[str], change: Change) -> set[str]:
    """Return the ids that cases have after a change."""
    moved = {f.old_path: f.path for f in change.files if f.status == "R" and f.old_path}
    gone = {f.path for f in change.files if f.status == "D"} - set(moved.values())
    if not moved and not gone:
        return cases
    parts = (case.partition("::") for case in cases)
    return {moved.get(file, file) + mark + rest for file, mark, rest in parts if file not in gone}


def last_run_cases(store: Store | None, job: str) -> list[str]:
    """Return the cases of the last run of a job, else of any: a guess at those of the next one.

    It is not what is known of the project, and serves only to have a plan ready early.
    """
    runs = real_runs(store) if store is not None else []
    if store is None or not runs:
        return []
    last = next((run for run in runs if run["job"] == job), runs[0])
    return sorted({case for _, case in _planned_or_run(store, [last["run_id"]])})


def _cases_by_commit(store: Store) -> list[set[str]]:
    """Return the cases of the last ``_COMMITS`` commits, the last one first."""
    commit_of: dict[str, str] = {}
    groups: dict[str, set[str]] = {}
    for run in real_runs(store):
        group = run["commit"] or run["run_id"]
        if group in groups or len(groups) < _COMMITS:
            commit_of[run["run_id"]] = group
            groups.setdefault(group, set())
    if not groups:
        return []
    for run_id, case in _planned_or_run(store, list(commit_of)):
        groups[commit_of[run_id]].add(case)
    return list(groups.values())


def _file_of(case: str) -> str:
    """Return what stands before the first colons of an id: its file or class."""
    return case.partition("::")[0]


def _words_of(root: Path | None, file: str) -> frozenset[str] | None:
    """Return the words of a file, none where it is gone; None where there is no looking into it."""
    if root is None or not file.endswith(".py") or ".." in file:
        return None
    try:
        return frozenset(re.findall(r"\w+", (root / file).read_text("utf-8", "replace")))
    except OSError:
        return frozenset()


def _planned_or_run(store: Store, run_ids: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield run and case of all results and predictions of some runs."""
    names = ["run_id", "case_id"]
    for table in ("results", "predictions"):
        where = [("run_id", "in", list(run_ids))]
        rows = store.read(table, columns=names, where=where, dictionary=names)
        yield from zip(*(rows[name].to_pylist() for name in names), strict=True)
