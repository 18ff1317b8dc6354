"""Rows of a store that are missing, doubled or of no run: finds and mends them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from testopt.pluralize import pluralize
from testopt.store.compact import RUN_TABLES, orphan_runs
from testopt.store.inspection import Problem, cases_of_runs, doubled_rows, snapshot
from testopt.store.location import DAMAGED
from testopt.store.repair import (
    missing_rows,
    recover_runs,
    remove_doubles,
    remove_runs,
    take_back,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from testopt.store.delta import TableLog
    from testopt.store.inspection import TableState

_FOUND: Final = "its rows were found in other files of the store"


@dataclass(slots=True)
class RowProblems:
    """What is wrong with rows, in files that can be read.

    Attributes
    ----------
    unnamed : dict of str to int
        Rows by table that only files hold which no log entry names.
    lost : set of str
        Runs that were written, and whose row is gone.
    incomplete : set of str
        Runs that lack results.
    doubled : dict of str to int
        Rows by table that repeat a key.
    orphans : dict of str to set of str
        Runs by table that were never finished, and that old rows are of.
    """

    unnamed: dict[str, int] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)
    incomplete: set[str] = field(default_factory=set)
    doubled: dict[str, int] = field(default_factory=dict)
    orphans: dict[str, set[str]] = field(default_factory=dict)

    def problems(self, done: Outcome | None = None) -> list[Problem]:
        """Return all of it in words, with what was done about it."""
        done = done or Outcome()
        said = [("lost", name, _unnamed_text(count)) for name, count in self.unnamed.items()]
        found = [_problem(one, done.unnamed.get(one[1], "")) for one in said]
        for run in sorted(self.lost):
            text = f"the row of run {run!r} is gone; its results are there"
            found.append(_problem(("lost", "runs", text), done.runs.get(run, "")))
        for name, count in self.doubled.items():
            text = f"{pluralize(count, 'row')} stand there more than once"
            found.append(_problem(("doubled", name, text), done.doubled.get(name, "")))
        for run in sorted(self.incomplete):
            text = f"run {run!r} lacks results"
            found.append(_problem(("incomplete", "results", text), done.runs.get(run, "")))
        for name, runs in self.orphans.items():
            text = f"rows of {pluralize(len(runs), 'run')} that never ended"
            found.append(_problem(("orphan", name, text), done.orphans))
        return found


@dataclass(slots=True)
class Outcome:
    """What a repair did about rows: by table, by run, and about runs that never ended."""

    unnamed: dict[str, str] = field(default_factory=dict)
    runs: dict[str, str] = field(default_factory=dict)
    doubled: dict[str, str] = field(default_factory=dict)
    orphans: str = ""


def _problem(said: tuple[str, str, str], done: str) -> Problem:
    return replace(Problem(*said), mended=bool(done), done=done)


def _unnamed_text(count: int) -> str:
    return (
        f"{pluralize(count, 'row')} in files that no log entry names: a writer died, or a power "
        "cut lost the entry"
    )


def find_row_problems(states: Mapping[str, TableState]) -> RowProblems:
    """Compare the tables of a store with each other, and with the files beside them."""
    counts, planned = cases_of_runs(states.get("results")), _cases_by_run(states)
    unnamed = {name: missing_rows(state, states)[0].num_rows for name, state in states.items()}
    doubled = {name: doubled_rows(state, planned) for name, state in states.items()}
    lost = _written_runs(states, set(counts) - set(planned))
    return RowProblems(
        {name: count for name, count in unnamed.items() if count},
        lost,
        {run for run, cases in planned.items() if counts.get(run, 0) < cases},
        {name: int(again.sum()) for name, again in doubled.items() if again is not None},
        _orphans(states, {*planned, *lost}),
    )


def mend_rows(found: RowProblems, logs: Mapping[str, TableLog]) -> list[Problem]:
    """Mend what is wrong with rows: take back, make anew, and remove what is left.

    The caller makes sure that nothing is written meanwhile.
    """
    if found == RowProblems():
        return []
    done = Outcome()
    back = take_back(snapshot(logs, is_idle=True), found.lost | found.incomplete, found.unnamed)
    done.unnamed = {name: f"{pluralize(count, 'row')} taken back" for name, count in back.items()}
    states = snapshot(logs, is_idle=False)  # there are no unnamed files any more
    recovered, unable = recover_runs(states, found.lost - set(_cases_by_run(states)))
    for name, state in states.items():
        again = doubled_rows(state, _cases_by_run(states))
        if again is not None and remove_doubles(state, again):
            done.doubled[name] = "one of each was kept"
    done.runs = dict.fromkeys(found.lost | found.incomplete, _FOUND)
    done.runs |= dict.fromkeys(
        recovered, "made anew from its results; its commit, branch and job are not known"
    )
    _remove(found, unable, done, logs)
    return found.problems(done)


def _remove(
    found: RowProblems, unable: Collection[str], done: Outcome, logs: Mapping[str, TableLog]
) -> None:
    """Remove runs that cannot be completed; say so."""
    states = snapshot(logs, is_idle=False)
    counts, planned = cases_of_runs(states.get("results")), _cases_by_run(states)
    short = {run for run, cases in planned.items() if counts.get(run, 0) < cases}
    orphans = set().union(*found.orphans.values()) - set(planned)
    moment = f"{datetime.now(UTC):%Y%m%dT%H%M%S}"
    gone = short | set(unable) | orphans
    removed = not gone or remove_runs(states, gone, moment=moment)
    kept = f"kept in {DAMAGED}/runs-{moment}"
    text = f"the run was removed: ingest it again; its rows are {kept}" if removed else ""
    done.runs |= dict.fromkeys(short | set(unable), text)
    done.orphans = f"removed; {kept}" if removed and orphans else _FOUND if removed else ""


def _cases_by_run(states: Mapping[str, TableState]) -> dict[str, int]:
    """Return how many cases each run has by its own row."""
    if "runs" not in states:
        return {}
    rows = states["runs"].read(["run_id", "cases"])
    return dict(zip(rows["run_id"].to_pylist(), rows["cases"].to_pylist(), strict=True))


def _written_runs(states: Mapping[str, TableState], runs: Collection[str]) -> set[str]:
    """Return those of some runs whose row was written, by the log of runs."""
    state = states.get("runs")
    if state is None:
        return set()
    return state.log.written(state.handle, {run: run for run in runs})


def _orphans(states: Mapping[str, TableState], committed: Collection[str]) -> dict[str, set[str]]:
    found = {}
    for table in RUN_TABLES:
        if table in states:
            runs = orphan_runs(states[table].log, states[table].sound(), committed)[1]
            if runs:
                found[table] = runs
    return found
