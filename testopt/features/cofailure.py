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
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from testopt.code.words import number
from testopt.reasons import Reason, ReasonKind
from testopt.runners.case_ids import split_case

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from testopt.features.frames import RunFrame
    from testopt.schema import Run
    from testopt.similarity.query import Query

KINDS: Final = ("owner", "path", "folder")
_MARKS: Final = {"owner": "o", "path": "p", "folder": "d"}
_TAG_DIGITS: Final = 7
_HASH: Final = re.compile(r"[0-9a-f]{7,64}")
LEVELS: Final = ("case", "function", "file")
PAIRS: Final = tuple((kind, level) for kind in KINDS for level in LEVELS)
NAMES: Final = (
    *(f"failed_with_{kind}_{level}" for kind, level in PAIRS),
    *(f"failed_with_{kind}_{level}_share" for kind, level in PAIRS),
)  # fmt: skip

KEEP: Final = 0.9  # of the weight of earlier changes of a unit, at each further one
KEEP_UNSEEN: Final = 0.98  # of a share, at each change without a run of the target
FORGET: Final = 0.02
MAX_UNITS: Final = 50_000
MAX_OF_RUN: Final = 200  # units of one change that are looked at
MAX_FAILED: Final = 500  # failing cases of one run that are taken in; more is no news on a file


@dataclass(slots=True)
class _Past:
    """What a target has done at the changes of a unit.

    ``weight`` is that of the changes it failed at, ``hits`` their number, ``hit`` the last of
    them and ``tag`` the beginning of its commit; ``ran`` counts those it ran at, of which ``seen``
    is the last.
    """

    weight: float
    hits: int = 1
    tag: int = 0
    ran: int = 0
    seen: int = 0
    hit: int = 0


@dataclass(slots=True)
class _Unit:
    """A function, file or folder: weight and number of its changes, and the last of them."""

    changes: float = 0.0
    count: int = 0
    last: int = 0
    failed: dict[int, _Past] = field(default_factory=dict)

    def take(self, ran: Collection[int], failed: set[int], change: int, tag: int) -> None:
        """Take in a run at a change; runs of one change (0: unlike any other) are one."""
        same = change != 0 and change == self.last
        before = (self.changes - 1.0) / KEEP if same else self.changes
        if not same:
            self.changes, self.count, self.last = before * KEEP + 1.0, self.count + 1, change
        unseen = KEEP_UNSEEN * (self.changes + 1.0) / (before + 1.0)
        for target, past in self.failed.items():
            if not same:
                past.weight *= unseen
            if target in ran and not (same and past.seen == change):
                past.weight *= KEEP / unseen
                past.ran, past.seen = past.ran + 1, change
        self._fail(failed, tag, same=same)
        if not same:
            self.failed = {t: past for t, past in self.failed.items() if past.weight > FORGET}

    def _fail(self, failed: set[int], tag: int, *, same: bool) -> None:
        for target in sorted(failed):
            past = self.failed.get(target)
            if past is None:
                self.failed[target] = _Past(1.0, 1, tag, self.count, self.last, self.last)
            elif not (same and past.hit == self.last):
                past.weight, past.hits = past.weight + 1.0, past.hits + 1
                past.tag, past.hit = tag, self.last


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
        for kind, known in changed.items():
            if not known or not n:
                continue
            for level in LEVELS:
                column = PAIRS.index((kind, level))
                values = self._shares(known, targets[level])
                most = float(values.max())
                out[:, column] = values
                out[:, column + len(PAIRS)] = values / most if most > 0 else 0.0
        return out

    def _shares(self, units: list[int], targets: NDArray[np.uint32]) -> NDArray[np.float64]:
        """Return the largest share of the changes of some units that each target failed with."""
        unique, code = np.unique(targets, return_inverse=True)
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
        return best[code]

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
        known = [
            (kind, name, self._units[key])
            for kind, names in _named(query).items()
            for name, key in zip(names, _numbers(kind, names), strict=False)
            if key in self._units and self._units[key].failed
        ]
        if not known:
            return {}
        position = {_targets_of(case)[0]: i for i, case in enumerate(query.cases)}
        best: dict[int, tuple[float, str, str, _Past]] = {}
        for kind, name, unit in known:
            for target in unit.failed.keys() & position.keys():
                at, past = position[target], unit.failed[target]
                share = past.hits / (past.ran + 1.0)
                if past.hits and (at not in best or share > best[at][0]):
                    best[at] = share, kind, name, past
        return {at: _reason(kind, name, past) for at, (_, kind, name, past) in best.items()}

    def update(self, frame: RunFrame) -> None:
        """Take in what failed in a run."""
        query = frame.query
        keys = chain.from_iterable(_unit_numbers(query).values())
        units = [self._touched(key) for key in keys]
        if not units:
            return
        bad = [case for case, bad in zip(query.cases, frame.failed.tolist(), strict=True) if bad]
        hit = _all_targets(bad) if len(bad) <= MAX_FAILED else set()
        ran: set[int] = set()
        if any(unit.failed for unit in units):
            skipped = zip(query.cases, frame.skipped.tolist(), strict=True)
            ran = _all_targets(case for case, out in skipped if not out)
        tag = _tag(query.run.commit)
        change = 0 if frame.is_variant else _change(query.run)
        for unit in units:
            unit.take(ran, hit, change, tag)
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
        hits = [(past.hits, past.tag, past.ran, past.seen, past.hit) for past in rows]
        return {
            "things": np.array(list(self._units), np.uint32),
            "changes": np.array([unit.changes for unit in units], np.float64),
            "sizes": np.array([len(unit.failed) for unit in units], np.int64),
            "targets": np.array([t for unit in units for t in unit.failed], np.uint32),
            "weights": np.array([past.weight for past in rows], np.float64),
            "counts": np.array([unit.count for unit in units], np.int32),
            "last": np.array([unit.last for unit in units], np.uint32),
            "hits": np.array(hits, np.uint32).reshape(-1, 5),
        }

    @classmethod
    def load(cls, arrays: Mapping[str, NDArray[Any]]) -> CoFailure:
        """Rebuild from what `dump` returned; an earlier version counted less."""
        state = cls()
        units, sizes = arrays["things"].tolist(), arrays["sizes"].tolist()
        counts = _column(arrays, "counts", len(units))
        last = _column(arrays, "last", len(units))
        targets, weights = arrays["targets"].tolist(), arrays["weights"].tolist()
        known = np.zeros((len(targets), 5), np.int64)
        kept = arrays.get("hits", known[:, :0])
        known[:, : kept.shape[1]] = kept
        if kept.shape[1] < 3:  # noqa: PLR2004 - hits and the last of them
            known[:, 2] = np.repeat(counts, sizes)  # it was run at every change, as far as known
        past = [_Past(w, *row) for w, row in zip(weights, known.tolist(), strict=True)]
        ends = np.cumsum([0, *sizes]).tolist()
        for i, (key, changes) in enumerate(zip(units, arrays["changes"].tolist(), strict=True)):
            part = slice(ends[i], ends[i + 1])
            failed = dict(zip(targets[part], past[part], strict=True))
            state._units[key] = _Unit(changes, counts[i], last[i], failed)
        return state


