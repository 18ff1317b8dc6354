"""Finds pytest and unittest: by their settings, else by what the tests import."""

from __future__ import annotations

import posixpath
import re
import tomllib
from configparser import ConfigParser, Error
from typing import TYPE_CHECKING, Final

from testopt.code.paths import is_test_path
from testopt.init.found_runner import FoundRunner, count_tests, tops

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testopt.git.file_tree import FileTree

_SECTIONS: Final = {
    "pytest.ini": "", ".pytest.ini": "", "tox.ini": "pytest", "setup.cfg": "tool:pytest",
}  # fmt: skip
_MOST_READ: Final = 200  # test files, to see what they import
_IMPORTS: Final = re.compile(r"^\s*(?:import|from) +(pytest|unittest|django\.test)\b", re.MULTILINE)


def find_python(tree: FileTree) -> Iterator[FoundRunner]:
    """Yield pytest for each top folder with settings of it, else what the tests are made for."""
    places = {posixpath.dirname(path): path for path in tree.paths if _sets_up_pytest(tree, path)}
    for folder in tops(places):
        count = count_tests(tree, "pytest", folder)
        if count:
            yield _pytest(folder, places[folder], count)
    if not places:
        yield from _by_imports(tree)


def _pytest(folder: str, evidence: str, count: int) -> FoundRunner:
    return FoundRunner(
        name="pytest", form="pytest", folder=folder, evidence=evidence, test_files=count,
        launcher="pytest",
    )  # fmt: skip


def _sets_up_pytest(tree: FileTree, path: str) -> bool:
    name = posixpath.basename(path)
    section = _SECTIONS.get(name)
    if section is None and name != "pyproject.toml":
        return False
    text = tree.read(path)
    if text is None or not section:
        return text is not None and (section == "" or _has_table(text))
    parser = ConfigParser(interpolation=None, strict=False, allow_no_value=True)
    try:
        parser.read_string(text)
    except Error:
        return False
    return parser.has_section(section)


def _has_table(text: str) -> bool:
    try:
        tool = tomllib.loads(text).get("tool")
    except (tomllib.TOMLDecodeError, RecursionError):
        return False
    return isinstance(tool, dict) and "pytest" in tool


def _by_imports(tree: FileTree) -> Iterator[FoundRunner]:
    """Yield a runner for tests without settings: unittest where all of them import that alone."""
    tests = [path for path in tree.paths if path.endswith(".py") and is_test_path(path)]
    count = count_tests(tree, "pytest", "")
    imported = {
        match[1]
        for _, text in tree.read_all(tests[:_MOST_READ])
        for match in _IMPORTS.finditer(text)
    }
    conftest = next((path for path in tests if posixpath.basename(path) == "conftest.py"), "")
    if "pytest" in imported or conftest or (count and not imported):
        yield _pytest("", conftest or _first(tests), count)
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
