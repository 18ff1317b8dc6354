"""Which files depend on which: the imports of Python, resolved within one repository.

Where a name could mean several files it means all of them. A package runs its ``__init__`` before
its modules; pytest runs every ``conftest.py`` above a test file, and plugins that the project
registers for itself. A file whose imports cannot be told depends on everything.

Own code instead of a library because the files come from git, test folders need not be packages,
and two trees are looked at together; grimp (Seddon) reads importable packages from the disk.
"""

from __future__ import annotations

import sys
from collections import defaultdict, deque
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

import numpy as np

from testopt.code.paths import is_test_path, language_of
from testopt.code.words import number
from testopt.impact.python_module import ANYTHING, called_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from testopt.impact.python_module import ModuleFacts

_INIT: Final = "__init__"
_EXECUTABLE: Final = number("executable")
_SYS_PATH: Final = number("path")
_DOCUMENTS: Final = frozenset({"md", "rst", "adoc", "textile", ""})


class ImportGraph:
    """The files of a repository, and what each depends on.

    Parameters
    ----------
    modules : mapping of str to sequence of ModuleFacts
        Path of each Python file -> its versions on the sides of a change.
    files : collection of str
        Paths of all files, on any side.
    plugins : iterable of str
        Dotted names of modules that every case runs.
    """

    def __init__(
        self,
        modules: Mapping[str, Sequence[ModuleFacts]],
        files: Collection[str] = (),
        plugins: Iterable[str] = (),
    ) -> None:
        self._modules = modules
        self._files = {*files, *modules}
        self._packages = {_folder(path) for path in modules if _stem(path) == _INIT}
        self._by_name: dict[str, list[str]] = defaultdict(list)
        self._loose: dict[str, list[str]] = defaultdict(list)
        for path in sorted(modules):
            self._name(path)
        self._importers: dict[str, dict[str, None]] = defaultdict(dict)
        common = [target for name in plugins for target in self._named(name, loose=True)]
        for path, versions in modules.items():
            for target in {*self._above(path), *common}:
                self._importers[target][path] = None
            for facts in versions:
                for target in self._targets(path, facts):
                    self._importers[target][path] = None
        self._add_literals()

    def _name(self, path: str) -> None:
        """Note the dotted names of a module: from every folder that could be on the path."""
        parts = path[: -len(".py")].split("/")
        if parts[-1] == _INIT:
            parts.pop()
        top = len(parts) - 1
        while top > 0 and "/".join(parts[:top]) in self._packages:
            top -= 1
        for start in range(len(parts)):
            table = self._by_name if start <= top else self._loose
            table[".".join(parts[start:])].append(path)

    def _above(self, path: str) -> Iterator[str]:
        """Yield what runs before a file because of where it stands."""
        parts = path.split("/")
        for end in range(len(parts)):
            folder = "/".join(parts[:end])
            for name in ("conftest.py", f"{_INIT}.py"):
                other = f"{folder}/{name}" if folder else name
                if other in self._modules and other != path:
                    yield other

    def _targets(self, path: str, facts: ModuleFacts) -> Iterator[str]:
        paths_change = is_test_path(path) and bool(np.isin(_SYS_PATH, facts.used))
        for name in facts.imports:
            dots = len(name) - len(name.lstrip("."))
            if dots:
                yield from self._relative(path, dots, name[dots:])
            else:
                yield from self._named(name, loose=paths_change)
        for package in facts.beneath:
            start = package + "." if not package.startswith(".") else ""
            for name, found in self._by_name.items():
                if name.startswith(start) or name == package:
                    yield from found

    def _named(self, name: str, *, loose: bool) -> Iterator[str]:
        """Yield the modules that an absolute import runs: packages on the way too."""
        module, colon, attribute = name.partition(":")
        parts = module.split(".")
        if colon and attribute != "*":
            parts.append(attribute)
        found = [*self._found(parts, self._by_name)]
        if loose or (not found and parts[0] not in sys.stdlib_module_names):
            found += self._found(parts, self._loose)
        yield from found
        if attribute == "*":
            for path in list(found):
                if _stem(path) == _INIT:
                    yield from self._inside(_folder(path))

    @staticmethod
    def _found(parts: Sequence[str], table: Mapping[str, list[str]]) -> Iterator[str]:
        for end in range(1, len(parts) + 1):
            yield from table.get(".".join(parts[:end]), ())

    def _inside(self, folder: str) -> Iterator[str]:
        return (path for path in self._modules if _folder(path) == folder)

    def _relative(self, path: str, dots: int, name: str) -> Iterator[str]:
        folder = path.split("/")[:-dots]
        module, _, attribute = name.partition(":")
        for part in [None, *(p for p in [*module.split("."), attribute] if p and p != "*")]:
            folder = folder if part is None else [*folder, part]
            base = "/".join(folder)
            for other in (f"{base}.py", f"{base}/{_INIT}.py" if base else f"{_INIT}.py"):
                if other in self._modules:
                    yield other
        if attribute == "*":
            yield from self._inside("/".join(folder))

    def _add_literals(self) -> None:
        """Let files depend on the modules whose dotted names stand in their literals."""
        targets: dict[int, list[str]] = defaultdict(list)
        for name, paths in self._by_name.items():
            if "." in name:
                targets[number(name)] += paths
        wanted = np.array(sorted(targets), np.uint32)
        every = [(path, facts) for path, versions in self._modules.items() for facts in versions]
        literals = np.concatenate([*(facts.literals for _, facts in every), wanted[:0]])
        owner = np.repeat(np.arange(len(every)), [len(facts.literals) for _, facts in every])
        matching = np.isin(literals, wanted)
        for at, found in zip(owner[matching].tolist(), literals[matching].tolist(), strict=True):
            for target in targets[found]:
                self._importers[target][every[at][0]] = None

    def dependents(self, paths: Iterable[str]) -> dict[str, str]:
        """Return the files that depend on some files, and on which other one directly.

        Parameters
        ----------
        paths : iterable of str
            They are among the result, each depending on itself.
        """
        via = {path: path for path in paths}
        queue = deque(via)
        while queue:
            target = queue.popleft()
            for path in self._importers.get(target, ()):
                if path not in via:
                    via[path] = target
                    queue.append(path)
        return via

    def unknowable(self) -> dict[str, str]:
        """Return the files that may depend on any module, and on which other one directly."""
        return self.dependents(
            path for path, versions in self._modules.items() if any(f.dynamic for f in versions)
        )

    def starters(self) -> dict[str, str]:
        """Return the files that may start anything of the repository in another process."""
        return self.dependents(
            path
            for path, versions in self._modules.items()
            if any(f.starts and (is_test_path(path) or _EXECUTABLE in f.used) for f in versions)
        )

    def readers(self, path: str) -> set[str] | None:
        """Return the program files that may read a file: they name it, or stand beside it.

        Parameters
        ----------
        path : str
            A data file.

        Returns
        -------
        set of str or None
            None where nothing names it, so that anything may read it.
        """
        folders, base = path.split("/")[:-1], path.rpartition("/")[2]
        stem, dot, ending = base.rpartition(".")
        tokens = {*folders, base, path, "/".join(path.split("/")[-2:])}
        tokens |= {stem, dot + ending} if stem else set()
        known = np.array(sorted({ANYTHING, *map(number, tokens)}), np.uint32)
        found = {p for p, vs in self._modules.items() if any(_names(f, known, path) for f in vs)}
        beside = set(self._inside("/".join(folders)))
        if found:
            return found | beside
        # at the top there is always a README beside a script
        return set() if _is_document(path) and not (folders and beside) else None

    def used_by_name(self, function: str, paths: Collection[str]) -> bool:
        """Tell whether code or literals of some files have the name of a function."""
        wanted = number(called_name(function))
        return any(
            wanted in facts.used or wanted in facts.literals
            for path in paths
            for facts in self._modules.get(path, ())
        )

    def early(self) -> frozenset[int]:
        """Return the numbers of names that may be called at import or once for many cases.

        Code of modules and class bodies, fixtures, set-ups and functions that keep something
        start; whatever has a name that one of these uses, and so on, follows.
        """
        rows: dict[int, list[tuple[ModuleFacts, int]]] = defaultdict(list)
        names: set[int] = {number("")}
        for versions in self._modules.values():
            for facts in versions:
                names.update(facts.uses(len(facts.names)).tolist())
                for i, name in enumerate(facts.names):
                    rows[number(called_name(name))].append((facts, i))
        queue = deque(names)
        while queue:
            for facts, i in rows.get(queue.popleft(), ()):
                fresh = set(facts.uses(i).tolist()) - names
                names |= fresh
                queue.extend(fresh)
        return frozenset(names)


def _names(
    facts: ModuleFacts, known: np.ndarray[tuple[int], np.dtype[np.uint32]], path: str
) -> bool:
    return bool(np.isin(facts.literals, known).any()) or any(_fits(g, path) for g in facts.globs)


def _fits(glob: str, path: str) -> bool:
    """Tell whether a file fits a glob; ``*`` alone may be anything but a glob."""
    folder, _, last = glob.rpartition("/")
    has_name = bool(last.strip("*.?"))
    return fnmatchcase(path.rpartition("/")[2], last) and (has_name or bool(folder))


def _is_document(path: str) -> bool:
    stem, _, ending = path.rpartition("/")[2].rpartition(".")
    return language_of(path) == "text" and (ending if stem else "") in _DOCUMENTS


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _stem(path: str) -> str:
    return path.rpartition("/")[2].removesuffix(".py")
