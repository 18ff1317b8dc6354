"""Case ids as stable indices, with the indices of their functions, classes and files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import numpy as np

from testopt.runners.case_ids import split_case

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from testopt.schema import FileChange

LEVELS: Final = ("function", "class", "file")


class CaseTable:
    """Indices of cases in the order of their first appearance, and of their groups.

    Attributes
    ----------
    ids : list of str
        Case id by index.
    groups : dict of str to ndarray
        For each of ``LEVELS``, the group index of each case, int32 of shape (n_cases,).

    A case of a renamed file is the case that it was: both of its ids have one index.
    """

    def __init__(self, ids: Iterable[str] = ()) -> None:
        self._first_paths: dict[str, str] = {}  # of files that were renamed: their first path
        self.ids: list[str] = []
        self._index: dict[str, int] = {}
        self._group_index: dict[str, dict[str, int]] = {level: {} for level in LEVELS}
        self._group_lists: dict[str, list[int]] = {level: [] for level in LEVELS}
        self._group_arrays: dict[str, NDArray[np.int32]] = {}
        self.add(list(ids))

    def __len__(self) -> int:
        return len(self.ids)

    def rename(self, files: Iterable[FileChange]) -> None:
        """Learn which files of a change were renamed; those known by both paths stay two."""
        self._first_paths.update(self._renamed(files))

    def _renamed(self, files: Iterable[FileChange]) -> dict[str, str]:
        moved = [(f.path, f.old_path) for f in files if f.status == "R" and f.old_path]
        known, first = self._group_index["file"], self._first_paths
        pairs = ((path, first.get(old, old)) for path, old in moved)
        return {path: old for path, old in pairs if old in known and path not in known}

    def add(self, cases: Sequence[str], change: Iterable[FileChange] = ()) -> NDArray[np.int32]:
        """Return the indices of `cases`, giving new ones to strangers.

        What was renamed in `change` is known for this once.
        """
        paths = {**self._first_paths, **self._renamed(change)}
        if paths:
            cases = [_at_first(case, paths) for case in cases]
        index = self._index
        new_cases = list(dict.fromkeys(c for c in cases if c not in index))
        if new_cases:
            self._admit(new_cases)
        return np.array([index[c] for c in cases], np.int32)

    def names_of(self, case: str, change: Iterable[FileChange] = ()) -> list[str]:
        """Return the id of a case, and those that it had before its file was renamed."""
        paths = {**self._first_paths, **self._renamed(change)}
        first = _at_first(case, paths)
        names = (_with_path(case, path) for pair in paths.items() for path in pair)
        same = (name for name in names if _at_first(name, paths) == first)
        return list(dict.fromkeys([case, *same]))

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
        arrays: dict[str, NDArray[np.uint8] | NDArray[np.uint32]]
        arrays = {"ids": np.frombuffer(b"".join(parts), np.uint8), "ends": ends}
        if self._first_paths:
            renamed = json.dumps(self._first_paths).encode()
            arrays["renamed"] = np.frombuffer(renamed, np.uint8)
        return arrays

    @classmethod
    def load(
        cls,
        data: NDArray[np.uint8],
        ends: NDArray[np.uint32],
        renamed: NDArray[np.uint8] | None = None,
    ) -> CaseTable:
        """Rebuild a table from what `dump` returned; an earlier version knew of no renames."""
        content, stops = data.tobytes(), ends.tolist()
        spans = map(slice, [0, *stops], stops)
        if content.isascii():  # one character a byte: decoded at once
            text = content.decode()
            table = cls([text[span] for span in spans])
        else:
            table = cls([content[span].decode("utf-8", "surrogatepass") for span in spans])
        if renamed is not None:
            pairs = dict(json.loads(renamed.tobytes()))
            table._first_paths = {str(path): str(first) for path, first in pairs.items()}
        return table


def _at_first(case: str, paths: dict[str, str]) -> str:
    """Return the id of a case when its file had its first path."""
    first = paths.get(_parts(case)[1])
    return case if first is None else _with_path(case, first)


def _with_path(case: str, path: str) -> str:
    label, _, rest = _parts(case)
    return f"{label}{path}{rest}"


def _parts(case: str) -> tuple[str, str, str]:
    """Return what stands before the path of a case, the path, and the rest."""
    file, mark, rest = case.partition("::")
    label, space, path = file.rpartition("] ")  # a project of Playwright
    return label + space, path, mark + rest
