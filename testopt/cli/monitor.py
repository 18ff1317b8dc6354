"""`testopt monitor`: what plans missed and saved."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from testopt.cli.common import Context, print_json, printable, time_option, with_options
from testopt.durations import tells_time
from testopt.errors import GateError
from testopt.pluralize import pluralize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testopt.monitor import Monitor
    from testopt.monitor.calibration import Calibration
    from testopt.monitor.missed_and_saved import Miss, PlanGroup, SelectReport, Share
    from testopt.selection.kept_plans import PastPlans

_GATES = ("misses", "calibration", "drift", "fallback", "missing", "jobs")
_SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorOptions:
    """Options of ``testopt monitor``."""

    since: datetime | None
    gates: tuple[str, ...]
    as_json: bool


@click.command("monitor")
@click.option(
    "--since",
    metavar="TIME",
    callback=time_option,
    help="Report on runs since TIME (default: all).",
)
@click.option(
    "--fail-on",
    "gates",
    type=click.Choice(_GATES),
    multiple=True,
    help="Exit with 1 when this is found (repeatable).",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@with_options(MonitorOptions)
def command(ctx: Context, options: MonitorOptions) -> None:
    """Report what plans missed and saved, and if they can be trusted.

    In shadow every case runs, so that every miss is seen. Where cases were left out, a miss is
    found by the next full run, and counts for the change that caused it.

    \b
    --fail-on takes
      misses        more regressions were missed than was promised
      calibration   probabilities did not come true
      drift         plans or outcomes have changed
      fallback      plans fell back to the original order
      missing       cases that a kept plan was to run have no result
      jobs          plans and results name different jobs, so misses stay unknown

    With too little data a gate is "not judged yet", and --fail-on does not fail on it.

    \b
    Example:
      testopt monitor
      testopt monitor --since 2026-03-01 --fail-on misses --fail-on drift
    """
    from testopt.cli.plan_checks import past_document
    from testopt.monitor import monitor
    from testopt.selection.kept_plans import PastPlans
    from testopt.selection.plan_log import rules_of

    report = monitor(
        store=ctx.open_store(),
        rules=rules_of(ctx.settings),
        since=options.since,
        seed=ctx.settings.seed,
        repo=ctx.root_or_none,
    )
    if options.as_json:
        kept = past_document(report.kept)
        print_json({**asdict(replace(report, kept=PastPlans())), "kept": kept})
    else:
        _show(report)
    troubles = report.troubles
    failed = [f"{gate}: {troubles[gate]}" for gate in options.gates if gate in troubles]
    if failed:
        raise GateError(
            "; ".join(failed), "look at the runs that are listed, or run: testopt train"
        )


def _show(report: Monitor) -> None:
    stands = {"select": "green", "shadow": "blue"}.get(report.trust.state, "yellow")
    click.secho(f"{report.trust.state}: ", fg=stands, nl=False)
    click.echo(printable(report.trust.why))
    click.echo(
        f"{pluralize(report.runs, 'run')}, {report.plans} with a plan that could leave cases out"
    )
    if report.shadow:
        click.echo("\nwhere every case ran")
        for group in report.shadow:
            _show_group(group, _name(group))
    if report.seeded is not None:
        click.echo("\nruns of seeded faults, which do not count")
        _show_group(report.seeded, "all plans")
    if report.select is not None:
        _show_select(report.select)
    _show_misses(report.misses)
    if report.calibration is not None:
        _show_calibration(report.calibration)
    _show_gates(report)


def _show_gates(report: Monitor) -> None:
    click.echo()
    for gate in _GATES:
        trouble, unjudged = report.troubles.get(gate), report.unjudged.get(gate)
        color = "yellow" if trouble else "blue" if unjudged else "green"
        click.secho(f"{gate:12}", fg=color, nl=False)
        click.echo(printable(trouble or (f"not judged yet: {unjudged}" if unjudged else "fine")))
    _show_unanswered(report.kept)
    for why, count in report.fallbacks:
        click.echo(f"  {count} of {report.last_plans} plans fell back: {printable(why)}")


def _show_unanswered(kept: PastPlans) -> None:
    """Show the plans that lack results, those but the first, which the gate names."""
    from testopt.selection.kept_plans import sentence, waiting_line

    for check in kept.unanswered[1:_SHOWN]:
        click.echo(f"  {printable(sentence(check))}")
    for plans in (kept.waiting if kept.unanswered else (), kept.open):
        if plans:
            click.echo(f"  {printable(waiting_line(plans))}")


def _name(group: PlanGroup) -> str:
    if not group.mode:
        return "all plans"
    recall = "" if group.recall is None else f", recall {group.recall:g}"
    seeded = " on seeded faults" if group.seeded else ""
    return f"{group.mode}, bundle {group.bundle or 'none'}{recall}{seeded}"


def _show_group(group: PlanGroup, name: str) -> None:
    click.echo(f"  {printable(name)}: {pluralize(group.runs, 'run')}")
    click.echo(f"    regressions caught  {_share(group.caught)}")
    click.echo(f"    regressing cases    {_share(group.cases)}")
    click.echo(f"    false greens        {_share(group.false_greens, 'green-looking runs')}")
    click.echo(
        f"    would have saved    {_saved(group.saved_s, group.seconds, group.timed)}, "
        f"keeping {_of(group.kept.count, group.kept.of)}"
    )


def _saved(saved_s: float, total_s: float, timed: Share) -> str:
    """Return how much time was saved; where few cases have a duration, it tells nothing."""
    if not tells_time(timed.count, timed.of, total_s):
        return f"a time that is not known ({timed.count} of {timed.of} cases have a duration)"
    return f"{saved_s:.1f} of {total_s:.1f} s ({saved_s / total_s:.0%})"


def _of(count: int, of: int) -> str:
    return f"{count} of {pluralize(of, 'case')}{f' ({count / of:.0%})' if of else ''}"


def _share(share: Share, of: str = "") -> str:
    if not share.of:
        return f"none yet{' of ' + of if of else ''}"
    text = f"{share.count} of {share.of}{' ' + of if of else ''}"
    return f"{text} = {share.count / share.of:.3f} ({share.low:.3f} to {share.high:.3f})"


def _show_select(select: SelectReport) -> None:
    click.echo(
        f"\nwhere cases were left out: {pluralize(select.runs, 'run')}, "
        f"{select.explored} drawn to run all"
    )
    cases = select.executed + select.left_out
    click.echo(
        f"    cases               {select.executed} ran, {_of(select.left_out, cases)} were "
        f"left out, {select.refreshed} ran by the draw alone"
    )
    saved = _saved(select.saved_s, select.seconds + select.saved_s, select.timed)
    click.echo(f"    saved               {saved}")
    click.echo(f"    caught, known yet   {_share(select.realised)}")
    click.echo(f"    unbiased, all ran   {_share(select.explored_recall)}")
    if select.weighted is not None:
        weighted = select.weighted
        click.echo(
            f"    regressing cases    {weighted.recall:.3f} ({weighted.low:.3f} to "
            f"{weighted.high:.3f}) by inverse propensity, {weighted.found} found by a draw"
        )


def _show_misses(misses: Sequence[Miss]) -> None:
    if misses:
        click.echo("\nmissed")
    for miss in misses[-_SHOWN:]:
        _show_miss(miss)
    if len(misses) > _SHOWN:
        click.echo(f"  and {len(misses) - _SHOWN} before these (--json has all)")


def _show_miss(miss: Miss) -> None:
    day = f"{datetime.fromtimestamp(miss.time, UTC):%Y-%m-%d}"
    where = "" if miss.found_in == miss.run_id else f", found in {printable(miss.found_in)}"
    commit = (miss.commit or "no commit")[:12]
    click.echo(f"  {day} {printable(commit)} {miss.mode}, run {printable(miss.run_id)}{where}")
    for case in miss.cases[:_SHOWN]:
        click.echo(f"    {printable(case)}")
    if len(miss.cases) > _SHOWN:
        click.echo(f"    and {len(miss.cases) - _SHOWN} more")
    if len(miss.candidates) > 1:
        names = (f"{(commit or run)[:12]} ({share:.0%})" for run, commit, share in miss.candidates)
        click.echo(printable(f"    caused by one of: {', '.join(names)}"))


def _show_calibration(found: Calibration) -> None:
    click.echo(f"\nprobabilities of {found.cases} cases in {pluralize(found.runs, 'run')}")
    click.echo(
        f"    failed              {found.failed} of {found.expected:.1f} expected "
        f"({found.low:.2f} to {found.high:.2f} times as many)"
    )
    click.echo(
        f"    calibration error   {found.error:.4f}; Brier {found.brier:.5f}, of the mean rate "
        f"{found.brier_of_rate:.5f}"
    )
    click.echo("    predicted  observed  cases")
    for cases, predicted, observed, _ in found.table:
        click.echo(f"    {predicted:9.4f} {observed:9.4f} {cases:6d}")
