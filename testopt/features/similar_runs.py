"""What failed in earlier runs of much the same cases.

Where nothing says which job or branch a run belongs to, its set of cases often does: a release
branch lacks the newest cases, a platform skips some. The likeness of two runs is that of their
sets of cases (Jaccard 1901: those in both, as a share of those in either).
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

NAMES: Final = ("sibling_failing", "sibling_log_odds")

KEPT: Final = 100  # runs
MAX_SETS: Final = 32  # different sets of cases among them
_STEEPNESS: Final = 20.0  # a run that shares 95 % of the cases weighs 1 / e
_FADING: Final = 0.97  # weight of a run, for each one that came after it
_NEGLIGIBLE: Final = 1e-3
_ODDS_FLOOR: Final = 1e-4


class SimilarRuns:
    """The failing cases of the last runs, and which sets of cases these had.

    Cases are numbers, as in `CaseTable`.
    """

    def __init__(self) -> None:
        self._sets: dict[int, NDArray[np.int32]] = {}
        # tick, key of the set, failing cases; oldest first
        self._runs: deque[tuple[int, int, NDArray[np.int32]]] = deque()

    def read(self, cases: NDArray[np.int32]) -> list[NDArray[Any]]:
        """Return the features of a run about to start.

        Parameters
        ----------
        cases : ndarray of int32, shape (n,)
            The cases of the run.

        Returns
        -------
        list of ndarray
            One of shape (n,) for each of ``NAMES``: whether the case failed in the likeliest
            earlier run, the youngest of these, and the log-odds of failing in such runs,
            young and alike ones weighing more.
        """
        unknown = np.full(len(cases), np.nan)
        if not self._runs or not len(cases):
            return [unknown] * len(NAMES)
        size = 1 + max(int(cases.max()), *(int(s.max(initial=0)) for s in self._sets.values()))
        matched = np.zeros(size, bool)
        matched[cases] = True
        alike = {key: _likeness(matched, len(cases), other) for key, other in self._sets.items()}
        nearest = max(self._runs, key=lambda run: (alike[run[1]], run[0]))
        there, fails = np.zeros(size, bool), np.zeros(size, bool)
        there[self._sets[nearest[1]]], fails[nearest[2]] = True, True
        return [
            np.where(there[cases], fails[cases], np.nan),
            self._log_odds(alike, cases, size),
        ]

    def update(self, cases: NDArray[np.int32], failed: NDArray[np.bool_], tick: int) -> None:
        """Take in the run at `tick`; `cases` are those that were executed, shape (n,)."""
        if not len(cases):
            return
        key = self._key(np.sort(cases).astype(np.int32))
        self._runs.append((tick, key, cases[failed].astype(np.int32)))
        while len(self._runs) > KEPT or len(self._sets) > MAX_SETS:
            gone = self._runs.popleft()[1]
            if all(other != gone for _, other, _ in self._runs):
                del self._sets[gone]

    def dump(self) -> dict[str, NDArray[Any]]:
        """Return the state as arrays."""
        empty = np.zeros(0, np.int32)
        failing = [f for *_, f in self._runs]
        keys = list(self._sets)
        return {
            "sets": np.concatenate([*self._sets.values(), empty]),
            "set_ends": np.cumsum([len(s) for s in self._sets.values()], dtype=np.int64),
            "ticks": np.array([t for t, *_ in self._runs], np.int64),
            "run_sets": np.array([keys.index(k) for _, k, _ in self._runs], np.int64),
            "failing": np.concatenate([*failing, empty]),
            "failing_ends": np.cumsum([len(f) for f in failing], dtype=np.int64),
        }

    @classmethod
    def load(cls, state: Mapping[str, NDArray[Any]], n_cases: int) -> SimilarRuns:
        """Rebuild from what `dump` returned.

        Raises
        ------
        ValueError, KeyError, IndexError
            When the arrays do not fit together, or name cases that are none of `n_cases`.
        """
        new = cls()
        sets = _split(state["sets"], state["set_ends"], n_cases)
        failing = _split(state["failing"], state["failing_ends"], n_cases)
        new._sets = dict(enumerate(sets))
        of_run = state["run_sets"].tolist()
        if set(of_run) != set(new._sets):
            raise ValueError("the sets of cases are not those of the runs")
        new._runs.extend(zip(state["ticks"].tolist(), of_run, failing, strict=True))
        return new

    def _key(self, cases: NDArray[np.int32]) -> int:
        """Return the key of a sorted set of cases, giving it one where it is new."""
        for key, other in reversed(self._sets.items()):
            if np.array_equal(cases, other):
                return key
        new = max(self._sets, default=0) + 1
        self._sets[new] = cases
        return new

    def _log_odds(
        self, alike: Mapping[int, float], cases: NDArray[np.int32], size: int
    ) -> NDArray[np.float64]:
        seen, failed = np.zeros(size), np.zeros(size)
        of_set = dict.fromkeys(self._sets, 0.0)
        for age, (_, key, failing) in enumerate(reversed(self._runs), 1):
            weight = float(np.exp(_STEEPNESS * (alike[key] - 1.0))) * _FADING**age
            of_set[key] += weight
            failed[failing] += weight
        for key, weight in of_set.items():
            seen[self._sets[key]] += weight
        known = seen[cases] > _NEGLIGIBLE
        rate = np.where(known, failed[cases] / np.maximum(seen[cases], _NEGLIGIBLE), np.nan)
        odds: NDArray[np.float64] = np.log((rate + _ODDS_FLOOR) / (1.0 - rate + _ODDS_FLOOR))
        return odds


def _likeness(matched: NDArray[np.bool_], count: int, other: NDArray[np.int32]) -> float:
    both = int(matched[other].sum())
    return both / (count + len(other) - both)


def _split(values: NDArray[Any], ends: NDArray[Any], n_cases: int) -> list[NDArray[np.int32]]:
    entries = values.astype(np.int32)
    sizes = np.diff(ends, prepend=0)
    sound = (sizes >= 0).all() and int(sizes.sum()) == len(entries)
    if not sound or (len(entries) and not 0 <= entries.min() <= entries.max() < n_cases):
        raise ValueError("a list of cases is damaged")
    return np.split(entries, ends[:-1]) if len(ends) else []
