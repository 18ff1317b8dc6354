"""`testopt doctor`: what is missing for a good prediction."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from testopt.cli.common import Context, print_json, printable, with_options
from testopt.errors import EmptyStoreError, RepositoryError, StoreError, UsageError
from testopt.pluralize import pluralize

if TYPE_CHECKING:
    from testopt.doctor import Health
    from testopt.schema import Plan
    from testopt.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorOptions:
    """Options of ``testopt doctor``."""

    strict: bool
    as_json: bool
    export: str | None


@click.command("doctor")
@click.option("--strict", is_flag=True, help="Exit with 1 when there is a warning.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document.")
@click.option(
    "--export",
    metavar="FILE.zip",
    type=click.Path(dir_okay=False),
    help="Write a bug report instead: versions, settings, counts, timings and kinds of trouble, "
    "but no names, code or messages.",
)
@with_options(DoctorOptions)
def command(ctx: Context, options: DoctorOptions) -> None:
    """List what makes predictions worse, and how to fix it.

    A warning names something that makes predictions worse. A note names something that also happens
    in a healthy project. A run is one execution in one job; runs of variants, which a backfill
    made, are counted separately.

    \b
    Example:
      testopt doctor
      testopt doctor --strict
      testopt doctor --export report.zip
    """
    from testopt.doctor import check_health

    if options.export is not None:
        _export(ctx, options.export)
        return
    store, trouble = _open(ctx)
    repo, no_repo = _repository(ctx)
    health = check_health(
        repo=repo,
        store=store,
        no_repo=no_repo,
        trouble=trouble,
        recall=ctx.settings.recall,
    )
    if options.as_json:
        found = {"project": ctx.project_in_store, **asdict(health)}
        print_json({"ok": not health.degraded, **found})
    else:
        if ctx.project_in_store is not None:
            click.echo(f"project {ctx.project_in_store} of a shared store")
        _print(health)
    if options.strict and health.degraded:
        click.get_current_context().exit(1)


def _export(ctx: Context, out: str) -> None:
    """Write the facts of a bug report; nothing that fails keeps the rest from it."""
    from testopt.bug_report import bug_report, write_bug_report

    if not out.endswith(".zip"):
        raise UsageError(f"{out} is not a zip file", "name it .zip")
    documents = bug_report(
        settings=lambda: ctx.settings,
        repo=lambda: ctx.root_or_none,
        store=ctx.open_store,
        findings=lambda: _findings(ctx),
        plan=lambda: _plan(ctx),
    )
    write_bug_report(documents, Path(out))
    click.echo(
        f"written to {printable(out)}: it holds no names and no code, but read it before "
        f"you send it"
    )


def _findings(ctx: Context) -> list[tuple[str, bool]]:
    from testopt.doctor import check_health

    store, trouble = _open(ctx)
    repo, no_repo = _repository(ctx)
    health = check_health(repo=repo, store=store, no_repo=no_repo, trouble=trouble)
    return [(finding.slug, finding.warns) for finding in health.findings]


def _plan(ctx: Context) -> Plan:
    from testopt.cli.planning import ChangeOptions, find_inputs
    from testopt.plan import plan

    nothing = ChangeOptions(base=None, head=None, diff=None, cases=None, job=None)
    return plan(find_inputs(ctx, nothing))


def _repository(ctx: Context) -> tuple[Path | None, str]:
    try:
        return ctx.root, ""
    except RepositoryError as error:
        return None, error.message


def _open(ctx: Context) -> tuple[Store | None, str]:
    try:
        return ctx.open_store(), ""
    except EmptyStoreError:
        return None, ""
    except StoreError as error:
        return None, error.message


def _print(health: Health) -> None:
    for finding in health.findings:
        word, color = ("warning", "yellow") if finding.warns else ("note", "blue")
        click.secho(f"{word}: ", fg=color, nl=False)
        click.echo(f"{finding.slug}: {printable(finding.message)}")
        click.echo(f"  fix: {printable(finding.fix)}")
    click.echo(f"{health.counts.words}; {pluralize(health.plans, 'plan')} looked at")
    for why, count in health.fallbacks:
        click.echo(f"  {count} fell back: {printable(why)}")
    if not health.degraded:
        click.echo("nothing makes predictions worse")
