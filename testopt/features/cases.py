"""Case ids as stable indices, with the indices of their functions, classes and files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from testopt.runners.case_ids import split_case

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

LEVELS: Final = ("function", "class", "file")


class CaseTable:
    """Indices of cases in the order of their first appearance, and of their groups.

    Attributes
    ----------
    ids : list of str
        Case id by index.
    groups : dict of str to ndarray
        For each of ``LEVELS``, the group index of each case, int32 of shape (n_cases,).
    """

    def __init__(self, ids: Iterable[str] = ()) -> None:
        self.ids: list[str] = []
        self._index: dict[str, int] = {}
        self._group_index: dict[str, dict[str, int]] = {level: {} for level in LEVELS}
        self._group_lists: dict[str, list[int]] = {level: [] for level in LEVELS}
        self._group_arrays: dict[str, NDArray[np.int32]] = {}
        self.add(list(ids))

    def __len__(self) -> int:
        return len(self.ids)

    def add(self, cases: Sequence[str]) -> NDArray[np.int32]:
        """Return the indices of `cases`, giving new ones to strangers."""
        index = self._index
        new_cases = list(dict.fromkeys(c for c in cases if c not in index))
        if new_cases:
            self._admit(new_cases)
        return np.array([index[c] for c in cases], np.int32)

    def _admit(self, new_cases: list[str]) -> None:
        first = len(self.ids)
        self._index.update(zip(new_cases, range(first, first + len(new_cases)), strict=True))
        self.ids += new_cases
        split = zip(*map(split_case, new_cases), strict=True)
        for level, names in zip(LEVELS, split, strict=True):
            known = self._group_index[level]
            self._group_lists[level] += [known.setdefault(name, len(known)) for name in names]
        self._group_arrays.clear()

    def groups(self, level: str) -> NDArray[np.int32]:
        """Return the group index of every case at one of ``LEVELS``, shape (n_cases,)."""
        array = self._group_arrays.get(level)
        if array is None:
            array = np.asarray(self._group_lists[level], np.int32)
            self._group_arrays[level] = array
        return array

    def group_count(self, level: str) -> int:
        """Return how many groups there are at one of ``LEVELS``."""
        return len(self._group_index[level])

    def dump(self) -> dict[str, NDArray[np.uint8] | NDArray[np.uint32]]:
        """Return the ids as bytes and end offsets, for a file without pickle."""
        parts = [case.encode("utf-8", "surrogatepass") for case in self.ids]
        ends = np.cumsum([len(p) for p in parts], dtype=np.uint32)
        return {"ids": np.frombuffer(b"".join(parts), np.uint8), "ends": ends}

    @classmethod
    def load(cls, data: NDArray[np.uint8], ends: NDArray[np.uint32]) -> CaseTable:
        """Rebuild a table from what `dump` returned."""
        text, start, ids = data.tobytes(), 0, []
        for end in ends.tolist():
            ids.append(text[start:end].decode("utf-8", "surrogatepass"))
            start = end
        return cls(ids)
