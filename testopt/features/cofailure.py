"""Which cases failed when the same file, folder or function was changed before.

For each changed thing the state keeps, as shares of its recent changes, what failed with it.
Recent changes weigh more: every further change of the thing takes a tenth off the earlier ones.
The idea of associating changed files with failing tests is that of Machalica et al. (2019),
"Predictive test selection".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from testopt.features.cases import split_case
from testopt.features.words import number

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from testopt.features.frames import Query, RunFrame

THINGS: Final = ("owner", "path", "folder")
_MARKS: Final = {"owner": "o", "path": "p", "folder": "d"}
_TAG_DIGITS: Final = 7
LEVELS: Final = ("case", "function", "file")
PAIRS: Final = tuple((thing, level) for thing in THINGS for level in LEVELS)
NAMES: Final = (
    *(f"failed_with_{thing}_{level}" for thing, level in PAIRS),
    *(f"failed_with_{thing}_{level}_share" for thing, level in PAIRS),
)  # fmt: skip

KEEP: Final = 0.9  # of the weight of earlier changes of a thing, at each further one
FORGET: Final = 0.02
MAX_THINGS: Final = 50_000
MAX_OF_RUN: Final = 200  # things of one change that are looked at
MAX_FAILED: Final = 500  # failing cases of one run that are taken in; more is no news on a file


class CoFailure:
    """Features of a case from what failed when the same things were changed.

    The state is read before it is updated; things are kept by number, in the order of their last
    change, and the oldest are forgotten first.
    """

    names: tuple[str, ...] = NAMES

    def __init__(self) -> None:
        self._changes: dict[int, float] = {}
        self._failed: dict[int, dict[int, float]] = {}
        # what no feature reads, for words: how often each thing was changed, how often each
        # target failed with it, and at which commit last (the first 28 bits of its hash)
        self._counts: dict[int, int] = {}
        self._hits: dict[int, dict[int, tuple[int, int]]] = {}

    def read(self, query: Query) -> NDArray[np.float32]:
        """Return the features of a run about to start.

        Parameters
        ----------
        query : Query
            Its ``files``, and the functions in its ``text``, are what is changed.

        Returns
        -------
        ndarray of float32, shape (n_cases, len(names))
            NaN where the change is unknown, or none of its things was changed before.
        """
        n = len(query.cases)
        out = np.full((n, len(NAMES)), np.nan, np.float32)
        changed = {
            thing: [key for key in numbers if key in self._changes]
            for thing, numbers in _things(query).items()
        }
        targets = _targets(query.cases) if any(changed.values()) and n else {}
        for thing, known in changed.items():
            if not known or not n:
                continue
            for level in LEVELS:
                column = PAIRS.index((thing, level))
                values = self._shares(known, targets[level])
                most = float(values.max())
                out[:, column] = values
                out[:, column + len(PAIRS)] = values / most if most > 0 else 0.0
        return out

    def _shares(self, things: list[int], targets: NDArray[np.uint32]) -> NDArray[np.float64]:
        """Return the largest share of the changes of some things that each target failed with."""
        unique, code = np.unique(targets, return_inverse=True)
        best = np.zeros(len(unique))
        for thing in things:
            failed = self._failed.get(thing)
            if not failed:
                continue
            keys = np.fromiter(failed, np.uint32, len(failed))
            values = np.fromiter(failed.values(), np.float64, len(failed))
            at = np.minimum(np.searchsorted(unique, keys), len(unique) - 1)
            here = unique[at] == keys
            np.maximum.at(best, at[here], values[here] / (self._changes[thing] + 1.0))
        return best[code]

    def told(self, query: Query) -> dict[int, str]:
        """Return in words what the changed things have done to cases before.

        Parameters
        ----------
        query : Query
            As for `read`.

        Returns
        -------
        dict of int to str
            Position of a case -> such as "failed in 4 of 11 changes to `billing/`, last at
            3f2a91c"; cases that failed with none of the things are left out.
        """
        known = [
            (thing, key, name)
            for thing, names in _named(query).items()
            for name, key in zip(names, _numbers(thing, names), strict=False)
            if self._hits.get(key)
        ]
        if not known:
            return {}
        position = {number(f"c:{case}"): i for i, case in enumerate(query.cases)}
        best: dict[int, tuple[float, int, int, int]] = {}
        for which, (_, key, _) in enumerate(known):
            whole = self._counts[key] + 1.0
            of_thing = self._hits[key]
            for target in of_thing.keys() & position.keys():
                at, (hits, last) = position[target], of_thing[target]
                if at not in best or hits / whole > best[at][0]:
                    best[at] = hits / whole, which, hits, last
        return {
            at: _words(known[which][0], known[which][2], hits, self._counts[known[which][1]], last)
            for at, (_, which, hits, last) in best.items()
        }

    def update(self, frame: RunFrame) -> None:
        """Take in what failed in a run."""
        cases = [c for c, bad in zip(frame.query.cases, frame.failed.tolist(), strict=True) if bad]
        failed: set[int] = set()
        if len(cases) <= MAX_FAILED:
            failed = {int(t) for numbers in _targets(cases).values() for t in numbers}
        for numbers in _things(frame.query).values():
            for thing in numbers:
                self._take(thing, failed)
                self._count(thing, failed, _tag(frame.query.run.commit))
        for thing in list(self._changes)[: max(len(self._changes) - MAX_THINGS, 0)]:
            del self._changes[thing]
            for state in (self._failed, self._counts, self._hits):
                state.pop(thing, None)

    def _count(self, thing: int, failed: set[int], tag: int) -> None:
        self._counts[thing] = self._counts.get(thing, 0) + 1
        hits = self._hits.setdefault(thing, {})
        for target in failed:
            hits[target] = hits.get(target, (0, 0))[0] + 1, tag
        self._hits[thing] = {t: hits[t] for t in self._failed.get(thing, ()) if t in hits}

    def _take(self, thing: int, failed: set[int]) -> None:
        self._changes[thing] = self._changes.pop(thing, 0.0) * KEEP + 1.0
        kept = {
            target: weight * KEEP
            for target, weight in self._failed.pop(thing, {}).items()
            if weight * KEEP > FORGET or target in failed
        }
        for target in sorted(failed):
            kept[target] = kept.get(target, 0.0) + 1.0
        if kept:
            self._failed[thing] = kept

    def dump(self) -> dict[str, NDArray[Any]]:
        """Return the state as arrays."""
        rows = [self._failed.get(thing, {}) for thing in self._changes]
        sizes = [len(row) for row in rows]
        hits = [
            self._hits.get(thing, {}).get(target, (0, 0))
            for thing, row in zip(self._changes, rows, strict=True)
            for target in row
        ]
        return {
            "things": np.array(list(self._changes), np.uint32),
            "changes": np.array(list(self._changes.values()), np.float64),
            "sizes": np.array(sizes, np.int64),
            "targets": np.fromiter((t for row in rows for t in row), np.uint32, sum(sizes)),
            "weights": np.fromiter((w for r in rows for w in r.values()), np.float64, sum(sizes)),
            "counts": np.array([self._counts.get(thing, 0) for thing in self._changes], np.int32),
            "hits": np.array(hits, np.uint32).reshape(-1, 2),
        }

    @classmethod
    def load(cls, arrays: Mapping[str, NDArray[Any]]) -> CoFailure:
        """Rebuild from what `dump` returned."""
        state = cls()
        things = arrays["things"].tolist()
        state._changes = dict(zip(things, arrays["changes"].tolist(), strict=True))
        targets, weights = arrays["targets"].tolist(), arrays["weights"].tolist()
        at = 0
        for thing, size in zip(things, arrays["sizes"].tolist(), strict=True):
            if size:
                part = slice(at, at + size)
                state._failed[thing] = dict(zip(targets[part], weights[part], strict=True))
            at += size
        state._load_counts(arrays)
        return state

    def _load_counts(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take in the counts; a state of before there were any begins to count."""
        if "counts" not in arrays:
            return
        hits = [(hits, last) for hits, last in arrays["hits"].tolist()]
        self._counts = dict(zip(self._changes, arrays["counts"].tolist(), strict=True))
        at = 0
        for thing in self._changes:
            row = self._failed.get(thing, {})
            part = zip(row, hits[at : at + len(row)], strict=True)
            self._hits[thing] = {target: pair for target, pair in part if pair[0]}
            at += len(row)


