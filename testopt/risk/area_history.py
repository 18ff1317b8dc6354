"""What the past says of a file as a place where defects will be fixed, as of any moment.

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

    from testopt.risk.change_metrics import CommitFacts, TouchedFile

HALF_LIVES: Final = (45.0, 360.0)  # days
VAST_FIX: Final = 50  # a fix of more files says little of each of them
NAMES: Final = (
    "fixes_recent", "fixes", "changes_recent", "changes", "churn", "lines", "people", "quiet_days",
    "is_test",
)  # fmt: skip
_DAY_S: Final = 86_400.0


@dataclass(slots=True)
class _Fading:
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
class _Area:
    lines: int = 0
    is_test: bool = False
    last: float = 0.0
    fixes: _Fading = field(default_factory=_Fading)
    changes: _Fading = field(default_factory=_Fading)
    churn: _Fading = field(default_factory=_Fading)
    people: set[str] = field(default_factory=set)


class AreaHistory:
    """All files that exist now, with what happened to them."""

    def __init__(self) -> None:
        self._areas: dict[str, _Area] = {}

    def update(self, commit: CommitFacts, files: Sequence[TouchedFile]) -> None:
        """Remember a commit; merges are left out, for what they bring is in their parents."""
        if commit.is_merge:
            return
        fix = is_telling_fix(commit, files)
        for file in files:
            self._touch(file, commit, fix=fix)

    def _touch(self, file: TouchedFile, commit: CommitFacts, *, fix: bool) -> None:
        if file.status == "D":
            self._areas.pop(file.path, None)
            return
        renamed = file.status == "R" and file.old_path is not None
        area = self._areas.pop(file.old_path or "", None) if renamed else None
        area = area or self._areas.get(file.path) or _Area()
        self._areas[file.path] = area
        added, deleted = file.added or 0, file.deleted or 0
        before = area.lines if file.size_before is None else file.size_before
        area.lines = max(before + added - deleted, 0)
        area.is_test, area.last = file.is_test, max(area.last, commit.time)
        area.people.add(commit.author)
        area.changes.add(1.0, commit.time)
        area.churn.add(added + deleted, commit.time)
        if fix:
            area.fixes.add(1.0, commit.time)

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
        paths = sorted(path for path, area in self._areas.items() if area.lines > 0)
        return paths, [self._row(self._areas[path], now) for path in paths]

    def _row(self, area: _Area, now: float) -> list[float]:
        return [
            *area.fixes.at(now),
            *area.changes.at(now),
            area.churn.at(now)[-1],
            float(area.lines),
            float(len(area.people)),
            max(now - area.last, 0.0) / _DAY_S,
            float(area.is_test),
        ]


def is_telling_fix(commit: CommitFacts, files: Sequence[TouchedFile]) -> bool:
    """Tell whether a commit is a fix small enough to say something of each of its files."""
    return commit.is_fix and not commit.is_merge and len(files) <= VAST_FIX
