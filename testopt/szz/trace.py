"""Which commits introduced the defects that others fixed: SZZ over a repository.

Each fix is traced on its own, in parallel; answers go to the store in batches, so that an
interrupted run is continued by the next one, and a repeated one only reads.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from testopt.store.examined import Examined, write_examined
from testopt.szz.answers import FixTask, TracedFix, known_answers
from testopt.szz.blame import Tracer
from testopt.szz.found_fixes import find_fixes, why_fix
from testopt.szz.many_fixes import tasks_that_fit, trace_tasks
from testopt.szz.one_fix import commit_time, trace_task

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from testopt.git.objects import CommitObject
    from testopt.store import Store
    from testopt.szz.fix_lists import Issue


@dataclass(frozen=True, slots=True)
class SzzReport:
    """All answers; ``known`` of them came from the store, ``missing`` are commits not found.

    ``left`` fixes were not traced, as the time was over; none of them is younger than ``since``.
    """

    traced: tuple[TracedFix, ...]
    known: int = 0
    missing: tuple[str, ...] = ()
    left: int = 0
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Asked:
    """The fixes to trace, names without a commit, and the head where its fixes are meant."""

    tasks: list[FixTask]
    missing: tuple[str, ...] = ()
    head: CommitObject | None = None


def trace_fix(
    repo: Path, fix: str, *, before: datetime | None = None, stated: bool = False
) -> TracedFix:
    """Return who introduced the defect that a commit fixes.

    Parameters
    ----------
    repo : Path
        Working tree or bare repository.
    fix : str
        Hash of the fixing commit (shortened ones and other revisions are resolved).
    before : datetime, optional
        When the defect was reported: commits written later are innocent.
    stated : bool
        Believe prose of the message, too ("introduced in 1a2b3c"); trailers and reverts, which
        tools write, are always believed.

    Returns
    -------
    TracedFix
        At most ``MAX_CANDIDATES`` candidates; none, and a note, where nothing can be traced.
    """
    with Tracer(repo) as tracer:
        full = tracer.resolve(fix)
        if full is None:
            return TracedFix(fix, notes=("there is no such commit",))
        return trace_task(tracer, FixTask(full, why_fix(tracer, full), before, stated))


def szz(
    *,
    repo: Path,
    fixes: Sequence[str] | None = None,
    issues: Mapping[str, Issue] | None = None,
    stated: bool = False,
    fix_pattern: str = "",
    store: Store | None = None,
    progress: Callable[[int, int], None] | None = None,
    stop_after: float | None = None,
) -> SzzReport:
    """Find the commits that introduced the defects which others fixed.

    Parameters
    ----------
    repo : Path
        Working tree or bare repository.
    fixes : sequence of str, optional
        Fixing commits; default those of HEAD whose message says so.
    issues : mapping of str to Issue, optional
        By fixing commit: when its issue was opened, and its type.
    stated : bool
        As for `trace_fix`.
    fix_pattern : str
        Regular expression of subjects of fixing commits; empty: built in.
    store : Store, optional
        Where answers are kept (table ``labels``) and known ones are read from.
    progress : callable, optional
        Called with fixes done and fixes to do.
    stop_after : float, optional
        Seconds after which no further fix is traced; the newest come first.

    Returns
    -------
    SzzReport
        In the order of `fixes`, or newest first.

    Raises
    ------
    RepositoryError
        When git cannot read the repository.
    """
    end = None if stop_after is None else time.monotonic() + stop_after
    asked = (
        _of_head(repo, issues or {}, fix_pattern, store, stated=stated)
        if fixes is None
        else _of_list(repo, fixes, issues or {}, stated=stated)
    )
    stored = known_answers(store, asked.tasks)
    traced = dict(stored)
    to_do = [task for task in asked.tasks if task.fix not in stored]
    if stop_after is not None and end is not None:
        left_s = max(end - time.monotonic(), stop_after / 2)  # telling fixes took the rest
        if fit := tasks_that_fit(repo, len(to_do), left_s):
            to_do, end = to_do[:fit], None
    for traced_fix in trace_tasks(repo, to_do, store, progress, end):
        traced[traced_fix.fix_commit] = traced_fix
    ordered = tuple(traced[task.fix] for task in asked.tasks if task.fix in traced)
    left = [task.fix for task in asked.tasks if task.fix not in traced]
    since = _latest(repo, left)
    if store is not None:
        _mark(store, ordered, asked.head, since)
    return SzzReport(ordered, len(stored), asked.missing, len(left), since)


def _of_head(
    repo: Path,
    issues: Mapping[str, Issue],
    fix_pattern: str,
    store: Store | None,
    *,
    stated: bool,
) -> _Asked:
    """Return the fixes of HEAD, newest first."""
    with Tracer(repo) as tracer:
        head = tracer.commit(tracer.resolve("HEAD") or "HEAD")
        by_fix = _by_fix(tracer, issues)
    kinds = {sha: issue.kind for sha, issue in by_fix.items()}
    found = dict(find_fixes(repo, kinds, fix_pattern=fix_pattern, store=store))
    tasks = [
        FixTask(fix, why, _opened(by_fix, fix), stated, by_rules=not kinds.get(fix))
        for fix, why in found.items()
    ]
    return _Asked(tasks, head=head)


def _of_list(
    repo: Path, fixes: Sequence[str], issues: Mapping[str, Issue], *, stated: bool
) -> _Asked:
    """Return the fixes that a user names, without repeats."""
    with Tracer(repo) as tracer:
        by_fix = _by_fix(tracer, issues)
        resolved = {name: tracer.resolve(name) for name in fixes}
    full = dict.fromkeys(sha for sha in resolved.values() if sha)
    tasks = [FixTask(fix, "given", _opened(by_fix, fix), stated) for fix in full]
    return _Asked(tasks, tuple(name for name, sha in resolved.items() if sha is None))


def _by_fix(tracer: Tracer, issues: Mapping[str, Issue]) -> dict[str, Issue]:
    """Return issues by the full hash of the fix."""
    resolved = ((tracer.resolve(name), issue) for name, issue in issues.items())
    return {sha: issue for sha, issue in resolved if sha}


def _opened(issues: Mapping[str, Issue], fix: str) -> datetime | None:
    return issues[fix].opened if fix in issues else None


def _latest(repo: Path, shas: Sequence[str]) -> datetime | None:
    """Return when the latest of some commits was committed."""
    with Tracer(repo) as tracer:
        commits = [commit for sha in shas if (commit := tracer.commit(sha))]
    return max(map(commit_time, commits), default=None)


def _mark(
    store: Store,
    traced: Sequence[TracedFix],
    head: CommitObject | None,
    since: datetime | None,
) -> None:
    """Record how far fixes were traced: to the head, or to the latest of a list."""
    ends = [(commit_time(head), head.sha)] if head else []
    ends = ends or [(a.time, a.fix_commit) for a in traced if a.time]
    if ends:
        until, sha = max(ends)
        unread = sum(a.git_failed for a in traced)
        until = min(until, datetime.now(UTC))  # clocks of committers go wrong
        write_examined(store, Examined(until, sha, len(traced), unread, since))


def label_rows(report: SzzReport) -> dict[str, list[Any]]:
    """Return the columns ``fix_commit, bug_commit, confidence, chosen`` of a report."""
    rows = [(a.fix_commit, x) for a in report.traced for x in a.labels]
    return {
        "fix_commit": [fix for fix, _ in rows],
        "bug_commit": [x.bug_commit for _, x in rows],
        "confidence": [x.confidence for _, x in rows],
        "chosen": [x.chosen for _, x in rows],
    }
