"""Which cases failed when the same file, folder or function was changed before.

For each changed unit, a function, file or folder, the state keeps, as shares of its recent changes,
what failed with it. Recent changes weigh more: every further change of the unit takes a tenth off
the earlier ones.
Shards, jobs and repeated runs of one commit are one change, and a change at which a case did not
run says nothing of it.
The idea of associating changed files with failing tests is that of Machalica et al. (2019),
"Predictive test selection".
"""

from __future__ import annotations

import re
from dataclasses import astuple, dataclass, field, fields
from functools import lru_cache
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from testopt.code.words import number
from testopt.reasons import Reason, ReasonKind
from testopt.runners.case_ids import split_case

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from testopt.features.frames import RunFrame
    from testopt.schema import Run
    from testopt.similarity.query import Query

_MARKS: Final = {"owner": "o", "path": "p", "folder": "d"}
_TAG_DIGITS: Final = 7
_HASH: Final = re.compile(r"[0-9a-f]{7,64}")
LEVELS: Final = ("case", "function", "file")
_CASE, _FUNCTION, _FILE = (number(mark) for mark in ("c:", "f:", "m:"))
# The other pairs, and each as a share of the run's largest, added nothing (`run_features`).
PAIRS: Final = (
    ("owner", "case"), ("owner", "function"),
    ("path", "case"), ("path", "function"), ("path", "file"), ("folder", "file"),
)  # fmt: skip
NAMES: Final = tuple(f"failed_with_{kind}_{level}" for kind, level in PAIRS)

KEEP: Final = 0.9  # of the weight of earlier changes of a unit, at each further one
KEEP_UNSEEN: Final = 0.98  # of a share, at each change without a run of the target
FORGET: Final = 0.02
MAX_UNITS: Final = 50_000
MAX_OF_RUN: Final = 200  # units of one change that are looked at
MAX_TICKS: Final = 64  # last changes of a unit of which it is known when they were
MAX_FAILED: Final = 500  # failing cases of one run that are taken in; more is no news on a file


class Lives(NamedTuple):
    """How long the cases of a run have lived, as of its end; arrays of shape (n_cases,).

    ``first`` is the tick of their first execution, ``executions`` how many there were.
    """

    first: NDArray[np.int32]
    executions: NDArray[np.int32]


class _Life(NamedTuple):
    """That of one target; by default it was there from the beginning."""

    first: int = 0
    executions: int = 1 << 30


@dataclass(slots=True)
class _Past:
    """What a target has done at the changes of a unit.

    ``weight`` is that of the changes it failed at, ``hits`` their number, ``hit`` the last of
    them and ``tag`` the beginning of its commit; ``ran`` counts those it ran at, of which ``seen``
    is the last. ``made_hits`` and ``made_ran`` count variants, which are in no other number.
    """

    weight: float
    hits: int = 0
    tag: int = 0
    ran: int = 0
    seen: int = 0
    hit: int = 0
    made_hits: int = 0
    made_ran: int = 0


@dataclass(frozen=True, slots=True)
class _Event:
    """A run: the change that it is of (0: unlike any other), its commit, when it was."""

    change: int
    tag: int
    tick: int
    is_made: bool


@dataclass(slots=True)
class _Unit:
    """A function, file or folder: weight and number of its changes, and the last of them.

    ``ticks`` are those of its last changes, variants left out; ``made`` counts these.
    """

    changes: float = 0.0
    count: int = 0
    last: int = 0
    failed: dict[int, _Past] = field(default_factory=dict)
    made: int = 0
    ticks: list[int] = field(default_factory=list)

    def take(self, event: _Event, ran: Collection[int], failed: Mapping[int, _Life]) -> None:
        """Take in a run at a change; runs of one change are one."""
        change = event.change
        same = change != 0 and change == self.last
        before = (self.changes - 1.0) / KEEP if same else self.changes
        if not same:
            self._count(event, before)
        unseen = KEEP_UNSEEN * (self.changes + 1.0) / (before + 1.0)
        for target, past in self.failed.items():
            if not same:
                past.weight *= unseen
            if target in ran and not (same and past.seen == change):
                past.weight *= KEEP / unseen
                past.seen = change
                past.ran, past.made_ran = (
                    past.ran + (not event.is_made),
                    past.made_ran + event.is_made,
                )
        self._fail(event, failed, same=same)
        if not same:
            self.failed = {t: past for t, past in self.failed.items() if past.weight > FORGET}

    def _count(self, event: _Event, before: float) -> None:
        self.changes, self.last = before * KEEP + 1.0, event.change
        if event.is_made:
            self.made += 1
        else:
            self.count += 1
            self.ticks = [*self.ticks, event.tick][-MAX_TICKS:]

    def _fail(self, event: _Event, failed: Mapping[int, _Life], *, same: bool) -> None:
        for target, life in sorted(failed.items()):
            past = self.failed.get(target)
            if past is None:
                ran, made = self._ran_so_far(life), self.made
                past = _Past(0.0, ran=ran, seen=self.last, made_ran=made)
                self.failed[target] = past
            elif same and past.hit == self.last:
                continue
            past.weight, past.hit = past.weight + 1.0, self.last
            if event.is_made:
                past.made_hits += 1
            else:
                past.hits, past.tag = past.hits + 1, event.tag

    def _ran_so_far(self, life: _Life) -> int:
        """Return at how many changes a target ran that fails now for the first time."""
        known = sum(tick >= life.first for tick in self.ticks)
        older = self.count - len(self.ticks) if known == len(self.ticks) else 0
        return min(known + older, life.executions)


