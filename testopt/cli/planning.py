"""What `rank` and `select` share: their options, what they plan from, how they print a plan."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import click

from testopt.cli.case_list import read_cases
from testopt.cli.common import print_json, printable
from testopt.cli.values import PART
from testopt.errors import EmptyStoreError
from testopt.parts import durations_text
from testopt.pluralize import pluralize
from testopt.runners.registry import RUNNERS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from testopt.cli.common import Context
    from testopt.plan.inputs import PlanInputs
    from testopt.plan.shards import Parts
    from testopt.schema import Change, Plan, PlannedCase
    from testopt.store import Store

_SHOWN: Final = 20


def plan_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options that every command with a plan takes."""
    for option in reversed(_FORM):
        function = option(function)
    return change_options(function)


def change_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say what a plan is made from."""
    for option in reversed(_CHANGE):
        function = option(function)
    return function


_CHANGE: Final = (
    click.option(
        "--base", metavar="REV", help="Where the change begins (default: found from git and CI)."
    ),
    click.option(
        "--head",
        metavar="REV",
        help="Where the change ends (default: the working tree, else HEAD).",
    ),
    click.option("--diff", metavar="FILE", help="Read the change from a unified diff; - is stdin."),
    click.option(
        "--cases",
        metavar="FILE",
        help="Case ids, one a line or a JSON list; - is stdin (default: those of the last runs).",
    ),
    click.option(
        "--job", metavar="NAME", help="CI job whose last outcomes count (default: found from CI)."
    ),
)
_FORM: Final = (
    click.option(
        "--shard",
        metavar="I/N",
        type=PART,
        help="Print part I of N. Whole files (classes, packages) are divided by their names, so "
        "that the parts make up the whole even if their stores differ. Use the same --format for "
        "all parts; a budget is for all parts together.",
    ),
    click.option(
        "--format",
        "form",
        metavar="FORMAT",
        type=click.Choice(("text", "json", *RUNNERS, "durations")),
        default="text",
        show_default=True,
        help="text; json; durations: the file for the setting shard_durations, which makes parts "
        f"take equal time; or a runner ({', '.join(RUNNERS)}): arguments for it, one per line "
        "(go: one call per line), and no filter where everything runs. Write a long list to a "
        "file: pytest @FILE (8.2 or newer).",
    ),
    click.option("--json", "as_json", is_flag=True, help="The same as --format json."),
    click.option(
        "--all", "show_all", is_flag=True, help=f"Print all cases, not only the first {_SHOWN}."
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeOptions:
    """What `change_options` adds; None where it is found."""

    base: str | None
    head: str | None
    diff: str | None
    cases: str | None
    job: str | None


class ShownOptions(Protocol):
    """What says how a plan is printed."""

    @property
    def cases(self) -> str | None:
        """Where the cases are named."""

    @property
    def shard(self) -> tuple[int, int] | None:
        """Which part is printed."""

    @property
    def show_all(self) -> bool:
        """Whether every case is printed as text, not the first few."""


def find_inputs(ctx: Context, options: ChangeOptions) -> PlanInputs:
    """Find what a plan is made from.

    Raises
    ------
    EmptyStoreError
        Where no cases are named, and none are known.
    """
    from testopt.git.ci_job import ci_job
    from testopt.git.pending_run import find_pending_run
    from testopt.git.run_identity import RunIdentity
    from testopt.plan.inputs import find_plan_inputs

    base, head, diff = options.base, options.head, options.diff
    if diff and (base or head):
        raise click.UsageError("--diff cannot be combined with --base or --head")
    store = _store(ctx)
    repo = ctx.root if base or head else ctx.root_or_none
    identity = RunIdentity(repo=repo, base=base, commit=head, job=options.job, ci=ci_job())
    run = find_pending_run(identity, store=store, change=_change(ctx, repo, diff))
    if not options.cases:
        if repo is None and store is None:
            raise _no_cases(ctx)
        return find_plan_inputs(run, store=store)
    cases = read_cases(options.cases, root=ctx.root_or_none)
    inputs = find_plan_inputs(run, store=store, cases=cases)
    return inputs if cases else replace(inputs, note=f"{options.cases} names no case")


def finish(ctx: Context, inputs: PlanInputs, plan: Plan, *notes: str) -> None:
    """Keep what was read of the sources; say in a line what there is to say of the plan.

    `notes` are lines of their own; details follow where they are asked for.
    """
    from testopt.doctor import check_health
    from testopt.report.plans import details, headline

    if inputs.sources is not None:
        inputs.sources.keep()
    if ctx.quiet:
        return
    health = check_health(repo=inputs.run.repo, store=inputs.store, most_rows=0)
    line = "; ".join(filter(None, [headline(plan), inputs.note, health.line]))
    more = [*details(plan), *health.messages] if ctx.verbose else []
    for text in filter(None, [line, *notes, *more]):
        ctx.note(printable(text))


def _store(ctx: Context) -> Store | None:
    try:
        return ctx.open_store()
    except EmptyStoreError:
        return None


def _no_cases(ctx: Context) -> EmptyStoreError:
    return EmptyStoreError(
        f"there is no store at {ctx.store_url}, so no run to take the cases from",
        "name them with --cases, or read results first: testopt ingest PATH",
    )


def _change(ctx: Context, repo: Path | None, diff: str | None) -> Change | None:
    """Return the change that a diff holds, or one that cannot be known; None: ask git."""
    from testopt.git.change import diff_file
    from testopt.schema import Change

    if diff:
        return diff_file(Path("/dev/stdin" if diff == "-" else diff))
    if repo is None:
        return Change(known=False, why=f"{ctx.no_repository} (see --diff)")
    return None


def form_of(form: str, *, as_json: bool) -> str:
    """Return the format that is asked for."""
    if as_json and form not in {"text", "json"}:
        raise click.UsageError(f"--json cannot be combined with --format {form}")
    return "json" if as_json else form


def check_form(form: str, inputs: PlanInputs) -> None:
    """Refuse the format of a runner that has none of the cases, before anything is kept."""
    if form in RUNNERS:
        from testopt.runners.arguments import check_fits

        check_fits(RUNNERS[form], inputs.cases)


def show(
    plan: Plan,
    form: str,
    *,
    inputs: PlanInputs,
    options: ShownOptions,
) -> None:
    """Print a plan, or one of its parts.

    Parameters
    ----------
    plan : Plan
    form : str
        ``text``, ``json``, ``durations`` or one of ``RUNNERS``.
    inputs : PlanInputs
        What it was made from.
    options : ShownOptions
    """
    ctx: Context = click.get_current_context().obj
    part = options.shard
    running, in_part = [case for case in plan.cases if case.runs], None
    if part is not None:
        all_parts, parts = running, parts_of(ctx, form, part[1])
        running = [case for case in all_parts if parts.of(case.case_id) == part[0]]
        in_part = partial(parts.has, part[0])
        if all_parts and not running:
            ctx.warn(f"part {part[0]} of {part[1]} has no case that runs")
    if form == "json":
        print_json(_document(plan, plan.cases if part is None else running, part))
    elif form == "durations":
        click.echo(durations_text((c.case_id, c.cost_s) for c in plan.cases), nl=False)
    elif form == "text":
        _show_text(plan, running, part, show_all=options.show_all)
    else:
        from testopt.cli.runner_arguments import print_arguments

        named = options.cases is not None
        print_arguments(ctx, form, inputs, plan, running, named=named, in_part=in_part)


def parts_of(ctx: Context, form: str, count: int) -> Parts:
    """Return how the cases are divided that are printed in a format.

    Raises
    ------
    UsageError
        When there are durations to divide them by that cannot be read.
    """
    from testopt.plan.shards import Parts, file_unit

    unit, name = (
        RUNNERS[form].undivided if form in RUNNERS else file_unit,
        ctx.settings.shard_durations,
    )
    return Parts.agreed(count, unit, (ctx.root_or_none or Path()) / name if name else None)


def _document(
    plan: Plan, cases: Sequence[PlannedCase], part: tuple[int, int] | None
) -> dict[str, Any]:
    from testopt.report.plans import note, policy_name

    files = [f.path for f in plan.change.files]
    change = {"base": plan.change.base, "head": plan.change.head, "known": plan.change.known,
              "files": files}  # fmt: skip
    return {
        "mode": plan.mode,
        "policy": policy_name(plan),
        "note": note(plan),
        "degraded": plan.degraded,
        "calibrated": plan.calibrated,
        "promise": None if plan.promise is None else asdict(plan.promise),
        "explored": plan.explored,
        "shard": None if part is None else f"{part[0]}/{part[1]}",
        "change": change,
        "cases": [plan.fields(case) for case in cases],
    }


def _show_text(
    plan: Plan, running: Sequence[PlannedCase], part: tuple[int, int] | None, *, show_all: bool
) -> None:
    from testopt.durations import format_duration
    from testopt.reasons import sentence
    from testopt.report.plans import plan_lines

    if plan.promise is not None:
        for line in plan_lines(plan):
            click.echo(printable(line))
    if part is not None:
        seconds = format_duration(sum(case.cost_s for case in running))
        click.echo(f"part {part[0]} of {part[1]}: {pluralize(len(running), 'case')}, {seconds}")
    shown = running if show_all else running[:_SHOWN]
    head = f"{'P(fail)':>8}  " if plan.calibrated else ""
    click.echo(f"{'rank':>6}  {head}{'seconds':>8}  case")
    for case in shown:
        p = f"{case.probability:8.4f}  " if plan.calibrated else ""
        click.echo(f"{case.rank:6d}  {p}{case.cost_s:8.3f}  {printable(case.case_id)}")
        click.secho(f"{'':{18 + len(head)}}{printable(sentence(case.reasons))}", dim=True)
    if len(running) > len(shown):
        click.echo(f"and {len(running) - len(shown)} more (--all)")
