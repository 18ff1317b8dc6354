"""Finds pytest and unittest: by their settings, else by what the tests import."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, Final

from testopt.code.paths import is_test_path
from testopt.runners.detect.found_runner import FoundRunner, count_tests, tops
from testopt.runners.detect.pytest_settings import FILES, read_settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from testopt.runners.place import Sources

_MOST_READ: Final = 200  # test files, to see what they import
_IMPORTS: Final = re.compile(
    r"^[ \t]*(?:import|from) +(pytest|unittest|django\.test)\b", re.MULTILINE
)
_ORDER: Final = {name: n for n, name in enumerate(FILES)}


def find_python(tree: Sources) -> Iterator[FoundRunner]:
    """Yield pytest for each top folder with settings of it, else what the tests are made for.

    Settings that only few of the tests stand below are those of an example.
    """
    found = [_pytest(tree, folder, *settings) for folder, settings in _settings(tree).items()]
    with_tests = {runner.folder: runner for runner in found if runner.test_files}
    runners = [with_tests[folder] for folder in tops(with_tests)]
    below = sum(runner.test_files for runner in runners)
    if not runners or count_tests(tree, "pytest", "") > 2 * below:
        yield from _by_imports(tree)
    else:
        yield from runners


def _settings(tree: Sources) -> dict[str, tuple[str, Mapping[str, tuple[str, ...]]]]:
    """Return the file with pytest's settings of each folder, and what it says."""
    names = (path for path in tree.paths if posixpath.basename(path) in FILES)
    found: dict[str, tuple[str, Mapping[str, tuple[str, ...]]]] = {}
    for path in sorted(names, key=lambda path: _ORDER[posixpath.basename(path)]):
        folder = posixpath.dirname(path)
        options = read_settings(path, tree.read(path) or "") if folder not in found else None
        if options is not None:
            found[folder] = path, options
    return found


def _pytest(
    tree: Sources, folder: str, evidence: str, options: Mapping[str, tuple[str, ...]]
) -> FoundRunner:
    return FoundRunner(
        name="pytest",
        form="pytest",
        folder=folder,
        evidence=evidence,
        test_files=count_tests(tree, "pytest", folder, options),
        launcher="pytest",
        options=options,
    )


def _by_imports(tree: Sources) -> Iterator[FoundRunner]:
    """Yield a runner for tests without settings: unittest where all of them import that alone."""
    tests = [path for path in tree.paths if path.endswith(".py") and is_test_path(path)]
    count = count_tests(tree, "pytest", "")
    imported = {
        match[1]
        for _, text in tree.read_all(tests[:_MOST_READ])
        for match in _IMPORTS.finditer(text)
    }
    conftest = next((path for path in tests if posixpath.basename(path) == "conftest.py"), "")
    if count and ("pytest" in imported or conftest or not imported):
        yield _pytest(tree, "", conftest or _first(tests), {})
    elif imported:
        manage = next((p for p in tree.paths if posixpath.basename(p) == "manage.py"), "")
        is_django = "django.test" in imported and bool(manage)
        yield FoundRunner(
            name="django" if is_django else "unittest",
            form="unittest",
            folder=posixpath.dirname(manage) if is_django else "",
            evidence=manage if is_django else _first(tests),
            test_files=count_tests(tree, "unittest", "") or len(tests),
            launcher="python manage.py test" if is_django else "python -m unittest",
        )


def _first(tests: list[str]) -> str:
    return next((path for path in tests if posixpath.basename(path).startswith("test")), tests[0])
