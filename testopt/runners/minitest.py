"""Minitest: a pattern of classes and methods, of those that are left out where it is short."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, Final

from testopt.runners.protocol import MAX_ARGUMENT, Arguments, Request, Runner, left_out, steps

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from testopt.runners.place import Place

_ID: Final = re.compile(r"(?P<owner>[^\W\d].*?)(?:::|#)(?P<name>test_.*)", re.DOTALL)
_CLASS: Final = re.compile(r"^[ \t]*class[ \t]+([A-Z][\w:]*)[ \t]*<", re.MULTILINE)
_METHOD: Final = re.compile(
    r"^[ \t]*(?:class[ \t]+(?P<owner>[A-Z][\w:]*)[ \t]*<|def[ \t]+(?P<name>test_\w+[?!]?))",
    re.MULTILINE,
)


class Minitest(Runner):
    """Minitest 5 and newer.

    Its options stand behind the program that loads the test files.
    """

    name = "minitest"

    def fits(self, case: str) -> bool:
        """Return whether an id is a class, or titles, and a method ``test_…``."""
        found = _ID.fullmatch(case)
        return found is not None and ".py" not in found["owner"] and "\n" not in case

    def is_test_file(self, path: str) -> bool:
        """Return whether a file is called ``*_test.rb`` or ``test_*.rb``."""
        name = posixpath.basename(path)
        if name == "test_helper.rb":
            return False
        return name.endswith("_test.rb") or (name.startswith("test_") and name.endswith(".rb"))

    def cases_in(self, path: str, text: str, place: Place) -> list[str]:  # noqa: ARG002 - text tells
        """Return class and method of each test."""
        owner, cases = "", list[str]()
        for found in _METHOD.finditer(text):
            owner = found["owner"] or owner
            if owner and found["name"]:
                cases.append(f"{owner}::{found['name']}")
        return cases

    def unit(self, case: str) -> str:
        """Return class and method, joined as Minitest does."""
        found = _ID.fullmatch(case)
        return f"{found['owner']}#{found['name']}" if found else case

    def group(self, case: str) -> str:
        """Return the class."""
        return self.unit(case).partition("#")[0]

    def group_of_file(self, path: str, root: Path | None) -> str:
        """Return the first class of the file."""
        try:
            text = (root / path).read_text("utf-8", "replace") if root is not None else ""
        except (OSError, ValueError):
            text = ""
        found = _CLASS.search(text)
        return found[1] if found else ""

    def arguments(self, request: Request) -> Arguments:
        """Return ``--exclude`` or ``--name`` and a pattern."""
        if request.everything:
            return Arguments()
        if request.empty:
            return Arguments([r"--name=/\A\z/"])
        if not request.exact:
            line = f"--exclude={_pattern(left_out(self, request))}"
            if len(line.encode()) < MAX_ARGUMENT:
                return Arguments([] if line.endswith("=") else [line], leaves_out=True)
        units = (f"{name}#" if whole else self.unit(name) for name, whole in steps(self, request))
        return Arguments([f"--name={_pattern(units)}"])


def _pattern(units: Iterable[str]) -> str:
    """Return a pattern of methods, and of the classes that end in ``#``; empty for none."""
    owners: dict[str, dict[str, None]] = {}
    for unit in units:
        owner, _, name = unit.partition("#")
        owners.setdefault(owner, {})[re.escape(name) if name else ".*"] = None
    parts = (f"{re.escape(owner)}#(?:{'|'.join(names)})" for owner, names in owners.items())
    joined = "|".join(parts)
    return rf"/\A(?:{joined})\z/" if joined else ""
