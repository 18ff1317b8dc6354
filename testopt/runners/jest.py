"""Jest: files as patterns of paths, and a pattern of the full names of tests."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from testopt.runners.cases_in_javascript import jest_cases
from testopt.runners.javascript import ScriptRunner, full_name, split

if TYPE_CHECKING:
    from collections.abc import Iterable

    from testopt.runners.place import Place
    from testopt.runners.protocol import Request

_TEST_FILE: Final = re.compile(
    r"(?:.*/)?(?:__tests__/.*|(?:[^/]+\.)?(?:test|spec))\.[cm]?[jt]sx?", re.DOTALL
)


class Jest(ScriptRunner):
    """Jest."""

    name = "jest"
    ignores_case = True

    def fits(self, case: str) -> bool:
        """Return whether an id names no file of another language."""
        head = case.partition("::")[0]
        return not re.search(r"\.(?:py|rst|txt)\Z", head)

    def is_test_file(self, path: str) -> bool:
        """Return whether a file is called ``*.test.js``, ``*.spec.ts`` or stands in __tests__."""
        return _TEST_FILE.fullmatch(path) is not None

    def cases_in(self, path: str, text: str, place: Place) -> list[str]:  # noqa: ARG002 - text tells
        """Return the full names of tests, as jest-junit reports them."""
        return jest_cases(text)

    def group(self, case: str) -> str:
        """Return the file, where the id names a test file: other files may be titles."""
        file, _ = split(case)
        return file if self.is_test_file(file) else ""

    def file_argument(self, file: str, request: Request) -> str:  # noqa: ARG002 - not needed
        """Return a pattern of the end of its absolute path, wherever Jest is started."""
        return rf"(?:^|/){re.escape(file)}$"

    def _only(self, request: Request, whole: Iterable[str]) -> str | None:
        if request.root is None and all(map(self.group, request.cases)):
            # no report of a repository: someone wrote the names, as they are
            names = dict.fromkeys(re.escape(full_name(case)) for case in request.cases)
            return f"^({'|'.join(names)})$"
        return super()._only(request, whole)
