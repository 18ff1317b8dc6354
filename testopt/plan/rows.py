"""A plan as rows of the table ``predictions``: what was decided, before the outcome is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from testopt.schema import Policy

if TYPE_CHECKING:
    from collections.abc import Collection

    from testopt.schema import Plan

_BUNDLE = "bundle "
_ORIGINAL = "original order: "


def prediction_rows(
    plan: Plan,
    *,
    mode: str = "",
    executed: Collection[str] | None = None,
    fell_back: str = "",
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
            "reason": case.reason,
            "propensity": case.propensity if acts else 1.0,
            "score": case.score if scored else None,
            "policy": policy,
        }
        for case in plan.cases
    ]


def _policy(plan: Plan, mode: str, fell_back: str) -> Policy:
    why = fell_back or (plan.note.removeprefix(_ORIGINAL) if plan.degraded else "")
    bundle = plan.policy.removeprefix(_BUNDLE) if plan.policy.startswith(_BUNDLE) else ""
    promise = plan.promise
    if promise is None or why:
        return Policy(mode=mode, bundle="" if why else bundle, fell_back=why)
    return Policy(
        mode=mode,
        bundle=bundle,
        kind=promise.kind,
        recall=promise.recall,
        threshold=promise.threshold,
        low=promise.low,
        explored=plan.explored,
        seeded=promise.seeded,
    )
