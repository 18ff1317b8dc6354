"""`testopt hotspots`: which areas are risky."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import click

from testopt.cli.common import Context, print_json, printable, with_options
from testopt.cli.values import Number

if TYPE_CHECKING:
    from testopt.risk.hotspots import Hotspot, HotspotReport


@dataclass(frozen=True, slots=True, kw_only=True)
class HotspotsOptions:
    """Options of ``testopt hotspots``."""

    days: float
    by: Literal["file", "folder", "function"]
    tests: bool
    top: int
    as_json: bool


@click.command("hotspots")
@click.option(
    "--days",
    type=Number(1, 3650),
    default=90.0,
    show_default=True,
    help="Look so far ahead.",
)
@click.option(
    "--by",
    type=click.Choice(["file", "folder", "function"]),
    default="file",
    show_default=True,
    help="Rank; functions of the 40 likeliest files at HEAD.",
)
@click.option("--tests", is_flag=True, help="Rank files that are tests too.")
@click.option(
    "--top", type=click.IntRange(1), default=20, show_default=True, help="Show so many as text."
)
@click.option("--json", "as_json", is_flag=True, help="Print all of them as JSON.")
@with_options(HotspotsOptions)
def command(ctx: Context, options: HotspotsOptions) -> None:
    """Rank files, folders or functions by the fixes to expect for each line that one would review.

    What is expected is learnt from the fixes of earlier windows of the same length, and checked on
    the last ones: the share of the files fixed in them that the ranking puts into the top 20% of
    all lines, beside size and churn. Files of few lines are cheap to review, so that "smallest
    first" does well by this measure. Run `testopt mine` first.

    \b
    Example:
      testopt hotspots
      testopt hotspots --by folder --days 180
      testopt hotspots --by function --top 40
    """
    from testopt.risk.hotspots import hotspots

    repo = ctx.root if options.by == "function" else None
    report = hotspots(
        store=ctx.open_store(),
        days=options.days,
        by=options.by,
        tests=options.tests,
        repo=repo,
    )
    if options.as_json:
        print_json(_as_dict(report))
    else:
        _show(report, options.top)


def _as_dict(report: HotspotReport) -> dict[str, Any]:
    return {
        "days": report.days,
        "files": report.files,
        "fixed_in_last_window": report.fixed,
        "validation": report.validation,
        "validation_windows": report.windows,
        "hotspots": [_hotspot_dict(hotspot) for hotspot in report.hotspots],
    }


def _hotspot_dict(hotspot: Hotspot) -> dict[str, Any]:
    return {
        "path": hotspot.path,
        "function": hotspot.name or None,
        "first_line": hotspot.first or None,
        "expected_fixes": hotspot.expected,
        "chance_of_fix": hotspot.chance,
        "lines": hotspot.lines,
        "per_1000_lines": hotspot.density,
        "trend": hotspot.trend,
        "expected_before": hotspot.before,
    }


def _show(report: HotspotReport, top: int) -> None:
    click.echo(f"fixes to expect in the next {report.days:g} days, by the chance of one per line")
    click.echo(f"{'per 1000 lines':>14}  {'chance':>6}  {'fixes':>6}  {'lines':>7}  trend")
    for s in report.hotspots[:top]:
        where = f"{s.path}:{s.first} {s.name}" if s.first else f"{s.path} {s.name}".rstrip()
        click.echo(
            f"{s.density:14.2f}  {s.chance:6.2f}  {s.expected:6.2f}  {s.lines:7}  {s.trend:8}"
            f"{printable(where)}"
        )
    if len(report.hotspots) > top:
        click.echo(f"and {len(report.hotspots) - top} more (--top, --json)")
    if report.validation is None:
        click.echo("\ntoo few files were fixed to check this ranking on the last windows")
        return
    click.echo(
        f"\n{report.fixed} of {report.files} files were fixed in the last {report.days:g} days; "
        f"of fixed files found in the top 20% of lines (mean of {report.windows} windows):"
    )
    for name, share in sorted(report.validation.items(), key=lambda kv: -kv[1]):
        click.echo(f"  {share:4.0%}  {name}")
