"""The past of one case, from the tables: how often it ran and failed, at what, and how reliably."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from testopt.schema import FAILING, VARIANT_KINDS
from testopt.store.same_code import same_code

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from testopt.store import Store

_MOST_PATHS: Final = 4  # changed files and folders whose past is shown


@dataclass(frozen=True, slots=True)
class Failure:
    """A run in which the case failed."""

    run_id: str
    commit: str | None
    time: datetime


@dataclass(frozen=True, slots=True)
class PathPast:
    """Changes of a file or folder at which the case ran, and at how many of them it failed.

    As in the reasons of a plan, the runs of one commit are one change.
    """

    name: str
    changes: int
    failures: int
    last_commit: str | None


@dataclass(frozen=True, slots=True)
class CasePast:
    """What happened to a case.

    Attributes
    ----------
    runs, failures : int
        Runs in which it was executed, and in which it failed in the end.
    last_run : datetime or None
    last_failure : Failure or None
    passed_again : int
        Runs in which it failed and then passed when it was executed again.
    both_at : int
        Commits, or states of the working tree, at which it has both passed and failed.
    changes : tuple of PathPast
        Of the changed files and their folders, those that it failed with first.
    """

    runs: int = 0
    failures: int = 0
    last_run: datetime | None = None
    last_failure: Failure | None = None
    passed_again: int = 0
    both_at: int = 0
    changes: tuple[PathPast, ...] = ()


def case_past(store: Store, case: str, paths: Iterable[str], *, before: datetime) -> CasePast:
    """Return what happened to a case before a moment.

    Parameters
    ----------
    store : Store
    case : str
        Its id.
    paths : iterable of str
        The changed files.
    before : datetime
        Later runs are left out; so are variants of commits, which really happened never, and
        runs that their environment failed, of which the reasons of a plan know nothing either.

    Raises
    ------
    StoreError
        When the tables cannot be read.
    """
    names = ["run_id", "outcome", "attempt"]
    rows = store.read("results", columns=names, where=[("case_id", "=", case)]).to_pylist()
    outcomes: dict[str, list[str]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row["attempt"]):
        if row["outcome"] != "skipped":
            outcomes[row["run_id"]].append(row["outcome"])
    runs = _runs(store, outcomes, before)
    if not runs:
        return CasePast()
    failed = [run for run in runs if outcomes[run["run_id"]][-1] in FAILING]
    last = failed[-1] if failed else None
    return CasePast(
        len(runs),
        len(failed),
        runs[-1]["time"],
        None if last is None else Failure(last["run_id"], last["commit"], last["time"]),
        passed_again=sum(_passed_again(outcomes[run["run_id"]]) for run in runs),
        both_at=_both_at(runs, failed),
        changes=_path_pasts(store, runs, {run["run_id"] for run in failed}, paths),
    )


def _runs(store: Store, ids: Iterable[str], before: datetime) -> list[dict[str, Any]]:
    """Return the runs that really happened, oldest first."""
    columns = ["run_id", "commit", "base", "tree", "time", "kind", "environment_failure"]
    found = store.read("runs", columns=columns, where=[("run_id", "in", list(ids))]).to_pylist()
    real = (
        run
        for run in found
        if run["kind"] not in VARIANT_KINDS
        and run["environment_failure"] is not True
        and run["time"] < before
    )
    return sorted(real, key=lambda run: (run["time"], run["run_id"]))


def _passed_again(outcomes: Sequence[str]) -> bool:
    return outcomes[-1] not in FAILING and any(one in FAILING for one in outcomes)


def _both_at(runs: Sequence[dict[str, Any]], failed: Sequence[dict[str, Any]]) -> int:
    failed_ids = {run["run_id"] for run in failed}
    seen: dict[str, set[bool]] = defaultdict(set)
    edited = [run["commit"] == run["base"] for run in runs]
    codes = same_code([r["tree"] for r in runs], [r["commit"] for r in runs], edited)
    for run, code in zip(runs, codes, strict=True):
        if code is not None:
            seen[code].add(run["run_id"] in failed_ids)
    return sum(len(kinds) > 1 for kinds in seen.values())


def _path_pasts(
    store: Store, runs: Sequence[dict[str, Any]], failed: set[str], paths: Iterable[str]
) -> tuple[PathPast, ...]:
    """Return how the case fared when the changed files, or others in their folders, changed."""
    last = {_change(run): (i, run["commit"]) for i, run in enumerate(runs)}
    change = {run["run_id"]: _change(run) for run in runs}
    failing = {change[run] for run in failed}
    rows = store.read(
        "run_changes", columns=["run_id", "path"], where=[("run_id", "in", list(change))]
    )
    wanted = set(paths)
    folders = {_folder(path) for path in wanted}
    seen: dict[str, set[str]] = defaultdict(set)
    for run, path in zip(rows["run_id"].to_pylist(), rows["path"].to_pylist(), strict=True):
        if path in wanted:
            seen[path].add(change[run])
        if _folder(path) in folders:
            seen[_folder(path)].add(change[run])
    found = []
    for name, ids in seen.items():
        failing_changes = sorted(ids & failing, key=lambda one: last[one][0])
        found.append(
            PathPast(
                name,
                len(ids),
                len(failing_changes),
                last[failing_changes[-1]][1] if failing_changes else None,
            )
        )
    found.sort(key=lambda t: (-t.failures / (t.changes + 1), t.name.endswith("/"), t.name))
    return tuple(found[:_MOST_PATHS])


def _change(run: dict[str, Any]) -> str:
    """Return what the runs of one change share; what is not committed yet is its own change."""
    alone = not run["commit"] or run["commit"] == run["base"]
    return f"run {run['run_id']}" if alone else run["commit"]


def _folder(path: str) -> str:
    folder = path.rpartition("/")[0]
    return f"{folder}/" if folder else "./"
