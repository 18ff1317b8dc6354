"""Vitest: files as they are, and a pattern of the full names of tests."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, Final

from testopt.runners.cases_in_javascript import vitest_cases
from testopt.runners.javascript import ScriptRunner, split

if TYPE_CHECKING:
    from testopt.runners.place import Place
    from testopt.runners.protocol import Request

_TEST_FILE: Final = re.compile(r"(?:.*/)?(?:[^/]+\.)?(?:test|spec)\.[cm]?[jt]sx?", re.DOTALL)


class Vitest(ScriptRunner):
    """Vitest 1 and newer: up to 4 it joins titles by a blank, from 5 on by ``>``."""

    name = "vitest"
    collect = "npx vitest list"

    def fits(self, case: str) -> bool:
        """Return whether an id begins with a file of JavaScript or TypeScript."""
        return split(case)[0] != ""

    def is_test_file(self, path: str) -> bool:
        """Return whether a file is called ``*.test.js`` or ``*.spec.ts``."""
        return _TEST_FILE.fullmatch(path) is not None

    def cases_in(self, path: str, text: str, place: Place) -> list[str]:  # noqa: ARG002 - no settings
        """Return file and titles of each test."""
        return vitest_cases(path, text)

    def file_argument(self, file: str, request: Request) -> str:
        """Return a part of its path: that from where Vitest is started, where the file is there."""
        if request.folder and request.root is not None and (request.root / file).is_file():
            file = posixpath.relpath(file, request.folder)
        return f"./{file}" if file.startswith("-") else file
