"""The test runners that testopt knows, by the names that ``--format`` takes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testopt.runners.protocol import Runner

_CLASSES: Final = {
    "pytest": "Pytest",
    "unittest": "Unittest",
    "go": "Go",
    "surefire": "Surefire",
    "gradle": "Gradle",
    "jest": "Jest",
    "vitest": "Vitest",
    "mocha": "Mocha",
    "playwright": "Playwright",
    "nextest": "Nextest",
    "cargo": "Cargo",
    "failsafe": "Failsafe",
    "rspec": "RSpec",
    "minitest": "Minitest",
    "phpunit": "PhpUnit",
    "ctest": "CTest",
    "googletest": "GoogleTest",
    "dotnet": "Dotnet",
    "robot": "Robot",
}


@cache
def _load(name: str) -> Runner:
    runner: Runner = getattr(import_module(f"testopt.runners.{name}"), _CLASSES[name])()
    return runner


class _Runners(Mapping[str, "Runner"]):
    """Imports the module of a runner when it is asked for: a plan needs one of them."""

    def __getitem__(self, name: str) -> Runner:
        if name not in _CLASSES:
            raise KeyError(name)
        return _load(name)

    def __iter__(self) -> Iterator[str]:
        return iter(_CLASSES)

    def __len__(self) -> int:
        return len(_CLASSES)


RUNNERS: Final[Mapping[str, Runner]] = _Runners()
