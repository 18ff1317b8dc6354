"""``testopt select``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from testopt.cli.planning import Basis, Duration, form_of, plan_options, show

if TYPE_CHECKING:
    from collections.abc import Callable

    from testopt.cli.common import Context
    from testopt.features.impact import Impact
    from testopt.schema import Selection

_SHARE = click.FloatRange(0.0, 1.0, min_open=True)


_OPTIONS: Final = (
    click.option(
        "--recall",
        metavar="R",
        type=_SHARE,
        help="Share of regressions to catch (default: that of the settings, 0.95).",
    ),
    click.option(
        "--case-recall", metavar="R", type=_SHARE, help="Share of the regressing cases to catch."
    ),
    click.option(
        "--budget",
        metavar="TIME",
        type=Duration(),
        help="Most time of the cases together, such as 10m; what that catches is estimated.",
    ),
    click.option(
        "--fraction",
        metavar="F",
        type=_SHARE,
        help="The same, as a share of the time of all cases.",
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


@click.command("select")
@select_options
@click.option(
    "--run-id",
    metavar="ID",
    help="Keep the plan for `testopt ingest --run-id ID`, so that it is judged by the outcome.",
)
@plan_options
@click.pass_obj
def command(
    ctx: Context,
    /,
    *,
    form: str,
    as_json: bool,
    everything: bool,
    shard: tuple[int, int] | None,
    **said: Any,
) -> None:
    """Choose the cases to run for a change; the others may be left out.

    \b
    What is promised, and on what evidence, is said with every plan. Without enough
    past regressions everything runs. [testopt: run all] in a commit message of the
    change, or TESTOPT_RUN_ALL=1, runs everything.

    \b
    Example:
      testopt select --recall 0.95
      testopt select --budget 10m --format pytest > selected.txt
      testopt select --shard 1/4 --format go
    """
    from testopt.plan import plan
    from testopt.plan.request import completed
    from testopt.plan.rows import keep_plan
    from testopt.report.plans import note, promise_line
    from testopt.track import rules_of

    basis = Basis.find(ctx, said)
    run_id, asked = said["run_id"] or "", asked_of(basis, said)[0]
    made = plan(
        cases=basis.cases,
        here=basis.here,
        store=basis.store,
        sources=basis.sources,
        selection=completed(asked, settings=ctx.settings, here=basis.here, run_id=run_id),
        rules=rules_of(ctx.settings),
    )
    notes = [note(made)]
    if run_id:
        notes.append(keep_plan(made, basis.store, run_id))
    form = form_of(form, as_json=as_json)
    basis.finish(ctx, *notes, "" if form == "text" else promise_line(made))
    if not any(case.runs for case in made.cases):
        ctx.warn("no case is selected: nothing needs to run")
    show(made, form, part=shard, everything=everything)


def asked_of(basis: Basis, said: dict[str, Any]) -> tuple[Selection, Impact | None]:
    """Return what the options ask for, and with `--safe` what the change could affect."""
    from testopt.schema import Selection

    impact = None
    if said["safe"]:
        from testopt.impact import find_impact

        here = basis.here
        impact = find_impact(
            cases=basis.cases, change=here.change, repo=here.repo, store=basis.store
        )
    asked = Selection(
        recall=said["recall"],
        case_recall=said["case_recall"],
        budget_s=said["budget"],
        fraction=said["fraction"],
        affected=None if impact is None else impact.affected,
        clear={} if impact is None else impact.clear,
        run_all=None if impact is None else impact.everything,
        at_once=True,
    )
    return asked, impact
