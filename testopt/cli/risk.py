"""``testopt risk``."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from testopt import __version__
from testopt.cli.common import Context, print_json, printable
from testopt.errors import DataError, GateError

if TYPE_CHECKING:
    from testopt.schema import Change, Risk, RiskReport

_REASONS = 8
_CHANGES = 20
_FILES = 8
_MOST = 5_000


@click.command("risk")
@click.argument("rev_range", required=False, metavar="[REV_RANGE]")
@click.option("--base", metavar="REV", help="Judge all that came since REV as one change.")
@click.option("--fail-over", type=click.FloatRange(0, 1), metavar="P", help="Exit 1 above P.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "markdown", "sarif"]),
    default="text",
    show_default=True,
    help="markdown: for a comment; sarif: for code scanning.",
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.pass_obj
def command(
    ctx: Context,
    *,
    rev_range: str | None,
    base: str | None,
    fail_over: float | None,
    form: str,
    as_json: bool,
) -> None:
    """Say how likely a change introduces a defect, and why.

    REV_RANGE is a commit, or a range such as main..topic, whose commits are judged one by one.
    Without it: the uncommitted changes, staged or not, where there are any, else the last commit
    (in CI, the change of the job). Run `testopt mine` and `testopt szz` first.

    The reasons are in log-odds and add up; each file is judged as if it had changed alone.

    \b
    Example:
      testopt risk
      testopt risk main..topic
      testopt risk --base origin/main --fail-over 0.8
      testopt risk HEAD --format sarif > risk.sarif
    """
    from testopt.assess import assess
    from testopt.store import Store

    if rev_range is not None and base is not None:
        raise click.UsageError("--base names the change: it excludes REV_RANGE")
    changes = _changes(ctx, rev_range, base)
    settings = ctx.settings
    report = assess(
        store=Store.open(ctx.store_url),
        changes=changes,
        author_features=settings.author_features,
        seed=settings.seed,
    )
    _print(report, "json" if as_json else form)
    if fail_over is not None and report.risks[0].probability > fail_over:
        worst = report.risks[0]
        raise GateError(
            f"the risk of {worst.name} is {worst.probability:.1%}, above {fail_over:.1%}",
            "review it closely, or split it",
        )


def _changes(ctx: Context, rev_range: str | None, base: str | None) -> dict[str, Change]:
    from testopt.sources.change import find_change
    from testopt.sources.ci import ci_context

    if rev_range is None:
        ci = None if base else ci_context()
        change = find_change(ctx.root, base=base, ci=ci)
        name = change.head or "the uncommitted changes"
        return {f"{base}..{name}" if base else name: change}
    return {sha: find_change(ctx.root, head=sha) for sha in _commits(ctx, rev_range)}


def _commits(ctx: Context, rev_range: str) -> list[str]:
    from testopt.sources.git import resolve
    from testopt.sources.gitlog import list_commits

    if ".." not in rev_range:
        return [resolve(ctx.root, rev_range)]
    found = list_commits(ctx.root, rev_range)
    if not found:
        raise DataError(f"the range {rev_range} holds no commit", "the older end comes first")
    if len(found) > _MOST:
        raise DataError(
            f"the range {rev_range} holds {len(found)} commits, at most {_MOST} are judged at once",
            "name a shorter one, or judge it as one change with --base",
        )
    return found


def _print(report: RiskReport, form: str) -> None:
    from testopt.report.markdown import basis_text, risk_markdown
    from testopt.report.sarif import risk_sarif

    if form == "json":
        print_json(asdict(report))
    elif form == "markdown":
        click.echo(risk_markdown(report))
    elif form == "sarif":
        click.echo(risk_sarif(report, version=__version__))
    else:
        for risk in report.risks[:_CHANGES]:
            _show(risk, report.compared, brief=len(report.risks) > 1)
        if len(report.risks) > _CHANGES:
            click.echo(f"and {len(report.risks) - _CHANGES} less risky changes (--json lists all)")
        click.echo(basis_text(report))


def _show(risk: Risk, compared: int, *, brief: bool) -> None:
    from testopt.report.words import part_text, percentile_text

    beside = percentile_text(risk, compared)
    head = f"{risk.probability:6.1%}  {printable(risk.name)}"
    click.echo(f"{head}  ({beside})" if beside else head)
    if brief:
        return
    click.echo("\nlog-odds")
    for part in risk.parts[: _REASONS + 1]:
        click.echo(f"   {part.log_odds:+.2f}  {printable(part_text(part))}")
    if len(risk.parts) > _REASONS + 1:
        click.echo(f"   {sum(p.log_odds for p in risk.parts[_REASONS + 1 :]):+.2f}  all else")
    if risk.files:
        click.echo("\nfiles, each as if it had changed alone")
    for file in risk.files[:_FILES]:
        click.echo(
            f"  {file.probability:6.1%}  {printable(file.path)}"
            f"  +{file.added or 0} -{file.deleted or 0}"
        )
    if risk.n_files > _FILES:
        click.echo(f"          and {risk.n_files - _FILES} more files")
    click.echo()
