"""A plan as rows of the table ``predictions``: what was decided, before the outcome is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from testopt.parts import Division
from testopt.plan.shards import Parts
from testopt.reasons import sentence, words
from testopt.selection.policy import Policy
from testopt.store.records import predictions_table

if TYPE_CHECKING:
    from collections.abc import Collection

    from testopt.schema import Plan
    from testopt.store import Store


def prediction_rows(
    plan: Plan,
    *,
    mode: str = "",
    executed: Collection[str] | None = None,
    fell_back: str = "",
    parts: Parts | None = None,
) -> list[dict[str, Any]]:
    """Return one row for each case of a plan, without the run that it was made for.

    Parameters
    ----------
    plan : Plan
    mode : str
        What was done with it: ``rank``, ``shadow`` or ``select``; default: what it was made for.
    executed : collection of str, optional
        Cases that were executed; None: not known yet.
    fell_back : str
        Why the plan was not followed; empty where it was.
    parts : Parts, optional
        How the cases that run are divided; each of their rows then names its part.

    Returns
    -------
    list of dict
        By rank; ``selected`` is what the plan keeps, whatever was executed.
    """
    mode = mode or plan.mode
    acts = mode == "select" and not fell_back
    policy = _policy(plan, mode, fell_back).dump()
    scored = plan.promise is not None
    ran = None if executed is None else frozenset(executed)
    return [
        {
            "case_id": case.case_id,
            "probability": case.probability,
            "rank": case.rank,
            "selected": case.selected,
            "executed": None if ran is None else case.case_id in ran,
            "reason": sentence(case.reasons),
            "propensity": case.propensity if acts else 1.0,
            "score": case.score if scored else None,
            "policy": policy,
            "shard": parts.name(case.case_id) if parts is not None and case.runs else None,
        }
        for case in plan.cases
    ]


def _policy(plan: Plan, mode: str, fell_back: str) -> Policy:
    origin, promise = plan.origin, plan.promise
    if origin.fallback is not None:
        fell_back = fell_back or words(origin.fallback)
    if fell_back:
        return Policy(mode=mode, fell_back=fell_back)
    if promise is None:
        return Policy(mode=mode, bundle=origin.bundle, level=origin.level)
    return Policy(
        mode=mode,
        bundle=origin.bundle,
        kind=promise.kind,
        recall=promise.recall,
        threshold=promise.threshold,
        low=promise.low,
        explored=plan.explored,
        seeded=promise.seeded,
        cap=promise.cap,
        floor=promise.floor,
        level=origin.level,
    )


def keep_plan(plan: Plan, store: Store | None, run_id: str, *, parts: Parts | None = None) -> str:
    """Keep a plan until the results of its run are ingested under the same id.

    Rows of a run that never comes are invisible, and are dropped by a compaction after a day.

    Parameters
    ----------
    plan : Plan
    store : Store or None
    run_id : str
        Of the leg: that of the pipeline with its job, where it has one.
    parts : Parts, optional
        How the cases that run are divided; default: into one part. Each row names the part that
        has its case; one that is not to run names none.

    Returns
    -------
    str
        What was done, for the user's eyes.

    Raises
    ------
    StoreError
        When the store cannot be written.
    """
    if store is None:
        return "the plan is not kept: there is no store yet"
    rows = prediction_rows(plan, parts=parts or Parts(Division(1)))
    if store.append("predictions", {run_id: predictions_table(run_id, rows)}):
        return f"the plan is kept for the run {run_id}"
    return f"the run {run_id} has a plan already; this one is not kept"
