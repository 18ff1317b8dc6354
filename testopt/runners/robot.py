"""Robot Framework: ``--test`` and the long name of a test, one a line."""

from __future__ import annotations

import posixpath
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from testopt.runners.protocol import Arguments, Request, Runner, entire_groups, steps

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from testopt.runners.place import Place

_WILD: Final = re.compile(r"[\[*?]")
_NUMBER: Final = re.compile(r"\A.*?__")  # what puts files in order
_SECTION: Final = re.compile(r"^\*+ *(?P<name>[\w ]*?) *\**[ \t]*(?: {2}.*)?$")
_OTHERS: Final = re.compile(r"\.(?:py|rb|php|go|java|[cm]?[jt]sx?)\Z")


class Robot(Runner):
    """Robot Framework.

    It names suites after files and folders. A name stands for itself whatever its case, blanks and
    underscores are.
    """

    name = "robot"
    group_kind = "suite"
    long_lists = "write them to a file: robot --argumentfile FILE"

    def fits(self, case: str) -> bool:
        """Return whether an id is suites, joined by dots, and a test."""
        owner, mark, name = case.partition("::")
        return bool(owner and mark and name) and "/" not in owner and not _OTHERS.search(owner)

    def is_test_file(self, path: str) -> bool:
        """Return whether a file ends in ``.robot``."""
        return path.endswith(".robot")

    def cases_in(self, path: str, text: str, place: Place) -> list[str]:  # noqa: ARG002 - text tells
        """Return suites and name of each test."""
        return [f"{_suite(path)}::{name}" for name in dict.fromkeys(_tests(text))]

    def unit(self, case: str) -> str:
        """Return the long name as Robot compares it."""
        owner, _, name = case.partition("::")
        return re.sub(r"[\s_]", "", f"{owner}.{name}").casefold()

    def group(self, case: str) -> str:
        """Return the suite."""
        return case.partition("::")[0]

    def group_of_file(self, path: str, root: Path | None) -> str:  # noqa: ARG002 - not needed
        """Return the suite, where the top folder of the path is what Robot is given."""
        return _suite(path)

    def arguments(self, request: Request) -> Arguments:
        """Return a ``--test`` a line, which a file of arguments may hold."""
        if request.everything:
            return Arguments()
        if request.empty:
            return Arguments(["--runemptysuite", "--test="])
        # a name for each test takes Robot long: it compares each test with each of them
        whole = [*request.whole, *sorted(entire_groups(self, request))]
        named = steps(self, replace(request, whole=whole))
        names = (_wild(name, whole=is_suite) for name, is_suite in named)
        lines = [f"--test={name}" for name in dict.fromkeys(names)]
        return Arguments(lines if request.cases else ["--runemptysuite", *lines])


def _wild(name: str, *, whole: bool) -> str:
    """Return a pattern of a long name, or of all tests in a suite."""
    owner, _, test = name.partition("::")
    long_name = owner if whole else f"{owner}.{test}"
    return _WILD.sub(r"[\g<0>]", long_name) + (".*" if whole else "")


def _suite(path: str) -> str:
    """Return the suites that a path is named after."""
    return ".".join(_named(part) for part in posixpath.splitext(path)[0].split("/"))


def _named(part: str) -> str:
    name = _NUMBER.sub("", part).replace("_", " ").strip()
    words = (word[:1].upper() + word[1:] for word in name.split(" "))
    return " ".join(words) if name.islower() else name


def _tests(text: str) -> Iterator[str]:
    """Yield the names that begin a line in a section of tests."""
    inside = False
    for line in text.splitlines():
        section = _SECTION.match(line) if line.startswith("*") else None
        if section is not None:
            inside = section["name"].casefold() in {"test cases", "test case", "tasks", "task"}
        elif inside and line[:1].strip() and not line.startswith(("#", "|")):
            yield re.split(r" {2,}|\t", line.rstrip())[0]
