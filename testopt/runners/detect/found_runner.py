"""A test runner that was found in a project, and what helps to find it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from testopt.runners.place import Place
from testopt.runners.registry import RUNNERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from testopt.runners.place import Sources


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
    options : mapping of str to tuple of str
        Its settings that say what is a test.
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
    options: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def place(self, sources: Sources) -> Place:
        """Return where it starts."""
        return Place(sources, self.folder, self.options)


def tops(folders: Iterable[str]) -> list[str]:
    """Return the folders that stand below no other of them."""
    kept: list[str] = []
    for folder in sorted(folders):
        if not any(top in {"", folder} or folder.startswith(f"{top}/") for top in kept):
            kept.append(folder)
    return kept


def count_tests(
    tree: Sources, form: str, folder: str, options: Mapping[str, tuple[str, ...]] | None = None
) -> int:
    """Return how many files below a folder a runner that starts there looks for tests in."""
    place = Place(tree, folder, options or {})
    return sum(RUNNERS[form].holds_cases(path, place) for path in tree.below(folder))
