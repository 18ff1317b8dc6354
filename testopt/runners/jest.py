"""Jest: a pattern of the full names of tests."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from testopt.runners.protocol import Arguments, Request, Runner

if TYPE_CHECKING:
    from pathlib import Path

_TEST_FILE: Final = re.compile(
    r"(?:.*/)?(?:__tests__/.*|[^/]+\.(?:test|spec))\.[cm]?[jt]sx?", re.DOTALL
)
_SCRIPT: Final = re.compile(r"\.[cm]?[jt]sx?\Z")


class Jest(Runner):
    """Jest."""

    name = "jest"

    def fits(self, case: str) -> bool:
        """Return whether an id names no file of another language."""
        head = case.partition("::")[0]
        return _SCRIPT.search(head) is not None or not re.search(r"\.(?:py|rst|txt)\Z", head)

    def is_test_file(self, path: str) -> bool:
        """Return whether a file is called ``*.test.js``, ``*.spec.ts`` or stands in __tests__."""
        return _TEST_FILE.fullmatch(path) is not None

    def unit(self, case: str) -> str:
        """Return the id."""
        return case

    def group(self, case: str) -> str:
        """Return the file, where the id names one."""
        head = case.partition("::")[0]
        return head if _SCRIPT.search(head) else ""

    def group_of_file(self, path: str, root: Path | None) -> str:  # noqa: ARG002 - not needed
        """Return the file."""
        return path

    def arguments(self, request: Request) -> Arguments:
        """Return one ``--testNamePattern``."""
        if request.everything:
            return Arguments()
        names = dict.fromkeys(re.escape(case.rpartition("::")[2]) for case in request.cases)
        return Arguments([f"--testNamePattern=^({'|'.join(names)})$"] if names else [])
