"""Many repositories in one command: who they are, where their stores are, what came of each."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from testopt.cli.common import Context, print_json, printable, report_error
from testopt.errors import DataError, SettingsError, TestoptError, UsageError
from testopt.input_files import open_input

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_Report = TypeVar("_Report")

repositories_option = click.option(
    "--repositories",
    metavar="FILE",
    help="Read the paths of many repositories from FILE, one per line (-: standard input). Each "
    "has its own store: .testopt inside it, with --store a folder of its name there, or the URL "
    "with {project} filled in.",
)


@dataclass(frozen=True, slots=True)
class Place:
    """A repository, and where its store is."""

    repo: Path
    store: str


def read_places(ctx: Context, file: str) -> list[Place]:
    """Return the repositories of a list.

    Raises
    ------
    UsageError
        When the list cannot be read or is empty, or two would share a store.
    """
    places = [_place(ctx, line) for line in _lines(file)]
    if not places:
        raise UsageError(f"{file} holds no path of a repository", "one path a line")
    store, uses = Counter(place.store for place in places).most_common(1)[0]
    if uses > 1:
        raise UsageError(
            f"{uses} repositories would share the store {store}",
            "name each repository once; with --store their folders need different names",
        )
    return places


def _lines(file: str) -> list[str]:
    try:
        if file == "-":
            text = sys.stdin.read()
        else:
            with open_input(Path(file)) as stream:
                text = stream.read().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} cannot be read: {error}", "one path a line") from error
    return [line.strip() for line in text.splitlines() if line.strip()]


def _place(ctx: Context, line: str) -> Place:
    own = Context(repo=line, store=ctx.store, project=ctx.project)
    root = own.root.absolute()
    by_the_user = own.settings.origin.get("store") in {"environment", "command line"}
    if not by_the_user or own.project_in_store is not None:
        return Place(root, own.store_url)
    return Place(root, f"{own.store_url.rstrip('/')}/{root.name}")


def fix_pattern_of(own: Context, what: str, command: str) -> str:
    """Return the setting ``fix_pattern`` of one of several repositories, or nothing.

    Parameters
    ----------
    own : Context
        Of the repository.
    what, command : str
        What is done with it, in words, and the command that does.

    Raises
    ------
    SettingsError
        When there is one, and nothing here could stop it: `time_limit` works in the main thread
        alone, and the repository may be anybody's.
    """
    pattern = own.settings.fix_pattern
    if pattern and threading.current_thread() is not threading.main_thread():
        raise SettingsError(
            "a worker cannot stop a fix_pattern that takes too long, and this repository has one",
            f"{what} it without --scheduler: testopt --repo {own.repo} {command}",
        )
    return pattern


def over_all(
    places: list[Place], scheduler: str | None, work: Callable[[Place], _Report]
) -> Iterator[tuple[Place, _Report | TestoptError]]:
    """Do something for every repository, and yield what came of it, in their order.

    Parameters
    ----------
    places : list of Place
    scheduler : str, optional
        See `open_pool`.
    work : callable
        Runs on a worker, so that it is a function of a module, or a partial of one.
    """
    from testopt.pool import in_order, open_pool

    with open_pool(scheduler) as pool:
        tasks = (pool.submit(_attempt, work, place) for place in places)
        yield from zip(places, in_order(tasks, pool), strict=True)


def _attempt(work: Callable[[Place], _Report], place: Place) -> _Report | TestoptError:
    try:
        return work(place)
    except TestoptError as error:
        return error


def tell_all(
    found: Iterator[tuple[Place, Any]],
    tell: Callable[[Place, Any], dict[str, Any]],
    *,
    as_json: bool,
) -> None:
    """Tell of each repository as it is done; where some failed, end with an error at last.

    Parameters
    ----------
    found : iterator of (Place, report or error)
    tell : callable
        Prints what is worth it, and returns the values for ``--json``.
    as_json : bool
        Print a document of all repositories in the end.

    Raises
    ------
    DataError
        When some could not be done.
    """
    documents, failed = list[dict[str, Any]](), 0
    for place, report in found:
        document = {"repository": str(place.repo), "store": place.store}
        if isinstance(report, TestoptError):
            failed += 1
            click.echo(f"{printable(str(place.repo))}: ", err=True, nl=False)
            report_error(report)
            documents.append(document | {"error": report.message})
        else:
            documents.append(document | tell(place, report))
    if as_json:
        print_json({"repositories": documents})
    if failed:
        raise DataError(
            f"{failed} of {len(documents):,} repositories failed",
            "the others are done; run the same command again for these",
        )
