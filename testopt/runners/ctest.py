"""CTest: a pattern of the names of tests, those that are left out where they are not too many."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, Final

from testopt.runners.protocol import Arguments, Request, Runner, left_out

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from testopt.runners.place import Place

# An argument of CMake: in brackets, in quotes, or a word; variables are not known.
_TEST: Final = re.compile(
    r"^[ \t]*add_test[ \t]*\(\s*(?:NAME\s+)?+"
    r"(?:\"(?P<quoted>[^\"\\$\n]+)\"|(?P<word>[^\s()\"\\#$]+))",
    re.MULTILINE | re.IGNORECASE,
)
_META: Final = re.compile(r"([\\.+*?()|\[\]^$])")
# CMake compiles a pattern to less than 32,767 bytes: 7 for each alternative, 4 more for what is
# escaped (Source/kwsys/RegularExpression.cxx).
_ROOM: Final = 32_000
_BRANCH: Final = 7
_ESCAPED: Final = 4


class CTest(Runner):
    """CTest.

    In its JUnit XML a test is its own class: the name stands twice in the id.
    """

    name = "ctest"
    group_kind = "suite"

    def fits(self, case: str) -> bool:
        """Return whether an id is a name, or one twice."""
        name = _name(case)
        return name != case or ("::" not in case and not case.endswith(".py"))

    def is_test_file(self, path: str) -> bool:  # noqa: ARG002 - unknown tests run anyway
        """Return no: which program a file becomes a part of, only the build knows."""
        return False

    def holds_cases(self, path: str, place: Place) -> bool:  # noqa: ARG002 - any folder may be one
        """Return whether a file is one of CMake's, which may add tests."""
        return posixpath.basename(path) == "CMakeLists.txt" or path.endswith(".cmake")

    def cases_in(self, path: str, text: str, place: Place) -> list[str]:  # noqa: ARG002 - text tells
        """Return the tests that are added by a name that stands in the text."""
        names = (found["quoted"] or found["word"] for found in _TEST.finditer(text))
        return [f"{name}::{name}" for name in dict.fromkeys(names)]

    def unit(self, case: str) -> str:
        """Return the name."""
        return _name(case)

    def group(self, case: str) -> str:
        """Return the suite that stands before the first dot, as in tests of GoogleTest."""
        suite, dot, _ = _name(case).partition(".")
        return suite if dot else ""

    def undivided(self, case: str) -> str:
        """Return the name."""
        return _name(case)

    def group_of_file(self, path: str, root: Path | None) -> str:  # noqa: ARG002 - see above
        """Return nothing."""
        return ""

    def arguments(self, request: Request) -> Arguments:
        """Return ``-E`` or ``-R`` and a pattern."""
        if request.everything:
            return Arguments()
        if request.empty:
            return Arguments(["-R", "^$", "--no-tests=ignore"])
        if not request.exact:
            out = left_out(self, request)
            if _fits(out):
                return Arguments(["-E", _pattern(out)] if out else [], leaves_out=True)
        names = list(dict.fromkeys(map(self.unit, request.cases)))
        if not request.whole and _fits(names):
            return Arguments(["-R", _pattern(names)])
        suites = dict.fromkeys([*request.whole, *map(self.group, request.cases)])
        if all(suites) and _fits(suites):
            return Arguments(["-R", _pattern(suites, end=r"\.")], [_SUITES_RUN])
        return Arguments(notes=[_ALL_RUN])


_SUITES_RUN: Final = "more names than a pattern of CTest may hold: their suites run"
_ALL_RUN: Final = (
    "more names than a pattern of CTest may hold: all tests run (CTest 3.29 and newer take a "
    "file of names: --tests-from-file)"
)


def _name(case: str) -> str:
    """Return the name of a test, which may stand twice in its id."""
    half = (len(case) - 2) // 2
    return case[:half] if half > 0 and case == f"{case[:half]}::{case[:half]}" else case


def _fits(names: Iterable[str]) -> bool:
    sizes = (len(n.encode()) + _BRANCH + _ESCAPED * len(_META.findall(n)) for n in names)
    return sum(sizes) < _ROOM


def _pattern(names: Iterable[str], end: str = "$") -> str:
    joined = "|".join(_META.sub(r"\\\1", name) for name in names)
    return f"^({joined}){end}"
