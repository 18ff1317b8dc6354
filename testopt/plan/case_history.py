"""The past of one case, from the tables: how often it ran and failed, at what, and how reliably."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from testopt.schema import FAILING, VARIANT_KINDS
from testopt.store.same_code import same_code

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from testopt.reasons import Reason
    from testopt.store import Store


@dataclass(frozen=True, slots=True)
class Failure:
    """A run in which the case failed."""

    run_id: str
    commit: str | None
    time: datetime


@dataclass(frozen=True, slots=True)
class CasePast:
    """What happened to a case.

    Attributes
    ----------
    runs, failures : int
        Runs in which it was executed, and in which it failed in the end, as the plan counts them.
    unread : int
        Further runs, which the plan has not read.
    last_run : datetime or None
    last_failure : Failure or None
    passed_again : int
        Runs in which it failed and then passed when it was executed again.
    both_at : int
        Commits, or states of the working tree, at which it has both passed and failed.
    changes : tuple of Reason
        What the changed functions, files and folders did to it before, the strongest first: the
        evidence of the plan.
    """

    runs: int = 0
    failures: int = 0
    last_run: datetime | None = None
    last_failure: Failure | None = None
    passed_again: int = 0
    both_at: int = 0
    unread: int = 0
    changes: tuple[Reason, ...] = ()


def case_past(store: Store, names: Sequence[str], *, before: datetime) -> CasePast:
    """Return what happened to a case before a moment, as the tables have it.

    Parameters
    ----------
    store : Store
    names : sequence of str
        Its id, and those that it had before.
    before : datetime
        Later runs are left out; so are variants of commits, which really happened never, and
        runs that their environment failed, of which the reasons of a plan know nothing either.

    Raises
    ------
    StoreError
        When the tables cannot be read.
    """
    columns = ["run_id", "outcome", "attempt"]
    where = [("case_id", "in", list(names))]
    rows = store.read("results", columns=columns, where=where).to_pylist()
    every: dict[str, list[str]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row["attempt"]):
        every[row["run_id"]].append(row["outcome"])
    outcomes = {run: found for run, found in every.items() if found[-1] != "skipped"}
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
