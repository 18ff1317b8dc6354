"""Formats a plan as arguments of a test runner.

What a runner cannot tell apart (parameters, subtests, overloads) runs together: an argument stands
for at least the case that it was made of, never for less.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from testopt.errors import UsageError
from testopt.pluralize import pluralize
from testopt.runners.registry import RUNNERS

if TYPE_CHECKING:
    from testopt.runners.protocol import Request, Runner

_BREAK: Final = re.compile(r"[\r\n]")


@dataclass(frozen=True, slots=True)
class Printed:
    """What is printed for a runner: one argument or command a line, and what to know of it.

    The names are bytes because those that are no UTF-8 are printed as they came.
    """

    text: bytes
    notes: tuple[str, ...] = ()


def arguments_for(runner: Runner, request: Request) -> Printed:
    """Return a plan in the syntax of a runner.

    Parameters
    ----------
    runner : Runner
    request : Request
        Its cases may be of several runners; those of others are passed over and counted.

    Raises
    ------
    UsageError
        When no case is one of the runner's, or a name holds a line break.
    """
    own, notes = _own(runner, request)
    found = runner.arguments(own)
    broken = next((line for line in found.lines if _BREAK.search(line)), None)
    if broken is not None:
        raise UsageError(f"the id {broken[:80]!r} holds a line break", "use --format json")
    text = "".join(f"{line}\n" for line in found.lines)
    return Printed(text.encode("utf-8", "surrogateescape"), (*notes, *found.notes))


def _own(runner: Runner, request: Request) -> tuple[Request, list[str]]:
    """Return a request without the cases of other runners, and what to say of them."""
    known = list(dict.fromkeys([*request.known, *request.cases]))
    others = {case for case in known if not runner.fits(case)}
    if not others:
        return request, []
    stranger = next(case for case in known if case in others)
    if len(others) == len(known):
        fitting = [name for name, other in RUNNERS.items() if other.fits(stranger)]
        raise UsageError(
            f"no case is one of {runner.name}'s, such as {stranger[:80]!r}",
            f"it could be one of {', '.join(fitting)}" if fitting else "use --format json",
        )
    mine = {
        name: [case for case in getattr(request, name) if case not in others]
        for name in ("cases", "known")
    }
    count = pluralize(len(others), "case")
    note = f"{count} of other runners, such as {stranger[:80]!r}, left to them"
    return replace(request, cases=mine["cases"], known=mine["known"]), [note]
