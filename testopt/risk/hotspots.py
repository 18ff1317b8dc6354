"""Ranks files, folders and functions by the fixes to expect for each line that one would review.

The order is the chance of a fix per line, not the number of fixes: a few files are fixed again and
again, and whoever reads them first has read most lines of the project before the next file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from testopt.code.paths import is_code
from testopt.errors import DataError, EmptyStoreError
from testopt.risk.area_history import NAMES, AreaHistory, is_focused_fix
from testopt.risk.fix_rate import FixRate, recall_at_effort
from testopt.risk.mined_metrics import COMMIT_COLUMNS, FILE_COLUMNS, MinedCommit, mined_commits

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from testopt.store import Store

WINDOWS: Final = 12  # windows of the past that teach and test
TEST_SHARE: Final = 1 / 3  # the youngest share of them tests, each by what was learnt before it
TRAINING_WINDOWS: Final = 8  # windows that teach one model
_DAY_S: Final = 86_400.0
_MIN_FIXED: Final = 10  # fixed files in the windows that teach
_MIN_FIXED_TO_TEST: Final = 5
_TREND_THRESHOLD: Final = 0.25  # relative difference that counts as a trend
_LINES, _CHURN = NAMES.index("lines"), NAMES.index("churn")


@dataclass(frozen=True, slots=True)
class Hotspot:
    """A file, folder or function, and the fixes to expect in it in the coming window.

    ``expected`` counts fixes, ``chance`` is the probability of any (of a folder the number of its
    files that will be fixed); ``before`` is what was expected one window ago (None: it was new, or
    is a function). ``name`` and ``first`` line tell a function of the file.
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
        """Chance of a fix per 1,000 lines."""
        return 1000.0 * self.chance / max(self.lines, 1)

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
    """Hotspots, the densest first, and how the ranking of files did on the last windows.

    ``validation`` maps a ranking to the share of the files fixed in a window that it puts into the
    top 20 % of lines, by a model fitted before: the mean of the last ``windows`` windows in which
    enough files were fixed; None where there is none.
    """

    hotspots: tuple[Hotspot, ...]
    days: float
    files: int
    fixed: int  # files fixed in the last window
    validation: dict[str, float] | None
    windows: int = 0


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
) -> HotspotReport:
    """Rank files of program text by the fixes expected per line in the coming days.

    Parameters
    ----------
    store : Store
        With mined commits. "Now" is the time of the last one.
    days : float
        Length of a window: of the forecast, and of those that it is learnt from.
    by : {"file", "folder", "function"}
        What to rank; folders are sums of their files, functions share what their file expects.
    tests : bool
        Rank files that are tests too.
    repo : Path, optional
        Repository whose HEAD has the functions.
    windows : int
        Windows of the past that teach and test.

    Returns
    -------
    HotspotReport

    Raises
    ------
    EmptyStoreError
        When no commits were mined.
    DataError
        When too few fixes are known to learn from.
    """
    commits = store.read("commits", columns=COMMIT_COLUMNS)
    if not commits.num_rows:
        raise EmptyStoreError("the store holds no commits", "read them first: testopt mine")
    history = list(mined_commits(commits, store.read("file_changes", columns=FILE_COLUMNS)))
    *past, now = _snapshots(history, days, windows=windows, tests=tests)
    training = [s for s in past if len(s.paths)]
    if sum(int((s.fixes > 0).sum()) for s in training) < _MIN_FIXED:
        raise DataError(
            f"too few fixes in the last {days * windows:.0f} days to learn from",
            "take a longer window (--days), mine more history, or set fix_pattern",
        )
    ranked = _file_hotspots(training, now)
    if by == "folder":
        ranked = _folders(ranked)
    elif by == "function" and repo is not None:
        from testopt.risk.function_hotspots import function_hotspots

        ranked = function_hotspots(repo, ranked, {sha: facts.time for sha, facts, _ in history})
    ranked.sort(key=lambda s: (-s.density, s.path, s.first))
    fixed = int((training[-1].fixes > 0).sum())
    checks = _validate(training, round(windows * TEST_SHARE))
    mean = {n: float(np.mean([c[n] for c in checks])) for n in checks[0]} if checks else None
    return HotspotReport(tuple(ranked), days, len(now.paths), fixed, mean, len(checks))


def _file_hotspots(training: Sequence[_Snapshot], now: _Snapshot) -> list[Hotspot]:
    model = _fit(training[-TRAINING_WINDOWS:])
    last = training[-1]
    before = dict(zip(last.paths, model.predict(last.x), strict=True))
    rows = zip(now.paths, model.predict(now.x), model.chance(now.x), now.lines, strict=True)
    return [Hotspot(p, float(e), float(c), int(n), before.get(p)) for p, e, c, n in rows]


def _snapshots(
    history: Sequence[MinedCommit], days: float, *, windows: int, tests: bool
) -> list[_Snapshot]:
    """Return the state before each window of the past, oldest first, and the one now."""
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
    return [*snapshots, _snapshot(state, end, {}, tests=tests)]


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


def _validate(snapshots: Sequence[_Snapshot], n_tests: int) -> list[dict[str, float]]:
    """Test on each of the last windows what was learnt from the windows before it."""
    shares = []
    for position in range(max(len(snapshots) - n_tests, 1), len(snapshots)):
        older, last = snapshots[max(position - TRAINING_WINDOWS, 0) : position], snapshots[position]
        fixed = last.fixes > 0
        n_fixed = sum(int((s.fixes > 0).sum()) for s in older)
        if int(fixed.sum()) < _MIN_FIXED_TO_TEST or n_fixed < _MIN_FIXED:
            continue
        model = _fit(older)
        lines = np.maximum(last.lines, 1.0)
        rankings = {
            "chance of a fix per line": model.chance(last.x) / lines,
            "expected fixes per line": model.predict(last.x) / lines,
            "churn per line": last.x[:, _CHURN] / lines,
            "churn alone": last.x[:, _CHURN],
            "largest first": lines,
            "smallest first": -lines,
        }
        shares.append({n: recall_at_effort(score, lines, fixed) for n, score in rankings.items()})
    return shares


def _folders(files: Sequence[Hotspot]) -> list[Hotspot]:
    """Sum files up to the folders they lie in, directly."""
    groups: dict[str, list[Hotspot]] = {}
    for file in files:
        groups.setdefault(file.path.rpartition("/")[0] or ".", []).append(file)
    return [
        Hotspot(
            folder,
            sum(s.expected for s in group),
            sum(s.chance for s in group),
            sum(s.lines for s in group),
            None if all(s.before is None for s in group) else sum(s.before or 0.0 for s in group),
        )
        for folder, group in groups.items()
    ]
