"""``dotnet test``: ``--filter`` and the full names of methods."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, Final

from testopt.runners.protocol import Arguments, Request, Runner, left_out, steps

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


_NAME: Final = r"[^\W\d]\w*"
_CLASS: Final = re.compile(rf"{_NAME}(?:[.+]{_NAME})*")
_METHOD: Final = re.compile(rf"({_NAME})(?:[(<].*)?", re.DOTALL)
_NAMESPACE: Final = re.compile(r"^\s*namespace\s+([\w.]+)", re.MULTILINE)
_TEST_FILE: Final = re.compile(r"(?:.*/)?[^/]*(?:Tests?|Spec)\.(?:cs|fs|vb)", re.DOTALL)
_OPTION: Final = "--filter"
_ROOM: Final = 30_000  # characters: what a command line of Windows takes, with what else is there
_ALL_RUN: Final = "more classes than a filter may hold: all tests run"
_CLASSES_RUN: Final = "more methods than a filter may hold: their classes run"


class Dotnet(Runner):
    """``dotnet test`` with VSTest, for xUnit, NUnit and MSTest.

    The rows of data of a method run together: some name them with the method, some do not.
    """

    name = "dotnet"

    def fits(self, case: str) -> bool:
        """Return whether an id is a class and a method of .NET."""
        owner, _, name = case.partition("::")
        return _CLASS.fullmatch(owner) is not None and _METHOD.fullmatch(name) is not None

    def is_test_file(self, path: str) -> bool:
        """Return whether a file is called like a test class."""
        return _TEST_FILE.fullmatch(path) is not None

    def unit(self, case: str) -> str:
        """Return class and method without arguments."""
        owner, _, name = case.partition("::")
        method = _METHOD.fullmatch(name)
        return f"{owner}::{method[1] if method else name}"

    def group(self, case: str) -> str:
        """Return the class."""
        return case.partition("::")[0]

    def group_of_file(self, path: str, root: Path | None) -> str:
        """Return the class that the file is called after, in the namespace that it names."""
        try:
            text = (root / path).read_text("utf-8", "replace") if root is not None else ""
        except (OSError, ValueError):
            text = ""
        found = _NAMESPACE.search(text)
        name = posixpath.basename(path).partition(".")[0]
        return f"{found[1]}.{name}" if found else name

    def arguments(self, request: Request) -> Arguments:
        """Return ``--filter`` and an expression of what is left out, else of what runs."""
        if request.everything:
            return Arguments()
        if request.empty:
            return Arguments([_OPTION, "FullyQualifiedName=-"])
        if not request.exact:
            text = "&".join(_terms(left_out(self, request), "!=", "!~", "&"))
            if len(text) < _ROOM:
                return Arguments([_OPTION, text] if text else [], leaves_out=True)
        running = list(steps(self, request))
        text = "|".join(_terms((n if w else self.unit(n) for n, w in running), "=", "~", "|"))
        if len(text) < _ROOM:
            return Arguments([_OPTION, text])
        classes = dict.fromkeys(n if w else self.group(n) for n, w in running)
        text = "|".join(_terms(classes, "=", "~", "|"))
        if len(text) < _ROOM:
            return Arguments([_OPTION, text], [_CLASSES_RUN])
        return Arguments(notes=[_ALL_RUN])


def _terms(units: Iterable[str], equals: str, contains: str, joint: str) -> Iterable[str]:
    r"""Yield expressions of methods, with and without arguments, and of whole classes."""
    for unit in dict.fromkeys(units):
        owner, mark, method = unit.partition("::")
        if not mark:
            yield f"FullyQualifiedName{contains}{owner}."
            continue
        name = f"{owner}.{method}"
        yield f"FullyQualifiedName{equals}{name}{joint}FullyQualifiedName{contains}{name}\\("
