"""Where work is done: in this process one task after the other, or on the workers of a scheduler.

Both take the same functions and give the same results; nothing but time and memory differs.
"""

from __future__ import annotations

from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Value = TypeVar("Value")
Result_co = TypeVar("Result_co", covariant=True)
AHEAD: Final = 2  # tasks a worker has at hand, so that it never waits and never hoards


class Task(Protocol[Result_co]):
    """What was asked of a pool."""

    def result(self) -> Result_co:
        """Wait for the task and return what came out."""


class Pool(Protocol):
    """Does tasks.

    Attributes
    ----------
    workers : int
        How many tasks are done at a time; 0: none but in this process, at once.
    """

    workers: int

    def submit(self, function: Callable[..., Value], /, *arguments: Any) -> Task[Value]:
        """Ask for ``function(*arguments)``; an argument may be a task of this pool.

        A function that is done elsewhere gets copies, and must not change what it gets.
        """


@dataclass(frozen=True, slots=True)
class _Done(Generic[Value]):
    value: Value

    def result(self) -> Value:
        return self.value


class ThisProcess:
    """The pool that everything runs on unless a scheduler is named."""

    workers = 0

    def submit(self, function: Callable[..., Value], /, *arguments: Any) -> Task[Value]:
        """Do it now."""
        values = (a.result() if isinstance(a, _Done) else a for a in arguments)
        return _Done(function(*values))


THIS_PROCESS: Final = ThisProcess()


def in_order(tasks: Iterable[Task[Value]], pool: Pool) -> Iterator[Value]:
    """Yield the results of tasks in their order; few of them are asked for ahead of time."""
    waiting: deque[Task[Value]] = deque()
    for task in tasks:
        waiting.append(task)
        if len(waiting) > AHEAD * pool.workers:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


@contextmanager
def open_pool(scheduler: str | None) -> Iterator[Pool]:
    """Open the pool that a user names, and close it afterwards.

    Parameters
    ----------
    scheduler : str, optional
        ``local:N`` for N worker processes of this machine, or the address of a Dask scheduler:
        ``tcp://host:port``, ``tls://host:port``. None: this process.

    Raises
    ------
    UsageError
        When it is neither, is not reached, has no worker with this version of testopt, or Dask
        is not installed.
    """
    if scheduler is None:
        yield THIS_PROCESS
        return
    from testopt.pool.dask_pool import open_dask

    with open_dask(scheduler) as pool:
        yield pool
