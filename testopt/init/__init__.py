"""Looks at a repository that is new to testopt: its runners, its CI, the settings it needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from testopt.git.default_branch import default_branch
from testopt.git.file_tree import read_file_tree
from testopt.init.ci_systems import find_ci
from testopt.init.next_commands import next_commands
from testopt.init.settings_file import find_settings_file
from testopt.init.settings_table import settings_lines
from testopt.runners.detect.everything import find_runners

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from testopt.init.ci_systems import CiSystem
    from testopt.init.next_commands import NextCommands
    from testopt.init.settings_file import SettingsFile
    from testopt.runners.detect.found_runner import FoundRunner

__all__ = ["Project", "look_at"]


@dataclass(frozen=True, slots=True)
class Project:
    """What a repository says of its tests.

    Attributes
    ----------
    root : Path
    default_branch : str or None
    languages : mapping of str to int
        Files of each programming language, the most frequent first.
    runners : sequence of FoundRunner
        The one with the most test files first.
    ci : sequence of CiSystem
    reports : sequence of str
        Where JUnit reports are written, as CI and settings of runners say.
    settings_file : SettingsFile
        Where the settings go, and their text.
    next : sequence of NextCommands
        One for each runner.
    bare : bool
        Whether there is no working tree.
    whole : bool
        False where there are more files than are looked at.
    """

    root: Path
    default_branch: str | None
    languages: Mapping[str, int]
    runners: Sequence[FoundRunner]
    ci: Sequence[CiSystem]
    reports: Sequence[str]
    settings_file: SettingsFile
    next: Sequence[NextCommands]
    bare: bool = False
    whole: bool = True


def look_at(root: Path, *, in_git: bool = True) -> Project:
    """Look at a repository, of which no program is run, and say how to begin.

    Parameters
    ----------
    root : Path
        Top folder of a repository, or a bare one; any folder where it is in none.
    in_git : bool
        Whether it is a repository.

    Raises
    ------
    InputFileError
        When a file that could hold the settings cannot be read.
    RepositoryError
        When git fails.
    """
    tree = read_file_tree(root, in_git=in_git)
    runners = find_runners(tree)
    ci, reports = find_ci(tree)
    return Project(
        root=root,
        default_branch=default_branch(root) if in_git else None,
        languages=_languages(tree.paths),
        runners=runners,
        ci=ci,
        reports=reports,
        settings_file=find_settings_file(
            tree, settings_lines(tree, [runner.name for runner in runners])
        ),
        next=[next_commands(runner, reports) for runner in runners or (None,)],
        bare=tree.blobs is not None,
        whole=tree.whole,
    )


def _languages(paths: Sequence[str]) -> dict[str, int]:
    from collections import Counter

    from testopt.code.paths import is_code, language_of

    counted = Counter(language_of(path) for path in paths if is_code(path))
    return dict(counted.most_common(8))