_KEPT: Final = [f.name for f in fields(_Past)][1:]  # all but the weight
_COUNTS: Final = len(_KEPT)
COUNTED: Final = tuple(map(_KEPT.index, ("hits", "ran", "made_hits", "made_ran")))  # else hashes


class CoFailure:
    """Features of a case from what failed when the same units of code were changed.

    The state is read before it is updated; units are kept by number, in the order of their last
    change, and the oldest are forgotten first.
    """

    def __init__(self) -> None:
        self._units: dict[int, _Unit] = {}

    def read(self, query: Query) -> NDArray[np.float32]:
        """Return the features of a run about to start.

        Parameters
        ----------
        query : Query
            Its ``files``, and the functions in its ``text``, are what is changed.

        Returns
        -------
        ndarray of float32, shape (n_cases, len(NAMES))
            NaN where the change is unknown, or none of its units was changed before.
        """
        n = len(query.cases)
        out = np.full((n, len(NAMES)), np.nan, np.float32)
        changed = {
            kind: [key for key in numbers if key in self._units]
            for kind, numbers in _unit_numbers(query).items()
        }
        targets = _targets(query.cases) if any(changed.values()) and n else {}
        for level, numbers in targets.items():
            unique, code = np.unique(numbers, return_inverse=True)
            for kind, known in changed.items():
                if known and (kind, level) in PAIRS:
                    column = PAIRS.index((kind, level))
                    out[:, column] = self._shares(known, unique)[code]
        return out

    def _shares(self, units: list[int], unique: NDArray[np.uint32]) -> NDArray[np.float64]:
        """Return the largest share of the changes of some units that each target failed with.

        The targets are sorted, each once.
        """
        best = np.zeros(len(unique))
        for unit in units:
            known = self._units[unit]
            if not known.failed:
                continue
            keys = np.fromiter(known.failed, np.uint32, len(known.failed))
            values = np.array([past.weight for past in known.failed.values()])
            at = np.minimum(np.searchsorted(unique, keys), len(unique) - 1)
            is_known = unique[at] == keys
            np.maximum.at(best, at[is_known], values[is_known] / (known.changes + 1.0))
        return best

    def reasons(self, query: Query) -> dict[int, Reason]:
        """Return what the changed units have done to cases before.

        Parameters
        ----------
        query : Query
            As for `read`.

        Returns
        -------
        dict of int to Reason
            Position of a case -> such as "failed in 4 of 11 changes to `billing/`, last at
            3f2a91c"; cases that failed with none of the units are left out.
        """
        known = list(self._known_units(query))
        if not known:
            return {}
        position = {_targets_of(case)[0]: i for i, case in enumerate(query.cases)}
        best: dict[int, tuple[tuple[bool, float], str, str, _Past]] = {}
        for kind, name, unit in known:
            for target in unit.failed.keys() & position.keys():
                at, past = position[target], unit.failed[target]
                if _says(past) and (at not in best or _share(past) > best[at][0]):
                    best[at] = _share(past), kind, name, past
        return {at: _reason(kind, name, past) for at, (_, kind, name, past) in best.items()}

    def reasons_of(self, query: Query, position: int) -> list[Reason]:
        """Return what each changed unit has done to one case, the strongest first.

        The first one is that of `reasons`.
        """
        target = _targets_of(query.cases[position])[0]
        known = (
            (kind, name, unit.failed[target])
            for kind, name, unit in self._known_units(query)
            if target in unit.failed
        )
        found = [
            (_share(past), _reason(kind, name, past)) for kind, name, past in known if _says(past)
        ]
        found.sort(key=lambda one: one[0], reverse=True)
        return [reason for _, reason in found]

    def _known_units(self, query: Query) -> Iterator[tuple[str, str, _Unit]]:
        """Yield kind, name and past of the changed units with which something failed."""
        for kind, names in _named(query).items():
            for name, key in zip(names, _numbers(kind, names), strict=True):
                unit = self._units.get(key)
                if unit is not None and unit.failed:
                    yield kind, name, unit

    def update(self, frame: RunFrame, lives: Lives | None = None, *, tick: int = 0) -> None:
        """Take in what failed in a run.

        Parameters
        ----------
        frame : RunFrame
        lives : Lives, optional
            Of its cases: what was changed before a case was there says nothing of it.
        tick : int
            Of the run, as `lives` counts them.
        """
        query = frame.query
        keys = chain.from_iterable(_unit_numbers(query).values())
        units = [self._touched(key) for key in keys]
        if not units:
            return
        hit = _lives_of(frame, lives)
        ran: set[int] = set()
        if any(unit.failed for unit in units):
            skipped = zip(query.cases, frame.skipped.tolist(), strict=True)
            ran = _all_targets(case for case, out in skipped if not out)
        change = 0 if frame.is_variant else _change(query.run)
        tag = _tag(query.run.commit) if change else 0
        event = _Event(change, tag, tick, frame.is_variant)
        for unit in units:
            unit.take(event, ran, hit)
        for key in list(self._units)[: max(len(self._units) - MAX_UNITS, 0)]:
            del self._units[key]

    def _touched(self, key: int) -> _Unit:
        """Return a unit, as the last that was changed."""
        unit = self._units.pop(key, None) or _Unit()
        self._units[key] = unit
        return unit

    def dump(self) -> dict[str, NDArray[Any]]:
        """Return the state as arrays."""
        units = list(self._units.values())
        rows = [past for unit in units for past in unit.failed.values()]
        hits = [(*astuple(past)[1:],) for past in rows]
        return {
            "things": np.array(list(self._units), np.uint32),
            "changes": np.array([unit.changes for unit in units], np.float64),
            "sizes": np.array([len(unit.failed) for unit in units], np.int64),
            "targets": np.array([t for unit in units for t in unit.failed], np.uint32),
            "weights": np.array([past.weight for past in rows], np.float64),
            "counts": np.array([unit.count for unit in units], np.int32),
            "last": np.array([unit.last for unit in units], np.uint32),
            "hits": np.array(hits, np.uint32).reshape(-1, _COUNTS),
            "made": np.array([unit.made for unit in units], np.int32),
            "ticks": np.array([tick for unit in units for tick in unit.ticks], np.int32),
            "tick_counts": np.array([len(unit.ticks) for unit in units], np.int32),
        }

    @classmethod
    def load(cls, arrays: Mapping[str, NDArray[Any]]) -> CoFailure:
        """Rebuild from what `dump` returned; an earlier version counted less."""
        state = cls()
        units, sizes = arrays["things"].tolist(), arrays["sizes"].tolist()
        counts = _column(arrays, "counts", len(units))
        last = _column(arrays, "last", len(units))
        targets, weights = arrays["targets"].tolist(), arrays["weights"].tolist()
        known = np.zeros((len(targets), _COUNTS), np.int64)
        kept = arrays.get("hits", known[:, :0])
        known[:, : kept.shape[1]] = kept
        if kept.shape[1] < 3:  # noqa: PLR2004 - hits and the last of them
            known[:, 2] = np.repeat(counts, sizes)  # it was run at every change, as far as known
        past = [_Past(w, *row) for w, row in zip(weights, known.tolist(), strict=True)]
        ends = np.cumsum([0, *sizes]).tolist()
        made, ticks = _column(arrays, "made", len(units)), _ticks(arrays, len(units))
        for i, (key, changes) in enumerate(zip(units, arrays["changes"].tolist(), strict=True)):
            part = slice(ends[i], ends[i + 1])
            failed = dict(zip(targets[part], past[part], strict=True))
            state._units[key] = _Unit(changes, counts[i], last[i], failed, made[i], ticks[i])
        return state