def _tag(commit: str | None) -> int:
    """Return the beginning of a hash as a number; 0: no commit."""
    try:
        return int((commit or "0")[:_TAG_DIGITS], 16)
    except ValueError:  # a commit in the words of somebody without git
        return 0


def _words(thing: str, name: str, hits: int, count: int, last: int) -> str:
    if thing == "owner":
        name = name.rpartition("::")[2]
    elif thing == "folder":
        name = f"{name}/" if name else "./"
    at = f", last at {last:0{_TAG_DIGITS}x}" if last else ""
    return f"failed in {hits} of {count} changes to `{name}`{at}"


def _things(query: Query) -> dict[str, list[int]]:
    """Return the numbers of the changed functions, files and folders."""
    return {thing: _numbers(thing, names) for thing, names in _named(query).items()}


def _named(query: Query) -> dict[str, list[str]]:
    """Return the names of the changed functions, files and folders, each once."""
    paths = [file.path for file in query.files]
    owners: Sequence[str] = ()
    if query.text is not None:
        owners = query.text.change.owner_names
        paths = paths or list(query.text.all_changed_paths)
    folders = (path.rpartition("/")[0] for path in paths)
    named = {"owner": owners, "path": paths, "folder": folders}
    return {thing: list(dict.fromkeys(names))[:MAX_OF_RUN] for thing, names in named.items()}


def _numbers(thing: str, names: Iterable[str]) -> list[int]:
    return [number(f"{_MARKS[thing]}:{name}") for name in names]


def _targets(cases: Sequence[str]) -> dict[str, NDArray[np.uint32]]:
    """Return the number of each case, and of its function and file."""
    split = [split_case(case) for case in cases]
    return {
        "case": _each("c", cases),
        "function": _each("f", [function for function, _, _ in split]),
        "file": _each("m", [file for _, _, file in split]),
    }


def _each(mark: str, names: Sequence[str]) -> NDArray[np.uint32]:
    known = {name: number(f"{mark}:{name}") for name in set(names)}
    return np.array([known[name] for name in names], np.uint32)
