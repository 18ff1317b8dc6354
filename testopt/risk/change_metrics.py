"""Computes the 14 change metrics of Kamei et al. (2013), and a few more, in one pass.

Source: Kamei, Shihab, Adams, Hassan, Mockus, Sinha, Ubayashi, "A large-scale empirical study of
just-in-time quality assurance", IEEE TSE 39(6), 2013, table 1.

=========  ======================================================================================
ns         subsystems (first folder of the path) that are changed
nd         folders that are changed
nf         files that are changed
entropy    how the changed lines spread over the files, in bits, not normalised (Hassan 2009)
la, ld     lines added, deleted, but those of documents and of supplied files
lt         lines that the files had before, summed
fix        1 for the fix of a defect
ndev       people who changed these files before
age        mean days since the last change of each file; 0 where all are new
nuc        distinct earlier changes of these files
exp        earlier changes of the author
rexp       the same, each divided by one plus its age in full years
sexp       earlier changes of the author in the changed subsystems
=========  ======================================================================================

Beyond the paper: ``words``, how many explain the change in the message below the subject, NaN where
unknown.

Everything counts what came before the change: state is read, then updated. A renamed file keeps
its past. Merges are measured and leave no trace, for what they bring is in their parents. Authors
are pseudonyms. A file with unknown line counts (binary) counts as a file of zero lines.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from testopt.code.paths import is_document, is_supplied
from testopt.risk.derived_metrics import METRICS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

WORDS: Final = "words"
NAMES: Final = (*METRICS, WORDS)
AUTHOR_METRICS: Final = frozenset({"ndev", "exp", "rexp", "sexp"})
_DAY_S: Final = 86_400.0
_YEAR_S: Final = 365.25 * _DAY_S


@dataclass(frozen=True, slots=True)
class TouchedFile:
    """One file of a commit; None: unknown."""

    path: str
    subsystem: str
    added: int | None = None
    deleted: int | None = None
    size_before: int | None = None
    old_path: str | None = None
    status: str = "M"
    is_test: bool = False


@dataclass(frozen=True, slots=True)
class ChangeFacts:
    """What is known of a commit beside its files; `time` in seconds since 1970."""

    author: str
    time: float
    is_fix: bool = False
    is_merge: bool = False
    words: float = math.nan


@dataclass(slots=True)
class _FilePast:
    """What happened to one file; changes are numbers of commits."""

    lines: int = 0
    last: float = -math.inf
    people: set[str] = field(default_factory=set)
    changes: list[int] = field(default_factory=list)


class ChangeHistory:
    """What is known of files and people up to now."""

    def __init__(self) -> None:
        self._files: dict[str, _FilePast] = {}
        self._n_changes = 0
        self._times: dict[str, list[float]] = {}  # by author, ascending
        self._subsystems: dict[tuple[str, str], list[int]] = {}  # by author and subsystem

    def measure(self, commit: ChangeFacts, files: Sequence[TouchedFile]) -> list[float]:
        """Return the metrics of a change, in the order of ``NAMES``; nothing is remembered.

        Parameters
        ----------
        commit : ChangeFacts
        files : sequence of TouchedFile
            Empty for a commit that changes no file: all but the author's metrics are then 0.

        Returns
        -------
        list of float, shape (len(NAMES),)
        """
        pasts = [past for f in files if (past := self._past(f)) is not None]
        changes = _union(past.changes for past in pasts)
        lines = [_counted(f) for f in files]
        subsystems = {f.subsystem for f in files}
        return [
            float(len(subsystems)),
            float(len({f.path.rpartition("/")[0] for f in files})),
            float(len(files)),
            _entropy([added + deleted for added, deleted in lines]),
            float(sum(added for added, _ in lines)),
            float(sum(deleted for _, deleted in lines)),
            float(sum(self._size(f) for f in files)),
            float(commit.is_fix),
            float(len(set().union(*(past.people for past in pasts)))),
            _age(pasts, commit.time),
            float(len(changes)),
            *self._experience(commit, subsystems),
            float(commit.words),
        ]

    def update(self, commit: ChangeFacts, files: Sequence[TouchedFile]) -> None:
        """Remember a change."""
        if commit.is_merge:
            return
        number = self._n_changes
        self._n_changes += 1
        times = self._times.setdefault(commit.author, [])
        # Author clocks jump back; a past change never counts as younger than the ones before.
        times.append(max(commit.time, times[-1]) if times else commit.time)
        for subsystem in {f.subsystem for f in files}:
            self._subsystems.setdefault((commit.author, subsystem), []).append(number)
        for file in files:
            self._update_file(file, commit, number)

    def _update_file(self, file: TouchedFile, commit: ChangeFacts, number: int) -> None:
        size = self._size(file)
        past = self._past(file)
        if file.status == "R" and file.old_path is not None:
            self._files.pop(file.old_path, None)
        elif file.status == "C" and past is not None:
            past = _FilePast(past.lines, past.last, set(past.people), list(past.changes))
        past = past or _FilePast()
        self._files[file.path] = past
        past.lines = max(size + (file.added or 0) - (file.deleted or 0), 0)
        past.last = max(past.last, commit.time)
        past.people.add(commit.author)
        if not past.changes or past.changes[-1] != number:
            past.changes.append(number)

    def _past(self, file: TouchedFile) -> _FilePast | None:
        if file.status in ("R", "C") and file.old_path is not None:
            return self._files.get(file.old_path)
        return self._files.get(file.path)

    def _size(self, file: TouchedFile) -> int:
        """Return the lines before the change: as git knows, else as counted so far."""
        if file.size_before is not None:
            return file.size_before
        past = self._past(file)
        return past.lines if past is not None and file.status != "A" else 0

    def _experience(self, commit: ChangeFacts, subsystems: set[str]) -> tuple[float, float, float]:
        times = self._times.get(commit.author, [])
        changes = [self._subsystems.get((commit.author, subsystem), []) for subsystem in subsystems]
        return float(len(times)), _recent(times, commit.time), float(len(_union(changes)))


def with_lines(row: Sequence[float], file: TouchedFile, added: int, deleted: int) -> list[float]:
    """Return the metrics of one file that changed alone, had it changed by other lines."""
    values = dict(zip(NAMES, row, strict=True))
    added, deleted = _counted(replace(file, added=added, deleted=deleted))
    values["la"], values["ld"] = float(added), float(deleted)
    return list(values.values())


def _counted(file: TouchedFile) -> tuple[int, int]:
    """Return the lines added and deleted that count: a text or a lock file breaks little."""
    if is_document(file.path) or is_supplied(file.path):
        return 0, 0
    return file.added or 0, file.deleted or 0


def _union(parts: Iterable[Iterable[int]]) -> set[int]:
    return set().union(*parts)


def _entropy(lines: Sequence[int]) -> float:
    total = sum(lines)
    shares = [n / total for n in lines if n] if total else []
    return max(-sum(s * math.log2(s) for s in shares), 0.0)


def _age(pasts: Sequence[_FilePast], now: float) -> float:
    if not pasts:
        return 0.0
    return sum(max(now - past.last, 0.0) for past in pasts) / len(pasts) / _DAY_S


def _recent(times: Sequence[float], now: float) -> float:
    """Return the sum of 1 / (1 + full years since) over past times, ascending."""
    total, years, younger = 0.0, 0, len(times)
    while younger:
        # changes at most `years` full years old begin behind this time
        older = bisect_right(times, now - (years + 1) * _YEAR_S, 0, younger)
        total += (younger - older) / (years + 1)
        younger, years = older, years + 1
    return total
