"""Checks of the table of runs: clocks, gaps, commits, jumps, the balance of the outcomes."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from testopt.pluralize import pluralize
from testopt.quality.findings import EXAMPLES, Finding, Severity
from testopt.schema import VARIANT_KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from testopt.store import Store

DAY_S: Final = 86_400.0
FEW_RUNS: Final = 10
_COMMON: Final = 0.1  # share of the runs from which something is no exception any more
_RARE: Final = 0.01
_GAP_DAYS: Final = 30.0  # and twenty times the usual
_GAP_TIMES: Final = 20.0
_WINDOW: Final = 10  # runs of a job before and after
_JUMP: Final = 2.0  # times as many, or as few
_JUMP_SECONDS: Final = 60.0  # of a run: below, twice as long says little


@dataclass(frozen=True, slots=True)
class RunTable:
    """The runs, oldest first; all arrays of shape (n_runs,), times in seconds since 1970."""

    ids: list[str]
    time: NDArray[np.float64]
    seen: NDArray[np.float64]
    commit: list[str]
    job: list[str]
    cases: NDArray[np.int64]
    failed: NDArray[np.int64]
    skipped: NDArray[np.int64]
    seconds: NDArray[np.float64]
    is_variant: NDArray[np.bool_]
    is_disturbed: NDArray[np.bool_]
    is_complete: NDArray[np.bool_]

    @classmethod
    def read(cls, store: Store, until: datetime | None = None) -> RunTable:
        """Return the runs of a store, up to a time."""
        where = [] if until is None else [("time", "<=", until)]
        columns = [
            "run_id", "time", "seen", "commit", "job", "kind", "cases", "failed", "error",
            "skipped", "duration_s", "complete", "environment_failure",
        ]  # fmt: skip
        rows = store.read("runs", columns=columns, where=where).to_pylist()
        rows.sort(key=lambda row: (row["time"], row["run_id"]))

        def numbers(name: str) -> list[Any]:
            return [row[name] for row in rows]

        return cls(
            numbers("run_id"),
            np.array([t.timestamp() for t in numbers("time")], float),
            np.array([t.timestamp() for t in numbers("seen")], float),
            [c or "" for c in numbers("commit")],
            numbers("job"),
            np.array(numbers("cases"), np.int64),
            np.array([r["failed"] + r["error"] for r in rows], np.int64),
            np.array(numbers("skipped"), np.int64),
            np.array(numbers("duration_s"), float),
            np.array([kind in VARIANT_KINDS for kind in numbers("kind")], bool),
            np.array([e is True for e in numbers("environment_failure")], bool),
            np.array(numbers("complete"), bool),
        )

    def __len__(self) -> int:
        return len(self.ids)

    def day(self, at: int) -> str:
        """Return the day of a run."""
        return f"{datetime.fromtimestamp(self.time[at], UTC):%Y-%m-%d}" if len(self) else ""

    def some(self, at: Iterable[int]) -> tuple[str, ...]:
        """Name a few runs, by position."""
        return tuple(f"{self.ids[i]} ({self.day(i)})" for i in list(at)[:EXAMPLES])


def check_runs(runs: RunTable, now: datetime) -> Iterator[Finding]:
    """Yield what is wrong or doubtful about runs."""
    yield from _few(runs)
    yield from _impossible(runs)
    yield from _clock(runs, now.timestamp())
    yield from _twice(runs)
    yield from _gaps(runs)
    yield from _commits(runs)
    yield from _balance(runs)
    yield from _jumps(runs)


def _few(runs: RunTable) -> Iterator[Finding]:
    if len(runs) == 1:
        yield Finding(
            "one-run", "error", "there is one run, and a model learns from what changes between "
            "runs", 1, runs.some([0]),
            "record more runs, or make some from past commits: testopt backfill",
        )  # fmt: skip
    elif len(runs) < FEW_RUNS:
        text = f"there are {len(runs)} runs: what is learnt from so few is a guess"
        fix = "record more runs, or make some from past commits: testopt backfill"
        yield Finding("few-runs", "doubt", text, len(runs), fix=fix)


def _impossible(runs: RunTable) -> Iterator[Finding]:
    wrong = (runs.cases < 0) | (runs.failed < 0) | (runs.skipped < 0)
    wrong |= runs.failed + runs.skipped > runs.cases
    wrong |= ~np.isfinite(runs.seconds) | (runs.seconds < 0.0)
    at = np.flatnonzero(wrong)
    if len(at):
        text = (
            f"impossible counts (negative, or more outcomes than cases) in "
            f"{pluralize(len(at), 'run')}"
        )
        yield Finding("counts", "error", text, len(at), runs.some(at), "testopt store check")
    empty = np.flatnonzero(runs.cases == 0)
    if len(empty):
        text = f"{pluralize(len(empty), 'run')} without a case"
        yield Finding("no-cases", _by_share(len(empty), runs), text, len(empty), runs.some(empty))


def _by_share(count: int, runs: RunTable) -> Severity:
    return "doubt" if count > _COMMON * len(runs) else "note"


def _clock(runs: RunTable, now: float) -> Iterator[Finding]:
    ahead = np.flatnonzero(runs.time > np.minimum(runs.seen, now) + DAY_S)
    if len(ahead):
        text = f"{pluralize(len(ahead), 'run')} more than a day later than read, or than now"
        fix = "set the clock of the machine that ran them, or ingest them again with --time"
        yield Finding("clock", "doubt", text, len(ahead), runs.some(ahead), fix)
    values, counts = np.unique(runs.time[~runs.is_variant], return_counts=True)
    same = int(counts[counts > 1].sum())
    jobs = len(set(runs.job))
    if same > jobs and same > len(runs) / 2 and len(values) > 0:
        text = f"{same} runs share their time with another one: their order is not known"
        fix = "give each run its own time (column time; testopt ingest --time)"
        yield Finding("same-times", "doubt", text, same, fix=fix)


def _twice(runs: RunTable) -> Iterator[Finding]:
    """Find runs that are there under two names: one may be learnt from, the other judged by."""
    found: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    columns = (runs.time, runs.cases, runs.failed, runs.skipped, runs.seconds)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    for at, row in enumerate(rows):
        if row[1] and not runs.is_variant[at]:
            found[*row, runs.commit[at], runs.job[at]].append(at)
    again = [at for group in found.values() for at in group[1:]]
    if again:
        text = (
            f"{pluralize(len(again), 'run')} with the time, commit, job, counts and duration of "
            "another one: what is learnt from and judged by looks better than it is"
        )
        fix = "ingest each run once, under one run id"
        yield Finding("runs-twice", "doubt", text, len(again), runs.some(again), fix)


def _gaps(runs: RunTable) -> Iterator[Finding]:
    time = runs.time[~runs.is_variant]
    steps = np.diff(time)
    if len(steps) < FEW_RUNS:
        return
    least = max(_GAP_DAYS * DAY_S, _GAP_TIMES * float(np.median(steps)))
    at = np.flatnonzero(steps > least)
    if len(at):
        days = [f"{steps[i] / DAY_S:.0f} days from {_day(time[i])}" for i in at[:EXAMPLES]]
        text = f"{pluralize(len(at), 'gap')} without a run"
        yield Finding("gaps", "note", text, len(at), tuple(days))


def _day(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"


def _commits(runs: RunTable) -> Iterator[Finding]:
    without = np.flatnonzero([not commit for commit in runs.commit])
    if not len(without):
        return
    some = len(without) < len(runs)  # a table of results may have none at all
    text = f"{len(without)} of {pluralize(len(runs), 'run')} without a commit"
    yield Finding(
        "no-commit", "doubt" if some and len(without) > _COMMON * len(runs) else "note", text,
        len(without), runs.some(without), "testopt ingest --commit, or the column commit",
    )  # fmt: skip


def _balance(runs: RunTable) -> Iterator[Finding]:
    bad = int((runs.failed > 0).sum())
    share = bad / len(runs)
    if len(runs) >= FEW_RUNS and (share < _RARE or share > 1.0 - _COMMON):
        rare = "hardly any run fails" if share < _RARE else "nearly every run fails"
        text = f"{rare} ({bad} of {len(runs)})"
        yield Finding("balance", "doubt" if bad else "note", text, bad)
    disturbed = np.flatnonzero(runs.is_disturbed)
    if len(disturbed):
        text = f"{pluralize(len(disturbed), 'run')} failed by the environment, and not learnt from"
        severity = _by_share(len(disturbed), runs)
        yield Finding("environment", severity, text, len(disturbed), runs.some(disturbed))
    part = np.flatnonzero(~runs.is_complete)
    if len(part):
        text = f"{pluralize(len(part), 'run')} not complete"
        yield Finding("incomplete", _by_share(len(part), runs), text, len(part), runs.some(part))


def _jumps(runs: RunTable) -> Iterator[Finding]:
    """Find jobs whose runs had other numbers of cases, or took other times, from some run on."""
    by_job: dict[str, list[int]] = defaultdict(list)
    for at in np.flatnonzero(~runs.is_variant & ~runs.is_disturbed & runs.is_complete).tolist():
        by_job[runs.job[at]].append(at)
    for slug, values, least, what in (
        ("jump-cases", runs.cases.astype(float), 0.0, "the number of cases"),
        ("jump-seconds", runs.seconds, _JUMP_SECONDS, "the duration of runs"),
    ):
        found = [
            f"{job or 'no job'}: {before:.0f} to {after:.0f} at {runs.ids[at]} ({runs.day(at)})"
            for job, places in by_job.items()
            for at, before, after in _jump(values, places, least)
        ]
        if found:
            text = f"{what} jumps in {pluralize(len(found), 'job')}"
            yield Finding(slug, "doubt", text, len(found), tuple(found[:EXAMPLES]))


def _jump(
    values: NDArray[np.float64], places: Sequence[int], least: float
) -> Iterator[tuple[int, float, float]]:
    """Yield the largest lasting jump of a series: where, and the medians before and after.

    All but one run of the window before are on one side, and all but one of that after on the
    other: single runs of a part of the suite are no jump.
    """
    series = values[places]
    if len(series) < 2 * _WINDOW:
        return
    windows = np.sort(np.lib.stride_tricks.sliding_window_view(series, _WINDOW), axis=1)
    low, high = windows[:, 1], windows[:, -2]
    up = low[_WINDOW:] / np.maximum(high[:-_WINDOW], 1.0)
    down = low[:-_WINDOW] / np.maximum(high[_WINDOW:], 1.0)
    ratio = np.maximum(up, down)
    most = np.flatnonzero(ratio == ratio.max())
    most = most[most - np.arange(len(most)) == most[0]]  # the first places in a row
    at = int(most[len(most) // 2])
    before, after = np.median(windows[at]), np.median(windows[at + _WINDOW])
    if ratio[at] >= _JUMP and max(before, after) > least:
        yield places[at + _WINDOW], float(before), float(after)
