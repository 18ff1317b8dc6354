"""PHPUnit: ``--filter`` and a pattern of classes and methods."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, Final

from testopt.runners.protocol import Arguments, Request, Runner, left_out, steps

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from testopt.runners.place import Place

_NAME: Final = r"[^\W\d]\w*"
_CLASS: Final = re.compile(rf"{_NAME}(?:[.\\]{_NAME})*")
_METHOD: Final = re.compile(rf"({_NAME})(?: with data set [#\"].*)?", re.DOTALL)
_NAMESPACE: Final = re.compile(r"^\s*namespace\s+([\w\\]+)", re.MULTILINE)
_TEST_CLASS: Final = re.compile(r"^[ \t]*(?:(?:final|readonly)\s+)*class\s+(\w+)", re.MULTILINE)
_TEST_METHOD: Final = re.compile(
    r"(?P<mark>@test\b[^{;]*?|#\[Test\][^{;]*?)?\bpublic\s+function\s+(?P<name>\w+)\s*\("
)
# Bytes of a pattern: PHP's own functions take 64 KiB of a compiled one. Of one-letter names, the
# costliest, 26,000 bytes are as much (PHP 8.2); of names like those of tests some 35,000.
_ROOM: Final = 20_000


class PhpUnit(Runner):
    """PHPUnit 9 and newer.

    Data sets run with their method. What is left out is named, where that is no more than a pattern
    may hold: tests that nobody knows run then. Else it is what runs, if need be as classes.
    """

    name = "phpunit"
    collect = "phpunit --list-tests"

    def fits(self, case: str) -> bool:
        """Return whether an id is a class and a method of PHP."""
        owner, _, name = case.partition("::")
        return _CLASS.fullmatch(owner) is not None and _METHOD.fullmatch(name) is not None

    def is_test_file(self, path: str) -> bool:
        """Return whether a file is called ``*Test.php``."""
        return path.endswith("Test.php")

    def cases_in(self, path: str, text: str, place: Place) -> list[str]:  # noqa: ARG002 - text tells
        """Return class and method of each test."""
        owner, found = _TEST_CLASS.search(text), list[str]()
        if owner is None:
            return []
        for method in _TEST_METHOD.finditer(text, owner.end()):
            if method["mark"] or method["name"].startswith("test"):
                found.append(f"{_namespace(text)}{owner[1]}::{method['name']}")
        return found

    def unit(self, case: str) -> str:
        """Return class and method."""
        owner, _, name = case.partition("::")
        method = _METHOD.fullmatch(name)
        return f"{owner.replace(_SEPARATOR, '.')}::{method[1] if method else name}"

    def group(self, case: str) -> str:
        """Return the class, with dots for backslashes as in JUnit XML."""
        return case.partition("::")[0].replace(_SEPARATOR, ".")

    def group_of_file(self, path: str, root: Path | None) -> str:
        """Return the class that the file is called after, in the namespace that it names."""
        try:
            text = (root / path).read_text("utf-8", "replace") if root is not None else ""
        except (OSError, ValueError):
            text = ""
        return f"{_namespace(text)}{posixpath.basename(path).partition('.')[0]}"

    def arguments(self, request: Request) -> Arguments:
        """Return one ``--filter``."""
        if request.everything:
            return Arguments()
        if request.empty:
            return Arguments(["--filter=/(?!)/"])
        if not request.exact:
            pattern = _pattern(left_out(self, request))
            if len(pattern.encode()) < _ROOM:
                without = f"--filter=/^(?!{pattern})/s" if pattern else ""
                return Arguments([without] if without else [], leaves_out=True)
        running = list(steps(self, request))
        units = (name if whole else self.unit(name) for name, whole in running)
        pattern = _pattern(units)
        if len(pattern.encode()) < _ROOM:
            return Arguments([f"--filter=/^{pattern}/s"])
        classes = [name if whole else self.group(name) for name, whole in running]
        pattern = _pattern(dict.fromkeys(classes))
        if len(pattern.encode()) < _ROOM:
            return Arguments([f"--filter=/^{pattern}/s"], [_CLASSES_RUN])
        return Arguments(notes=[_ALL_RUN])


_SEPARATOR: Final = "\\"
_CLASSES_RUN: Final = "more methods than a pattern of PHPUnit may hold: their classes run"
_ALL_RUN: Final = "more classes than a pattern of PHPUnit may hold: all tests run"


def _pattern(units: Iterable[str]) -> str:
    r"""Return a pattern of methods and classes; empty for none.

    That of a method ends where its name does, or at its data set; each class is named once.
    """
    methods: dict[str, list[str]] = {}
    for unit in units:
        owner, _, method = unit.partition("::")
        methods.setdefault(owner.replace(".", r"\\"), []).append(method)
    parts = (
        f"{owner}::" if "" in names else f"{owner}::(?:{'|'.join(names)})(?: with data set |\\z)"
        for owner, names in methods.items()
    )
    joined = "|".join(parts)
    return f"(?:{joined})" if joined else ""


def _namespace(text: str) -> str:
    found = _NAMESPACE.search(text)
    return f"{found[1].replace(_SEPARATOR, '.')}." if found else ""
