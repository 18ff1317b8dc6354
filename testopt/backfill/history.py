"""Which past commits are replayed: the last ones that touch source, oldest first."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from testopt.code.paths import is_code, is_test_path, language_of
from testopt.errors import BackfillError
from testopt.git.process import is_shallow, resolve, run_git

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_CHUNK: Final = 400  # commits asked for at once
_LOG_S: Final = 300.0
_GAP: Final = timedelta(seconds=1)
_SKEW: Final = timedelta(days=1)  # a clock that is further off is not waited for
# Code beside the product: no case fails for it.
_SUPPORT_FOLDERS: Final = frozenset(
    {"doc", "docs", "example", "examples", "bench", "benches", "benchmark", "benchmarks", ".github"}
)
_SUPPORT_FILES: Final = frozenset({"setup.py", "noxfile.py", "tasks.py", "versioneer.py"})


@dataclass(frozen=True, slots=True)
class PastCommit:
    """A commit to replay; ``parent`` is its first parent, ``time`` when its run stands."""

    sha: str
    parent: str
    time: datetime


def is_source(path: str) -> bool:
    """Tell whether a file is program text that cases may exercise.

    Parameters
    ----------
    path : str
        Path with forward slashes, relative to the repository.

    Returns
    -------
    bool
        False for tests, data, type stubs, documentation, examples and build scripts.
    """
    if not is_code(path) or is_test_path(path) or path.endswith(".pyi"):
        return False
    if language_of(path) == "make":
        return False
    return path.partition("/")[0].lower() not in _SUPPORT_FOLDERS and path not in _SUPPORT_FILES


def past_commits(
    repo: Path, *, revision: str | None = None, count: int, merges: bool = False
) -> list[PastCommit]:
    """Find the last commits of a branch that touch source.

    Parameters
    ----------
    repo : Path
        Working tree or bare repository.
    revision : str, optional
        A revision or a range ``A..B``; default ``HEAD``.
    count : int
        How many at most.
    merges : bool
        Take merge commits too, each as what it brought to the branch.

    Returns
    -------
    list of PastCommit
        Along first parents, oldest first. A commit without a parent in this clone is left out.

    Raises
    ------
    RevisionError
        When `revision` names nothing.
    BackfillError
        When no commit qualifies.
    """
    start, _, end = (revision or "HEAD").rpartition("..")
    revisions = [resolve(repo, end or "HEAD"), *(["^" + resolve(repo, start)] if start else [])]
    commits: list[PastCommit] = []
    for commit, paths in _log(repo, revisions, merges=merges):
        if any(map(is_source, paths)):
            commits.append(commit)
        if len(commits) >= count:
            break
    if not commits:
        raise BackfillError(
            f"no commit of {revision or 'HEAD'} in {repo} changes a source file",
            "fetch the history (git fetch --unshallow)"
            if is_shallow(repo)
            else "name another branch; --merges takes merge commits too",
        )
    return _in_order(commits[::-1])


def _log(
    repo: Path, revisions: list[str], *, merges: bool
) -> Iterator[tuple[PastCommit, list[str]]]:
    """Yield commits with the paths they touch, newest first."""
    options = ["--first-parent", "--diff-merges=first-parent", "--no-renames", "--name-only"]
    if not merges:
        options.append("--no-merges")
    skipped = 0
    while True:
        arguments = (
            *options,
            f"--max-count={_CHUNK}",
            f"--skip={skipped}",
            "--format=%x01%H %ct %P",
        )
        out = run_git(
            repo, "log", "--no-show-signature", *arguments, *revisions, "--", timeout=_LOG_S
        )
        entries = out.decode("utf-8", "replace").split("\1")[1:]
        for entry in entries:
            head, *paths = entry.splitlines()
            sha, when, *parents = head.split(" ")
            if parents and parents[0]:
                time = datetime.fromtimestamp(int(when), UTC)
                yield PastCommit(sha, parents[0], time), [p for p in paths if p]
        if len(entries) < _CHUNK:
            return
        skipped += _CHUNK


def _in_order(commits: list[PastCommit]) -> list[PastCommit]:
    """Let time follow ancestry: rebased commits share a second, clocks differ a little."""
    ordered: list[PastCommit] = []
    for commit in commits:
        previous = ordered[-1].time if ordered else None
        if previous is not None and timedelta() <= previous - commit.time < _SKEW:
            ordered.append(replace(commit, time=previous + _GAP))
        else:
            ordered.append(commit)
    return ordered
