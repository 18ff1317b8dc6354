"""Compares the plans that were kept for named runs with the results that have come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from testopt.reasons import Reason, ReasonKind
from testopt.schema import FAILING
from testopt.selection.came_back import PlanCheck
from testopt.selection.job_history import strange_jobs
from testopt.selection.kept_plans import (
    COLUMNS,
    RUN_COLUMNS,
    Evidence,
    check_run,
    crash_in,
    planned_parts,
    waiting_plans,
)
from testopt.store.legs import kept_plans

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import pyarrow as pa

    from testopt.ingest.legs import Leg
    from testopt.results.junit_rows import ParsedReport
    from testopt.selection.kept_plans import WaitingPlan
    from testopt.store import Filter, Store


def check_plans(
    store: Store, legs: Sequence[Leg]
) -> tuple[tuple[PlanCheck, ...], tuple[WaitingPlan, ...]]:
    """Compare the plans of legs with what has come of them, now that all of it is stored.

    Parameters
    ----------
    store : Store
    legs : sequence of Leg

    Returns
    -------
    tuple of tuples
        One check a run that has a plan, or no result; and the plans of the other legs of which
        nothing has come.

    Raises
    ------
    StoreError
        When a table cannot be read.
    """
    named = next((leg.identity.run_id for leg in legs if leg.run_id is not None), None)
    if named is None:
        return (), ()
    plans = kept_plans(store, named, columns=COLUMNS)
    legs_there = {leg.run_id: leg for leg in legs if leg.run_id is not None}
    runs = _runs(store, named, list(legs_there))
    checks = []
    for run_id, leg in legs_there.items():
        if run_id in runs:
            checks.append(_check(store, leg, runs[run_id], plans.get(run_id)))
    planned = [run_id for run_id in legs_there if run_id in runs and run_id in plans]
    legs[0].identity.warnings.extend(job.words for job in strange_jobs(store, planned))
    return tuple(check for check in checks if check), waiting_plans(plans, runs.values())


def planned_cases(store: Store, run_id: str) -> Collection[str]:
    """Return the cases that the plan kept for a run was to run."""
    where: list[Filter] = [("run_id", "=", run_id)]
    return planned_parts(store.read("predictions", columns=COLUMNS, where=where, unfinished=True))


def _runs(store: Store, named: str, legs: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the rows of the runs under a run id, and of the legs at hand."""
    wheres: list[Filter] = [("run_id", "in", legs), ("pipeline_run", "=", named)]
    found = (store.read("runs", columns=RUN_COLUMNS, where=[where]).to_pylist() for where in wheres)
    return {row["run_id"]: row for rows in found for row in rows}


def _check(
    store: Store, leg: Leg, run: Mapping[str, Any], plan: pa.Table | None
) -> PlanCheck | None:
    evidence = _evidence(leg.files)
    if plan is not None:
        return check_run(store, run, plan, repo=leg.identity.repo, evidence=evidence)
    if not run["cases"] and not evidence.fresh:
        return PlanCheck(run["run_id"], (), cause=Reason(ReasonKind.RAN_NOTHING))
    return None


def _evidence(files: Sequence[ParsedReport]) -> Evidence:
    fresh: set[str] = set()
    for file in files:
        for batch in file.batches():
            fresh.update(batch.column("case_id").to_pylist())
    broken = [(f.source.name, f.rejected or f.summary.missing) for f in files if not f.complete]
    only = [file for file in files if 0 < file.rows == len(file.uncollected)]
    texts = [text for file in files for text in file.summary.samples.values()]
    return Evidence(
        frozenset(fresh),
        broken=tuple((path, why) for path, why in broken if why),
        crash=crash_in(texts),
        uncollected=only[0].uncollected[0].prefix if only else "",
        stopped_at=_stopped_at(files),
    )


def _stopped_at(files: Sequence[ParsedReport]) -> str:
    """Return the case with which the report ends, where that failed; of one report alone."""
    with_cases = [file for file in files if file.rows]
    if len(with_cases) != 1:
        return ""
    last = list(with_cases[0].batches())[-1]
    if last.column("outcome")[-1].as_py() not in FAILING:
        return ""
    case: str = last.column("case_id")[-1].as_py()
    return case
