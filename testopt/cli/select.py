"""`testopt select`: choose the cases to run for a change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import click

from testopt.cli.common import Context, with_options
from testopt.cli.planning import (
    ChangeOptions,
    check_form,
    find_inputs,
    finish,
    form_of,
    parts_of,
    plan_options,
    show,
)
from testopt.cli.values import DURATION, SHARE

if TYPE_CHECKING:
    from collections.abc import Callable

    from testopt.impact.safe_selection import Impact
    from testopt.plan.inputs import PlanInputs
    from testopt.schema import Selection

_OPTIONS: Final = (
    click.option(
        "--recall",
        metavar="R",
        type=SHARE,
        help="Share of regressions to catch: 0.95 or 95% (default: the setting recall, 0.95).",
    ),
    click.option(
        "--case-recall", metavar="R", type=SHARE, help="Share of the regressing cases to catch."
    ),
    click.option(
        "--budget",
        metavar="TIME",
        type=DURATION,
        help="Time limit for all selected cases, such as 10m; an estimate says what it catches.",
    ),
    click.option(
        "--fraction",
        metavar="F",
        type=SHARE,
        help="Time limit as a share of the time of all cases.",
    ),
    click.option(
        "--safe",
        is_flag=True,
        help="Select every case that coverage and imports connect with the change.",
    ),
)


def select_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say what may be left out."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectionOptions(ChangeOptions):
    """What `select_options` adds."""

    recall: float | None
    case_recall: float | None
    budget: float | None
    fraction: float | None
    safe: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectOptions(SelectionOptions):
    """Options of ``testopt select``."""

    run_id: str | None
    form: str
    as_json: bool
    show_all: bool
    shard: tuple[int, int] | None


@click.command("select")
@select_options
@click.option(
    "--run-id",
    metavar="ID",
    help="Keep the plan for `testopt ingest --run-id ID` of the same job, so that it is judged "
    "by the outcome.",
)
@plan_options
@with_options(SelectOptions)
def command(ctx: Context, options: SelectOptions) -> None:
    """Choose the cases to run for a change; others may be left out.

    Every plan says what it promises, and on what evidence. Without enough past regressions
    everything runs. So does a change with [testopt: run all] in a commit message, or a run with
    TESTOPT_RUN_ALL=1.

    \b
    Example:
      testopt select --recall 0.95
      testopt select --budget 10m --format pytest > ids.txt && pytest @ids.txt
      testopt select --shard 1/4 --format go | xargs -L 1 go test
    """
    from testopt.plan import plan
    from testopt.plan.rows import keep_plan
    from testopt.report.plans import promise_line
    from testopt.selection.plan_log import rules_of
    from testopt.selection.request import complete_selection
    from testopt.store.legs import leg_of

    form = form_of(options.form, as_json=options.as_json)
    inputs = find_inputs(ctx, options)
    check_form(form, inputs)
    run_id, selection = options.run_id or "", selection_of(inputs, options)[0]
    planned = plan(
        inputs,
        selection=complete_selection(
            selection,
            settings=ctx.settings,
            run=inputs.run,
            run_id=run_id,
            part=options.shard,
            store=inputs.store,
        ),
        rules=rules_of(ctx.settings),
    )
    notes = []
    if run_id:
        parts = parts_of(ctx, form, options.shard[1]) if options.shard else None
        leg = leg_of(run_id, inputs.run.job)
        notes.append(keep_plan(planned, inputs.store, leg, parts=parts))
    finish(ctx, inputs, planned, *notes, "" if form == "text" else promise_line(planned))
    if not any(case.runs for case in planned.cases):
        ctx.warn("no case is selected: nothing needs to run")
    show(planned, form, inputs=inputs, options=options)


def selection_of(inputs: PlanInputs, options: SelectionOptions) -> tuple[Selection, Impact | None]:
    """Return what the options ask for, and with `--safe` what the change could affect."""
    from testopt.schema import Selection

    impact = None
    if options.safe:
        from testopt.impact.find import find_impact

        run = inputs.run
        impact = find_impact(
            cases=inputs.cases, change=run.change, repo=run.repo, store=inputs.store
        )
    selection = Selection(
        recall=options.recall,
        case_recall=options.case_recall,
        budget_s=options.budget,
        fraction=options.fraction,
        affected=None if impact is None else impact.affected,
        clear={} if impact is None else impact.clear,
        run_all=None if impact is None else impact.all_affected,
        at_once=True,
    )
    return selection, impact
