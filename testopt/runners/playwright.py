"""Playwright Test: a pattern of files and titles, of those that are left out where it is short."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from testopt.runners.cases_in_javascript import playwright_cases
from testopt.runners.javascript import split
from testopt.runners.protocol import MAX_ARGUMENT, Arguments, Request, Runner, left_out

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from testopt.runners.place import Place

_TEST_FILE: Final = re.compile(r"(?:.*/)?(?:[^/]+\.)?(?:test|spec)\.[cm]?[jt]sx?", re.DOTALL)
_TAGS: Final = r"(?:\s+@\S+)*"
_JOINT: Final = "\u203a"  # what stands between titles in reports; a blank in what is searched
_FILES_RUN: Final = "one pattern cannot hold all names, so files run whole"
_NONE: Final = ("--grep=/(?!)/", "--pass-with-no-tests")


class Playwright(Runner):
    """Playwright Test.

    It searches the project, the file from its folder of tests, the titles and the tags of a test,
    joined by blanks. Its JUnit XML has the file and the titles.
    """

    name = "playwright"

    def fits(self, case: str) -> bool:
        """Return whether an id begins with a file of JavaScript or TypeScript."""
        return split(case)[0] != ""

    def is_test_file(self, path: str) -> bool:
        """Return whether a file is called ``*.test.js`` or ``*.spec.ts``."""
        return _TEST_FILE.fullmatch(path) is not None

    def cases_in(self, path: str, text: str, place: Place) -> list[str]:  # noqa: ARG002 - no settings
        """Return file and titles of each test."""
        return playwright_cases(path, text)

    def unit(self, case: str) -> str:
        """Return file and titles with single blanks."""
        file, titles = split(case)
        return f"{file}::{' '.join(titles.split())}"

    def group(self, case: str) -> str:
        """Return the file."""
        return split(case)[0]

    def group_of_file(self, path: str, root: Path | None) -> str:  # noqa: ARG002 - not needed
        """Return the file."""
        return path

    def arguments(self, request: Request) -> Arguments:
        """Return ``--grep-invert`` or ``--grep``, and files where that would be too long."""
        if request.everything:
            return Arguments()
        if request.empty:
            return Arguments(_NONE)
        empty = [] if request.cases else [_NONE[1]]
        bare = [case for case in request.cases if self.group(case) == case]  # could not be loaded
        whole = frozenset([*request.whole, *bare])
        if not request.exact:
            lines = self._without(request, whole)
            if all(len(line.encode()) < MAX_ARGUMENT for line in lines):
                return Arguments([*lines, *empty], leaves_out=True)
        if not whole:
            line = f"--grep={_pattern(map(self.unit, request.cases))}"
            if len(line.encode()) < MAX_ARGUMENT:
                return Arguments([line])
        files = dict.fromkeys([*request.whole, *map(self.group, request.cases)])
        return Arguments([*map(_file_argument, files), *empty], [_FILES_RUN])

    def _without(self, request: Request, whole: frozenset[str]) -> list[str]:
        """Return the pattern of what is left out, but for what looks like something that runs."""
        running = {_ending(self.unit(case)) for case in request.cases}
        out = [
            unit
            for unit in left_out(self, request)
            if _ending(unit) not in running and self.group(unit) not in whole
        ]
        return [f"--grep-invert={_pattern(out)}"] if out else []


def _ending(unit: str) -> str:
    """Return the name of a file, and the titles: where it stands a report may not say in full."""
    file, _, titles = unit.partition("::")
    return f"{file.rpartition('/')[2]}::{titles}"


def _pattern(units: Iterable[str]) -> str:
    """Return a pattern of files and titles."""
    files: dict[str, dict[str, None]] = {}
    for unit in units:
        file, _, titles = unit.partition("::")
        files.setdefault(file, {})[_titles_pattern(titles)] = None
    parts = (rf"{_file_pattern(f)}{_TAGS}\s+(?:{'|'.join(names)})" for f, names in files.items())
    return rf"/(?:^|\s)(?:{'|'.join(parts)}){_TAGS}\s*$/"


def _titles_pattern(titles: str) -> str:
    """Return a pattern of titles: the tags of a suite may stand between them."""
    parts = (r"\s+".join(map(re.escape, part.split())) for part in titles.split(f" {_JOINT} "))
    return rf"{_TAGS}\s+(?:{_JOINT}\s+)?".join(parts)


def _file_pattern(file: str) -> str:
    """Return a pattern of a path that may begin at any folder: tests have a folder of their own."""
    *folders, name = map(re.escape, file.split("/"))
    pattern = ""
    for folder in folders:
        pattern = f"(?:{pattern}{folder}/)?"
    return f"{pattern}{name}"


def _file_argument(file: str) -> str:
    return rf"(?:^|/){re.escape(file)}$"
