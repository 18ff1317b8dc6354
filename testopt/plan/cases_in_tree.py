"""Which cases the sources of a project hold, where no run has told them yet."""

from __future__ import annotations

import shlex
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from testopt.errors import EmptyStoreError
from testopt.git.file_tree import read_file_tree
from testopt.pluralize import pluralize
from testopt.runners.detect.everything import find_runners
from testopt.runners.registry import RUNNERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from testopt.runners.detect.found_runner import FoundRunner

_PATIENCE_S: Final = 20.0
_MOST_CASES: Final = 200_000


@dataclass(frozen=True, slots=True)
class CasesInTree:
    """What the sources of a project say of its cases.

    Attributes
    ----------
    ids : list of str
    runners : list of str
        The names of the runners whose tests they are.
    line : str
        What lists the cases by a runner itself; empty: there is no such command.
    files : list of str
        The test files, those too in which no case was found.
    whole : bool
        False where there was more to read than is waited for.
    """

    ids: list[str]
    runners: list[str]
    files: list[str]
    line: str = ""
    whole: bool = True

    @property
    def note(self) -> str:
        """Where the cases come from."""
        names = " and ".join(self.runners)
        part = "" if self.whole else ", in a part of the files"
        return f"{pluralize(len(self.ids), 'case')} found in the sources{part}, not told by {names}"


def cases_in_tree(root: Path, near: Iterable[str] = ()) -> CasesInTree:
    """Return the cases that the sources hold, as the runners of the project name them.

    Nothing of the project is run; parameters and generated tests are not seen.

    Parameters
    ----------
    root : Path
        Top folder of a repository, or a bare one.
    near : iterable of str
        Paths; what stands near to one is read first, for where not all is waited for.

    Raises
    ------
    RepositoryError
        When git fails.
    """
    tree = read_file_tree(root)
    runners = find_runners(tree)
    found: dict[str, None] = {}
    files: dict[str, None] = {}
    names: dict[str, None] = {}
    nearness = _nearness_to(near)
    end, whole = time.monotonic() + _PATIENCE_S, tree.whole
    for runner in runners:
        kind, place = RUNNERS[runner.form], runner.place(tree)
        own = [
            path
            for path in tree.below(runner.folder)
            if path not in files and kind.holds_cases(path, place)
        ]
        own.sort(key=nearness)
        files |= dict.fromkeys(own)
        names |= {runner.name: None} if own else {}
        for path, text in tree.read_all(own):
            if time.monotonic() > end or len(found) > _MOST_CASES:
                whole = False
                break
            found |= dict.fromkeys(kind.cases_in(path, text, place))
    line = next(filter(None, map(collecting_line, runners)), "")
    return CasesInTree(sorted(found), list(names), sorted(files), line, whole=whole)


def _nearness_to(paths: Iterable[str]) -> Callable[[str], int]:
    """Return a key that sorts those paths first that share the most folders with one of these."""
    depths = {"": 0}
    for path in paths:
        parts = path.split("/")
        depths |= {"/".join(parts[:end]): end for end in range(1, len(parts) + 1)}

    def key(path: str) -> int:
        while path not in depths:
            path = path.rpartition("/")[0]
        return -depths[path]

    return key


def collecting_line(runner: FoundRunner) -> str:
    """Return the line by which a runner tells its cases to `testopt rank`; empty: none does."""
    collect = RUNNERS[runner.form].collect
    if not collect:
        return ""
    line = f"{collect} | testopt rank --cases -"
    folder = f"./{runner.folder}" if runner.folder.startswith("-") else runner.folder
    return f"(cd {shlex.quote(folder)} && {line})" if folder else line


def no_cases(found: CasesInTree, why: str) -> EmptyStoreError:
    """Return the error that says how cases become known where the sources hold none."""
    hint = f"list them: {found.line}" if found.line else "name them with --cases"
    return EmptyStoreError(
        f"{why}, and no test was found in the sources",
        f"{hint}; or read results first: testopt ingest PATH (testopt init says more)",
    )
