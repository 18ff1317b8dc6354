"""Plans that were kept for runs beside the results that came: what is missing, and why."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from testopt.pluralize import pluralize
from testopt.reasons import Reason, ReasonKind, words
from testopt.runners.case_ids import split_case
from testopt.selection.came_back import PlanCheck, check_parts, similar
from testopt.selection.gone_cases import fates_of
from testopt.selection.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    import pyarrow as pa

    from testopt.store import Store

RUN_COLUMNS: Final = (
    *("run_id", "pipeline_run", "job", "time", "seen", "commit", "tree", "complete", "cases"),
)
COLUMNS: Final = ("run_id", "case_id", "selected", "executed", "shard", "policy")
PLANS: Final = 50  # the last ones are looked at where nothing has come just now
# What has not come by then does not come: a job of GitHub Actions ends after 6 hours at most.
LATE: Final = timedelta(hours=6)
_JOB_RUNS: Final = 5  # of a job, which tell the cases that it has; as many as a plan looks at
_TWINS: Final = 0.5  # share of the missing cases that came under another name: most of them
# What xdist says of a worker that ended while a case ran.
_CRASH: Final = re.compile(
    r"worker '[^'\n]*' crashed while running (?:'[^'\n]{1,200}'|\"[^\"\n]{1,200}\")"
)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What reports tell of the way in which a run ended.

    Attributes
    ----------
    fresh : frozenset of str
        Cases that have a result in them.
    broken : tuple of (str, str)
        Reports that are not whole, and what is wrong with them.
    crash : str
        What the runner says of a worker that crashed.
    uncollected : str
        A file that could not be collected, where nothing else ran.
    stopped_at : str
        The case with which a report ends, where that failed.
    """

    fresh: frozenset[str]
    broken: tuple[tuple[str, str], ...] = ()
    crash: str = ""
    uncollected: str = ""
    stopped_at: str = ""


def planned_parts(rows: pa.Table) -> dict[str, str]:
    """Return the cases of a kept plan that were to run, each with its part, such as ``1/2``.

    Parameters
    ----------
    rows : pyarrow.Table
        Of ``predictions``; empty for what is no kept plan, because its results came with it.
    """
    if not rows.num_rows or rows["executed"].null_count < rows.num_rows:
        return {}
    cases, shards = rows["case_id"].to_pylist(), rows["shard"].to_pylist()
    if not any(shards) and Policy.parse(rows["policy"][0].as_py()).explored:
        return dict.fromkeys(cases, "1/1")
    if not any(shards):  # kept before parts were named in each plan
        runs = rows["selected"].to_pylist()
        return {case: "1/1" for case, is_run in zip(cases, runs, strict=True) if is_run}
    return {case: part for case, part in zip(cases, shards, strict=True) if part}


def crash_in(texts: Collection[str]) -> str:
    """Return what one of some messages says of a worker that crashed; empty where none does."""
    return next((found[0] for text in texts if (found := _CRASH.search(text))), "")


def check_run(
    store: Store,
    run: Mapping[str, Any],
    plan: pa.Table,
    *,
    repo: Path | None = None,
    evidence: Evidence | None = None,
    is_over: bool = False,
) -> PlanCheck | None:
    """Compare the plan that was kept for a run with its results.

    Parameters
    ----------
    store : Store
    run : mapping
        Its row of ``runs``, with the columns ``RUN_COLUMNS``.
    plan : pyarrow.Table
        Its rows of ``predictions``.
    repo : Path, optional
        Repository, which knows the cases that are gone.
    evidence : Evidence, optional
        What the last reports tell.
    is_over : bool
        Nothing more is awaited: parts of which nothing came are missing too.

    Returns
    -------
    PlanCheck or None
        None where no plan was kept.

    Raises
    ------
    StoreError
        When a table cannot be read.
    """
    planned = planned_parts(plan)
    if not plan.num_rows or (not planned and plan["executed"].null_count < plan.num_rows):
        return None
    everything = planned
    came = _cases_of(store, [run["run_id"]])
    if run["job"] and Policy.parse(plan["policy"][0].as_py()).kept_for == run["pipeline_run"]:
        planned = _of_job(store, run, planned, came)
    evidence = evidence or Evidence(frozenset(came))
    parts = check_parts(
        planned,
        came,
        left_out=[c for c in plan["case_id"].to_pylist() if c not in everything],
        fates=lambda cases: fates_of(cases, store=store, repo=repo, run=run),
        fresh=evidence.fresh,
    )
    if not evidence.fresh or not any(part.came for part in parts):
        # nothing ran, or what ran is of no part at all: no part explains that
        parts = tuple(replace(part, is_to_come=False) for part in parts)
    awaited = [part.name for part in parts if part.is_to_come]
    if is_over:
        parts = tuple(replace(part, is_to_come=False) for part in parts)
    found = PlanCheck(run["run_id"], parts, unplanned=len(came - planned.keys()))
    if not found.missing:
        return found
    if is_over and all(part.name in awaited for part in parts if part.missing):
        return replace(found, cause=Reason(ReasonKind.PART_NOT_COME, (", ".join(awaited),)))
    return replace(found, cause=_cause(found, planned, came, evidence, run))


