"""Formats a plan as arguments of a test runner.

What a runner cannot tell apart (parameters, subtests, overloads) runs together: an argument stands
for at least the case that it was made of, never for less.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from testopt.errors import UsageError
from testopt.pluralize import pluralize
from testopt.runners.protocol import MAX_ARGUMENT, MAX_TOTAL
from testopt.runners.registry import RUNNERS

if TYPE_CHECKING:
    from collections.abc import Collection

    from testopt.runners.protocol import Arguments, Request, Runner

_POINTER: Final = 8


@dataclass(frozen=True, slots=True)
class Printed:
    """What is printed for a runner: one argument or command a line, and what to know of it.

    The names are bytes because those that are no UTF-8 are printed as they came.
    """

    text: bytes
    notes: tuple[str, ...] = ()


def arguments_for(runner: Runner, request: Request, *, to_file: bool = False) -> Printed:
    """Return a plan in the syntax of a runner.

    Parameters
    ----------
    runner : Runner
    request : Request
        Its cases may be of several runners; those of others are passed over and counted.
    to_file : bool
        Whether the arguments are handed over in a file, and not on a command line.

    Raises
    ------
    UsageError
        When no case is one of the runner's, a name holds a line break, or the arguments are more
        than a command line takes.
    """
    own, notes = _own(runner, request)
    found = runner.arguments(own)
    if _too_long(runner, found, to_file=to_file):
        own, found = _coarser(runner, own, to_file=to_file)
    text = "\n".join([*found.lines, ""])
    if "\r" in text or text.count("\n") != len(found.lines):
        broken = next(line for line in found.lines if "\r" in line or "\n" in line)
        raise UsageError(f"the id {broken[:80]!r} holds a line break", "use --format json")
    notes = [*notes, *found.notes, _of_unseen(own, found, runner.group_kind)]
    return Printed(text.encode("utf-8", "surrogateescape"), tuple(filter(None, notes)))


def check_fits(runner: Runner, cases: Collection[str]) -> None:
    """Check that some of the cases are the runner's, where there are any.

    Raises
    ------
    UsageError
        When no case is one of the runner's.
    """
    one = next(iter(cases), None)
    if one is None or any(map(runner.fits, cases)):
        return
    fitting = [name for name, other in RUNNERS.items() if other.fits(one)]
    raise UsageError(
        f"no case is one of {runner.name}'s, such as {one[:80]!r}",
        f"it could be one of {', '.join(fitting)}" if fitting else "use --format json",
    )


def _own(runner: Runner, request: Request) -> tuple[Request, list[str]]:
    """Return a request without the cases of other runners, and what to say of them."""
    known = dict.fromkeys([*request.known, *request.cases])
    check_fits(runner, known)
    others = [case for case in known if not runner.fits(case)]
    if not others:
        return request, []
    strangers = frozenset(others)
    cases = [case for case in request.cases if case not in strangers]
    own = replace(request, cases=cases, known=[case for case in known if case not in strangers])
    left = pluralize(len(others), "case")
    return own, [f"{left} of other runners, such as {others[0][:80]!r}, left to them"]


def _too_long(runner: Runner, found: Arguments, *, to_file: bool) -> bool:
    """Return whether a command line cannot hold the arguments."""
    sizes = [(len(s) if s.isascii() else len(os.fsencode(s))) + 1 for s in found.lines]
    if max(sizes, default=0) > MAX_ARGUMENT:
        return True
    total = sum(sizes) + _POINTER * len(sizes)
    return total > MAX_TOTAL and not (to_file or runner.line_is_command)


def _coarser(runner: Runner, request: Request, *, to_file: bool) -> tuple[Request, Arguments]:
    """Return a request for whole groups, and its arguments, which are fewer than for cases.

    Raises
    ------
    UsageError
        When these are too many, too.
    """
    groups = dict.fromkeys([*request.whole, *filter(None, map(runner.group, request.cases))])
    coarse = replace(request, whole=list(groups), exact=False)
    found = runner.arguments(coarse)
    count = pluralize(len(request.cases), "case")
    kind = pluralize(len(groups), runner.group_kind)
    if _too_long(runner, found, to_file=to_file):
        raise UsageError(
            f"{count} are more than a command line takes, and so are their {kind}",
            runner.long_lists or "use --format json, or divide them with --shard",
        )
    if not found.lines:
        return coarse, found
    note = f"{count} are more than a command line takes: what is printed is their {kind}"
    return coarse, replace(found, notes=[*found.notes, note])


def _of_unseen(request: Request, found: Arguments, group_kind: str) -> str:
    """Return what becomes of tests that nobody knows; empty where the user named the cases."""
    if request.everything or not found.lines:
        return "nothing is filtered, so tests that testopt has never seen run, too"
    if found.leaves_out:
        return "tests that testopt has never seen run, too"
    if request.exact or request.empty:
        return ""
    if not request.whole:
        return "tests that testopt has never seen do not run"
    files = pluralize(len(request.whole), f"whole {group_kind}")
    return f"tests that testopt has never seen run only in {files}"
