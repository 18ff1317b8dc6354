"""Replays past commits to make history: as they were, with their change undone, with faults.

For each of the last commits that touch source the suite runs in a worktree: `clean` is the commit
as it was; `reverse` has its source files back at its parent, with its tests kept; a `mutant` has
one small fault on or near the lines that it changed. Variants are commits under
``refs/testopt/backfill/``, each like a pull request on top of the commit.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, as_completed
from queue import SimpleQueue
from typing import TYPE_CHECKING

from testopt.backfill.command import Command
from testopt.backfill.commits import CommitReplay, ReplayContext
from testopt.backfill.history import past_commits
from testopt.backfill.ledger import Ledger
from testopt.backfill.options import BackfillOptions, BackfillReport, UnusableRun
from testopt.backfill.processes import Processes
from testopt.backfill.replay import WorktreeRunner
from testopt.backfill.worktree import WorktreeRepository, default_branch
from testopt.errors import BackfillError
from testopt.git.process import is_shallow

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from testopt.backfill.history import PastCommit
    from testopt.store import Store

__all__ = ["BackfillOptions", "BackfillReport", "UnusableRun", "backfill"]

_TRIES = 3  # newest commits that may be unusable before it is the command's fault
_MEASURED_EVERY = 8  # commits; see docs/benchmarks.md for what coverage that old is worth


def backfill(
    *,
    repo: Path,
    store: Store,
    options: BackfillOptions | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> BackfillReport:
    """Replay past commits and append their runs to the store.

    Every run has an id made from the commit, the edit and the command, and is appended when it is
    done: what a killed process finished is not run again. The working tree, index, branches and
    stash of `repo` are never touched.

    Parameters
    ----------
    repo : Path
        Working tree or bare repository.
    store : Store
        Where runs go.
    options : BackfillOptions, optional
        What to replay, and how.
    progress : callable, optional
        Called with the runs done (or found done) and the runs expected.

    Returns
    -------
    BackfillReport
        What was run, and what came of it.

    Raises
    ------
    BackfillError
        When no commit qualifies, the command cannot be started, none of the newest commits gives
        results, or the package under test does not come from the worktree.
    RevisionError
        When a revision names nothing.
    """
    options = options or BackfillOptions()
    command = Command(options.command, options.setup)
    commits = past_commits(
        repo, revision=options.revision, count=options.commits, merges=options.merges
    )
    ledger = Ledger(
        store,
        expected=len(commits) * options.runs_per_commit,
        retry=options.retry,
        progress=progress,
    )
    measures = options.coverage and command.is_pytest
    measured = frozenset(one.sha for one in commits[::-_MEASURED_EVERY] if measures)
    context = ReplayContext(repo, options, ledger, default_branch(repo), command.digest, measured)
    processes = Processes()
    with WorktreeRepository(repo) as repository:
        runners = [
            WorktreeRunner(repository, index, command=command, processes=processes)
            for index in range(max(1, options.jobs))
        ]
        try:
            _replay_all(commits, runners, context)
        finally:
            processes.stop()
            ledger.finish()
    return ledger.report(commits=len(commits), shallow=is_shallow(repo))


def _replay_all(
    commits: Sequence[PastCommit], runners: Sequence[WorktreeRunner], context: ReplayContext
) -> None:
    """Replay the newest commit first, to try the command, then the others from the oldest.

    This thread only waits, so that a signal always finds it where everything can be stopped.
    """
    free: SimpleQueue[WorktreeRunner] = SimpleQueue()
    for runner in runners:
        free.put(runner)

    def replay(commit: PastCommit) -> None:
        runner = free.get()
        try:
            CommitReplay(commit, runner, context).run()
        finally:
            free.put(runner)

    rest = list(commits)
    pool = ThreadPoolExecutor(len(runners), thread_name_prefix="backfill")
    try:
        for _ in range(_TRIES):
            if not rest or context.ledger.usable:
                break
            pool.submit(replay, rest.pop()).result()
        _check_usable(context)
        for future in as_completed([pool.submit(replay, commit) for commit in rest]):
            future.result()
    except BaseException:
        runners[0].stop()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _check_usable(context: ReplayContext) -> None:
    unusable = context.ledger.unusable
    if unusable and not context.ledger.usable:
        output = unusable[-1].output
        raise BackfillError(
            f"the command gave no results at the newest commits: it {unusable[-1].why}",
            f"its last words: {output}"
            if output
            else "it must write a test report to {junit} or $TESTOPT_JUNIT",
        )
