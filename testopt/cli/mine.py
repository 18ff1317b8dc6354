"""`testopt mine`: git history into the store."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import click

from testopt.cli.common import Context, print_json, with_options
from testopt.pluralize import pluralize


@dataclass(frozen=True, slots=True, kw_only=True)
class MineOptions:
    """Options of ``testopt mine``."""

    rev_range: str | None
    as_json: bool


@click.command("mine")
@click.argument("rev_range", required=False, metavar="[REV_RANGE]")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document.")
@with_options(MineOptions)
def command(ctx: Context, options: MineOptions) -> None:
    """Read the git history into the store: commits, and the files each of them changed.

    Only commits that the store does not have are read; an interrupted run is continued by the
    next one. REV_RANGE is a revision or range (default: all of HEAD).

    Authors are stored as pseudonyms. Their key is TESTOPT_KEY, else a file in your configuration
    folder; machines that write to one store share a key through TESTOPT_KEY.

    \b
    Examples:
      testopt mine
      testopt mine v1.0..main
      testopt --repo project.git mine --json
    """
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
    if report.shallow:
        ctx.warn(
            f"this clone is shallow: history ends at {pluralize(report.shallow, 'commit')}, "
            "and what lies before is unknown.\n  hint: git fetch --unshallow (in CI: depth 0),"
            " then mine again"
        )
    if report.unreadable:
        ctx.warn(
            f"the files of {pluralize(report.unreadable, 'commit')} have no line counts: some of "
            "their content is not in this clone, and is not fetched, or is damaged.\n"
            "  hint: in a partial clone git fetch --refetch --no-filter, else git fsck; then mine "
            "into a new store"
        )
    if report.other_key:
        ctx.warn(
            "earlier authors in this store were named with another key, so people count twice.\n"
            "  hint: set the same TESTOPT_KEY wherever this store is written"
        )
    if options.as_json:
        print_json(asdict(report))
    else:
        click.echo(
            f"{report.commits} new commits with {report.files} file changes "
            f"({pluralize(report.known, 'commit')} were known)"
        )
