"""`testopt risk`: how risky a change is, and why."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import click

from testopt import __version__
from testopt.cli.bootstrap import bootstrap, open_mined_store
from testopt.cli.common import Context, print_json, printable, with_options
from testopt.cli.values import share_type
from testopt.errors import DataError, GateError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from testopt.risk.values import RiskReport
    from testopt.schema import Change
    from testopt.store import Store

_CHANGES = 20
_MAX_COMMITS = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskOptions:
    """Options of ``testopt risk``."""

    rev_range: str | None
    base: str | None
    fail_over: float | None
    fail_over_percentile: float | None
    form: str
    as_json: bool
    fairness: bool
    names: bool
    bootstrap: bool
    history: bool


@click.command("risk")
@click.argument("rev_range", required=False, metavar="[REV_RANGE]")
@click.option("--base", metavar="REV", help="Judge all that came since REV as one change.")
@click.option(
    "--fail-over",
    type=share_type(zero=True),
    metavar="P",
    help="Exit with 1 if a change has a probability above P.",
)
@click.option(
    "--fail-over-percentile",
    type=share_type(zero=True),
    metavar="P",
    help="Exit with 1 if a change is riskier than this share of the last changes.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "markdown", "sarif"]),
    default="text",
    show_default=True,
    help="markdown: for a comment; sarif: for code scanning.",
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option(
    "--fairness",
    is_flag=True,
    help="Print errors and calibration by tenure and folder instead (needs testopt[fairness]).",
)
@click.option(
    "--names/--no-names",
    default=True,
    show_default=True,
    help="Name likely reviewers, from git, in alphabetical order (never in SARIF).",
)
@click.option(
    "--bootstrap",
    is_flag=True,
    help="First read the newest history, and trace the newest fixes for at most a minute.",
)
@click.option(
    "--history",
    is_flag=True,
    help="Print past changes instead, with the risk that they had at the time, and which alarms "
    "were right. --fail-over or --fail-over-percentile say what an alarm is (default: riskier "
    "than 90% of the changes before).",
)
@with_options(RiskOptions)
def command(ctx: Context, options: RiskOptions) -> None:
    """Estimate how likely a change is to introduce a defect, and why.

    REV_RANGE is a commit, or a range such as main..topic, whose commits are judged one by one.
    Without it: the uncommitted changes, staged or not, where there are any, else the last commit
    (in CI, the change of the job). Run `testopt mine` and `testopt szz` first; --bootstrap does as
    much of both as fits in a minute, and continues when it is called again.

    A commit is judged by what was known when its month began, so that its risk is the same in any
    range, and nothing that comes later changes it.

    The reasons are in log-odds and add up. Each file, and each place in it, is judged as if it had
    changed alone. The tests named for a file ran it (`testopt ingest --coverage`) or failed when it
    changed; files without such a test are named, too.

    \b
    Example:
      testopt risk
      testopt risk --bootstrap
      testopt risk main..topic
      testopt risk --base origin/main --fail-over 0.8
      testopt risk main..topic --fail-over-percentile 95%
      testopt risk HEAD --format sarif > risk.sarif
      testopt risk --history
      testopt risk --fairness
    """
    from testopt.risk.change_risk import change_risk

    if options.rev_range is not None and options.base is not None:
        raise click.UsageError("--base cannot be combined with REV_RANGE")
    form = "json" if options.as_json else options.form
    gates = (options.fail_over, options.fail_over_percentile)
    if options.fairness:
        if (options.rev_range, options.base, *gates) != (None,) * 4:
            raise click.UsageError(
                "--fairness cannot be combined with a change: it judges the model"
            )
        _fairness(ctx, form)
        return
    if options.bootstrap:
        bootstrap(ctx)
    store = open_mined_store(ctx)
    if options.history:
        _history(ctx, options, store, form)
        return
    changes = _changes(ctx, options.rev_range, options.base)
    settings = ctx.settings
    report = change_risk(
        store=store,
        changes=changes,
        repo=ctx.root,
        author_features=settings.author_features,
        seed=settings.seed,
    )
    _print(ctx, report, changes, form, names=options.names)
    _check_gates(report, *gates)


def _history(ctx: Context, options: RiskOptions, store: Store, form: str) -> None:
    from testopt.cli.risk_history import show_history

    if options.rev_range is not None or options.base is not None:
        raise click.UsageError("--history always covers the last year; it takes no change")
    if form not in ("text", "json"):
        raise click.UsageError("--history is printed as text or as JSON")
    over, over_percentile = options.fail_over, options.fail_over_percentile
    if over is not None and over_percentile is not None:
        raise click.UsageError("--history takes one of --fail-over and --fail-over-percentile")
    as_json = form == "json"
    show_history(ctx, store, over=over, over_percentile=over_percentile, as_json=as_json)


def _check_gates(report: RiskReport, most: float | None, most_percentile: float | None) -> None:
    worst, advice = report.risks[0], "review it closely, or split it"
    if most is not None and worst.probability > most:
        raise GateError(
            f"the risk of {worst.name} is {worst.probability:.1%}, above {most:.1%}", advice
        )
    if most_percentile is None:
        return
    places = [(risk.percentile, risk.name) for risk in report.risks if risk.percentile is not None]
    if len(places) < len(report.risks):
        raise DataError(
            "there are too few earlier changes for a percentile",
            "mine more history, or use --fail-over",
        )
    place, name = max(places, key=lambda found: found[0])
    if place > most_percentile:
        raise GateError(
            f"{name} is riskier than {place:.0%} of the changes before it, "
            f"above {most_percentile:.0%}",
            advice,
        )


def _changes(ctx: Context, rev_range: str | None, base: str | None) -> dict[str, Change]:
    from testopt.git.change import find_change
    from testopt.git.ci_job import ci_job

    pattern = ctx.settings.fix_pattern
    if rev_range is None:
        ci = None if base else ci_job()
        change = find_change(ctx.root, base=base, ci=ci, fix_pattern=pattern)
        name = change.head or "the uncommitted changes"
        return {f"{base}..{name}" if base else name: change}
    commits = _commits(ctx, rev_range)
    return {sha: find_change(ctx.root, head=sha, fix_pattern=pattern) for sha in commits}


def _commits(ctx: Context, rev_range: str) -> list[str]:
    from testopt.git.log import list_commits
    from testopt.git.process import resolve

    if ".." not in rev_range:
        return [resolve(ctx.root, rev_range)]
    commits = list_commits(ctx.root, rev_range)
    if not commits:
        raise DataError(
            f"the range {rev_range} holds no commit", "write the older commit first: OLDER..NEWER"
        )
    if len(commits) > _MAX_COMMITS:
        raise DataError(
            f"the range {rev_range} holds {len(commits)} commits, "
            f"at most {_MAX_COMMITS} are judged at once",
            "name a shorter one, or judge it as one change with --base",
        )
    return commits


def _fairness(ctx: Context, form: str) -> None:
    from testopt.cli.fairness import fairness_dict, fairness_lines
    from testopt.risk.fairness import risk_fairness

    if form not in ("text", "json"):
        raise click.UsageError("--fairness is printed as text or as JSON")
    settings = ctx.settings
    report = risk_fairness(
        store=open_mined_store(ctx),
        repo=ctx.root,
        author_features=settings.author_features,
        seed=settings.seed,
    )
    if form == "json":
        print_json(fairness_dict(report))
    else:
        for line in fairness_lines(report):
            click.echo(printable(line))


def _print(
    ctx: Context, report: RiskReport, changes: Mapping[str, Change], form: str, *, names: bool
) -> None:
    from testopt.risk.markdown import risk_markdown
    from testopt.risk.sarif import risk_sarif
    from testopt.risk.similar_culprits import subjects
    from testopt.risk.text import risk_lines

    if form == "sarif":
        click.echo(risk_sarif(report, version=__version__))
        return
    shown = [risk.name for risk in report.risks[:_CHANGES]]
    titles = subjects(ctx.root, [name for name in shown if changes[name].head == name])
    people = _people(ctx, report, changes) if names else {}
    if form == "json":
        experts = _experts(ctx, report, changes) if names else {}
        told = {"people": experts, "reviewers": people, "subjects": titles}
        print_json({**asdict(report), **told})
    elif form == "markdown":
        click.echo(risk_markdown(report, subjects=titles, reviewers=people))
    else:
        for line in risk_lines(report, most=_CHANGES, subjects=titles, reviewers=people):
            click.echo(printable(line))


def _people(
    ctx: Context, report: RiskReport, changes: Mapping[str, Change]
) -> dict[str, tuple[str, ...]]:
    """Return who is likely to review the riskiest change."""
    from testopt.risk.reviewers import likely_reviewers

    name = report.risks[0].name
    return {name: likely_reviewers(ctx.root, changes[name])}


def _experts(
    ctx: Context, report: RiskReport, changes: Mapping[str, Change]
) -> dict[str, tuple[str, ...]]:
    from testopt.risk.reviewers import file_experts

    shown = report.risks[:_CHANGES]
    paths = sorted({file.path for risk in shown for file in risk.files})
    return file_experts(ctx.root, paths, changes[shown[0].name].head)
