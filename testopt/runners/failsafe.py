"""Maven Failsafe: ``-Dit.test=…``, as Surefire's."""

from __future__ import annotations

import re
from typing import Final

from testopt.runners.surefire import Surefire

_DEFAULTS: Final = re.compile(
    r"(?!(?:.*/)?src/main/)(?:.*/)?(?:IT[^/]*|[^/]*(?:IT|ITCase))\.(?:java|kt|groovy|scala)",
    re.DOTALL,
)


class Failsafe(Surefire):
    """Failsafe, which runs the integration tests of Maven."""

    name = "failsafe"
    nothing = ("-DskipITs",)
    option = "-Dit.test"
    need_not_be_found = ("-DfailIfNoTests=false", "-Dit.failIfNoSpecifiedTests=false")

    def is_test_file(self, path: str) -> bool:
        """Return whether Failsafe takes a file for a test class, by its name."""
        return _DEFAULTS.fullmatch(path) is not None
