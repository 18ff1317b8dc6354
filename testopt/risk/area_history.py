"""What the history of each file says of fixes to come, as of any time.

Fixes and changes fade with time (Graves et al. 2000: recent changes tell most); files that were
fixed are fixed again (Kim et al. 2007); large files and many hands add to it (Nagappan et al.
2008). State is read before it is updated; a renamed file keeps its past, a deleted one is gone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testopt.risk.change_metrics import ChangeFacts, TouchedFile

HALF_LIVES: Final = (45.0, 360.0)  # days
MAX_FIX_FILES: Final = 50  # a fix of more files says little of each of them
NAMES: Final = (
    "fixes_recent", "fixes", "changes_recent", "changes", "churn", "lines", "people", "quiet_days",
    "is_test",
)  # fmt: skip
_DAY_S: Final = 86_400.0


@dataclass(slots=True)
class _DecayedSums:
    """Sums that halve over time, one for each half-life."""

    values: list[float] = field(default_factory=lambda: [0.0] * len(HALF_LIVES))
    time: float = 0.0

    def at(self, now: float) -> list[float]:
        days = max(now - self.time, 0.0) / _DAY_S
        return [v * math.exp2(-days / h) for v, h in zip(self.values, HALF_LIVES, strict=True)]

    def add(self, amount: float, now: float) -> None:
        self.values = [v + amount for v in self.at(now)]
        self.time = max(self.time, now)


@dataclass(slots=True)
class _FileHistory:
    lines: int = 0
    is_test: bool = False
    last: float = 0.0
    fixes: _DecayedSums = field(default_factory=_DecayedSums)
    changes: _DecayedSums = field(default_factory=_DecayedSums)
    churn: _DecayedSums = field(default_factory=_DecayedSums)
    people: set[str] = field(default_factory=set)


class AreaHistory:
    """All files that exist now, with what happened to them."""

    def __init__(self) -> None:
        self._files: dict[str, _FileHistory] = {}

    def update(self, commit: ChangeFacts, files: Sequence[TouchedFile]) -> None:
        """Remember a commit; merges are left out, for what they bring is in their parents."""
        if commit.is_merge:
            return
        is_fix = is_focused_fix(commit, files)
        for file in files:
            self._update_file(file, commit, is_fix=is_fix)

    def _update_file(self, file: TouchedFile, commit: ChangeFacts, *, is_fix: bool) -> None:
        if file.status == "D":
            self._files.pop(file.path, None)
            return
        renamed = file.status == "R" and file.old_path is not None
        history = self._files.pop(file.old_path or "", None) if renamed else None
        history = history or self._files.get(file.path) or _FileHistory()
        self._files[file.path] = history
        added, deleted = file.added or 0, file.deleted or 0
        before = history.lines if file.size_before is None else file.size_before
        history.lines = max(before + added - deleted, 0)
        history.is_test, history.last = file.is_test, max(history.last, commit.time)
        history.people.add(commit.author)
        history.changes.add(1.0, commit.time)
        history.churn.add(added + deleted, commit.time)
        if is_fix:
            history.fixes.add(1.0, commit.time)

    def snapshot(self, now: float) -> tuple[list[str], list[list[float]]]:
        """Return the files with at least one line, and their numbers in the order of ``NAMES``.

        Parameters
        ----------
        now : float
            Seconds since 1970.

        Returns
        -------
        paths : list of str, length n
        rows : list of list of float, shape (n, 9)
        """
        paths = sorted(path for path, history in self._files.items() if history.lines > 0)
        return paths, [self._row(self._files[path], now) for path in paths]

    def _row(self, history: _FileHistory, now: float) -> list[float]:
        return [
            *history.fixes.at(now),
            *history.changes.at(now),
            history.churn.at(now)[-1],
            float(history.lines),
            float(len(history.people)),
            max(now - history.last, 0.0) / _DAY_S,
            float(history.is_test),
        ]


def is_focused_fix(commit: ChangeFacts, files: Sequence[TouchedFile]) -> bool:
    """Tell whether a commit is a fix small enough to say something of each of its files."""
    return commit.is_fix and not commit.is_merge and len(files) <= MAX_FIX_FILES
