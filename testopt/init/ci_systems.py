"""Which CI systems a repository is set up for, and where their jobs write JUnit reports."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testopt.git.file_tree import FileTree

_SYSTEMS: Final = (
    ("GitHub Actions", re.compile(r"\.github/workflows/[^/]+\.ya?ml")),
    ("GitLab CI", re.compile(r"\.gitlab-ci\.ya?ml|\.gitlab/ci/.+\.ya?ml")),
    ("Jenkins", re.compile(r"(?:.*/)?Jenkinsfile(?:\.[\w.-]+)?")),
    ("CircleCI", re.compile(r"\.circleci/config\.ya?ml")),
    ("Buildkite", re.compile(r"\.buildkite/.*pipeline[^/]*\.ya?ml")),
    ("Azure Pipelines", re.compile(r"(?:.*/)?azure-pipelines[^/]*\.ya?ml|\.azure-pipelines/.*")),
)  # fmt: skip
_MOST_FILES: Final = 50  # of CI, that are read
_MOST_REPORTS: Final = 5
_PATH: Final = r"""["']?(?P<path>[\w@.*/+-]+)"""
# How jobs and settings of runners name the reports that they write or collect.
_REPORTS: Final = (
    re.compile(rf"--junit-?xml[= ]{_PATH}"),  # pytest
    re.compile(rf"--log-junit[= ]{_PATH}"),  # PHPUnit
    re.compile(rf"--junitfile[= ]{_PATH}"),  # gotestsum
    re.compile(rf"\bjunit:\s*(?:\n\s*-\s*)?{_PATH}"),  # GitLab
    re.compile(r"\bjunit\s*\(?\s*(?:testResults:\s*)?['\"](?P<path>[\w@.*/+-]+)"),  # Jenkins
    re.compile(rf"store_test_results:\s*\n\s*path:\s*{_PATH}"),  # CircleCI
    re.compile(rf"testResultsFiles?:\s*{_PATH}"),  # Azure
    re.compile(rf"(?:junit_files|report_paths|report-path|files):\s*(?:\|\s*\n\s*)?{_PATH}"),
)
_SETTINGS: Final = (
    "pyproject.toml",
    "pytest.ini",
    "setup.cfg",
    "tox.ini",
    "Makefile",
    "noxfile.py",
)
_IS_REPORT: Final = re.compile(
    r"junit|surefire|test[-_]?(?:results?|reports?)|\.xml\Z", re.IGNORECASE
)
_NO_TESTS: Final = re.compile(r"coverage|cobertura|jacoco|lint", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class CiSystem:
    """A CI system and the files that set it up."""

    name: str
    files: tuple[str, ...]


def find_ci(tree: FileTree) -> tuple[list[CiSystem], list[str]]:
    """Return the CI systems of a project, and where JUnit reports land by what they say."""
    found = []
    for name, pattern in _SYSTEMS:
        files = tuple(path for path in tree.paths if pattern.fullmatch(path))[:_MOST_FILES]
        if files:
            found.append(CiSystem(name, files))
    texts = tree.read_all([*(path for system in found for path in system.files), *_SETTINGS])
    reports = dict.fromkeys(path for _, text in texts for path in _reports_in(text))
    return found, list(reports)[:_MOST_REPORTS]


def _reports_in(text: str) -> Iterator[str]:
    for pattern in _REPORTS:
        for match in pattern.finditer(text):
            path = posixpath.normpath(match["path"])
            if _IS_REPORT.search(path) and not _NO_TESTS.search(path) and _is_inside(path):
                yield path


def _is_inside(path: str) -> bool:
    return path != "." and not path.startswith(("/", "-", "..", "*."))
