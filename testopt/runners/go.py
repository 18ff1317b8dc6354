"""``go test``: a package and a pattern of its test functions, one command a line."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Final

from testopt.runners.protocol import Arguments, Request, Runner, steps

if TYPE_CHECKING:
    from pathlib import Path

_META: Final = re.compile(r"([\\.+*?()|\[\]{}^$/])")
_FUNCTION: Final = re.compile(r"(?:Test|Fuzz|Example|Benchmark)(?![a-z])")


class Go(Runner):
    """``go test``, a call for each package."""

    name = "go"
    line_is_command = True

    def fits(self, case: str) -> bool:
        """Return whether an id names a test function of Go."""
        _, function = _package_and_function(case)
        return _FUNCTION.match(function) is not None

    def is_test_file(self, path: str) -> bool:
        """Return whether a file is called ``*_test.go``."""
        return path.endswith("_test.go")

    def unit(self, case: str) -> str:
        """Return package and test function: subtests run with it."""
        package, function = _package_and_function(case)
        return f"{package}::{function}" if package else function

    def group(self, case: str) -> str:
        """Return the package."""
        return _package_and_function(case)[0]

    def group_of_file(self, path: str, root: Path | None) -> str:  # noqa: ARG002 - to come
        """Return the folder."""
        return path.rpartition("/")[0]

    def arguments(self, request: Request) -> Arguments:
        """Return a line a package: its name, and a pattern of functions."""
        if request.everything:
            return Arguments(["./..."])
        packages: dict[str, dict[str, None]] = {}
        for name, whole in steps(self, request):
            package, function = (name, "") if whole else _package_and_function(name)
            packages.setdefault(package or "./...", {})[function] = None
        return Arguments([_line(package, names) for package, names in packages.items()])


def _line(package: str, names: dict[str, None]) -> str:
    if "" in names:
        return shlex.join([package])
    pattern = "|".join(_META.sub(r"\\\1", name) for name in names)
    return shlex.join([package, "-run", f"^({pattern})$"])


def _package_and_function(case: str) -> tuple[str, str]:
    """Return the package of a case, and its test function without subtests."""
    package, mark, name = case.partition("::")
    if not mark:
        package, name = "", case
    return package, name.partition("/")[0]