def _cases_of(store: Store, run_ids: Sequence[str]) -> set[str]:
    where = [("run_id", "in", list(run_ids))]
    rows = store.read("results", columns=["case_id"], where=where, dictionary=["case_id"])
    return set(rows["case_id"].unique().to_pylist())


def _of_job(
    store: Store, run: Mapping[str, Any], planned: Mapping[str, str], came: Collection[str]
) -> dict[str, str]:
    """Return what is expected of a job of a plan that several share: what it ran before.

    Of a job that never ran before, what it brought now, as long as it brought some of it.
    """
    where = [("job", "=", run["job"]), ("time", "<", run["time"])]
    rows = store.read("runs", columns=["run_id", "time"], where=where).to_pylist()
    last = sorted(rows, key=lambda row: (row["time"], row["run_id"]))[-_JOB_RUNS:]
    known = _cases_of(store, [row["run_id"] for row in last]) if last else set(came)
    expected = {case: part for case, part in planned.items() if case in known or case in came}
    return expected or dict(planned)


def _cause(
    found: PlanCheck,
    planned: Mapping[str, str],
    came: Collection[str],
    evidence: Evidence,
    run: Mapping[str, Any],
) -> Reason:
    """Return what the missing cases are most likely missing for, the surest sign first."""
    kind = ReasonKind
    told = _told_by_reports(evidence)
    unplanned = sorted(set(came) - planned.keys())
    twins = [] if told else similar(found.missing, unplanned)
    if told is None and len(twins) >= _TWINS * len(found.missing):
        told = Reason(kind.NAMED_OTHERWISE, twins[0])
    if told is None and not planned.keys() & came:
        told = Reason(kind.OTHER_SUITE, (unplanned[0],))
    if told is None and not run["complete"]:
        told = Reason(kind.RUN_INCOMPLETE)
    if told is None and evidence.stopped_at:
        told = Reason(kind.STOPPED_AT_FAILURE, (evidence.stopped_at,))
    return told or _left_out_by_runner(found, came)


def _told_by_reports(evidence: Evidence) -> Reason | None:
    """Return the cause where the reports themselves tell it."""
    kind = ReasonKind
    if not evidence.fresh:
        return Reason(kind.RAN_NOTHING)
    if evidence.uncollected:
        return Reason(kind.UNCOLLECTED, (evidence.uncollected,))
    if evidence.broken:
        return Reason(kind.REPORT_BROKEN, evidence.broken[0])
    return Reason(kind.WORKER_CRASHED, (evidence.crash,)) if evidence.crash else None


def _left_out_by_runner(found: PlanCheck, came: Collection[str]) -> Reason:
    files = Counter(split_case(case)[2] for case in found.missing)
    for case in came:
        files.pop(split_case(case)[2], None)
    if files:
        return Reason(ReasonKind.FILE_NOT_RUN, (files.most_common(1)[0][0],))
    return Reason(ReasonKind.LEFT_OUT_BY_RUNNER)


def sentence(check: PlanCheck) -> str:
    """Return what is missing of a plan, and the likely cause; empty where nothing is."""
    if check.cause is None:
        return ""
    if not check.missing:
        return f"run {check.run_id} has no result: {words(check.cause)}"
    count = f"{len(check.missing):,} of {pluralize(check.planned, 'planned case')}"
    verb = "has" if len(check.missing) == 1 else "have"
    return (
        f"run {check.run_id}: {count} {verb} no result, such as {check.missing[0]}: "
        f"{words(check.cause)}"
    )


def to_come(check: PlanCheck) -> str:
    """Return which parts of a plan have still to come; empty where none have."""
    parts = [part for part in check.to_come if part.missing]
    if not parts:
        return ""
    names = ", ".join(part.name for part in parts)
    cases = pluralize(sum(len(part.missing) for part in parts), "case")
    return f"run {check.run_id}: part {names} with {cases} has still to come"


@dataclass(frozen=True, slots=True)
class WaitingPlan:
    """A plan for which no run has come.

    Attributes
    ----------
    run_id : str
        That it was kept for.
    cases : int
        How many were to run.
    beside : tuple of str
        Runs that have come under the same run id.
    """

    run_id: str
    cases: int
    beside: tuple[str, ...] = ()


