"""`testopt mine`: git history into the store."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from testopt.cli.common import Context, print_json, printable, scheduler_option, with_options
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
    from testopt.mine import MineReport


@dataclass(frozen=True, slots=True, kw_only=True)
class MineOptions:
    """Options of ``testopt mine``."""

    rev_range: str | None
    repositories: str | None
    scheduler: str | None
    as_json: bool


@click.command("mine")
@click.argument("rev_range", required=False, metavar="[REV_RANGE]")
@repositories_option
@scheduler_option
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document.")
@with_options(MineOptions)
def command(ctx: Context, options: MineOptions) -> None:
    """Read the git history into the store: commits and changed files.

    Only commits that the store does not have are read; after an interruption the next call
    continues. REV_RANGE is a revision or range (default: all of HEAD). If the rules that tell fixes
    have changed (fix_pattern, a newer testopt), known commits are judged again.

    Authors are stored as pseudonyms. Their key is TESTOPT_KEY, else a file in your configuration
    folder; machines that write to one store share a key through TESTOPT_KEY.

    \b
    Examples:
      testopt mine
      testopt mine v1.0..main
      testopt --repo project.git mine --json
      testopt mine --repositories clones.txt --scheduler local:4
    """
    if options.repositories is not None:
        _mine_all(ctx, options, options.repositories)
        return
    if options.scheduler is not None:
        raise UsageError(
            "--scheduler divides the work by repository", "name them: --repositories FILE"
        )
    from testopt.mine import mine

    settings = ctx.settings
    repo = ctx.root
    store = ctx.open_store(create=True)
    report = mine(
        repo=repo,
        store=store,
        rev_range=options.rev_range,
        fix_pattern=settings.fix_pattern,
        progress=ctx.progress("mining"),
    )
    warn_of(ctx, report)
    if options.as_json:
        print_json(asdict(report))
    else:
        click.echo(_line(report))


def _mine_all(ctx: Context, options: MineOptions, file: str) -> None:
    from testopt.git.pseudonyms import author_key, key_fingerprint

    def tell(place: Place, report: MineReport) -> dict[str, Any]:
        warn_of(ctx, report, f"{printable(str(place.repo))}: ")
        if not options.as_json:
            click.echo(f"{printable(str(place.repo))}: {_line(report)}")
        return asdict(report)

    fingerprint = key_fingerprint(author_key(create=True) or b"")
    work = partial(_mine_place, rev_range=options.rev_range, fingerprint=fingerprint)
    places = read_places(ctx, file)
    tell_all(over_all(places, options.scheduler, work), tell, as_json=options.as_json)


def _mine_place(place: Place, *, rev_range: str | None, fingerprint: bytes) -> MineReport:
    """Mine one of several repositories, perhaps on another machine."""
    from testopt.mine import mine

    own = Context(repo=str(place.repo), store=place.store)
    fix_pattern = fix_pattern_of(own, "mine", "mine")
    return mine(
        repo=place.repo,
        store=own.open_store(create=True),
        rev_range=rev_range,
        fix_pattern=fix_pattern,
        key_is=fingerprint,
    )


def _line(report: MineReport) -> str:
    line = (
        f"{report.commits} new commits with {report.files} file changes "
        f"({pluralize(report.known, 'commit')} were known)"
    )
    again = pluralize(report.rejudged, "commit")
    return f"{line}; {again} count otherwise as fixes now" if report.rejudged else line


def warn_of(ctx: Context, report: MineReport, where: str = "") -> None:
    """Warn of what mining could not read."""
    if report.shallow:
        ctx.warn(
            f"{where}this clone is shallow: history ends at {pluralize(report.shallow, 'commit')}, "
            "and what lies before is unknown.\n  hint: git fetch --unshallow (in CI: depth 0),"
            " then mine again"
        )
    if report.unreadable:
        ctx.warn(
            f"{where}the files of {pluralize(report.unreadable, 'commit')} have no line counts: "
            "some of their content is not in this clone, and is not fetched, or is damaged.\n"
            "  hint: in a partial clone git fetch --refetch --no-filter, else git fsck; then mine "
            "into a new store"
        )
    if report.other_key:
        ctx.warn(
            f"{where}earlier authors in this store were named with another key, so people count "
            "twice.\n"
            "  hint: set the same TESTOPT_KEY wherever this store is written"
        )
