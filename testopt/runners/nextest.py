"""``cargo nextest run``: expressions that match names of tests, or those that are left out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from testopt.runners.cases_in_rust import is_root, rust_cases
from testopt.runners.protocol import MAX_ARGUMENT, Arguments, Request, Runner, steps

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from testopt.runners.place import Place

_ID: Final = re.compile(r"[A-Za-z][\w-]*::.", re.DOTALL)
_META: Final = re.compile(r"([\\.+*?()|\[\]{}^$/])")
_ROOM: Final = MAX_ARGUMENT - 1024


class Nextest(Runner):
    """cargo-nextest.

    The id that its JUnit XML gives a case is that of the binary (a crate, or a crate and its test
    or ``bin/name``) and the name of the test, each with ``::`` in it. A binary that is gone is an
    error in an expression, so names alone are asked for, wherever the binary's may end. Where not
    everything runs, what is left out is named: tests in a file of the program may be new, too.
    """

    name = "nextest"
    collect = "cargo nextest list"
    group_kind = "module"

    def fits(self, case: str) -> bool:
        """Return whether an id begins with the name of a crate."""
        return _ID.match(case) is not None

    def is_test_file(self, path: str) -> bool:  # noqa: ARG002 - unknown tests run anyway
        """Return no: any file of Rust may hold tests."""
        return False

    def holds_cases(self, path: str, place: Place) -> bool:
        """Return whether a file is the root of a binary, which may hold tests."""
        return is_root(path, place)

    def cases_in(self, path: str, text: str, place: Place) -> list[str]:
        """Return binary, modules and function of each test of a binary."""
        return rust_cases(path, text, place)

    def unit(self, case: str) -> str:
        """Return the id."""
        return case

    def group(self, case: str) -> str:
        """Return the module."""
        return case.rpartition("::")[0]

    def undivided(self, case: str) -> str:
        """Return the last name: another crate may have the same one, and is asked for it, too."""
        return case.rpartition("::")[2]

    def group_of_file(self, path: str, root: Path | None) -> str:  # noqa: ARG002 - see above
        """Return nothing."""
        return ""

    def arguments(self, request: Request) -> Arguments:
        """Return ``-E`` and an expression, several of them where one is too long."""
        if request.everything:
            return Arguments()
        if request.empty:
            return Arguments(["-E", "none()", "--no-tests=pass"])
        runs = list(steps(self, request))
        if not request.exact and not any(whole for _, whole in runs):
            left = _left_out(request)
            expression = f"not test(/^({left})$/)" if left else "all()"
            if len(expression.encode()) < _ROOM:
                return Arguments(["-E", expression], leaves_out=True)
        return Arguments([part for text in _patterns(runs) for part in ("-E", f"test({text})")])


def names_of(case: str) -> Iterator[str]:
    """Yield the names that the test of an id may have in its binary."""
    _, _, name = case.partition("::")
    first, mark, rest = name.partition("::")
    if mark:
        yield rest
    if "/" not in first or not mark:
        yield name


def _left_out(request: Request) -> str:
    """Return a pattern of the names that no case has that runs."""
    runs = set(request.cases)
    kept = {name for case in runs for name in names_of(case)}
    left = (name for case in request.known if case not in runs for name in names_of(case))
    return "|".join(_escaped(name) for name in dict.fromkeys(left) if name not in kept)


def _patterns(runs: Iterable[tuple[str, bool]]) -> Iterator[str]:
    """Yield patterns that together match all that runs, none too long for an argument."""
    parts: list[str] = []
    size = 0
    for name in dict.fromkeys(_one(*step) for step in runs):
        if parts and size + len(name.encode()) + 1 > _ROOM:
            yield f"/^({'|'.join(parts)})$/"
            parts, size = [], 0
        parts.append(name)
        size += len(name.encode()) + 1
    yield f"/^({'|'.join(parts)})$/"


def _one(name: str, whole: bool) -> str:  # noqa: FBT001 - as `steps` gives it
    """Return a pattern for the names of a case, or for all in a module."""
    if not whole:
        return "|".join(map(_escaped, names_of(name)))
    return "|".join(f"{_escaped(module)}[^:]+" for module in names_of(f"{name}::"))


def _escaped(name: str) -> str:
    return _META.sub(r"\\\1", name)
