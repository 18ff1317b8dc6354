"""``cargo nextest run``: an expression that matches names of tests."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from testopt.runners.protocol import Arguments, Request, Runner

if TYPE_CHECKING:
    from pathlib import Path


class Nextest(Runner):
    """cargo-nextest."""

    name = "nextest"

    def fits(self, case: str) -> bool:
        """Return whether an id begins with the name of a crate."""
        return re.match(r"[\w-]+::.", case) is not None

    def is_test_file(self, path: str) -> bool:
        """Return whether a file is an integration test."""
        return re.fullmatch(r"(?:.*/)?tests/(?:[^/]+|[^/]+/main)\.rs", path) is not None

    def unit(self, case: str) -> str:
        """Return the id."""
        return case

    def group(self, case: str) -> str:
        """Return the binary."""
        return case.partition("::")[0]

    def group_of_file(self, path: str, root: Path | None) -> str:  # noqa: ARG002 - to come
        """Return nothing: to come."""
        return ""

    def arguments(self, request: Request) -> Arguments:
        """Return ``-E`` and an expression."""
        if request.everything:
            return Arguments()
        names = dict.fromkeys(_regex(case.rpartition("::")[2]) for case in request.cases)
        return Arguments(["-E", f"test(/(^|::)({'|'.join(names)})$/)"] if names else [])


def _regex(name: str) -> str:
    return re.sub(r"\\?/", r"\\/", re.escape(name))
