"""Gradle: ``--tests`` and a name in turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testopt.runners.cases_in_jvm import JUNIT_5, jvm_cases
from testopt.runners.jvm import JvmRunner

if TYPE_CHECKING:
    from testopt.runners.place import Place
    from testopt.runners.protocol import Request


class Gradle(JvmRunner):
    """The task ``test`` of Gradle."""

    name = "gradle"
    nothing = ("-x", "test")

    def cases_in(self, path: str, text: str, place: Place) -> list[str]:  # noqa: ARG002 - text tells
        """Return class and method of each test; Gradle puts ``()`` behind those of JUnit 5."""
        end = "()" if JUNIT_5 in text else ""
        return [case if case.endswith(")") else f"{case}{end}" for case in jvm_cases(text)]

    def lines(self, asked: dict[str, dict[str, None]], request: Request) -> list[str]:  # noqa: ARG002 - not needed
        """Return an option and its value for each method or class."""
        names = [
            f"{owner}.{method}" if method else owner
            for owner, methods in asked.items()
            for method in methods or [""]
        ]
        return [part for name in names for part in ("--tests", name)]
