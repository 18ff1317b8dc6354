"""Maven Surefire: ``-Dtest=…``; several methods of a class follow a ``+``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from testopt.runners import jvm
from testopt.runners.protocol import Arguments, Request, Runner, steps

if TYPE_CHECKING:
    from pathlib import Path

_UNSAFE: Final = re.compile(r"[^\w.$*-]")


class Surefire(Runner):
    """Surefire and Failsafe of Maven."""

    name = "surefire"

    def fits(self, case: str) -> bool:
        """Return whether an id begins with a class of Java."""
        return jvm.is_class(jvm.class_and_method(case)[0])

    def is_test_file(self, path: str) -> bool:
        """Return whether a file is called like a test class."""
        return jvm.is_test_file(path)

    def unit(self, case: str) -> str:
        """Return class and method without parameters."""
        return "::".join(filter(None, jvm.class_and_method(case)))

    def group(self, case: str) -> str:
        """Return the class that is called like its file."""
        return jvm.class_and_method(case)[0].partition("$")[0]

    def group_of_file(self, path: str, root: Path | None) -> str:  # noqa: ARG002 - not needed
        """Return the class that the file is called after."""
        return jvm.class_of_file(path)

    def arguments(self, request: Request) -> Arguments:
        """Return one ``-Dtest``."""
        if request.everything:
            return Arguments()
        classes: dict[str, dict[str, None]] = {}
        for name, whole in steps(self, request):
            owner, method = (name, "") if whole else jvm.class_and_method(name)
            classes.setdefault(owner, {})[_UNSAFE.sub("*", method)] = None
        names = [
            f"{owner}#{'+'.join(methods)}" if "" not in methods else owner
            for owner, methods in classes.items()
        ]
        return Arguments([f"-Dtest={','.join(names)}"] if names else [])
