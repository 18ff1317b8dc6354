"""`testopt store`: show, check, compact, merge and export the store."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import click

from testopt.cli.common import (
    Context,
    JsonOptions,
    check_table_name,
    print_json,
    printable,
    with_options,
)
from testopt.cli.forget import command as forget_command
from testopt.cli.values import Number
from testopt.errors import UsageError
from testopt.pluralize import pluralize

if TYPE_CHECKING:
    from testopt.store import Store
    from testopt.store.inspection import Problem

_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def _size(number: int) -> str:
    value = float(number)
    for unit in ("B", "KB", "MB"):
        if value < 1000:  # noqa: PLR2004 - the step between units
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOptions:
    """Options of ``testopt store check``."""

    repair: bool
    as_json: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CompactOptions:
    """Options of ``testopt store compact``."""

    retention_days: float | None
    as_json: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeOptions:
    """Options of ``testopt store merge``."""

    sources: tuple[str, ...]
    commit: str | None
    branch: str | None
    job: str | None
    as_json: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """Options of ``testopt store export``."""

    table: str
    out: str
    as_json: bool


@click.group()
def command() -> None:
    """Show, check, compact, merge and export the store.

    \b
    Examples:
      testopt store info
      testopt store check --json
      testopt store compact
      testopt store merge other/.testopt
      testopt store export results results.parquet
      testopt store forget --author ann@example.org
    """


command.add_command(forget_command)


@command.command()
@_as_json
@with_options(JsonOptions)
def info(context: Context, options: JsonOptions) -> None:
    """Show what the store holds.

    A run is one execution in one job. Variants, which a backfill made, are counted beside them.

    \b
    Example:
      testopt --store s3://bucket/testopt store info
    """
    from testopt.store.run_summary import count_runs

    store, project = context.open_store(), context.project_in_store
    store_info, counts = store.info(), count_runs(store)
    if options.as_json:
        print_json({**asdict(store_info), "project": project, **asdict(counts)})
        return
    of_project = f"  project {project}" if project else ""
    click.echo(f"{printable(store_info.url)}{of_project}  format {store_info.schema_version}")
    when = (
        f", {store_info.first_run:%Y-%m-%d} to {store_info.last_run:%Y-%m-%d}"
        if store_info.last_run
        else ""
    )
    click.echo(f"{counts.words}{when}")
    if store_info.disk_bytes is not None:
        click.echo(f"{_size(store_info.disk_bytes)} on disk")
    if not store_info.has_locks:
        click.echo("its file system has no locks: make sure that nobody writes during a repair")
    click.echo(f"\n{'table':<14}{'rows':>12}{'files':>8}{'small':>8}{'size':>12}{'version':>9}")
    for t in store_info.tables:
        click.echo(
            f"{t.table:<14}{t.rows:>12}{t.files:>8}{t.small_files:>8}"
            f"{_size(t.bytes):>12}{t.version:>9}"
        )


@command.command()
@click.option(
    "--repair",
    is_flag=True,
    help="Restore damaged rows from other files of the store, and remove the rest, so that it "
    "can be read again. Waits until nobody writes.",
)
@_as_json
@with_options(CheckOptions)
def check(context: Context, options: CheckOptions) -> None:
    """Read the whole store and report damage; exit with 3 if any is left.

    What a repair removes is kept in the folder damaged/ of the store. On object storage, which has
    no locks, others may append meanwhile; see docs/object-storage.md.

    \b
    Examples:
      testopt store check
      testopt store check --repair
    """
    from testopt.forget import Forgettable, forget
    from testopt.store import Store

    mended = Store.repair_format(context.store_url) if options.repair else []
    store = context.open_store()
    problems = [*mended, *store.check(repair=options.repair), *_damaged_model(store)]
    if options.repair and store.forgotten().pending:
        forget(store=store, found=Forgettable())
        problems = [
            replace(p, mended=True, done="finished") if p.kind == "forget" else p for p in problems
        ]
    left = [p for p in problems if not p.mended]
    if options.as_json:
        print_json({"ok": not left, "problems": [asdict(p) for p in problems]})
    else:
        for p in problems:
            place = printable("/".join(filter(None, (p.table, p.file))))
            end = f" ({printable(p.done) or 'mended'})" if p.mended else ""
            click.echo(f"{p.kind:<11} {place}: {printable(p.message)}{end}")
        click.echo("the store is whole" if not left else f"{pluralize(len(left), 'problem')}")
    if left:
        click.get_current_context().exit(3)


def _damaged_model(store: Store) -> list[Problem]:
    from testopt.errors import BundleError, OutdatedBundleError
    from testopt.selection.bundle_registry import current_bundle
    from testopt.store.inspection import Problem

    try:
        current_bundle(store)
    except OutdatedBundleError:
        return []  # nothing is damaged; a plan and the doctor say to train
    except BundleError as error:
        return [Problem("model", "models", f"{error.message}; {error.hint}")]
    return []


@command.command()
@click.option(
    "--retention-days",
    metavar="DAYS",
    type=Number(0.0),
    help="Remove files that were replaced longer ago than this (default: the setting "
    "retention_days, 7). Processes that are reading may still need younger ones.",
)
@_as_json
@with_options(CompactOptions)
def compact(context: Context, options: CompactOptions) -> None:
    """Merge small files, and remove files that were replaced long ago.

    \b
    Examples:
      testopt store compact
      testopt store compact --retention-days 1
    """
    report = context.open_store().compact(retention_days=options.retention_days)
    if options.as_json:
        print_json(asdict(report))
        return
    for t in report.tables:
        if t.files_before:
            busy = ", another process was at it" if t.busy else ""
            click.echo(
                f"{t.table:<14}{t.files_before:>6} files, {_size(t.bytes_before):>9}  ->"
                f"{t.files_after:>6} files, {_size(t.bytes_after):>9}"
                f"  ({t.removed_files} old files removed{busy})"
            )


@command.command()
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True)
@click.option("--commit", metavar="SHA", help="Take only runs of this commit (full hash).")
@click.option("--branch", metavar="NAME", help="Take only runs of this branch.")
@click.option("--job", metavar="NAME", help="Take only runs of this job.")
@_as_json
@with_options(MergeOptions)
def merge(context: Context, options: MergeOptions) -> None:
    """Copy what other stores hold into this one.

    That is runs, kept plans, mined commits, labels and coverage links. Merging a store twice
    adds nothing. For a store that somebody else wrote, state with
    --commit, --branch and --job what you know of it: other runs are refused (exit code 3), and only
    runs and their plans are copied. Models are not merged; train a new one.

    \b
    Examples:
      testopt store merge shard-1/.testopt shard-2/.testopt
      testopt store merge fragment --commit "$SHA" --branch main --job tests
    """
    from testopt.ingest.merged_stores import merge_store

    asked = {"commit": options.commit, "branch": options.branch, "job": options.job}
    expected = {name: value for name, value in asked.items() if value is not None}
    sources = [context.open_other_store(url) for url in options.sources]
    store = context.open_store(create=True)
    reports = [merge_store(store, source, expected=expected) for source in sources]
    if options.as_json:
        print_json({"stores": [asdict(report) for report in reports]})
    for report in () if options.as_json else reports:
        known = f", {report.known:,} known already" if report.known else ""
        click.echo(f"{printable(report.source)}: {pluralize(report.runs, 'new run')}{known}")
    refused = {run: why for report in reports for run, why in report.refused.items()}
    for run, why in refused.items():
        context.warn(printable(f"run {run} is refused: {why}"))
    if refused:
        click.get_current_context().exit(3)


@command.command()
@click.argument("table")
@click.argument("out", metavar="OUT.parquet|OUT.csv", type=click.Path(dir_okay=False))
@_as_json
@with_options(ExportOptions)
def export(context: Context, options: ExportOptions) -> None:
    """Write a table to a Parquet or CSV file.

    The table history is what `testopt ingest --format table` takes: results with the facts of
    their runs. In CSV a text that a spreadsheet would take for a formula gets an apostrophe in
    front; Parquet holds each text as it is.

    \b
    Examples:
      testopt store export results results.csv
      testopt store export history history.parquet
    """
    table, out = options.table, options.out
    if not out.endswith((".parquet", ".csv")):
        raise UsageError(
            f"{out} does not end in .parquet or .csv", "name the file .parquet or .csv"
        )
    check_table_name(out)
    rows = context.open_store().export(table, out)
    if options.as_json:
        print_json({"table": table, "path": out, "rows": rows})
    else:
        click.echo(f"{pluralize(rows, 'row')} of {printable(table)} written to {printable(out)}")
