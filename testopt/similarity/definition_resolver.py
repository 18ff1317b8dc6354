"""Where cases are defined, which need not be where they are collected.

A suite may collect a test class in one file that another defines, or inherit the functions of a
base class: pytest names such cases after the file that collects them.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Final

from testopt.code.paths import is_code, is_test_path
from testopt.code.words import name_number

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from testopt.similarity.cochange import Document
    from testopt.similarity.source_index import SourceIndex
    from testopt.similarity.texts import FileText

_MOST: Final = 30  # names that a class may build on


class DefinitionResolver:
    """Finds definitions of cases, through the imports of the file that collects them.

    Parameters
    ----------
    tree : mapping of str to str
        Git object of each path.
    index : SourceIndex
        Files that are looked into are indexed here.
    """

    def __init__(self, tree: Mapping[str, str], index: SourceIndex) -> None:
        self._tree, self._index = tree, index
        self._alone: dict[str, _Scope] = {}
        self._with_imports: dict[str, _Scope] = {}

    def find(self, keys: Sequence[Document]) -> list[Document]:
        """Return path and dotted name of the definition behind each case.

        Parameters
        ----------
        keys : sequence of (path, dotted name)
            Where the cases are collected; name and path may be empty.

        Returns
        -------
        list of (path, dotted name)
            What came in, where no definition was found.
        """
        self._ensure(path for path, _ in keys)
        return [self._definition(key) for key in keys]

    def _ensure(self, paths: Iterable[str]) -> None:
        wanted = {path: self._tree[path] for path in paths if path in self._tree}
        self._index.ensure(wanted, words=True)

    def _definition(self, key: Document) -> Document:
        path, name = key
        file = self._index.get(self._tree.get(path, ""))
        if file is None or not name or name in file.names:
            return key
        if path not in self._alone:
            self._alone[path] = _Scope([(path, file)])
        found, sure = self._alone[path].find(name)
        if sure:
            return found or key
        if path not in self._with_imports:
            self._with_imports[path] = _Scope([(path, file), *self._imported(path, file)])
        return self._with_imports[path].find(name)[0] or key

    @cached_property
    def _tests(self) -> dict[tuple[int, str], list[str]]:
        """Test files by the number of the name they are imported under, and their ending."""
        tests = [path for path in self._tree if is_code(path) and is_test_path(path)]
        found: dict[tuple[int, str], list[str]] = {}
        for path, name in zip(tests, module_names(tests), strict=True):
            found.setdefault((name_number(name), path.rpartition(".")[2]), []).append(path)
        return found

    def _imported(self, path: str, file: FileText) -> Iterator[tuple[str, FileText]]:
        """Yield the test files that a file imports, by name."""
        names = file.uses.part(len(file.names)).words.tolist()
        ending = path.rpartition(".")[2]
        found = (other for name in names for other in self._tests.get((name, ending), ()))
        paths = sorted(set(found) - {path})
        self._ensure(paths)
        for other in paths:
            text = self._index.get(self._tree[other])
            if text is not None:
                yield other, text


class _Scope:
    """Definitions of some files that see each other, the nearest file first."""

    def __init__(self, files: Sequence[tuple[str, FileText]]) -> None:
        self._files = files
        self._by_last: dict[str, list[Document]] = {}
        for path, file in files:
            for name in file.names:
                self._by_last.setdefault(_last(name), []).append((path, name))
        self._by_number = {name_number(last): last for last in self._by_last}
        self._known: dict[str, dict[str, int]] = {}

    def find(self, name: str) -> tuple[Document | None, bool]:
        """Return what a dotted name means, and whether its class is known to have it."""
        owner, _, last = name.rpartition(".")
        found = self._by_last.get(last)
        if not found:
            return None, False
        classes = self._ancestry(_last(owner))
        places = [classes.get(_last(n.rpartition(".")[0]), len(classes)) for _, n in found]
        nearest = min(places)
        return found[places.index(nearest)], nearest < len(classes)

    def _ancestry(self, owner: str) -> dict[str, int]:
        """Return a class and what it builds on, each with its place, the nearest first.

        No language is understood: a class builds on what its text outside of its methods names.
        """
        if owner not in self._known:
            found = [owner] if owner else []
            for one in found:
                used = (n for _, file in self._files for n in _uses(file, one))
                more = dict.fromkeys(self._by_number[n] for n in used if n in self._by_number)
                found += [name for name in more if name not in found][: _MOST - len(found)]
            self._known[owner] = {name: place for place, name in enumerate(found)}
        return self._known[owner]


def _uses(file: FileText, name: str) -> list[int]:
    row = file.find(name)
    return file.uses.part(row).words.tolist() if row >= 0 else []


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def module_names(paths: Iterable[str]) -> Iterator[str]:
    """Yield the names under which other files import some files."""
    for path in paths:
        folder, _, name = path.rpartition("/")
        stem = name.partition(".")[0]
        yield folder.rpartition("/")[2] if stem in ("__init__", "index", "mod") else stem
