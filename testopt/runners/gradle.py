"""Gradle: ``--tests`` and a name in turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testopt.runners.jvm import JvmRunner

if TYPE_CHECKING:
    from testopt.runners.protocol import Request


class Gradle(JvmRunner):
    """The task ``test`` of Gradle."""

    name = "gradle"
    nothing = ("-x", "test")

    def lines(self, asked: dict[str, dict[str, None]], request: Request) -> list[str]:  # noqa: ARG002 - not needed
        """Return an option and its value for each method or class."""
        names = [
            f"{owner}.{method}" if method else owner
            for owner, methods in asked.items()
            for method in methods or [""]
        ]
        return [part for name in names for part in ("--tests", name)]
