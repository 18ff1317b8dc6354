"""`testopt why`: why a case is, or is not, in the plan."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import click

from testopt.cli.common import Context, print_json, printable, with_options
from testopt.cli.planning import change_options, find_inputs
from testopt.cli.select import SelectionOptions, select_options, selection_of
from testopt.pluralize import pluralize
from testopt.reasons import ReasonKind, sentence, words
from testopt.report.plans import note, policy_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testopt.plan.case_history import CasePast
    from testopt.plan.last_plan import LastPlace
    from testopt.plan.why import Why
    from testopt.reasons import Reason

_SHA: Final = 10  # digits of a hash that are shown
_LEAST: Final = 0.005  # log-odds; less is not worth a line


@dataclass(frozen=True, slots=True, kw_only=True)
class WhyOptions(SelectionOptions):
    """Options of ``testopt why``."""

    case: str
    as_json: bool


@click.command("why")
@click.argument("case", metavar="CASE")
@select_options
@change_options
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@with_options(WhyOptions)
def command(ctx: Context, options: WhyOptions) -> None:
    """Explain why a case is, or is not, in the plan for a change.

    CASE is its id, its name (test_expired), or a part of its id that no other case has. --safe also
    shows what coverage and imports say of the change.

    \b
    Example:
      testopt why tests/test_login.py::test_expired
      testopt why test_expired --base origin/main --safe
    """
    from testopt.plan.why import why
    from testopt.selection.plan_log import rules_of
    from testopt.selection.request import complete_selection

    inputs = find_inputs(ctx, options)
    selection, impact = selection_of(inputs, options)
    found = why(
        options.case,
        inputs,
        selection=complete_selection(
            selection, settings=ctx.settings, run=inputs.run, store=inputs.store
        ),
        rules=rules_of(ctx.settings),
        impact=impact,
    )
    if inputs.sources is not None:
        inputs.sources.keep()
    if options.as_json:
        print_json(_document(found))
        return
    for line in _lines(found):
        click.echo(printable(line))


def _document(found: Why) -> dict[str, Any]:
    plan = found.plan
    return {
        **plan.fields(found.planned),
        "past": asdict(found.past) | {"changes": [_of_change(r) for r in found.past.changes]},
        "affected": sentence([found.affected]),
        "clear": sentence([found.clear]),
        "nearest": [near._asdict() for near in found.nearest],
        "covers": [asdict(one) for one in found.covers],
        "last_plan": None if found.last is None else asdict(found.last),
        "base": found.base,
        "contributions": [asdict(part) for part in found.contributions],
        "of": len(plan.cases),
        "note": note(plan),
        "policy": policy_name(plan),
        "degraded": plan.degraded,
        "promise": None if plan.promise is None else asdict(plan.promise),
        "explored": plan.explored,
    }


def _of_change(reason: Reason) -> dict[str, Any]:
    failures, changes, name, *commit = reason.values
    variants = reason.kind is ReasonKind.FAILED_WITH_VARIANT
    return {
        "name": name,
        "changes": changes,
        "failures": failures,
        "last_commit": commit[0] or None if commit else None,
        "variants": variants,
    }


def _lines(found: Why) -> Iterator[str]:
    """Yield what is known, the answer first."""
    case, plan = found.planned, found.plan
    yield case.case_id
    yield f"  {_answer(found)}"
    beside = case.reasons if case.runs else case.reasons[1:]  # the answer gives the first
    yield f"  {'; '.join([f'rank {case.rank} of {len(plan.cases):,}', *map(words, beside)])}"
    p = f"probability of a failure {case.probability:.4f}, " if plan.calibrated else ""
    yield f"  {p}expected {case.cost_s:.3f} s"
    yield from _impact(found)
    yield from _history(found.past)
    yield from _then(found.last)
    if found.nearest:
        yield "closest changed files, by the words they share with it:"
        for near in found.nearest:
            yield f"  {near.path}: {', '.join(near.words)}"
    if found.covers:
        yield "ran, when its coverage was measured:"
        for one in found.covers:
            share = "" if one.share is None else f", {one.share:.0%} of the changed lines"
            size = f"{one.lines} line{'s' if one.lines > 1 else ''}"
            yield f"  {one.path}: {size}{share or (' (changed)' if one.changed else '')}"
    if found.contributions:
        yield "what the model adds, in log-odds, against other cases of this run:"
        yield f"  {found.base or 0.0:+8.2f}  the others on average"
        for part in found.contributions:
            if abs(part.log_odds) >= _LEAST:
                yield f"  {part.log_odds:+8.2f}  {part.family}"


def _answer(found: Why) -> str:
    """Say whether the case runs, and what decided."""
    case, promise = found.planned, found.plan.promise
    if case.must_run:
        return "runs: it must run, whatever its score"
    if promise is None or all(one.selected for one in found.plan.cases):
        return f"runs: {promise.why if promise is not None else note(found.plan)}"
    decision = sentence([case.decision])
    if case.selected:
        by_score = case.decision is not None and case.decision.kind is ReasonKind.SCORE_REACHED
        return f"runs: {decision if by_score else 'the change could affect it'}"
    drawn = "; drawn, it runs all the same" if case.runs else ""
    return f"is left out: {decision}{drawn}"


def _impact(found: Why) -> Iterator[str]:
    if found.affected:
        yield f"could be affected: {words(found.affected)}"
    elif found.clear:
        yield f"cannot be affected: {words(found.clear)}"


def _then(last: LastPlace | None) -> Iterator[str]:
    """Say where the case stood in the last plan that was recorded, in the words of the time."""
    if last is None:
        return
    run = f"in the last plan of a run, on {last.time:%Y-%m-%d %H:%M} UTC ({last.run_id})"
    if last.fell_back:
        yield f"{run}, the original order was kept: {last.fell_back}"
        return
    ran = ", and did not run" if last.executed is False else ""
    yield f"{run}, it stood at {last.rank:,} of {last.of:,}{ran}: {last.reason}"


def _history(past: CasePast) -> Iterator[str]:
    if past.unread:
        yield f"history: {pluralize(past.unread, 'run')} in the store, which the plan has not read"
    if not past.runs:
        if not past.unread:
            yield "history: it has not run before"
        yield from (f"  {words(reason)}" for reason in past.changes)
        return
    last = past.last_failure
    when = f"last run {past.last_run:%Y-%m-%d}" if past.last_run else ""
    yield f"history: {pluralize(past.runs, 'run')}, {pluralize(past.failures, 'failure')}, {when}"
    if last is not None:
        at = f" at {last.commit[:_SHA]}" if last.commit else ""
        yield f"  failed last on {last.time:%Y-%m-%d %H:%M} UTC{at} ({last.run_id})"
    yield from (f"  {words(reason)}" for reason in past.changes)
    if past.passed_again:
        runs = pluralize(past.passed_again, "run")
        yield f"  perhaps flaky: in {runs} it failed and passed when run again"
    if past.both_at:
        commits = pluralize(past.both_at, "commit")
        yield f"  perhaps flaky: at {commits} it has both passed and failed"
