"""The test runners that testopt knows, by the names that ``--format`` takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from testopt.runners.go import Go
from testopt.runners.gradle import Gradle
from testopt.runners.jest import Jest
from testopt.runners.nextest import Nextest
from testopt.runners.pytest import Pytest
from testopt.runners.surefire import Surefire
from testopt.runners.unittest import Unittest
from testopt.runners.vitest import Vitest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from testopt.runners.protocol import Runner

RUNNERS: Final[Mapping[str, Runner]] = {
    runner.name: runner
    for runner in (Pytest(), Unittest(), Go(), Surefire(), Gradle(), Jest(), Vitest(), Nextest())
}
