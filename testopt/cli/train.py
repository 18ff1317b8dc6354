"""`testopt train`: fit and register a bundle."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from testopt.cli.common import (
    Context,
    print_json,
    printable,
    scheduler_option,
    time_option,
    with_options,
)
from testopt.errors import UsageError
from testopt.pluralize import pluralize

if TYPE_CHECKING:
    from datetime import datetime

    from testopt.quality.findings import QualityReport
    from testopt.train import Takeover, TrainReport

_PLACES = {
    "live": "not live",
    "canary": "on trial and plans a share of the changes",
    "challenger": "on trial",
    "refused": "on trial, after the one before it failed",
    "waits": "not live",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """Options of ``testopt train``."""

    as_of: datetime | None
    promote: bool
    check: bool
    scheduler: str | None
    as_json: bool


@click.command("train")
@click.option(
    "--as-of",
    metavar="TIME",
    callback=time_option,
    help="Use only runs up to TIME; the model is kept, and plans go on using the live one.",
)
@click.option(
    "--promote", is_flag=True, help="Make the model the live one at once, without a trial."
)
@click.option("--check", is_flag=True, help="Only look for errors and doubts in the data.")
@scheduler_option
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@with_options(TrainOptions)
def command(ctx: Context, options: TrainOptions) -> None:
    """Train a model on the runs of the store, and validate it by time.

    Plans use the live model. A new one takes its place at once where the live one cannot be used or
    is out of date; else when it is better beyond chance on runs that neither has learnt from
    (docs/models.md).

    The data are checked first. Errors refuse the training (exit code 3), doubts are warnings;
    --check shows both with counts and examples, and trains nothing.

    \b
    Example:
      testopt train
      testopt train --as-of 2025-06-01
      testopt train --check --json
      testopt train --scheduler local:4
    """
    from testopt.cli.decider import decider_of
    from testopt.train import Takeover

    if options.as_of is not None and options.promote:
        raise UsageError(
            "train --as-of never makes a model the live one",
            "leave --promote out, and then: testopt models promote ID",
        )
    if options.check:
        check(ctx, options)
        return
    takeover = Takeover(decider=decider_of(ctx), at_once=options.promote, share=ctx.settings.canary)
    report = run_training(ctx, takeover, as_of=options.as_of, scheduler=options.scheduler)
    if options.as_json:
        print_json(report_document(report))
        return
    show_report(report)


def check(ctx: Context, options: TrainOptions) -> None:
    """Show what is wrong or doubtful about the data; exit with 3 on an error."""
    from testopt.quality import check_data

    report = check_data(ctx.open_store(), until=options.as_of, whole=True)
    if options.as_json:
        print_json(report.as_dict())
    else:
        _show_quality(report)
    if report.errors:
        sys.exit(3)


def _show_quality(report: QualityReport) -> None:
    colors = {"error": "red", "doubt": "yellow", "note": "blue"}
    for finding in report.findings:
        click.secho(f"{finding.severity:6}", fg=colors[finding.severity], nl=False)
        click.echo(f"{finding.slug}: {printable(finding.message)}")
        for example in finding.examples:
            click.echo(f"        {printable(example)}")
        if finding.fix:
            click.echo(f"      -> {printable(finding.fix)}")
    click.echo(
        f"{pluralize(report.runs, 'run')}, {report.first} to {report.last}, "
        f"{pluralize(report.results, 'result')}: {pluralize(len(report.errors), 'error')}, "
        f"{pluralize(len(report.doubts), 'doubt')}"
    )


def run_training(
    ctx: Context, takeover: Takeover, *, as_of: datetime | None = None, scheduler: str | None = None
) -> TrainReport:
    """Train on the runs of the store, with a progress bar."""
    from testopt.pool import open_pool
    from testopt.train import train

    store = ctx.open_store()
    with open_pool(scheduler) as pool:
        report = train(
            store=store,
            as_of=as_of,
            repo=ctx.root_or_none,
            seed=ctx.settings.seed,
            takeover=takeover,
            pool=pool,
            progress=ctx.progress("reading runs"),
        )
    _warn(ctx, report.quality)
    return report


def _warn(ctx: Context, quality: QualityReport) -> None:
    """Say the doubts in one line."""
    doubts = quality.doubts
    if doubts:
        more = f", and {len(doubts) - 1} more" if len(doubts) > 1 else ""
        ctx.warn(f"{printable(doubts[0].message)}{more}: see testopt train --check")


def report_document(report: TrainReport) -> dict[str, Any]:
    """Return a report as JSON values."""
    checked = report.validation
    return {
        "bundle": report.bundle_id,
        "promoted": report.promoted,
        "step": report.step,
        "why": report.why,
        "runs": report.runs,
        "failing_runs": report.failing_runs,
        "cases": report.cases,
        "rows": report.rows,
        "disturbed_runs": report.disturbed_runs,
        "first": report.first.isoformat(),
        "last": report.last.isoformat(),
        "validation": None if checked is None else checked.as_dict(),
        "quality": report.quality.as_dict(),
    }


def _show_place(report: TrainReport) -> None:
    """Say which model plans use, where that is not plain."""
    if report.promoted:
        if report.before not in ("", report.bundle_id):
            click.echo(f"it is live in place of {report.before}: {printable(report.why)}")
        return
    knows = f"{report.before} ({pluralize(report.before_runs, 'run')})"
    uses = f"plans use {knows}" if report.before else "plans use no model"
    click.echo(f"it is {_PLACES[report.step]}, and {uses}: {printable(report.why)}")
    click.echo(f"to use it at once: testopt models promote {report.bundle_id}")


def show_report(report: TrainReport) -> None:
    """Print what was trained, what became of it, and how it did."""
    from testopt.ranking.orderings import too_young
    from testopt.reasons import words

    click.echo(
        f"bundle {report.bundle_id}: {pluralize(report.runs, 'run')} "
        f"({report.failing_runs:,} failing), {pluralize(report.cases, 'case')}, "
        f"{report.first:%Y-%m-%d} to {report.last:%Y-%m-%d}"
    )
    _show_place(report)
    if report.disturbed_runs:
        click.echo(
            f"left out: {pluralize(report.disturbed_runs, 'run')} that failed because of their "
            "environment"
        )
    young = too_young(report.failing_runs)
    if young:
        click.echo(f"{words(young)}: recent failures and closeness to the change decide until then")
    checked = report.validation
    if checked is None:
        if not young:
            click.echo(
                "there are too few failing runs to validate the model; the order is a first guess"
            )
        return
    click.echo(
        f"on the last {checked.failing_runs} failing runs, not seen in training "
        f"(calibration error {checked.calibration_error:.3f}):"
    )
    click.echo(f"  {'':28}{'APFDc':>8}{'APFD':>8}{'first':>8}")
    for name, q in sorted(checked.methods.items(), key=lambda kv: kv[1].apfdc):
        click.echo(f"  {name:28}{q.apfdc:8.3f}{q.apfd:8.3f}{q.first:8.3f}")
