"""Finds the source of a case: its file in the tree, and the name of its function there."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from testopt.code.paths import is_code, is_test_path

if TYPE_CHECKING:
    from collections.abc import Iterable

_CACHE: Final = 100_000


class Locator:
    """Finds the sources of cases among the files of a tree.

    Parameters
    ----------
    files : iterable of str
        Paths of the tree.
    """

    def __init__(self, files: Iterable[str]) -> None:
        self._files = frozenset(files)
        self._by_ending: dict[str, str] = {}
        for path in sorted(self._files):
            if is_code(path):
                parts = path.rpartition(".")[0].split("/")
                for start in range(len(parts)):
                    ending = ".".join(parts[start:])
                    previous = self._by_ending.get(ending)
                    if previous is None or (is_test_path(path) and not is_test_path(previous)):
                        self._by_ending[ending] = path
        self._owner = lru_cache(_CACHE)(self._find_owner)

    def find(self, case: str, file: str | None = None) -> tuple[str, str]:
        """Return the path and the dotted name of the function behind a case.

        Parameters
        ----------
        case : str
            A node id (``tests/a.py::B::test_c[1]``), a JUnit id (``tests.a.B::test_c``,
            ``org.x.FooTest.testBar``) or anything else.
        file : str, optional
            Its file, where the results name it.

        Returns
        -------
        tuple of str
            Empty path: not found. Empty name: the case is the whole file.
        """
        head = case.partition("[")[0]
        owner, colons, last = head.rpartition("::")
        if colons and owner:
            path, classes = self._owner(owner, file)
            return path, ".".join([*classes, last])
        path, classes = self._owner(last, file)
        return path, ".".join(classes)

    def _find_owner(self, owner: str, file: str | None) -> tuple[str, tuple[str, ...]]:
        """Return the file of all but the last part of an id, and the classes in it."""
        first, _, rest = owner.partition("::")
        inner = tuple(rest.split("::")) if rest else ()
        if first in self._files:
            return first, inner
        parts = first.replace("/", ".").split(".")
        for end in range(len(parts), 0, -1):
            path = self._by_ending.get(".".join(parts[:end]))
            if path is not None and (end > 1 or len(parts) <= 2):  # noqa: PLR2004 - a.b.c is no "a"
                return path, (*parts[end:], *inner)
        if file in self._files:
            return str(file), (*parts[-1:], *inner)
        return "", (*parts, *inner)
