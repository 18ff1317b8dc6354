"""Describes a plan in words: where its order comes from, what it leaves out, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testopt.durations import format_duration, is_measured, tells_time
from testopt.reasons import Reason, ReasonKind, Role, sentence, summary, summed_up, words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from testopt.schema import Plan, PlannedCase


def headline(plan: Plan) -> str:
    """Return in one short sentence where the order of a plan comes from, and what spoils it."""
    origin = plan.origin
    if origin.fallback is not None:
        return f"original order: {words(origin.fallback)}"
    unknown = None
    if not plan.change.known:
        unknown = Reason(ReasonKind.CHANGE_UNKNOWN, (plan.change.why,))
    return "; ".join(filter(None, [_ordered_by(plan), sentence([*origin.stale, unknown])]))


def details(plan: Plan) -> list[str]:
    """Return what else there is to say of the order of a plan, a fact a line."""
    origin = plan.origin
    if origin.fallback is not None:
        return []
    return [words(fact) for fact in (origin.closeness, plan.trust) if fact]


def note(plan: Plan) -> str:
    """Return all that is known of the order of a plan, in one line."""
    return "; ".join([headline(plan), *details(plan)])


def _ordered_by(plan: Plan) -> str:
    origin = plan.origin
    if origin.bundle:
        return f"ordered by bundle {origin.bundle}"
    evidence = [
        *(["recent failures"] if origin.by_failures else []),
        *(["closeness to the change"] if origin.by_closeness else []),
    ]
    return f"ordered by {' and '.join(evidence)}: {sentence([origin.untrained])}"


def policy_name(plan: Plan) -> str:
    """Return what decided on a plan, as its JSON names it."""
    if plan.degraded:
        return "none"
    return f"bundle {plan.origin.bundle}" if plan.origin.bundle else "untrained"


def plan_lines(plan: Plan) -> list[str]:
    """Return the lines that say what a plan leaves out, and why.

    Parameters
    ----------
    plan : Plan
        With a promise.
    """
    runs = [case for case in plan.cases if case.runs]
    left = [case for case in plan.cases if not case.runs]
    lines = [
        _size(runs, plan.cases),
        promise_line(plan),
        *_titled("run", _counts(_why_run(plan, case) for case in runs)),
        *_titled("left out", _left_out(left)),
    ]
    return [line for line in lines if line]


def _size(runs: Sequence[PlannedCase], cases: Sequence[PlannedCase]) -> str:
    """Say how many cases run, and for how long where durations tell."""
    size = f"{len(runs):,} of {len(cases):,} cases run"
    seconds, total = (sum(case.cost_s for case in part) for part in (runs, cases))
    if not tells_time(sum(is_measured(case.cost_s) for case in cases), len(cases), total):
        share = f" ({len(runs) / len(cases):.1%})" if cases else ""
        return f"{size}{share}; their durations are not known"
    return f"{size}: {format_duration(seconds)} of {format_duration(total)} ({seconds / total:.1%})"


def summary_lines(plan: Plan) -> list[str]:
    """Return what is said below a run of a plan with a promise: shorter where it leaves out none.

    Parameters
    ----------
    plan : Plan
        With a promise.
    """
    if all(case.selected and case.runs for case in plan.cases):
        return [line for line in [promise_line(plan)] if line]
    return plan_lines(plan)


def promise_line(plan: Plan) -> str:
    """Return in one line what may be expected of a plan; empty where nothing is left to chance."""
    promise = plan.promise
    if promise is None:
        return ""
    kind = "" if promise.kind == "none" else f"{promise.kind}: "
    drawn = "; this change was drawn: all cases run, to measure the recall" if plan.explored else ""
    # without a promise everything runs anyhow
    shadow = f"; all cases run: {sentence(plan.shadow)}" if plan.shadow and kind else ""
    return f"{kind}{promise.why}{drawn}{shadow}"


def _why_run(plan: Plan, case: PlannedCase) -> Reason:
    """Return the reason for which a case runs."""
    if case.selected or case.must_run:
        return case.decision or case.reasons[0]
    if plan.mode == "shadow":
        return Reason(ReasonKind.IN_SHADOW)
    return Reason(ReasonKind.CHANGE_DRAWN if plan.explored else ReasonKind.CASE_DRAWN)


def _counts(reasons: Iterable[Reason]) -> list[str]:
    return [f"{count:9,d}  {why}" for why, count in summed_up(reasons)]


def _left_out(cases: Iterable[PlannedCase]) -> Iterator[str]:
    """Yield why cases are left out, the most frequent reason first, each with their past."""
    pasts: dict[str, list[Reason]] = {}
    for case in cases:
        decision, *others = case.reasons
        past = (reason for reason in others if reason.role is Role.PAST)
        pasts.setdefault(summary(decision), []).append(next(past, decision))
    for why, reasons in sorted(pasts.items(), key=lambda item: (-len(item[1]), item[0])):
        parts = ", ".join(f"{count:,} {past}" for past, count in summed_up(reasons))
        yield f"{len(reasons):9,d}  {why}, of which {parts}"


def _titled(title: str, rows: Iterable[str]) -> list[str]:
    found = list(rows)
    return [f"{title}:", *found] if found else []
