"""Ranks files, folders and functions by the fixes to expect in them.

What is expected of a file is its rate of fixes, learnt from windows of the past and the same for
every time ahead, so that a longer time always holds more of them. By default the order is that of
the expected number; per line it is that of the effort of a review.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from testopt.code.paths import is_code
from testopt.errors import DataError, EmptyStoreError
from testopt.pluralize import pluralize
from testopt.risk.area_history import NAMES, AreaHistory, is_focused_fix
from testopt.risk.fix_rate import FixRate, recall_at_effort, share_found
from testopt.risk.mined_metrics import COMMIT_COLUMNS, FILE_COLUMNS, MinedCommit, mined_commits

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from testopt.store import Store

WINDOWS: Final = 12  # windows of the past that teach and test
WINDOW_DAYS: Final = 90.0  # of a window; of a young project less, so that there are some
TEST_SHARE: Final = 1 / 3  # the youngest share of them tests, each by what was learnt before it
TRAINING_WINDOWS: Final = 8  # windows that teach one model
MIN_LINES: Final = 30  # what has fewer is no area: one line of it is a large share
_DAY_S: Final = 86_400.0
_MIN_FIXED: Final = 10  # fixed files in the windows that teach
_MIN_FIXED_TO_TEST: Final = 5
_TREND_THRESHOLD: Final = 0.25  # relative difference that counts as a trend
_LINES, _CHURN, _FIXES = NAMES.index("lines"), NAMES.index("churn"), NAMES.index("fixes")
OURS: Final = "expected fixes"


@dataclass(frozen=True, slots=True)
class Hotspot:
    """A file, folder or function, and the fixes to expect in it in the time ahead.

    ``expected`` counts fixes, ``chance`` is the probability of any; ``before`` is what was
    expected, for as long a time, one window ago (None: it was new, or is a function). ``name`` and
    ``first`` line tell a function of the file.
    """

    path: str
    expected: float
    chance: float
    lines: int
    before: float | None
    name: str = ""
    first: int = 0

    @property
    def density(self) -> float:
        """Expected fixes per 1,000 lines."""
        return 1000.0 * self.expected / max(self.lines, 1)

    @property
    def trend(self) -> str:
        """``new``, ``rising``, ``falling`` or ``steady``; empty for a function."""
        if self.before is None:
            return "" if self.name else "new"
        if self.expected > self.before * (1.0 + _TREND_THRESHOLD):
            return "rising"
        return "falling" if self.expected < self.before * (1.0 - _TREND_THRESHOLD) else "steady"


@dataclass(frozen=True, slots=True)
class HotspotReport:
    """Hotspots, the first first, and how the ranking of files did on the last windows.

    ``validation`` maps a ranking to the share of the fixes of a window that it finds in the first
    20 % of the files (per line: of the lines), by a model fitted before: the mean of the last
    ``windows`` windows in which enough files were fixed; None where there is none.
    """

    hotspots: tuple[Hotspot, ...]
    days: float
    window_days: float  # of the windows that taught and tested
    files: int
    fixed: int  # files fixed in the last window
    validation: dict[str, float] | None
    windows: int = 0
    per_line: bool = False

    @property
    def better(self) -> str:
        """The ranking without a model that did best, where it did better than the model."""
        shares = self.validation or {}
        best = max(shares, key=lambda name: (shares[name], name == OURS), default=OURS)
        return "" if best == OURS else best


@dataclass(frozen=True)
class _Snapshot:
    paths: list[str]
    x: NDArray[np.float64]
    fixes: NDArray[np.float64]  # in the window after

    @property
    def lines(self) -> NDArray[np.float64]:
        return self.x[:, _LINES]


def hotspots(
    *,
    store: Store,
    days: float = 90.0,
    by: Literal["file", "folder", "function"] = "file",
    tests: bool = False,
    repo: Path | None = None,
    windows: int = WINDOWS,
    per_line: bool = False,
) -> HotspotReport:
    """Rank files of program text by the fixes expected in the coming days.

    Parameters
    ----------
    store : Store
        With mined commits. "Now" is the time of the last one.
    days : float
        How far the forecast looks ahead.
    by : {"file", "folder", "function"}
        What to rank; folders are sums of their files, functions share what their file expects.
    tests : bool
        Rank files that are tests too.
    repo : Path, optional
        Repository whose HEAD has the functions.
    windows : int
        Windows of the past that teach and test.
    per_line : bool
        Rank by the expected fixes per line.

    Returns
    -------
    HotspotReport
        Without files, folders and, per line, functions of fewer than `MIN_LINES` lines.

    Raises
    ------
    EmptyStoreError
        When no commits were mined.
    DataError
        When too few fixes are known to learn from.
    """
    history = _history(store)
    length = _window_days(history)
    *training, now = _snapshots(history, length, windows=windows, tests=tests)
    _refuse_too_few(training, length)
    model = _fit(training[-TRAINING_WINDOWS:])
    ranked = _file_hotspots(model, training[-1], now, days / length)
    if by == "folder":
        ranked = _folders(ranked)
    elif by == "function" and repo is not None:
        from testopt.risk.function_hotspots import function_hotspots

        times = {sha: facts.time for sha, facts, _ in history}
        ranked = function_hotspots(repo, ranked, times, model)
    if by != "function" or per_line:
        ranked = [s for s in ranked if s.lines >= MIN_LINES]
    ranked.sort(key=lambda s: (-(s.density if per_line else s.expected), s.path, s.first))
    fixed = int((training[-1].fixes > 0).sum())
    checks = _validate(training, round(windows * TEST_SHARE), per_line=per_line)
    mean = {n: float(np.mean([c[n] for c in checks])) for n in checks[0]} if checks else None
    return HotspotReport(
        tuple(ranked), days, length, len(now.paths), fixed, mean, len(checks), per_line
    )


def _history(store: Store) -> list[MinedCommit]:
    commits = store.read("commits", columns=COMMIT_COLUMNS)
    if not commits.num_rows:
        raise EmptyStoreError("the store holds no commits", "read them first: testopt mine")
    mined = list(mined_commits(commits, store.read("file_changes", columns=FILE_COLUMNS)))
    # a clock that was wrong dates a commit in years to come, up to which nothing would be fixed
    now = time.time()
    return [
        (sha, facts if facts.time <= now else replace(facts, time=now), files)
        for sha, facts, files in mined
    ]


def _window_days(history: Sequence[MinedCommit]) -> float:
    """Return the length of a window: a young project has at least four, of a day or more."""
    times = [facts.time for _, facts, _ in history]
    return min(WINDOW_DAYS, max((max(times) - min(times)) / _DAY_S / 4.0, 1.0))


def _refuse_too_few(training: Sequence[_Snapshot], length: float) -> None:
    fixed = sum(int((s.fixes > 0).sum()) for s in training)
    if fixed < _MIN_FIXED:
        past = f"{len(training) * length:.0f} days" if training else "history"
        raise DataError(
            f"too few fixes to learn from: {pluralize(fixed, 'file')} fixed in the last {past}, "
            f"{_MIN_FIXED} are needed",
            "mine more history (testopt mine), or say which messages are fixes (fix_pattern)",
        )


def _file_hotspots(
    model: FixRate, last: _Snapshot, now: _Snapshot, windows: float
) -> list[Hotspot]:
    before = dict(zip(last.paths, model.expected(last.x, windows), strict=True))
    expected, chance = model.expected(now.x, windows), model.chance(now.x, windows)
    rows = zip(now.paths, expected, chance, now.lines, strict=True)
    return [Hotspot(p, float(e), float(c), int(n), before.get(p)) for p, e, c, n in rows]


def _snapshots(
    history: Sequence[MinedCommit], days: float, *, windows: int, tests: bool
) -> list[_Snapshot]:
    """Return the states before windows of the past that hold files, oldest first, and that now."""
    state, snapshots = AreaHistory(), []
    end = max(facts.time for _, facts, _ in history)
    start = min(facts.time for _, facts, _ in history)
    cuts = [end - k * days * _DAY_S for k in range(windows, 0, -1)]
    position = 0
    for cut in cuts:
        while position < len(history) and history[position][1].time <= cut:
            state.update(*history[position][1:])
            position += 1
        if cut > start:
            fixes = _fixes(history[position:], cut + days * _DAY_S)
            snapshots.append(_snapshot(state, cut, fixes, tests=tests))
    for _, facts, files in history[position:]:
        state.update(facts, files)
    past = [s for s in snapshots if len(s.paths)]
    return [*past, _snapshot(state, end, {}, tests=tests)]


def _fixes(later: Sequence[MinedCommit], until: float) -> dict[str, int]:
    """Count fixes by the path that a file had at the beginning of the window."""
    counts: dict[str, int] = {}
    original: dict[str, str] = {}
    for _, facts, files in later:
        if facts.time > until:
            break
        for file in files:
            old = file.old_path if file.status == "R" else None
            first = original.get(old or file.path, old or file.path)
            original[file.path] = first
            if is_focused_fix(facts, files):
                counts[first] = counts.get(first, 0) + 1
    return counts


def _snapshot(state: AreaHistory, now: float, fixes: dict[str, int], *, tests: bool) -> _Snapshot:
    paths, rows = state.snapshot(now)
    x = np.asarray(rows, np.float64).reshape(-1, len(NAMES))
    keep = np.array([is_code(p) for p in paths], bool)
    if not tests:
        keep &= x[:, NAMES.index("is_test")] == 0
    kept_paths = [p for p, k in zip(paths, keep, strict=True) if k]
    return _Snapshot(kept_paths, x[keep], np.array([float(fixes.get(p, 0)) for p in kept_paths]))


def _fit(snapshots: Sequence[_Snapshot]) -> FixRate:
    x = np.concatenate([s.x for s in snapshots])
    return FixRate().fit(x, np.concatenate([s.fixes for s in snapshots]))


def _validate(
    snapshots: Sequence[_Snapshot], n_tests: int, *, per_line: bool
) -> list[dict[str, float]]:
    """Test on each of the last windows what was learnt from the windows before it."""
    shares = []
    for position in range(max(len(snapshots) - n_tests, 1), len(snapshots)):
        older, last = snapshots[max(position - TRAINING_WINDOWS, 0) : position], snapshots[position]
        n_fixed = sum(int((s.fixes > 0).sum()) for s in older)
        if int((last.fixes > 0).sum()) < _MIN_FIXED_TO_TEST or n_fixed < _MIN_FIXED:
            continue
        shares.append(_shares(_fit(older), last, per_line=per_line))
    return shares


def _shares(model: FixRate, last: _Snapshot, *, per_line: bool) -> dict[str, float]:
    rankings = {
        OURS: model.expected(last.x),
        "size": last.lines,
        "past fixes": last.x[:, _FIXES],
        "churn": last.x[:, _CHURN],
    }
    if not per_line:
        return {name: share_found(score, last.fixes) for name, score in rankings.items()}
    large = last.lines >= MIN_LINES
    lines, hits = last.lines[large], last.fixes[large]
    found = {n: recall_at_effort(r[large] / lines, lines, hits) for n, r in rankings.items()}
    found.pop("size")  # per line it says nothing
    return {**found, "smallest first": recall_at_effort(-lines, lines, hits)}


def _folders(files: Sequence[Hotspot]) -> list[Hotspot]:
    """Sum files up to the folders they lie in, directly."""
    groups: dict[str, list[Hotspot]] = {}
    for file in files:
        groups.setdefault(file.path.rpartition("/")[0] or ".", []).append(file)
    return [
        Hotspot(
            folder,
            sum(s.expected for s in group),
            float(-np.expm1(sum(np.log1p(-min(s.chance, 1.0 - 1e-9)) for s in group))),
            sum(s.lines for s in group),
            None if all(s.before is None for s in group) else sum(s.before or 0.0 for s in group),
        )
        for folder, group in groups.items()
    ]
