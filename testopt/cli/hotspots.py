"""`testopt hotspots`: which areas are risky."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import click

from testopt.cli.bootstrap import open_mined_store
from testopt.cli.common import Context, print_json, printable, with_options
from testopt.cli.values import Number
from testopt.pluralize import pluralize

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testopt.risk.hotspots import Hotspot, HotspotReport


@dataclass(frozen=True, slots=True, kw_only=True)
class HotspotsOptions:
    """Options of ``testopt hotspots``."""

    days: float
    by: Literal["file", "folder", "function"]
    tests: bool
    per_line: bool
    top: int
    as_json: bool


@click.command("hotspots")
@click.option(
    "--days",
    metavar="DAYS",
    type=Number(1, 3650),
    default=90.0,
    show_default=True,
    help="Number of days to look ahead.",
)
@click.option(
    "--by",
    type=click.Choice(["file", "folder", "function"]),
    default="file",
    show_default=True,
    help="What to rank; functions are those of the 40 files with the most fixes to expect, at "
    "HEAD.",
)
@click.option("--per-line", is_flag=True, help="Rank by expected fixes per line, not per file.")
@click.option("--tests", is_flag=True, help="Rank test files, too.")
@click.option(
    "--top", type=click.IntRange(1), default=20, show_default=True, help="Number of rows to print."
)
@click.option("--json", "as_json", is_flag=True, help="Print all rows as JSON.")
@with_options(HotspotsOptions)
def command(ctx: Context, options: HotspotsOptions) -> None:
    """Rank files, folders or functions by the number of fixes to expect.

    Each file's rate of fixes is learnt from past windows of 90 days. The ranking is checked on the
    last windows, beside size, past fixes and churn: which share of the fixes it finds in its first
    20% of the files (--per-line: of the lines). Files and folders of fewer than 30 lines are left
    out. Run `testopt mine` first.

    \b
    Example:
      testopt hotspots
      testopt hotspots --by folder --days 180
      testopt hotspots --by function --per-line
    """
    from testopt.risk.hotspots import hotspots

    repo = ctx.root if options.by == "function" else None
    report = hotspots(
        store=open_mined_store(ctx, "read it first: testopt mine"),
        days=options.days,
        by=options.by,
        tests=options.tests,
        repo=repo,
        per_line=options.per_line,
    )
    if options.as_json:
        print_json(_as_dict(report))
    else:
        _show(report, options.top)


def _as_dict(report: HotspotReport) -> dict[str, Any]:
    return {
        "days": report.days,
        "per_line": report.per_line,
        "window_days": report.window_days,
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
    order = ", by their number per line" if report.per_line else ""
    click.echo(
        f"fixes to expect in the next {report.days:g} days{order} (chance: of one at least; trend: "
        f"against {report.window_days:.0f} days ago)"
    )
    click.echo(f"{'fixes':>7}  {'chance':>6}  {'lines':>7}  {'per 1000 lines':>14}  trend")
    for s in report.hotspots[:top]:
        where = f"{s.path}:{s.first} {s.name}" if s.first else f"{s.path} {s.name}".rstrip()
        click.echo(
            f"{s.expected:7.2f}  {s.chance:6.0%}  {s.lines:7}  {s.density:14.2f}  {s.trend:8}"
            f"{printable(where)}"
        )
    if len(report.hotspots) > top:
        click.echo(f"and {len(report.hotspots) - top} more (--top, --json)")
    click.echo("")
    for line in _check_lines(report):
        click.echo(line)


def _check_lines(report: HotspotReport) -> Iterator[str]:
    """Yield how the ranking did on the last windows, and who did better."""
    if report.validation is None:
        yield "too few files were fixed to check this ranking on the past"
        return
    part = "lines" if report.per_line else "files"
    yield (
        f"share of the fixes found in the first 20% of the {part} "
        f"(mean of {pluralize(report.windows, 'window')} of {report.window_days:.0f} days):"
    )
    for name, share in sorted(report.validation.items(), key=lambda kv: -kv[1]):
        yield f"  {share:4.0%}  {name}{' (this ranking)' if name == 'expected fixes' else ''}"
    if report.better:
        yield f"here {report.better} did better than this ranking: prefer it"
