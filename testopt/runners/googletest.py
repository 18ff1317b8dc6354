"""GoogleTest: ``--gtest_filter`` of a program, by what is left out unless the user named cases."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from testopt.code.paths import is_test_path, language_of
from testopt.runners.protocol import MAX_ARGUMENT, Arguments, Request, Runner, left_out, steps

if TYPE_CHECKING:
    from pathlib import Path

    from testopt.runners.place import Place

_SUITE: Final = re.compile(r"\w+(?:/\w+)*")
_TEST: Final = re.compile(
    r"^[ \t]*(?:GTEST_)?TEST(?:_F)?[ \t]*\(\s*(\w+)\s*,\s*(\w+)\s*\)", re.MULTILINE
)
_NUMBER: Final = re.compile(r"/\d+\Z")
_OPTION: Final = "--gtest_filter="


class GoogleTest(Runner):
    """A program that is linked with GoogleTest.

    The values of parameters, and types that have no name, run together. What is left out is named:
    tests that nobody knows run, and programs without a planned test run none of the known ones.
    """

    name = "googletest"
    group_kind = "suite"

    def fits(self, case: str) -> bool:
        """Return whether an id is a suite and a test."""
        owner, _, name = case.partition("::")
        return _SUITE.fullmatch(owner) is not None and _SUITE.fullmatch(name) is not None

    def is_test_file(self, path: str) -> bool:  # noqa: ARG002 - unknown tests run anyway
        """Return no: which suites a file holds, and in which program, it does not say."""
        return False

    def holds_cases(self, path: str, place: Place) -> bool:  # noqa: ARG002 - any folder may be one
        """Return whether a file of C++ looks like one of tests."""
        return language_of(path) == "c++" and is_test_path(path)

    def cases_in(self, path: str, text: str, place: Place) -> list[str]:  # noqa: ARG002 - text tells
        """Return suite and name of each test without parameters."""
        found = (f"{suite}::{name}" for suite, name in _TEST.findall(text))
        return list(dict.fromkeys(found))

    def unit(self, case: str) -> str:
        """Return suite and test without values and numbers."""
        owner, _, name = case.partition("::")
        return f"{_NUMBER.sub('/*', owner)}::{name.partition('/')[0]}{'/*' if '/' in name else ''}"

    def group(self, case: str) -> str:
        """Return the suite."""
        return _NUMBER.sub("/*", case.partition("::")[0])

    def group_of_file(self, path: str, root: Path | None) -> str:  # noqa: ARG002 - see above
        """Return nothing."""
        return ""

    def arguments(self, request: Request) -> Arguments:
        """Return one ``--gtest_filter``."""
        if request.everything:
            return Arguments()
        if request.empty:
            return Arguments([f"{_OPTION}-*"])
        if not (request.exact or request.whole):
            out = [unit.replace("::", ".") for unit in left_out(self, request)]
            line = f"{_OPTION}-{':'.join(out)}"
            if len(line) < MAX_ARGUMENT:
                return Arguments([line] if out else [], leaves_out=True)
        names = (
            f"{name}.*" if whole else self.unit(name).replace("::", ".")
            for name, whole in steps(self, request)
        )
        return Arguments([f"{_OPTION}{':'.join(dict.fromkeys(names))}"])
