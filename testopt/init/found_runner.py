"""A test runner that was found in a project, and what helps to find it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from testopt.runners.registry import RUNNERS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from testopt.git.file_tree import FileTree


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundRunner:
    """A test runner of a project.

    Attributes
    ----------
    name : str
        Such as pytest, vitest, surefire.
    form : str
        What ``--format`` calls it.
    folder : str
        Where it starts, relative to the top; empty: the top.
    evidence : str
        The file that shows it.
    test_files : int
        How many files below the folder look like its tests.
    launcher : str
        What starts it.
    missing : str
        What has to be installed before it can write reports; empty: nothing.
    report : str
        Where its settings say that it writes a JUnit report.
    has_modules : bool
        Whether it runs tests of several folders below its own.
    """

    name: str
    form: str
    folder: str
    evidence: str
    test_files: int = 0
    launcher: str = ""
    missing: str = ""
    report: str = ""
    has_modules: bool = False


def tops(folders: Iterable[str]) -> list[str]:
    """Return the folders that stand below no other of them."""
    kept: list[str] = []
    for folder in sorted(folders):
        if not any(top in {"", folder} or folder.startswith(f"{top}/") for top in kept):
            kept.append(folder)
    return kept


def count_tests(tree: FileTree, form: str, folder: str) -> int:
    """Return how many files below a folder look like tests of a runner."""
    return sum(map(RUNNERS[form].is_test_file, tree.below(folder)))
