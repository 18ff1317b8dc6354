"""Mocha: a pattern of the full titles of tests."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from testopt.runners.cases_in_javascript import mocha_cases
from testopt.runners.javascript import ScriptRunner, full_name, split

if TYPE_CHECKING:
    from collections.abc import Iterable

    from testopt.runners.place import Place
    from testopt.runners.protocol import Request

_TEST_FILE: Final = re.compile(
    r"(?:.*/)?(?:tests?/.*|(?:[^/]+[.-])?(?:test|spec))\.[cm]?[jt]sx?", re.DOTALL
)


class Mocha(ScriptRunner):
    """Mocha.

    The files that its settings name are loaded whatever the arguments are, so none is asked for.
    """

    name = "mocha"
    pattern_option = "--grep"
    nothing = ("--grep=(?!)",)
    may_be_empty = ()
    all_run = "one pattern cannot tell what runs, so all tests run"

    def fits(self, case: str) -> bool:
        """Return whether an id names no file of another language."""
        head = case.partition("::")[0]
        return not re.search(r"\.(?:py|rst|txt)\Z", head)

    def is_test_file(self, path: str) -> bool:
        """Return whether a file stands in ``test`` or is called ``*.test.js`` or ``*.spec.ts``."""
        return _TEST_FILE.fullmatch(path) is not None

    def cases_in(self, path: str, text: str, place: Place) -> list[str]:  # noqa: ARG002 - no settings
        """Return file and full title of each test, as Mocha's own JSON names them."""
        return mocha_cases(path, text)

    def group(self, case: str) -> str:
        """Return the file, where the id names a test file: other files may be titles."""
        file, _ = split(case)
        return file if self.is_test_file(file) else ""

    def undivided(self, case: str) -> str:
        """Return the full title: another file may have the same one, and is asked for it, too."""
        return self._fold(full_name(case))

    def file_argument(self, file: str, request: Request) -> str:  # noqa: ARG002 - not asked for
        """Return the file."""
        return file

    def _files(self, request: Request, whole: Iterable[str]) -> list[str]:  # noqa: ARG002 - see above
        return []
