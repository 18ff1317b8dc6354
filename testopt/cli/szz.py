"""`testopt szz`: which commits introduced the defects that others fixed."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from testopt.cli.common import (
    Context,
    check_table_name,
    print_json,
    printable,
    scheduler_option,
    with_options,
    write_table,
)
from testopt.cli.repositories import (
    Place,
    fix_pattern_of,
    over_all,
    read_places,
    repositories_option,
    tell_all,
)
from testopt.errors import UsageError
from testopt.pluralize import pluralize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testopt.szz.answers import TracedFix
    from testopt.szz.fix_lists import Issue
    from testopt.szz.trace import SzzReport

_FILE = click.Path(path_type=Path)


@dataclass(frozen=True, slots=True, kw_only=True)
class SzzOptions:
    """Options of ``testopt szz``."""

    fixes: Path | None
    issues: Path | None
    output: Path | None
    explain: str | None
    stated: bool
    no_store: bool
    repositories: str | None
    scheduler: str | None
    as_json: bool


@click.command("szz")
@click.option(
    "--fixes",
    type=_FILE,
    help="File of fixing commits, one hash per line (default: found by testopt).",
)
@click.option("--issues", type=_FILE, help="CSV or Parquet: fix_commit[,issue_date][,issue_type].")
@click.option(
    "--output", type=_FILE, metavar="FILE", help="Write the rows to FILE (.parquet or .csv)."
)
@click.option("--explain", metavar="COMMIT", help="Explain the answer for one fixing commit.")
@click.option("--stated", is_flag=True, help='Believe prose too: "introduced in 1a2b3c".')
@click.option("--no-store", is_flag=True, help="Neither read nor write the store.")
@repositories_option
@scheduler_option
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document.")
@with_options(SzzOptions)
def command(ctx: Context, options: SzzOptions) -> None:
    """Find the commits that introduced the defects fixed by later ones.

    Fixing commits are given with --fixes, or found by their messages. The lines that a fix
    changes are traced back to the commits that wrote them, and one of these is chosen. Rows are
    fix_commit, bug_commit, confidence and chosen (true: the answer); they are kept in the store,
    so that an interrupted run is continued and a repeated one is quick.

    Trailers and reverts that name the cause are always believed, as tools write them; sentences of
    the author only with --stated. With --issues, commits younger than the issue are not blamed, and
    a commit whose issue_type is not bug (defect, regression, crash) is not a fix.

    \b
    Examples:
      testopt szz
      testopt szz --fixes fixes.txt --issues issues.csv --output labels.parquet
      testopt szz --explain 1a2b3c4
      testopt szz --repositories clones.txt --scheduler local:4
    """
    if options.repositories is not None or options.scheduler is not None:
        _trace_all(ctx, options)
        return
    if options.output is not None:
        check_table_name(str(options.output))
    issues = _issues(ctx, options.issues)
    if options.explain is not None:
        _explain(ctx, options.explain, issues, stated=options.stated, as_json=options.as_json)
        return
    from testopt.szz.fix_lists import read_fixes
    from testopt.szz.trace import szz

    fixes = read_fixes(options.fixes) if options.fixes else None
    report = szz(
        repo=ctx.root,
        fixes=fixes,
        issues=issues,
        stated=options.stated,
        fix_pattern=ctx.settings.fix_pattern,
        store=None if options.no_store else ctx.open_store(create=True),
        progress=ctx.progress("tracing"),
    )
    if options.output is not None:
        _write(options.output, report)
    _warn(ctx, report)
    _print(report, rows=options.output is None, as_json=options.as_json)
    _raise_unread(report.traced)


def _trace_all(ctx: Context, options: SzzOptions) -> None:
    if options.repositories is None:
        raise UsageError(
            "--scheduler divides the work by repository", "name them: --repositories FILE"
        )
    if any((options.fixes, options.issues, options.output, options.explain, options.no_store)):
        raise UsageError(
            "--repositories finds the fixes of each, and keeps the answers in its store",
            "leave out --fixes, --issues, --output, --explain and --no-store",
        )

    def tell(place: Place, report: SzzReport) -> dict[str, Any]:
        where = printable(str(place.repo))
        unread = sum(traced.git_failed for traced in report.traced)
        if unread:
            ctx.warn(f"{where}: git could not read all that {unread} of the fixes need")
        if not options.as_json:
            click.echo(f"{where}: {_counts_line(report)}")
        return {**_counts(report), "unread": unread}

    work = partial(_trace_place, stated=options.stated)
    places = read_places(ctx, options.repositories)
    tell_all(over_all(places, options.scheduler, work), tell, as_json=options.as_json)


def _trace_place(place: Place, *, stated: bool) -> SzzReport:
    """Trace the fixes of one of several repositories, perhaps on another machine."""
    from testopt.szz.trace import szz

    own = Context(repo=str(place.repo), store=place.store)
    fix_pattern = fix_pattern_of(own, "trace", "szz")
    store = own.open_store(create=True)
    report = szz(repo=place.repo, stated=stated, fix_pattern=fix_pattern, store=store)
    # the answers are in the store: what is sent says how many they are
    return replace(report, traced=tuple(replace(a, labels=a.labels[:1]) for a in report.traced))


def _issues(ctx: Context, path: Path | None) -> dict[str, Issue]:
    if path is None:
        return {}
    from testopt.szz.fix_lists import read_issues

    issues, bad = read_issues(path)
    if bad:
        ctx.warn(
            f"{printable(str(path))}: {pluralize(bad, 'date')} cannot be read and will be ignored"
        )
    return issues


def _explain(
    ctx: Context, commit: str, issues: dict[str, Issue], *, stated: bool, as_json: bool
) -> None:
    from testopt.git.process import resolve
    from testopt.szz.trace import trace_fix

    full = resolve(ctx.root, commit)
    issue = next((i for name, i in issues.items() if full.startswith(name)), None)
    traced = trace_fix(ctx.root, full, before=issue.opened if issue else None, stated=stated)
    if as_json:
        print_json(asdict(traced))
    else:
        _print_explained(traced)
    _raise_unread([traced])


def _print_explained(traced: TracedFix) -> None:
    click.echo(f"{traced.fix_commit}  fix: {printable(traced.why)}")
    for note in traced.notes:
        click.echo(f"  note: {printable(note)}")
    for label in traced.labels:
        mark = "introduced by" if label.chosen else "less likely"
        click.echo(f"{mark} {label.bug_commit}  {label.confidence:.0%}")
        for reason in label.reasons:
            click.echo(f"  {printable(reason)}")
    if not traced.labels:
        click.echo("no commit was found")


def _raise_unread(traced: Sequence[TracedFix]) -> None:
    """End with an error where git could not read something; all other answers are kept by now."""
    unread = [a for a in traced if a.git_failed]
    if not unread:
        return
    from testopt.errors import RepositoryError

    first, why = unread[0].fix_commit[:12], unread[0].notes[-1:] or ("",)
    raise RepositoryError(
        f"git could not read all that {len(unread)} of {len(traced):,} fixes "
        f"need (the first is {first}: {printable(why[0])}); their answers are not kept",
        "run `testopt szz` again: it traces them anew (in a partial clone, fetch what is missing "
        "first: git fetch --refetch --no-filter)",
    )


def _write(path: Path, report: SzzReport) -> None:
    import pyarrow as pa

    from testopt.szz.trace import label_rows

    types = {"confidence": pa.float64(), "chosen": pa.bool_()}
    columns = label_rows(report)
    arrays = {name: pa.array(v, types.get(name, pa.string())) for name, v in columns.items()}
    write_table(pa.table(arrays), str(path))


def _warn(ctx: Context, report: SzzReport) -> None:
    if report.missing:
        shown = ", ".join(printable(name[:40]) for name in report.missing[:3])
        ctx.warn(f"{len(report.missing)} fixes are not in this repository: {shown}")
    noted = [a for a in report.traced if a.notes]
    for traced in noted[: None if ctx.verbose else 3]:
        ctx.note(f"{traced.fix_commit[:12]}: {printable('; '.join(traced.notes))}")
    if len(noted) > 3 and not ctx.verbose:  # noqa: PLR2004 - as many as are shown
        ctx.note(f"… and {len(noted) - 3} more notes (-v shows them)")


def _print(report: SzzReport, *, rows: bool, as_json: bool) -> None:
    if as_json:
        document = {**_counts(report), "missing": report.missing, "answers": map_answers(report)}
        print_json(document)
        return
    if rows:
        _print_rows(report)
    click.echo(_counts_line(report))


def _counts(report: SzzReport) -> dict[str, int]:
    n_found = sum(1 for a in report.traced if a.labels)
    return {"fixes": len(report.traced), "found": n_found, "known": report.known}


def _counts_line(report: SzzReport) -> str:
    counts = _counts(report)
    return "{fixes} fixes, {found} traced, {known} of them known before".format(**counts)


def map_answers(report: SzzReport) -> list[dict[str, Any]]:
    """Return the answers as plain values."""
    return [asdict(traced) for traced in report.traced]


def _print_rows(report: SzzReport) -> None:
    for traced in report.traced:
        click.echo(_row(traced))
    sys.stdout.flush()


def _row(traced: TracedFix) -> str:
    if not traced.labels:
        return f"{traced.fix_commit[:12]}  no commit found"
    best = traced.labels[0]
    why = printable(best.reasons[0]) if best.reasons else ""
    return f"{traced.fix_commit[:12]}  {best.bug_commit[:12]}  {best.confidence:4.0%}  {why}"