def _column(arrays: Mapping[str, NDArray[Any]], name: str, size: int) -> list[int]:
    found: list[int] = arrays[name].tolist() if name in arrays else [0] * size
    if len(found) != size:
        raise ValueError(f"{name} has {len(found)} entries, not {size}")
    return found


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
    commit = f"{past.tag:0{_TAG_DIGITS}x}" if past.tag else ""
    return Reason(ReasonKind.FAILED_WITH_CHANGE, (past.hits, past.ran, name, commit))


def _unit_numbers(query: Query) -> dict[str, list[int]]:
    """Return the numbers of the changed functions, files and folders."""
    return {kind: _numbers(kind, names) for kind, names in _named(query).items()}


def _named(query: Query) -> dict[str, list[str]]:
    """Return the names of the changed functions, files and folders, each once."""
    paths = [file.path for file in query.files]
    owners: Sequence[str] = ()
    if query.text is not None:
        owners = query.text.change.owner_names
        paths = paths or list(query.text.all_changed_paths)
    folders = (path.rpartition("/")[0] for path in paths)
    named = {"owner": owners, "path": paths, "folder": folders}
    return {kind: list(dict.fromkeys(names))[:MAX_OF_RUN] for kind, names in named.items()}


def _numbers(kind: str, names: Iterable[str]) -> list[int]:
    return [number(f"{_MARKS[kind]}:{name}") for name in names]


def _targets(cases: Sequence[str]) -> dict[str, NDArray[np.uint32]]:
    """Return the number of each case, and of its function and file."""
    numbers = np.array([_targets_of(case) for case in cases], np.uint32).reshape(-1, len(LEVELS))
    return dict(zip(LEVELS, numbers.T, strict=True))


def _all_targets(cases: Iterable[str]) -> set[int]:
    """Return the numbers of cases, and of their functions and files."""
    return set(chain.from_iterable(map(_targets_of, cases)))


@lru_cache(1 << 17)
def _targets_of(case: str) -> tuple[int, int, int]:
    """Return the numbers of a case, its function and its file: one for each of ``LEVELS``."""
    function, _, file = split_case(case)
    return number(f"c:{case}"), number(f"f:{function}"), number(f"m:{file}")
