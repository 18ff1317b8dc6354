"""A plan that leaves cases out, in a few lines: how much runs, what that promises, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testopt.durations import readable
from testopt.features.reasons import summed_up

if TYPE_CHECKING:
    from collections.abc import Iterable

    from testopt.schema import Plan, PlannedCase


def summary(plan: Plan) -> list[str]:
    """Return the lines that say what a plan leaves out, and why.

    Parameters
    ----------
    plan : Plan
        With a promise.
    """
    runs = [case for case in plan.cases if case.runs]
    left = [case for case in plan.cases if not case.runs]
    seconds, total = (sum(case.cost_s for case in part) for part in (runs, plan.cases))
    share = f" ({seconds / total:.1%})" if total > 0 else ""
    whole = all(case.selected for case in plan.cases)
    size = f"{len(runs):,} of {len(plan.cases):,} cases run"
    lines = [
        f"{size}: {readable(seconds)} of {readable(total)}{share}",
        promise_line(plan),
        *_sums("run", (_why_run(plan, case, whole=whole) for case in runs)),
        *_sums("left out", (case.reason for case in left)),
    ]
    return [line for line in lines if line]


def promise_line(plan: Plan) -> str:
    """Return in one line what may be expected of a plan; empty where nothing is left to chance."""
    promise = plan.promise
    if promise is None:
        return ""
    kind = "" if promise.kind == "none" else f"{promise.kind}: "
    drawn = "; this change was drawn: all cases run, to measure the recall" if plan.explored else ""
    shadow = f"; all cases run: {plan.shadow}" if plan.shadow else ""
    return f"{kind}{promise.why}{drawn}{shadow}"


def _why_run(plan: Plan, case: PlannedCase, *, whole: bool) -> str:
    """Return the kind of reason for which a case runs; `whole`: the plan leaves none out."""
    threshold = plan.promise.threshold if plan.promise else None
    if case.must_run:
        return case.reason.partition("; ")[0]
    if not case.selected:
        if plan.mode == "shadow":
            return "in shadow: the plan would leave it out"
        return "drawn, to measure the recall" if plan.explored else "drawn, to go on learning"
    if threshold is not None and case.score >= threshold:
        return f"a score of at least {threshold:.4g}"
    return "everything runs" if whole else case.reason.partition("; ")[0]


def _sums(title: str, said: Iterable[str]) -> list[str]:
    rows = [f"{count:9,d}  {why}" for why, count in summed_up(said)]
    return [f"{title}:", *rows] if rows else []
