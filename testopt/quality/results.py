"""Checks of the results, row by row in blocks: outcomes, doubles, names, durations."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from testopt.pluralize import pluralize
from testopt.quality.findings import EXAMPLES, Finding
from testopt.schema import OUTCOMES

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa
    from numpy.typing import NDArray

    from testopt.quality.runs import RunTable
    from testopt.store import Store

_COLUMNS: Final = ("run_id", "case_id", "outcome", "duration_s", "attempt")
_CASE_BITS, _ATTEMPT_BITS = 32, 8  # of a key that tells rows apart
_RECENT: Final = 0.2  # share of the runs, the youngest, whose durations are compared
_SLOWER: Final = 3.0  # times as long as before
_SLOWER_SECONDS: Final = 1.0  # and longer by at least so much
_TIMES: Final = 5  # executions before and after
_ONCE: Final = 0.5  # share of the cases that have run once: their ids may change with each run
_MANY_RUNS: Final = 10


@dataclass(slots=True)
class _Seen:
    """What the blocks hold so far.

    Of each case how often it ran, and of the executions whose duration is known the number and the
    seconds, before and among the youngest runs.
    """

    runs: dict[str, int]
    first_recent: int
    cases: dict[str, int] = field(default_factory=dict)
    keys: list[NDArray[np.uint64]] = field(default_factory=list)
    unknown: dict[str, int] = field(default_factory=dict)
    bad_attempts: int = 0
    bad_durations: int = 0
    rows: int = 0
    times: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    count: NDArray[np.int64] = field(default_factory=lambda: np.zeros((2, 0), np.int64))
    seconds: NDArray[np.float64] = field(default_factory=lambda: np.zeros((2, 0)))

    def add(self, block: pa.Table) -> None:
        """Take in a block of results."""
        run = _codes(block["run_id"], self.runs, grow=False)
        case = _codes(block["case_id"], self.cases, grow=True)
        attempt = block["attempt"].to_numpy().astype(np.int64)
        inside = run >= 0
        seconds = block["duration_s"].to_numpy().astype(np.float64)[inside]
        run, case, attempt = run[inside], case[inside], attempt[inside]
        self.rows += len(run)
        self._outcomes(block["outcome"].filter(_mask(inside)))
        self.bad_attempts += int((attempt < 1).sum())
        self.bad_durations += int(((seconds < 0) | np.isinf(seconds)).sum())
        self.keys.append(
            (run.astype(np.uint64) << np.uint64(_CASE_BITS + _ATTEMPT_BITS))
            | (case.astype(np.uint64) << np.uint64(_ATTEMPT_BITS))
            | (attempt.astype(np.uint64) & np.uint64((1 << _ATTEMPT_BITS) - 1))
        )
        self._durations(run >= self.first_recent, case, seconds)

    def _outcomes(self, outcomes: pa.ChunkedArray) -> None:
        for one in outcomes.value_counts().to_pylist():
            if one["values"] not in OUTCOMES:
                self.unknown[str(one["values"])] = (
                    self.unknown.get(str(one["values"]), 0) + one["counts"]
                )

    def _durations(
        self, recent: NDArray[np.bool_], case: NDArray[np.int64], seconds: NDArray[np.float64]
    ) -> None:
        more = len(self.cases) - self.count.shape[1]
        self.times = np.pad(self.times, (0, more)) + np.bincount(case, minlength=len(self.cases))
        self.count = np.pad(self.count, ((0, 0), (0, more)))
        self.seconds = np.pad(self.seconds, ((0, 0), (0, more)))
        known = np.isfinite(seconds) & (seconds >= 0)
        for part in (0, 1):
            own = known & (recent == bool(part))
            self.count[part] += np.bincount(case[own], minlength=len(self.cases))
            self.seconds[part] += np.bincount(case[own], seconds[own], len(self.cases))


def _mask(inside: NDArray[np.bool_]) -> pa.Array:
    import pyarrow as pa

    return pa.array(inside)


def _codes(column: pa.ChunkedArray, known: dict[str, int], *, grow: bool) -> NDArray[np.int64]:
    """Return a number for each text; -1 for what is not known where nothing is added."""
    parts = []
    for chunk in column.chunks:
        names = chunk.dictionary.to_pylist()
        if grow:
            for name in names:
                known.setdefault(name, len(known))
        table = np.array([known.get(name, -1) for name in names] or [-1], np.int64)
        parts.append(table[chunk.indices.to_numpy()])
    return np.concatenate([np.zeros(0, np.int64), *parts])


def check_results(store: Store, runs: RunTable) -> tuple[int, list[Finding]]:
    """Return how many results were looked at, and what is wrong or doubtful about them."""
    place = {run: at for at, run in enumerate(runs.ids)}
    seen = _Seen(place, int(len(runs) * (1.0 - _RECENT)))
    for block in store.scan("results", columns=_COLUMNS):
        seen.add(block)
    return seen.rows, list(_findings(seen, runs))


def _findings(seen: _Seen, runs: RunTable) -> Iterator[Finding]:
    fix = "testopt store check --repair"
    if seen.unknown:
        names = tuple(f"{name!r:.40}: {count}" for name, count in seen.unknown.items())[:EXAMPLES]
        total = sum(seen.unknown.values())
        text = f"{pluralize(total, 'result')} with an unknown outcome"
        yield Finding("outcome", "error", text, total, names, f"they are {', '.join(OUTCOMES)}")
    if seen.bad_attempts:
        text = f"{pluralize(seen.bad_attempts, 'result')} with an attempt below 1"
        yield Finding("attempt", "error", text, seen.bad_attempts, fix="ingest them again")
    if seen.bad_durations:
        text = f"{pluralize(seen.bad_durations, 'duration')} below 0, or without an end"
        yield Finding("duration", "error", text, seen.bad_durations, fix="ingest them again")
    yield from _doubles(seen, runs, fix)
    yield from _names(seen, runs)
    yield from _slower(seen)


def _doubles(seen: _Seen, runs: RunTable, fix: str) -> Iterator[Finding]:
    keys = np.concatenate([np.zeros(0, np.uint64), *seen.keys])
    seen.keys.clear()
    keys.sort()
    again = keys[1:][keys[1:] == keys[:-1]]
    if len(again):
        at = np.unique(again >> np.uint64(_CASE_BITS + _ATTEMPT_BITS)).astype(int)
        text = f"{pluralize(len(again), 'result')} more than once in the store"
        yield Finding("doubles", "error", text, len(again), runs.some(at.tolist()), fix)


def _names(seen: _Seen, runs: RunTable) -> Iterator[Finding]:
    once, known = np.flatnonzero(seen.times == 1), int((seen.times > 0).sum())
    if len(runs) >= _MANY_RUNS and len(once) > _ONCE * max(known, 1):
        names = list(seen.cases)
        text = f"{len(once)} of {known} cases ran once: their ids may change"
        fix = "let one source name the cases, without addresses, dates or random parts"
        examples = tuple(names[i] for i in once[:EXAMPLES])
        yield Finding("once", "doubt", text, len(once), examples, fix)


def _slower(seen: _Seen) -> Iterator[Finding]:
    enough = (seen.count >= _TIMES).all(axis=0)
    before, after = seen.seconds / np.maximum(seen.count, 1)
    slower: Any = enough & (after >= _SLOWER * before) & (after - before >= _SLOWER_SECONDS)
    at = np.flatnonzero(slower)
    if len(at):
        names = list(seen.cases)
        at = at[np.argsort(before[at] - after[at], kind="stable")]
        examples = tuple(f"{names[i]}: {before[i]:.1f} to {after[i]:.1f} s" for i in at[:EXAMPLES])
        text = f"{pluralize(len(at), 'case')} three times as slow as before"
        yield Finding("slower", "note", text, len(at), examples)
