"""`testopt store forget`: remove authors and cases from the store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from testopt.cli.common import Context, print_json, printable, with_options
from testopt.errors import UsageError
from testopt.pluralize import pluralize

if TYPE_CHECKING:
    from testopt.forget import Forgettable

_SHOWN = 10  # cases that are named


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgetOptions:
    """Options of ``testopt store forget``."""

    authors: tuple[str, ...]
    cases: tuple[str, ...]
    patterns: tuple[str, ...]
    yes: bool
    as_json: bool


@click.command("forget")
@click.option(
    "--author", "authors", metavar="NAME|EMAIL", multiple=True,
    help="An author, by the whole name or e-mail address; a name means all addresses that it has "
    "in the repository. Repeatable.",
)  # fmt: skip
@click.option(
    "--case", "cases", metavar="ID", multiple=True, help="A case, by its whole id. Repeatable."
)
@click.option(
    "--case-pattern", "patterns", metavar="PATTERN", multiple=True,
    help="Cases whose whole id matches: * is any text, ? any character, all else itself. "
    "Repeatable.",
)  # fmt: skip
@click.option(
    "--yes", is_flag=True, help="Forget. Without --yes the command only shows what it would remove."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@with_options(ForgetOptions)
def command(context: Context, options: ForgetOptions) -> None:
    """Remove authors and cases from the store, for good.

    Commits stay without an author; all forgotten authors count as one. Runs stay without the case.
    Older versions of the tables, and what repairs kept, lose it too. Models that know the case are
    removed; train a new one. Nothing comes back: mine, ingest and merge leave out what was
    forgotten. For that the store keeps keyed digests, not names.

    Not touched: what the repository says (its history; paths, and words of changed lines and of
    messages), and what was exported or printed. A name inside of case ids goes with --case-pattern.

    It waits until nobody writes; on object storage, make sure of that yourself. After an
    interruption, repeat the command, or run testopt store forget --yes.

    \b
    Examples:
      testopt store forget --author ann@example.org
      testopt store forget --author 'Ann Lee' --author 'Bob Roe' --yes
      testopt store forget --case 'tests/test_a.py::test_b' --yes
      testopt store forget --case-pattern '*ann@example.org*' --json
    """
    from testopt.forget import find_forgettable, forget

    store = context.open_store()
    named = options.authors or options.cases or options.patterns
    if not named and not store.forgotten().pending:
        raise UsageError("name what to forget", "use --author, --case or --case-pattern")
    repo = context.root_or_none if options.authors else None
    found = find_forgettable(
        store=store, repo=repo, authors=options.authors, cases=options.cases,
        patterns=options.patterns,
    )  # fmt: skip
    bundles = forget(store=store, found=found) if options.yes else found.bundles
    if options.as_json:
        print_json(_document(found, bundles, done=options.yes))
    else:
        _show(found, bundles, done=options.yes)
    if bundles and options.yes:
        context.warn(
            f"{pluralize(len(bundles), 'model')} knew a case that was forgotten, and is gone; "
            "train anew: testopt train"
        )


def _document(found: Forgettable, bundles: tuple[str, ...], *, done: bool) -> dict[str, object]:
    people = [
        {"author": p.name, "addresses": p.addresses, "commits": p.commits} for p in found.people
    ]
    return {
        "done": done,
        "authors": people,
        "cases": found.cases,
        "rows": dict(found.rows),
        "runs": found.runs,
        "bundles": bundles,
    }


def _show(found: Forgettable, bundles: tuple[str, ...], *, done: bool) -> None:
    for person in found.people:
        others = ", ".join(a for a in person.addresses if a != person.name.strip().lower())
        of = f" ({others})" if others else ""
        click.echo(
            f"author {printable(person.name)}{printable(of)}: {pluralize(person.commits, 'commit')}"
        )
    for case in found.cases[:_SHOWN]:
        click.echo(f"case {printable(case)}")
    if len(found.cases) > _SHOWN:
        click.echo(f"and {pluralize(len(found.cases) - _SHOWN, 'more case')}")
    rows = [f"{pluralize(n, 'row')} of {t}" for t, n in found.rows.items() if t != "commits"]
    if rows:
        runs = f", in {pluralize(found.runs, 'run')}" if found.runs else ""
        click.echo(f"{', '.join(rows)}{runs}")
    for bundle in bundles if not done else ():
        click.echo(f"model {bundle}, which knows a case: train anew")
    click.echo("forgotten" if done else "nothing was changed; add --yes to forget this")