def _column(arrays: Mapping[str, NDArray[Any]], name: str, size: int) -> list[int]:
    found: list[int] = arrays[name].tolist() if name in arrays else [0] * size
    if len(found) != size:
        raise ValueError(f"{name} has {len(found)} entries, not {size}")
    return found


def _ticks(arrays: Mapping[str, NDArray[Any]], units: int) -> list[list[int]]:
    """Return the ticks of each unit; an earlier version kept none."""
    ends = np.cumsum([0, *_column(arrays, "tick_counts", units)]).tolist()
    ticks = arrays["ticks"].tolist() if "ticks" in arrays else []
    if len(ticks) != ends[-1]:
        raise ValueError(f"there are {len(ticks)} ticks, not {ends[-1]}")
    return [ticks[start:end] for start, end in pairwise(ends)]


def _lives_of(frame: RunFrame, lives: Lives | None) -> dict[int, _Life]:
    """Return the targets that failed in a run, each with its life; none where very many did."""
    bad = np.flatnonzero(frame.failed).tolist()
    if len(bad) > MAX_FAILED:
        return {}
    found: dict[int, _Life] = {}
    for i in bad:
        case, *others = _targets_of(frame.query.cases[i])
        found |= {other: found.get(other, _Life()) for other in others}
        life = _Life() if lives is None else _Life(int(lives.first[i]), int(lives.executions[i]))
        found[case] = life
    return found


