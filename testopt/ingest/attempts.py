"""Which executions of a case in a run are attempts, in which order, and which outcome counts.

Attempts of one execution follow each other in time and the last one counts. Executions in several
environments (devices, browsers, suites, hosts) stand beside each other and any failing one counts.
The store keeps a number for each row of a case, and the last one counts, so the executions are
numbered one after the other, the gravest last.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from testopt.ingest.layouts import Layout, layouts_of
from testopt.results.junit_rows import GRAVE
from testopt.results.suites import APART, PYTEST

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from testopt.results.junit_rows import ParsedReport

    Hashes = npt.NDArray[np.int64]
    Positions = npt.NDArray[np.int64]

_BLOCK: Final = 100_000
_MIXED: Final = 31
_MAX_ATTEMPT: Final = np.iinfo(np.int16).max
_SKIPPED, _PASSED, _ERROR, _FAILED = range(len(GRAVE))


@dataclass(slots=True)
class Numbered:
    """What becomes of the rows of a run.

    ``attempt`` counts from 1, ``last`` marks the row that counts of its case. ``reruns`` are rows
    that say passed and were attempts that failed; ``merged`` ones belong to the row before them.
    """

    attempt: npt.NDArray[np.int16]
    last: npt.NDArray[np.bool_]
    reruns: Positions = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    merged: Positions = field(default_factory=lambda: np.zeros(0, dtype=np.int64))


def number_attempts(hashes: Hashes) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.bool_]]:
    """Return the attempt number of each execution of a case, and whether it is the last.

    Parameters
    ----------
    hashes : int64 array of shape (n,)
        A hash of the case of each execution, in the order that counts.

    Returns
    -------
    tuple of arrays of shape (n,)
        Attempt from 1, and whether it is the last one of its case.
    """
    attempt, last = np.ones(len(hashes), dtype=np.int16), np.ones(len(hashes), dtype=bool)
    at = _repeated(hashes)
    if len(at):
        order = np.argsort(hashes[at], kind="stable")
        _count(hashes[at][order], at[order], attempt=attempt, last=last)
    return attempt, last


def number_executions(files: Sequence[ParsedReport], before: Hashes | None = None) -> Numbered:
    """Return the numbers of the executions of each case of a run.

    Parameters
    ----------
    files : sequence of JUnitFile
        The files of the run; their rows in this order.
    before : int64 array, optional
        A hash of the case of each row of the run that is in the store already: the others count
        on from there.

    Returns
    -------
    Numbered
        Of the rows of the files.
    """
    known = 0 if before is None else len(before)
    each = [file.hashes() for file in files]
    hashes = np.concatenate([*([] if before is None else [before]), *each])
    attempt, last = np.ones(len(hashes), dtype=np.int16), np.ones(len(hashes), dtype=bool)
    at = _repeated(hashes)
    if not len(at):
        return Numbered(attempt[known:], last[known:])
    rows = _Rows.of(at, hashes[at], files, known=known, sizes=[len(one) for one in each])
    reruns, merged = rows.mend()
    order = rows.order()
    order = order[~rows.gone[order]]
    _count(rows.case[order], at[order], attempt=attempt, last=last)
    return Numbered(attempt[known:], last[known:], at[reruns] - known, at[merged] - known)


def _repeated(hashes: Hashes) -> Positions:
    """Return where the cases stand that may come more than once."""
    # Few cases repeat: half of each hash finds the candidates in half of the memory.
    half = hashes.astype(np.uint32)
    half.sort()
    wanted = np.unique(half[1:][half[1:] == half[:-1]])
    del half
    if not len(wanted):
        return np.zeros(0, dtype=np.int64)
    found = []
    for start in range(0, len(hashes), _BLOCK):  # in blocks, because `isin` sorts all
        part = hashes[start : start + _BLOCK].astype(np.uint32)
        near = np.minimum(np.searchsorted(wanted, part), len(wanted) - 1)
        found.append(start + np.flatnonzero(wanted[near] == part))
    return np.concatenate(found)


def _count(
    case: Hashes,
    at: Positions,
    *,
    attempt: npt.NDArray[np.int16],
    last: npt.NDArray[np.bool_],
) -> None:
    """Write the numbers of rows that are given case by case, in the order that counts."""
    first = np.append(True, case[1:] != case[:-1])
    position = np.arange(len(case))
    starts = np.maximum.accumulate(np.where(first, position, 0))
    attempt[at] = np.minimum(position - starts + 1, _MAX_ATTEMPT)
    last[at] = np.append(first[1:], True)


@dataclass(slots=True)
class _Rows:
    """The rows of cases that repeat, as columns, in the order of the files.

    ``file`` is -1 for rows of the store. ``lane`` tells environments apart, ``rank`` orders files,
    ``start`` is that of the suite. ``gone`` marks rows that are part of the one before them,
    ``each`` those of suites in which every case was executed several times.
    """

    case: Hashes
    file: Positions
    suite: Positions
    lane: Hashes
    start: npt.NDArray[np.float64]
    rank: Positions
    kind: npt.NDArray[np.int8]
    outcome: npt.NDArray[np.int8]
    interim: npt.NDArray[np.bool_]
    torn: npt.NDArray[np.bool_]
    gone: npt.NDArray[np.bool_]
    each: npt.NDArray[np.bool_]

    @classmethod
    def of(
        cls,
        at: Positions,
        case: Hashes,
        files: Sequence[ParsedReport],
        *,
        known: int,
        sizes: Sequence[int],
    ) -> _Rows:
        """Look up what is known of some rows, given by their positions among all."""
        n = len(at)
        found = cls(
            case, np.full(n, -1), np.zeros(n, np.int64), np.zeros(n, np.int64),
            np.full(n, np.nan), np.full(n, -1), np.zeros(n, np.int8), np.zeros(n, np.int8),
            *(np.zeros(n, dtype=bool) for _ in range(4)),
        )  # fmt: skip
        ends = known + np.cumsum(sizes)
        layouts = layouts_of([file.source.name for file in files])
        for number, (file, end) in enumerate(zip(files, ends.tolist(), strict=True)):
            low, high = np.searchsorted(at, [end - sizes[number], end])
            if low < high:
                found._fill(slice(low, high), at[low:high] - (end - sizes[number]), file)
                found._place(slice(low, high), number, file, layouts[number])
        return found

    def _fill(self, part: slice, rows: Positions, file: ParsedReport) -> None:
        suites = file.summary.suites
        number = suites.at(rows)
        self.suite[part] = number
        self.lane[part] = np.array(suites.names)[number]
        self.start[part] = np.array(suites.starts)[number]
        self.kind[part] = np.array(suites.kinds)[number]
        self.outcome[part] = file.outcomes(rows)
        self.interim[part] = np.isin(rows, np.array(suites.interim, dtype=np.int64))
        self.torn[part] = np.isin(rows, np.array(suites.torn, dtype=np.int64))
        executed = suites.sizes(file.rows)
        repeated = np.bincount(number, minlength=len(executed))
        counted = np.array(suites.tests)
        # pytest does not count reruns; with `--dist each` it counts what every worker executed.
        each = (repeated == executed) & (counted >= executed)
        self.each[part] = each[number]

    def _place(self, part: slice, number: int, file: ParsedReport, layout: Layout) -> None:
        self.file[part], self.rank[part] = number, layout.rank
        self.lane[part] ^= layout.environment
        hosts = np.array(file.summary.suites.hosts)
        # Another attempt may have run on another machine; else hosts are devices.
        if not layout.attempted or len(np.unique(hosts[1:])) > 1:
            self.lane[part] ^= hosts[self.suite[part]] * _MIXED

    def mend(self) -> tuple[Positions, Positions]:
        """Mend what pytest writes; return the rows that are reruns, and those that are gone."""
        order = np.lexsort((self.suite, self.file, self.case))  # stable: rows of a suite in order
        same = self._equal(order, self.case, self.file, self.suite)
        follows, before = order[1:][same], order[:-1][same]
        torn = self.torn[follows] & (self.kind[follows] == PYTEST)
        for row, previous in zip(follows[torn].tolist(), before[torn].tolist(), strict=True):
            # A call that failed has an element of its own; other tear-downs are in their case's.
            self.gone[row] = self.gone[previous] or self.outcome[previous] == _FAILED
        again = before[(self.outcome[before] == _PASSED) & (self.kind[before] == PYTEST)]
        # With `--dist each` every case repeats; then what says passed has passed.
        again = again[~self.interim[again] & ~self.each[again]]
        self.outcome[again] = _FAILED
        return np.sort(again), np.flatnonzero(self.gone)

    @staticmethod
    def _equal(order: Positions, *columns: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Tell for each row of an order but the first whether it equals the one before it."""
        same = np.ones(max(len(order) - 1, 0), dtype=bool)
        for column in columns:
            ordered = column[order]
            same &= ordered[1:] == ordered[:-1]
        return same

    def order(self) -> Positions:
        """Return the order in which rows count: case by case, environments, attempts."""
        timed = self._timed()
        rows = np.arange(len(self.case))
        order = np.lexsort((rows, self.suite, self.file, self.rank, timed, self.lane, self.case))
        # Elements: a final row and the attempts before it that stand in the same element.
        element = np.cumsum(np.append(True, ~self.interim[order][:-1])) - 1
        end = np.flatnonzero(np.append(element[1:] != element[:-1], True))
        final = self.outcome[order][end]
        block = _groups(~self._equal(order, self.case, self.lane, self.file, self.suite))[end]
        grave = np.where(self._are_attempts(order[end], block, final), 0, final)
        inside = np.lexsort((np.arange(len(end)), grave, block))  # blocks in order already
        lane = _groups(~self._equal(order, self.case, self.lane))[end]
        case = _groups(~self._equal(order, self.case))[end]
        ends = np.append(lane[inside][1:] != lane[inside][:-1], True)
        weight = final[inside][ends]  # of each environment: how its last attempt ended
        weight = np.where(self.file[order[end]][inside][ends] < 0, -1, weight)
        by_lane = weight[lane]
        position = np.empty(len(end), dtype=np.int64)
        position[inside] = np.arange(len(end))
        first = self._first(order, lane, end)
        sequence = np.lexsort((position, first[lane], by_lane, case))
        place = np.empty(len(end), dtype=np.int64)
        place[sequence] = np.arange(len(end))
        return order[np.lexsort((np.arange(len(order)), place[element]))]

    def _first(self, order: Positions, lane: Positions, end: Positions) -> Positions:
        """Return the first row of each environment."""
        first = np.full(int(lane.max()) + 1, len(order))
        np.minimum.at(first, lane, order[end])
        return first

    def _are_attempts(
        self, ends: Positions, block: Positions, final: npt.NDArray[np.int8]
    ) -> npt.NDArray[np.bool_]:
        """Tell of each element whether those of its case in its suite are attempts of each other.

        What passed or was skipped is not tried again, and what failed is not skipped then.
        """
        is_last = np.append(block[1:] != block[:-1], True)
        alone = np.append(True, block[1:] != block[:-1]) & is_last
        wrong = np.where(is_last, (final == _SKIPPED) & ~alone, final < _ERROR)
        wrong |= self.kind[ends] == APART
        bad = np.zeros(int(block.max()) + 1, dtype=bool)
        bad[block[wrong]] = True
        return ~bad[block]

    def _timed(self) -> npt.NDArray[np.float64]:
        """Return when each row began, or 0 where that is not known of all rows of its case."""
        order = np.lexsort((self.lane, self.case))
        group = _groups(~self._equal(order, self.case, self.lane))
        unknown = np.zeros(int(group.max()) + 1, dtype=bool)
        unknown[group[np.isnan(self.start[order])]] = True
        timed = np.empty(len(order))
        timed[order] = np.where(unknown[group], 0.0, self.start[order])
        return timed


def _groups(differs: npt.NDArray[np.bool_]) -> Positions:
    """Return the number of the group of each row, given where another one begins."""
    return np.concatenate([[0], np.cumsum(differs)])
