"""`testopt backtest`: what would have happened on the own history."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import click

from testopt.cli.common import (
    Context,
    print_json,
    scheduler_option,
    with_options,
    write_table,
)
from testopt.cli.values import DURATION, share_type
from testopt.durations import format_duration, tells_time
from testopt.pluralize import pluralize

if TYPE_CHECKING:
    from testopt.backtesting import BacktestReport
    from testopt.selection.simulation import SelectionQuality


_SHARE = share_type(one=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestOptions:
    """Options of ``testopt backtest``."""

    predictions: str | None
    retrain_every: int | None
    warm_up: float
    recalls: tuple[float, ...]
    case_recalls: tuple[float, ...]
    fractions: tuple[float, ...]
    budgets: tuple[float, ...]
    scheduler: str | None
    as_json: bool

    @property
    def selects(self) -> bool:
        """Whether a selection is tried, too."""
        return any((self.recalls, self.case_recalls, self.fractions, self.budgets))


@click.command("backtest")
@click.option(
    "--predictions", metavar="OUT", help="Write every prediction to OUT (.parquet, .csv)."
)
@click.option(
    "--retrain-every",
    metavar="RUNS",
    type=click.IntRange(min=1),
    help="Runs between two trainings (default: when there are 15 % more runs).",
)
@click.option(
    "--warm-up",
    type=share_type(zero=True, one=False),
    default=0.1,
    show_default=True,
    help="Share of the oldest runs, which the report leaves out.",
)
@click.option(
    "--recall",
    "recalls",
    metavar="R",
    type=_SHARE,
    multiple=True,
    help="Try a selection that must catch this share of the regressions (repeatable).",
)
@click.option(
    "--case-recall",
    "case_recalls",
    metavar="R",
    type=_SHARE,
    multiple=True,
    help="Try a selection that must catch this share of the regressing cases (repeatable).",
)
@click.option(
    "--fraction",
    "fractions",
    metavar="F",
    type=_SHARE,
    multiple=True,
    help="Report what this share of the time would have caught (repeatable; default: a curve).",
)
@click.option(
    "--budget",
    "budgets",
    metavar="TIME",
    type=DURATION,
    multiple=True,
    help="Report what this time, such as 10m, would have caught (repeatable).",
)
@scheduler_option
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@with_options(BacktestOptions)
def command(ctx: Context, options: BacktestOptions) -> None:
    """Measure on past runs how well testopt orders and selects.

    Every run is predicted by a model of earlier runs, which is retrained as the history grows. No
    git repository is needed.

    \b
    Example:
      testopt backtest
      testopt backtest --predictions out.parquet --json
      testopt backtest --recall 0.9 --recall 0.95
    """
    from testopt.backtesting import BacktestSettings, SelectionTrials, backtest
    from testopt.pool import open_pool
    from testopt.selection.simulation import FRACTIONS

    trials = SelectionTrials(
        recalls=options.recalls,
        case_recalls=options.case_recalls,
        fractions=options.fractions or FRACTIONS,
        budgets=options.budgets,
    )
    settings = BacktestSettings(
        retrain_every=options.retrain_every,
        warm_up=options.warm_up,
        seed=ctx.settings.seed,
        trials=trials if options.selects else None,
    )
    store = ctx.open_store()
    with open_pool(options.scheduler) as pool:
        done = backtest(
            store=store,
            repo=ctx.root_or_none,
            options=settings,
            pool=pool,
            progress=ctx.progress("predicting runs"),
        )
    if options.predictions:
        write_table(done.predictions, options.predictions)
    if options.as_json:
        print_json(asdict(done.report))
    else:
        _show(done.report)
        _show_selections(done.report)


def _show(report: BacktestReport) -> None:
    click.echo(
        f"{pluralize(report.runs, 'run')} ({report.failing_runs:,} failing, "
        f"{report.modelled_runs:,} ordered by a model), {pluralize(report.cases, 'case')}"
    )
    if report.disturbed_runs:
        runs = pluralize(report.disturbed_runs, "run")
        click.echo(f"not judged: {runs} that failed because of their environment")
    if report.unread_runs:
        runs = pluralize(report.unread_runs, "run")
        click.echo(f"not judged: {runs} of uncommitted edits that were not kept")
    if not report.methods:
        click.echo("no failing run with a passing case after the warm-up: nothing to compare")
        return
    head = f"{'APFDc':>8}{'APFD':>8}{'NAPFD':>8}{'first':>8}{'first failure after':>22}"
    click.echo(f"  {'':28}{head}")
    for name, q in sorted(report.methods.items(), key=lambda kv: kv[1].apfdc):
        wait = report.seconds_to_first[name]
        line = f"{q.apfdc:8.3f}{q.apfd:8.3f}{q.napfd:8.3f}{q.first:8.3f}{wait:20.2f} s"
        click.secho(f"  {name:28}{line}", bold=name == "testopt")
    if report.fresh_runs < report.judged_runs:
        click.echo(
            f"in {report.fresh_runs} of {report.judged_runs} failing runs a case failed that was "
            f"new or had passed before; recent failures alone find the others"
        )
    _show_time(report)


def _show_time(report: BacktestReport) -> None:
    """Say when the first failure would have come, in time where durations tell it."""
    if not tells_time(report.timed, 1.0, report.suite_seconds):
        part = report.cases_to_first
        click.echo(
            f"the first failure would have come after {part['testopt']:.1%} of the cases, in the "
            f"order of the case ids after {part['by case id']:.1%}; it is known of "
            f"{report.timed:.0%} of them how long they take, so that time tells nothing"
        )
        return
    ours, plain = report.seconds_to_first["testopt"], report.seconds_to_first["by case id"]
    click.echo(
        f"the first failure would have come after {ours:.2f} s, in the order of the case ids "
        f"after {plain:.2f} s (the whole suite takes {report.suite_seconds:.2f} s)"
    )
    for caught, share in report.courses["testopt"].enough:
        saved = (1.0 - share) * report.suite_seconds
        plain_share = dict(report.courses["by case id"].enough)[caught]
        click.echo(
            f"{caught:.0%} of the failing runs would have shown a failure within {share:.1%} of "
            f"the time (by case id: {plain_share:.1%}): "
            f"stopping there saves {format_duration(saved)} a run"
        )


def _show_selections(report: BacktestReport) -> None:
    if not report.curve:
        return
    saved = f"{'time saved':>12}{'failing':>9}{'passing':>9}{'left out':>10}"
    head = f"{'caught':>12}{'95 % interval':>18}{'cases':>7}{saved}"
    click.echo("\nwhat would have been left out, and which regressions caught:")
    click.echo(f"  {'':32}{head}")
    for promise in report.promises:
        what = "case recall" if promise.by_case else "recall"
        click.echo(_line(f"{what} {promise.recall:g}", promise.every))
        if promise.runs_without:
            if promise.promised.runs:
                click.echo(_line("  in runs with a promise", promise.promised))
            click.echo(
                f"    {pluralize(promise.runs_without, 'run')} had no promise yet "
                "and ran everything"
            )
        click.echo(f"    now: {promise.last.why}")
    for point in report.curve:
        name = f"{point.fraction:.0%} of the time" if point.fraction is not None else ""
        click.echo(
            _line(name or f"at most {format_duration(point.budget_s or 0.0)}", point.quality)
        )


def _line(name: str, q: SelectionQuality) -> str:
    caught, interval = f"{q.caught} of {q.regressions}", f"{q.low:.3f} to {q.high:.3f}"
    saved = f"{q.saved_all:12.1%}{q.saved_failing:9.1%}{q.saved_passing:9.1%}{q.left_out:10.1%}"
    cases = f"{q.case_recall:.3f}" if q.regressions else "-"
    return f"  {name:32}{caught:>12}{interval:>18}{cases:>7}{saved}"
