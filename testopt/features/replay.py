"""Replays a history part by part: in one process, or on many that each read parts of it.

A part is some runs that follow each other. What the sources say of its runs, and the features of
their cases, are worked out part by part at the same time: closeness and ranks need all cases of a
run, and nothing of other runs but the state before. Only that state goes from part to part, which
costs little: it is updated, and no features are read from it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from threading import local
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

from testopt.errors import RepositoryError
from testopt.features.pipeline import FeatureState, Snapshot
from testopt.features.run_history import frames_of
from testopt.pool import AHEAD, THIS_PROCESS
from testopt.similarity.affinity import closeness_of
from testopt.similarity.case_sources import PATIENCE, Sources
from testopt.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from testopt.features.frames import RunFrame
    from testopt.pool import Pool, Task

Value = TypeVar("Value")

RESULTS_AT_ONCE: Final = 1_000_000  # of a part: what is in memory at a time
# Parts a worker, so that none waits for the last long. Files hold up to a million results:
# each part that reads one reads the whole, which only what is read of sources outweighs.
_PARTS_A_WORKER: Final = 4
_PARTS_WITHOUT_SOURCES: Final = 2


@dataclass(frozen=True, slots=True)
class Part:
    """Some runs that follow each other, and where they are read.

    Attributes
    ----------
    store : str
        URL of the store.
    repo : Path, optional
        Repository that holds the commits of the runs.
    first : int
        Position of the first run in the whole history.
    run_ids : tuple of str
    keeps_index : bool
        Whether the index of sources is kept for plans afterwards.
    """

    store: str
    repo: Path | None
    first: int
    run_ids: tuple[str, ...]
    keeps_index: bool = True

    def frames(self) -> Iterator[RunFrame]:
        """Yield the runs in time order, each with what the sources say of it."""
        store = Store.open(self.store)
        sources = _sources(self, store)
        for frame in frames_of(store, self.run_ids, with_patches=sources is not None):
            yield frame if sources is None else replace(frame, query=sources.add(frame.query))
        if sources is not None and self.keeps_index:
            sources.keep()


_last = local()  # sources that this thread has read: a worker indexes each file once


def _sources(part: Part, store: Store) -> Sources | None:
    """Return the sources of a part, those of the part before where this thread has read it."""
    if part.repo is None:
        return None
    key = (part.repo, part.store)
    if part.first == 0 or getattr(_last, "key", None) != key:
        _last.key, _last.sources = key, Sources(part.repo, store, patience=PATIENCE)
    sources: Sources = _last.sources
    return sources


@dataclass(frozen=True, slots=True)
class History:
    """The runs of a store that are replayed.

    Attributes
    ----------
    store : Store
    repo : Path, optional
        Repository that holds the commits of the runs: its sources are read.
    until : datetime, optional
        Leave out later runs.
    """

    store: Store
    repo: Path | None = None
    until: datetime | None = None

    def parts(self, workers: int) -> list[Part]:
        """Return the history in parts, oldest first: small enough, and enough for all workers."""
        where = [] if self.until is None else [("time", "<=", self.until)]
        rows = self.store.read("runs", columns=["run_id", "time", "cases"], where=where).to_pylist()
        rows.sort(key=lambda row: (row["time"], row["run_id"]))
        total = sum(row["cases"] for row in rows)
        room = RESULTS_AT_ONCE
        if workers:
            each = _PARTS_WITHOUT_SOURCES if self.repo is None else _PARTS_A_WORKER
            room = min(room, -(-total // (each * workers)))
        bounds = list(_bounds([row["cases"] for row in rows], room))
        ids = [row["run_id"] for row in rows]
        return [
            Part(
                self.store.url, self.repo, first, tuple(ids[first:end]),
                keeps_index=not workers or end == len(ids),
            )
            for first, end in bounds
        ]  # fmt: skip


class AnyPart(Protocol):
    """Some runs that follow each other: of a store, or of tables."""

    @property
    def first(self) -> int:
        """Position of the first run in the whole history."""

    @property
    def run_ids(self) -> tuple[str, ...]:
        """The runs, oldest first."""

    def frames(self) -> Iterator[RunFrame]:
        """Yield them."""


class AnyHistory(Protocol):
    """Runs in parts, oldest first."""

    def parts(self, workers: int) -> Sequence[AnyPart]:
        """Return the parts, enough for all workers."""


def _bounds(sizes: Sequence[int], room: int) -> Iterator[tuple[int, int]]:
    """Yield first and last position, that one excluded, of neighbours that fit together."""
    first, held = 0, 0
    for i, size in enumerate(sizes):
        if held and held + size > room:
            yield first, i
            first, held = i, 0
        held += size
    if first < len(sizes):
        yield first, len(sizes)


def replay(
    history: AnyHistory,
    visit: Callable[[int, Iterable[RunFrame], FeatureState], Value],
    pool: Pool = THIS_PROCESS,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[list[Value], FeatureState]:
    """Show each part of a history to `visit`, with the state of features before it.

    Parameters
    ----------
    history : History or TableHistory
    visit : callable
        Gets the position of the first run, runs, and the state before them, which it moves past
        them run by run.
    pool : Pool
        Where that is done; the results are the same.
    progress : callable, optional
        Called with runs done and all runs.

    Returns
    -------
    list and FeatureState
        What `visit` returned, part by part, and the state after the last run.
    """
    parts = history.parts(pool.workers)
    total = sum(len(part.run_ids) for part in parts)
    tell = progress or (lambda _done, _total: None)
    if pool.workers:
        return _on_workers(parts, visit, pool, lambda done: tell(done, total))
    state, found = FeatureState(), []
    for part in parts:
        frames = _told(part, lambda done: tell(done, total))
        found.append(visit(part.first, frames, state))
    vars(_last).clear()  # the texts of a large repository are not for the rest of the process
    state.finish()
    return found, state


def _told(part: AnyPart, tell: Callable[[int], None]) -> Iterator[RunFrame]:
    for done, frame in enumerate(part.frames(), part.first + 1):
        tell(done)
        yield frame


@dataclass(frozen=True, slots=True)
class _Visited(Generic[Value]):
    """What a worker found in a part; after the last one the state, too."""

    value: Value
    after: Snapshot | None


def _on_workers(
    parts: Sequence[AnyPart],
    visit: Callable[[int, Iterable[RunFrame], FeatureState], Value],
    pool: Pool,
    tell: Callable[[int], None],
) -> tuple[list[Value], FeatureState]:
    before: Snapshot | Task[Snapshot] = FeatureState().snapshot()
    tasks: list[Task[_Visited[Value]]] = []
    found: list[Value] = []
    state = FeatureState()
    for i, part in enumerate([*parts, *[None] * (AHEAD * pool.workers)]):
        if part is not None:
            frames = pool.submit(_read, part)
            is_last = part is parts[-1]
            tasks.append(pool.submit(_visit, visit, part.first, frames, before, is_last))
            if not is_last:
                before = pool.submit(_advance, frames, before)
        at = i - AHEAD * pool.workers
        if not 0 <= at < len(parts):
            continue
        visited = tasks[at].result()
        found.append(visited.value)
        tell(parts[at].first + len(parts[at].run_ids))
        if visited.after is not None:
            state = FeatureState.resume(visited.after)
    state.finish()
    return found, state


def _read(part: AnyPart) -> list[RunFrame]:
    """Return the runs of a part, small enough to be sent: numbers in place of texts."""
    if isinstance(part, Part) and part.repo is not None and not part.repo.is_dir():
        raise RepositoryError(
            f"a worker has no folder {part.repo}",
            "mount the repository at the same place on all workers",
        )
    return [_sendable(frame) for frame in part.frames()]


def _sendable(frame: RunFrame) -> RunFrame:
    query = frame.query
    if query.text is None and not query.files:
        return frame
    return replace(frame, query=replace(query, text=None, closeness=closeness_of(query)))


def _visit(
    visit: Callable[[int, Iterable[RunFrame], FeatureState], Value],
    first: int,
    frames: list[RunFrame],
    before: Snapshot,
    is_last: bool,  # noqa: FBT001 - arguments of a task have no names
) -> _Visited[Value]:
    state = FeatureState.resume(before)
    value = visit(first, frames, state)
    return _Visited(value, state.snapshot() if is_last else None)


def _advance(frames: list[RunFrame], before: Snapshot) -> Snapshot:
    """Return the state after some runs, without features of theirs."""
    state = FeatureState.resume(before)
    for frame in frames:
        state.pass_by(frame)
    return state.snapshot()
