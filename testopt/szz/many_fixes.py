"""Traces many fixes: on several threads, with one pass over the history, batch by batch."""

from __future__ import annotations

import os
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, as_completed, wait
from contextlib import suppress
from threading import local
from typing import TYPE_CHECKING, Final

from testopt.errors import RepositoryError
from testopt.git.file_histories import MIN_FIXES, read_file_histories
from testopt.git.log import list_commits
from testopt.szz.answers import TracedFix, write_answers
from testopt.szz.blame import Tracer
from testopt.szz.one_fix import trace_task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from testopt.git.file_histories import FileHistory
    from testopt.store import Store
    from testopt.szz.answers import FixTask

MAX_WORKERS: Final = 8
AHEAD: Final = 4  # fixes a thread has at hand
FLUSH: Final = 200  # fixes of one append
# Of openvswitch (20,918 commits) the pass takes 58 s of CPU time, and each fix .04 s behind it.
PASS_S: Final = 0.003  # for each commit
FIX_S: Final = 0.06  # for each fix, on one processor
FLUSH_S: Final = 15.0  # at most so much work is lost by an interruption


def trace_tasks(
    repo: Path,
    tasks: Sequence[FixTask],
    store: Store | None,
    progress: Callable[[int, int], None] | None,
    end: float | None,
) -> Iterator[TracedFix]:
    """Trace fixes in parallel until the time `end`; write them to the store batch by batch."""
    batch: list[tuple[FixTask, TracedFix]] = []
    started = time.monotonic()
    for done, (task, traced) in enumerate(_parallel(repo, tasks, passing=end is None), 1):
        batch.append((task, traced))
        if len(batch) >= FLUSH or time.monotonic() - started > FLUSH_S:
            write_answers(store, batch)
            batch, started = [], time.monotonic()
        if progress:
            progress(done, len(tasks))
        yield traced
        if end is not None and time.monotonic() > end:
            break
    write_answers(store, batch)


def _parallel(
    repo: Path, tasks: Sequence[FixTask], *, passing: bool
) -> Iterator[tuple[FixTask, TracedFix]]:
    """Trace on several threads, each with git processes of its own."""
    if not tasks:
        return
    thread, opened = local(), []

    def work(task: FixTask, histories: Mapping[str, FileHistory]) -> TracedFix:
        if not hasattr(thread, "tracer"):
            thread.tracer = Tracer(repo)
            opened.append(thread.tracer)
        try:
            return trace_task(thread.tracer, task, histories)
        except RepositoryError as error:
            # a damaged object stops git; the next fix starts with a new one
            del thread.tracer
            return TracedFix(task.fix, why=task.why, notes=(error.message,), git_failed=True)

    count = min(os.cpu_count() or 1, MAX_WORKERS, len(tasks))
    pool = ThreadPoolExecutor(count, thread_name_prefix="szz")
    waiting: dict[Future[TracedFix], FixTask] = {}
    try:
        for task, histories in _with_histories(repo, tasks, passing=passing):
            waiting[pool.submit(work, task, histories)] = task
            if len(waiting) >= count * AHEAD:
                for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                    yield waiting.pop(future), future.result()
        for future in as_completed(waiting):
            yield waiting[future], future.result()
    finally:
        pool.shutdown(cancel_futures=True)
        for tracer in opened:
            tracer.close()


def _with_histories(
    repo: Path, tasks: Sequence[FixTask], *, passing: bool
) -> Iterator[tuple[FixTask, Mapping[str, FileHistory]]]:
    """Yield each task, those of many with the histories of their files where a pass is wanted."""
    left = {task.fix: task for task in tasks}
    if not passing:
        yield from ((task, {}) for task in tasks)
        return
    # what git cannot read, the fixes that need it will say
    with suppress(RepositoryError):
        for fix, histories in read_file_histories(repo, left.keys()):
            yield left.pop(fix), histories
    for task in left.values():
        yield task, {}


def tasks_that_fit(repo: Path, n_fixes: int, seconds: float) -> int:
    """Return how many fixes fit into some time with one pass over the history; 0: blame is for it.

    The pass tells the oldest fixes first, and so it is never stopped.
    """
    left = seconds - PASS_S * len(list_commits(repo))
    fit = min(n_fixes, int(left / (FIX_S / min(os.cpu_count() or 1, MAX_WORKERS))))
    return fit if left > 0.4 * seconds and fit >= MIN_FIXES else 0
