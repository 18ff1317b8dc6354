"""``python -m unittest``: dotted names, in the order in which they should run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from testopt.runners.protocol import Arguments, Request, Runner, steps
from testopt.runners.pytest import from_folder

if TYPE_CHECKING:
    from pathlib import Path

_VARIANT: Final = re.compile(r"\[[^\]]*\]\Z|\s*\(.*\)(?:\[[^\]]*\])?\Z", re.DOTALL)
_DOTTED: Final = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")


class Unittest(Runner):
    """unittest of Python's standard library."""

    name = "unittest"
    obeys_order = True

    def fits(self, case: str) -> bool:
        """Return whether an id is a dotted name, or one of pytest's."""
        return _DOTTED.fullmatch(self._dotted(case)) is not None

    def is_test_file(self, path: str) -> bool:
        """Return whether a file is called ``test*.py``."""
        name = path.rpartition("/")[2]
        return name.startswith("test") and name.endswith(".py")

    def unit(self, case: str) -> str:
        """Return the id without parameters and subtest."""
        return _VARIANT.sub("", case)

    def group(self, case: str) -> str:
        """Return the file or the class."""
        return case.partition("::")[0]

    def group_of_file(self, path: str, root: Path | None) -> str:  # noqa: ARG002 - not needed
        """Return the file."""
        return path

    def arguments(self, request: Request) -> Arguments:
        """Return dotted names; nothing for everything, which unittest then discovers."""
        if request.everything:
            return Arguments()
        names = (from_folder(name, request) for name, _ in steps(self, request))
        return Arguments(list(dict.fromkeys(map(self._dotted, names))))

    def _dotted(self, case: str) -> str:
        file, mark, rest = self.unit(case).partition("::")
        if "/" in file or file.endswith(".py"):
            file = file.removesuffix(".py").replace("/", ".")
        return f"{file}{mark}{rest}".replace("::", ".")
