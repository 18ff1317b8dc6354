"""How the commands show what became of plans that were kept for runs."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from testopt.selection.came_back import PlanCheck
    from testopt.selection.kept_plans import PastPlans


def check_document(check: PlanCheck) -> dict[str, Any]:
    """Return as JSON values what of a plan came back, what did not, and the likely cause."""
    from testopt.reasons import words

    cause = check.cause
    return {
        "run_id": check.run_id,
        "ok": cause is None,
        "planned": check.planned,
        "unplanned": check.unplanned,
        "missing": list(check.missing),
        "gone": list(check.gone),
        "to_come": [{"part": part.name, "cases": len(part.missing)} for part in check.to_come],
        "cause": None
        if cause is None
        else {"kind": cause.kind.name.lower(), "words": words(cause)},
    }


def past_document(kept: PastPlans) -> dict[str, Any]:
    """Return the same of the last plans."""
    return {
        "plans": kept.plans,
        "unanswered": [check_document(check) for check in kept.unanswered],
        "waiting": [asdict(plan) for plan in kept.waiting],
        "open": [asdict(plan) for plan in kept.open],
    }
