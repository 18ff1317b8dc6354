"""Which settings a project needs that differ from the defaults, as lines of TOML with comments."""

from __future__ import annotations

import json
import posixpath
import re
from typing import TYPE_CHECKING, Final

from testopt.code.globs import glob_matcher
from testopt.code.paths import is_code, is_test_path
from testopt.code.shared_files import RUN_ALL_ON

if TYPE_CHECKING:
    from collections.abc import Iterable

    from testopt.git.file_tree import FileTree

# Files on which all tests of a runner may depend, and that not every project has.
_SHARED: Final = {
    "pytest": (".pytest.ini", "pytest.toml", "hatch.toml"),
    "jest": ("jest.setup.*", "jest-setup.*", "setupTests.*", ".babelrc*"),
    "vitest": ("vitest.setup.*", "vitest.workspace.*", "vite.config.*"),
    "nextest": (".config/nextest.toml", "build.rs"),
    "surefire": (".mvn/*", "mvnw"),
    "gradle": ("gradle/wrapper/*", "gradlew"),
    "phpunit": ("phpunit.xml*", "phpunit.dist.xml", "tests/bootstrap.php"),
    "ctest": ("CMakeLists.txt", "*.cmake", "CMakePresets.json"),
    "mocha": (".mocharc.*",),
    "playwright": ("playwright.config.*",),
    "minitest": ("test/test_helper.rb",),
    "dotnet": ("Directory.Build.props", "Directory.Packages.props", "global.json"),
    "failsafe": (".mvn/*", "mvnw"),
    "rspec": (".rspec", "spec/spec_helper.rb", "spec/rails_helper.rb", "spec/support/*"),
}
_ALWAYS: Final = ("flake.nix", "shell.nix", "justfile", "Taskfile.yml", ".bazelrc")
_EXAMPLES: Final = (
    '# recall = "95%"  # share of regressions that a selection must catch',
    '# must_run = ["tests/smoke/*"]  # cases or test files that always run',
)
_SMOKE: Final = re.compile(r"smoke(?:[_-]?tests?)?", re.IGNORECASE)
_MOST: Final = 20


def settings_lines(tree: FileTree, runners: Iterable[str]) -> list[str]:
    """Return lines of TOML: the settings that the project needs, each with its reason.

    Parameters
    ----------
    tree : FileTree
    runners : iterable of str
        Names of the runners that were found.
    """
    lines = ["# How testopt orders and selects tests; what is not set has its default."]
    shared, smoke = _shared_files(tree, runners), _smoke_folders(tree)
    if shared:
        lines += ["# Every test runs when one of these changes, as with lock files, CI and builds."]
        lines += [f"run_all_on = {_list(shared)}"]
    if smoke:
        lines += ["# These always run.", f"must_run = {_list(smoke)}"]
    return lines + [line for line in _EXAMPLES if not (smoke and "must_run" in line)]


def _shared_files(tree: FileTree, runners: Iterable[str]) -> list[str]:
    globs = [*(glob for name in runners for glob in _SHARED.get(name, ())), *_ALWAYS]
    known, more = glob_matcher(RUN_ALL_ON), glob_matcher(globs)
    found = (more(path) for path in tree.paths if not known(path))
    return list(dict.fromkeys(filter(None, found)))[:_MOST]


def _smoke_folders(tree: FileTree) -> list[str]:
    """Return globs of the folders that are called after smoke tests."""
    globs: dict[str, None] = {}
    for path in tree.paths:
        if not (is_code(path) and is_test_path(path)):
            continue
        parts = posixpath.dirname(path).split("/")
        depth = next((n for n, part in enumerate(parts, 1) if _SMOKE.fullmatch(part)), 0)
        if depth:
            globs["/".join(parts[:depth]) + "/*"] = None
    return list(globs)[:_MOST]


def _list(values: list[str]) -> str:
    return json.dumps(values, ensure_ascii=False)