def _says(past: _Past) -> bool:
    return bool(past.hits or past.made_hits)


def _share(past: _Past) -> tuple[bool, float]:
    """Return how strong the evidence is: what really happened comes before variants."""
    if past.hits:
        return True, past.hits / (past.ran + 1.0)
    return False, past.made_hits / (past.made_ran + 1.0)


def _change(run: Run) -> int:
    """Return what the runs of one change share; 0: this one is a change of its own.

    What is not committed yet differs from run to run, though the commit it stands on does not.
    """
    return 0 if not run.commit or run.commit == run.base else number(run.commit)


def _tag(commit: str | None) -> int:
    """Return the beginning of a hash as a number; 0: no hash."""
    return int(commit[:_TAG_DIGITS], 16) if commit and _HASH.fullmatch(commit) else 0


def _reason(kind: str, name: str, past: _Past) -> Reason:
    if kind == "owner":
        name = name.rpartition("::")[2]
    elif kind == "folder":
        name = f"{name}/" if name else "./"
    if not past.hits:
        return Reason(ReasonKind.FAILED_WITH_VARIANT, (past.made_hits, past.made_ran, name))
    commit = f"{past.tag:0{_TAG_DIGITS}x}" if past.tag else ""
    return Reason(ReasonKind.FAILED_WITH_CHANGE, (past.hits, past.ran, name, commit))


def _unit_numbers(query: Query) -> dict[str, list[int]]:
    """Return the numbers of the changed functions, files and folders."""
    return {kind: _numbers(kind, names) for kind, names in _named(query).items()}


def _named(query: Query) -> dict[str, list[str]]:
    """Return the names of the changed functions, files and folders, each once."""
    owners, paths = query.owner_names, query.changed_paths
    folders = (path.rpartition("/")[0] for path in paths)
    named = {"owner": owners, "path": paths, "folder": folders}
    return {kind: list(dict.fromkeys(names))[:MAX_OF_RUN] for kind, names in named.items()}


def _numbers(kind: str, names: Iterable[str]) -> list[int]:
    return [number(f"{_MARKS[kind]}:{name}") for name in names]


def _targets(cases: Sequence[str]) -> dict[str, NDArray[np.uint32]]:
    """Return the number of each case, and of its function and file."""
    columns = zip(*map(_targets_of, cases), strict=True)
    return {name: np.array(column, np.uint32) for name, column in zip(LEVELS, columns, strict=True)}


def _all_targets(cases: Iterable[str]) -> set[int]:
    """Return the numbers of cases, and of their functions and files."""
    return set(chain.from_iterable(map(_targets_of, cases)))


@lru_cache(1 << 19)  # holds the largest suites: one smaller than a suite never hits
def _targets_of(case: str) -> tuple[int, int, int]:
    """Return the numbers of a case, its function and its file: one for each of ``LEVELS``."""
    function, _, file = split_case(case)
    return number(case, _CASE), number(function, _FUNCTION), _file_number(file)


@lru_cache(1 << 14)
def _file_number(file: str) -> int:
    return number(file, _FILE)
