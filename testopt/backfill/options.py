"""The options of a backfill, and its report."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillOptions:
    """What to replay, and how.

    Attributes
    ----------
    commits : int
        Past commits that touch source, at most.
    mutants : int
        Small faults per commit (Python only).
    reverse : bool
        Replay each commit with its source change undone.
    repeat : int
        Runs of each commit as it was; two or more show flaky cases.
    revision : str, optional
        Branch, revision or range ``A..B``; default ``HEAD``.
    merges : bool
        Take merge commits too, each as what it brought to the branch.
    command, setup : tuple of str
        Test command (empty: pytest), and what prepares a fresh worktree.
    jobs : int
        Worktrees in which runs go on side by side.
    timeout : float
        Seconds for one run.
    job : str
        Name of the job that the runs are recorded for.
    seed : int
        Which faults are chosen.
    retry : bool
        Run again what gave no results before.
    coverage : bool
        Measure at some of the commits which case runs which lines, where pytest runs them.
    """

    commits: int = 50
    mutants: int = 2
    reverse: bool = True
    repeat: int = 1
    revision: str | None = None
    merges: bool = False
    command: tuple[str, ...] = ()
    setup: tuple[str, ...] = ()
    jobs: int = 1
    timeout: float = 600.0
    job: str = ""
    seed: int = 0
    retry: bool = False
    coverage: bool = True

    @property
    def runs_per_commit(self) -> int:
        """Runs of one commit, at most."""
        return self.repeat + int(self.reverse) + self.mutants


@dataclass(frozen=True, slots=True)
class UnusableRun:
    """A run without results: commit it was made from, kind, reason, last words of the command."""

    commit: str
    kind: str
    why: str
    output: str = ""


@dataclass(frozen=True, slots=True)
class BackfillReport:
    """What a backfill did.

    Attributes
    ----------
    commits : int
        Commits that were replayed or found replayed.
    runs : mapping of str to int
        New runs by kind.
    known : int
        Runs that were there already.
    regressions : int
        Variants in which a case fails that passed in the commit, found there included.
    flaky : int
        Cases whose outcome differed between repeats of one commit.
    unusable : tuple of UnusableRun
        Runs that gave no results; they are in no table.
    unusable_before : int
        Those of earlier calls, which were not tried again.
    shallow : bool
        Whether the clone ends before its history does.
    seconds : float
        Time it took.
    measured : int
        Commits at which was newly measured which case runs which lines.
    """

    commits: int
    runs: Mapping[str, int] = field(default_factory=dict)
    known: int = 0
    regressions: int = 0
    flaky: int = 0
    unusable: tuple[UnusableRun, ...] = ()
    unusable_before: int = 0
    shallow: bool = False
    seconds: float = 0.0
    measured: int = 0