def waiting_plans(
    plans: Mapping[str, pa.Table], runs: Iterable[Mapping[str, Any]]
) -> tuple[WaitingPlan, ...]:
    """Return the kept plans for which no run has come, and that no run has taken.

    Parameters
    ----------
    plans : mapping of str to pyarrow.Table
        Rows of ``predictions`` by the run that they were kept for.
    runs : iterable of mapping
        ``run_id`` and ``pipeline_run`` of those that have come.
    """
    siblings: dict[str, list[str]] = {}
    for run in runs:
        siblings.setdefault(run["pipeline_run"] or "", []).append(run["run_id"])
    there = {run_id for legs in siblings.values() for run_id in legs}
    taken = {
        Policy.parse(rows["policy"][0].as_py()).kept_for
        for name, rows in plans.items()
        if name in there and rows.num_rows
    }
    waiting = []
    for name, rows in plans.items():
        planned = planned_parts(rows)
        if planned and name not in there and name not in taken:
            beside = next((legs for own, legs in siblings.items() if _is_leg(name, own)), [])
            waiting.append(WaitingPlan(name, len(planned), tuple(sorted(beside))))
    return tuple(waiting)


@dataclass(frozen=True, slots=True)
class PastPlans:
    """What became of the last plans that were kept for runs.

    Attributes
    ----------
    plans : int
        How many of them have results.
    unanswered : tuple of PlanCheck
        Those of which planned cases have none, the last one first.
    waiting : tuple of WaitingPlan
        Plans for which no run has come, though other jobs of the same run came long ago.
    open : tuple of WaitingPlan
        The others for which no run has come.
    """

    plans: int = 0
    unanswered: tuple[PlanCheck, ...] = ()
    waiting: tuple[WaitingPlan, ...] = ()
    open: tuple[WaitingPlan, ...] = ()

    @property
    def trouble(self) -> str:
        """Say what is missing; empty where nothing is."""
        of = self.plans + len(self.waiting)
        count = len(self.unanswered) + len(self.waiting)
        if not count:
            return ""
        first = sentence(self.unanswered[0]) if self.unanswered else waiting_line(self.waiting)
        verb = "lacks" if count == 1 else "lack"
        return f"{count} of the last {pluralize(of, 'kept plan')} {verb} results: {first}"


def past_plans(
    store: Store, *, now: datetime, repo: Path | None = None, since: datetime | None = None
) -> PastPlans:
    """Compare the last plans that were kept for runs with what came of them.

    Parameters
    ----------
    store : Store
    now : datetime
        What has not come `LATE` after the first results of its run does not come.
    repo : Path, optional
        Repository, which knows the cases that are gone.
    since : datetime, optional
        Leave out earlier runs.

    Raises
    ------
    StoreError
        When a table cannot be read.
    """
    if store.version("predictions") < 0:
        return PastPlans()
    runs = store.read("runs", columns=RUN_COLUMNS).to_pylist()
    last = sorted(
        (run for run in runs if since is None or run["time"] >= since),
        key=lambda run: (run["time"], run["run_id"]),
        reverse=True,
    )
    heads = store.read(
        "predictions",
        columns=["run_id", "executed"],
        where=[("rank", "==", 1)],
        unfinished=True,
    ).to_pylist()
    kept = {row["run_id"] for row in heads if row["executed"] is None}
    joined = [run for run in last if run["run_id"] in kept][:PLANS]
    plans = _plans_of(store, [run["run_id"] for run in joined])
    checks = [
        check_run(store, run, plans[run["run_id"]], repo=repo, is_over=now - run["seen"] > LATE)
        for run in joined
    ]
    alone = kept.difference(run["run_id"] for run in runs)
    without = waiting_plans({**plans, **_plans_of(store, sorted(alone)[:PLANS])}, last)
    seen = {run["run_id"]: run["seen"] for run in runs}
    late = [w for w in without if w.beside and now - max(seen[b] for b in w.beside) > LATE]
    return PastPlans(
        len(joined),
        tuple(check for check in checks if check is not None and check.cause is not None),
        tuple(late),
        tuple(plan for plan in without if plan not in late),
    )


def _plans_of(store: Store, run_ids: Sequence[str]) -> dict[str, pa.Table]:
    import pyarrow.compute as pc

    if not run_ids:
        return {}
    where = [("run_id", "in", list(run_ids))]
    rows = store.read("predictions", columns=COLUMNS, where=where, unfinished=True)
    return {run_id: rows.filter(pc.equal(rows["run_id"], run_id)) for run_id in run_ids}


def waiting_line(waiting: Sequence[WaitingPlan]) -> str:
    """Return which plans wait for a run; empty where none do."""
    if not waiting:
        return ""
    names = ", ".join(plan.run_id for plan in waiting)
    cases = pluralize(sum(plan.cases for plan in waiting), "planned case")
    return f"nothing has come yet of {names} with {cases}"


def _is_leg(name: str, pipeline_run: str) -> bool:
    return bool(pipeline_run) and name.startswith(f"{pipeline_run}/")
