"""``testopt rank``."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from testopt.cli.common import Context, print_json, printable
from testopt.errors import EmptyStoreError, InputFileError, UsageError

if TYPE_CHECKING:
    from testopt.schema import Change, Plan
    from testopt.store import Store

_SHOWN = 20


@click.command("rank")
@click.option(
    "--base", metavar="REV", help="Where the change begins (default: found from git and CI)."
)
@click.option("--head", metavar="REV", help="Where it ends (default: the working tree, else HEAD).")
@click.option("--diff", metavar="FILE", help="Read the change from a unified diff; - is stdin.")
@click.option(
    "--cases",
    metavar="FILE",
    help="Case ids, one a line or a JSON list; - is stdin (default: those of the last run).",
)
@click.option(
    "--job", metavar="NAME", help="Job whose last outcomes count (default: found from CI)."
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "pytest"]),
    default="text",
    show_default=True,
    help="pytest: ids, one a line.",
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option(
    "--all", "everything", is_flag=True, help=f"Show all cases as text, not the first {_SHOWN}."
)
@click.pass_obj
def command(  # noqa: PLR0913 - one parameter an option
    ctx: Context,
    *,
    base: str | None,
    head: str | None,
    diff: str | None,
    cases: str | None,
    job: str | None,
    form: str,
    as_json: bool,
    everything: bool,
) -> None:
    """Order the cases for a change: those likely to fail soon come first.

    \b
    Example:
      testopt rank
      testopt rank --base origin/main --format pytest > order.txt
      pytest --collect-only -q | testopt rank --cases -
    """
    from testopt.store.light import collect_rarely, leave_pandas_out

    collect_rarely()
    leave_pandas_out()
    from testopt.context import RunOptions, find_here
    from testopt.doctor import examine
    from testopt.plan import plan
    from testopt.snapshot import Sources, last_cases

    if diff and (base or head):
        raise click.UsageError("--diff says what changed: it excludes --base and --head")
    store = _store(ctx)
    repo = ctx.root if base or head else ctx.root_or_none
    said = RunOptions(base=base, commit=head, job=job)
    here = find_here(repo, store=store, options=said, change=_change(ctx, repo, diff))
    known = here.repo is not None and here.change.known and not diff
    sources = Sources(ctx.root, store) if known else None
    ids = _read_cases(cases) if cases else last_cases(_present(store, ctx))
    made = plan(
        cases=ids,
        here=here,
        store=store,
        sources=sources,
    )
    if sources is not None:
        sources.keep()
    health = "" if ctx.quiet else examine(repo=ctx.root_or_none, store=store, most_rows=0).line
    ctx.note(printable("; ".join(filter(None, [made.note, health]))))
    _print(made, "json" if as_json else form, everything=everything)


def _store(ctx: Context) -> Store | None:
    from testopt.store import Store

    try:
        return Store.open(ctx.store_url)
    except EmptyStoreError:
        return None


def _present(store: Store | None, ctx: Context) -> Store:
    if store is None:
        raise EmptyStoreError(
            f"there is no store at {ctx.store_url}, so no run to take the cases from",
            "name them with --cases, or read results first: testopt ingest PATH",
        )
    return store


def _change(ctx: Context, repo: Path | None, diff: str | None) -> Change | None:
    """Return the change that a diff holds, or one that cannot be known; None: ask git."""
    from testopt.schema import Change
    from testopt.sources.change import diff_file

    if diff:
        return diff_file(Path("/dev/stdin" if diff == "-" else diff))
    if repo is None:
        return Change(known=False, why=f"{ctx.repo} is not in a git repository; see --diff")
    return None


def _read_cases(name: str) -> list[str]:
    """Read case ids; lines that are no ids (pytest's own summary) are passed over."""
    place = "standard input" if name == "-" else name
    try:
        with click.open_file(name, encoding="utf-8", errors="surrogateescape") as stream:
            text = stream.read()
    except OSError as error:
        raise InputFileError(f"{place} cannot be read: {error.strerror}", "check --cases") from None
    if text.lstrip().startswith("["):
        return _listed_cases(text, place)
    lines = text.lstrip("\n").split("\n")  # other line breaks may stand in an id
    end = lines.index("") if "" in lines else len(lines)
    return [line for line in lines[:end] if line.strip()]


def _listed_cases(text: str, place: str) -> list[str]:
    try:
        ids = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputFileError(f"{place} is not a JSON list: {error}", "check --cases") from None
    if not all(isinstance(i, str) for i in ids):
        raise InputFileError(f"{place} holds something other than text", "check --cases")
    return [i.encode("utf-8", "backslashreplace").decode() for i in ids]  # lone surrogates


def _lines(ids: list[str]) -> bytes:
    """Return ids one a line, bytes that are no UTF-8 as they came."""
    broken = next((i for i in ids if "\n" in i or "\r" in i), None)
    if broken is not None:
        raise UsageError(f"the id {broken[:80]!r} holds a line break", "use --format json")
    return "".join(f"{i}\n" for i in ids).encode("utf-8", "surrogateescape")


def _print(made: Plan, form: str, *, everything: bool) -> None:
    if form == "json":
        cases = [asdict(case) for case in made.cases]
        change = {"base": made.change.base, "head": made.change.head, "known": made.change.known,
                  "files": [f.path for f in made.change.files]}  # fmt: skip
        print_json({"policy": made.policy, "note": made.note, "degraded": made.degraded,
                    "change": change, "cases": cases})  # fmt: skip
    elif form == "pytest":
        click.echo(_lines([case.case_id for case in made.cases]), nl=False)
    else:
        _print_text(made, everything=everything)


def _print_text(made: Plan, *, everything: bool) -> None:
    shown = made.cases if everything else made.cases[:_SHOWN]
    click.echo(f"{'rank':>6}  {'P(fail)':>8}  {'seconds':>8}  case")
    for case in shown:
        name = printable(case.case_id)
        click.echo(f"{case.rank:6d}  {case.probability:8.4f}  {case.cost_s:8.3f}  {name}")
        click.secho(f"{'':28}{printable(case.reason)}", dim=True)
    if len(made.cases) > len(shown):
        click.echo(f"and {len(made.cases) - len(shown)} more (--all)")
