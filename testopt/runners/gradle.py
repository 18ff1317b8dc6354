"""Gradle: ``--tests`` and a name in turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testopt.runners import jvm
from testopt.runners.protocol import Arguments, Request, Runner, steps

if TYPE_CHECKING:
    from pathlib import Path


class Gradle(Runner):
    """The task ``test`` of Gradle."""

    name = "gradle"

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
        """Return an option and its value for each method."""
        if request.everything:
            return Arguments()
        names = dict.fromkeys(
            name if whole else ".".join(filter(None, jvm.class_and_method(name)))
            for name, whole in steps(self, request)
        )
        return Arguments([part for name in names for part in ("--tests", name)])
