"""Finds Jest, Vitest, Mocha and Playwright: by ``package.json`` and the files that set them up."""

from __future__ import annotations

import json
import posixpath
import re
from typing import TYPE_CHECKING, Any, Final

from testopt.runners.detect.found_runner import FoundRunner, count_tests, tops

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testopt.runners.place import Sources

_CONFIGS: Final = re.compile(
    r"(jest|vitest|playwright)\.config\.(?:[cm]?[jt]s|json)|(vitest)\.workspace\.[\w.]+"
    r"|\.(mocha)rc\.\w+"
)
_LAUNCHERS: Final = (
    ("pnpm-lock.yaml", "pnpm exec", "pnpm add --save-dev"),
    ("yarn.lock", "yarn", "yarn add --dev"),
    ("", "npx", "npm install --save-dev"),
)
_REPORTER: Final = "jest-junit"
_NAMES: Final = frozenset({"jest", "vitest", "mocha", "playwright"})


def find_javascript(tree: Sources) -> Iterator[FoundRunner]:
    """Yield each for the top folders whose ``package.json`` or settings name it."""
    places: dict[str, dict[str, str]] = {name: {} for name in sorted(_NAMES)}
    for path in tree.paths:
        folder, _, name = path.rpartition("/")
        config = _CONFIGS.fullmatch(name)
        if config is not None:
            places[config[1] or config[2] or config[3]][folder] = path
        elif name == "package.json":
            for runner in _runners_of(_package(tree, path)):
                places[runner].setdefault(folder, path)
    for runner, found in places.items():
        for folder in tops(found):
            count = count_tests(tree, runner, folder)
            if count:
                yield _runner(tree, runner, folder, found[folder], count)


def _runner(tree: Sources, name: str, folder: str, evidence: str, count: int) -> FoundRunner:
    above = [folder, *_upwards(folder)]
    _, launcher, install = next(
        row for row in _LAUNCHERS
        if not row[0] or any(posixpath.join(place, row[0]) in tree.names for place in above)
    )  # fmt: skip
    packages = [_package(tree, posixpath.join(place, "package.json")) for place in above]
    has_reporter = any(_REPORTER in _dependencies(package) for package in packages)
    return FoundRunner(
        name=name,
        form=name,
        folder=folder,
        evidence=evidence,
        test_files=count,
        launcher=launcher,
        missing="" if name != "jest" or has_reporter else f"{install} {_REPORTER}",
    )


def _upwards(folder: str) -> Iterator[str]:
    while folder:
        folder = posixpath.dirname(folder)
        yield folder


def _package(tree: Sources, path: str) -> dict[str, Any]:
    try:
        document = json.loads(tree.read(path) or "{}")
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _dependencies(package: dict[str, Any]) -> set[str]:
    tables = (package.get(name) for name in ("devDependencies", "dependencies"))
    return {name for table in tables if isinstance(table, dict) for name in table}


def _runners_of(package: dict[str, Any]) -> set[str]:
    scripts = package.get("scripts")
    lines = " ".join(map(str, scripts.values())) if isinstance(scripts, dict) else ""
    named = set(
        re.findall(r"(?<![\w@/.-])(jest|vitest|mocha|playwright(?= test))(?![\w/-])", lines)
    )
    named |= {"jest"} if re.search(r"\breact-scripts test\b", lines) else set()
    dependencies = _dependencies(package)
    named |= {"playwright"} if "@playwright/test" in dependencies else set()
    return named | ({"jest", "vitest", "mocha"} & (dependencies | set(package)))
