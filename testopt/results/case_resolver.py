"""Resolves the names in JUnit XML to the ``case_id`` that the runner prints and accepts.

pytest writes ``tests/test_x.py::Class::test_y[param]`` as the classname ``tests.test_x.Class`` and
the name ``test_y[param]``; xunit1 adds the file, xunit2 does not. Which dots were slashes is found
from the Python files of the repository. Other producers keep ``classname::name``.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from testopt.git.process import run_git
from testopt.schema import digest

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from testopt.results.junit import Suite

_PYTHON: Final = ".py"
_MAX_CACHED: Final = 4_000
_MAX_ID: Final = 1 << 16  # characters of a case id; longer ones end in a digest
_ABSOLUTE: Final = re.compile(r"(?:[A-Za-z]:)?[/\\\\]")
_SCRIPT: Final = re.compile(r"\.[cm]?[jt]sx?\Z")


class CaseResolver:
    """Maps test cases of JUnit XML to case ids.

    Parameters
    ----------
    files : iterable of str
        Paths of the repository's files, relative to its root, with ``/``.
    """

    def __init__(self, files: Iterable[str] = ()) -> None:
        self._files = frozenset(files)
        # Dotted name of each ending of a path -> the paths that have it.
        self._by_module: dict[str, list[str]] = {}
        for path in sorted(self._files):
            if path.endswith(_PYTHON):
                parts = path[: -len(_PYTHON)].split("/")
                for start in range(len(parts)):
                    self._by_module.setdefault(".".join(parts[start:]), []).append(path)
        self._prefixes: dict[tuple[str, str | None, Suite], tuple[str | None, str | None]] = {}
        self.ambiguous = 0

    def resolve(self, attributes: dict[str, str], suite: Suite) -> tuple[str, str | None]:
        """Return the id of a case and its file relative to the repository root, where known.

        Parameters
        ----------
        attributes : dict
            Attributes of the ``testcase`` element: ``classname``, ``name``, ``file``.
        suite : Suite
            The suite around it, whose name stands in for an absent classname.
        """
        name = attributes.get("name", "")
        key = (attributes.get("classname", ""), attributes.get("file"), suite)
        resolved = self._prefixes.get(key)
        if resolved is None:
            if len(self._prefixes) >= _MAX_CACHED:
                self._prefixes.clear()
            resolved = self._prefixes[key] = self._prefix(*key)
        prefix, file = resolved
        if prefix is None:
            return self._collected(name, suite, file)
        case_id = prefix + name
        if len(case_id) > _MAX_ID:
            case_id = f"{case_id[:_MAX_ID]}…{digest(case_id)}"
        return case_id, file

    def _prefix(
        self, classname: str, file: str | None, suite: Suite
    ) -> tuple[str | None, str | None]:
        """Return the id up to the name (None: it depends on the name), and the file."""
        path = self._relative(file)
        if _ABSOLUTE.match(classname):
            classname = self._relative(classname) or classname
        if not classname:
            return (None if self._by_module else _raw(suite.name)), path
        if suite.host and classname == suite.name and _SCRIPT.search(classname):
            # Playwright alone names its project there; elsewhere it is the machine, which varies.
            return f"[{suite.host}] {classname}::", path
        relative = self._module(classname, path)
        if relative is None:
            return _raw(classname), path
        chosen, classes = relative
        return "::".join([chosen, *classes, ""]), chosen

    def _module(self, classname: str, path: str | None) -> tuple[str, list[str]] | None:
        """Return the Python file that a classname begins with, and the classes in it."""
        if path is not None and path.endswith(_PYTHON):
            classes = _after(classname, path)
            if classes is not None:
                return path, classes
        parts = classname.split(".")
        for end in range(len(parts), 0, -1):
            candidates = self._by_module.get(".".join(parts[:end]))
            if candidates is None:
                continue
            chosen = _choose(candidates, "/".join(parts[:end]) + _PYTHON)
            if chosen is None:
                self.ambiguous += 1
                return None
            return chosen, parts[end:]
        return None

    def _relative(self, file: str | None) -> str | None:
        """Return a path as the repository knows it: that of a container ends like one of ours."""
        if not file:
            return None
        path = file.replace("\\", "/").removeprefix("./")
        if path in self._files or not self._files:
            return path
        parts = path.strip("/").split("/")
        for start in range(len(parts)):
            ending = "/".join(parts[start:])
            if ending in self._files:
                return ending
        return path

    def relative_path(self, path: str) -> str | None:
        """Return the path of a file of the repository, two parts at least, that a path ends in."""
        parts = path.replace("\\", "/").strip("/").split("/")
        endings = ("/".join(parts[start:]) for start in range(len(parts) - 1))
        return next((ending for ending in endings if ending in self._files), None)

    def _collected(self, name: str, suite: Suite, file: str | None) -> tuple[str, str | None]:
        """Resolve a case without classname: pytest's collection errors name the module."""
        candidates = self._by_module.get(name, [])
        chosen = _choose(candidates, name.replace(".", "/") + _PYTHON)
        return (chosen, chosen) if chosen is not None else (_raw(suite.name) + name, file)


def _raw(classname: str) -> str:
    return f"{classname}::" if classname else ""


def _after(classname: str, path: str) -> list[str] | None:
    """Return the classes that a classname names behind the module of a path."""
    module = path[: -len(_PYTHON)].replace("/", ".")
    # pytest's classname begins with the path; unittest's may begin with its end only.
    while module:
        if classname == module:
            return []
        if classname.startswith(module + "."):
            return classname[len(module) + 1 :].split(".")
        module = module.partition(".")[2]
    return None


def _choose(candidates: list[str], exact: str) -> str | None:
    """Return the one path that a dotted name means, or None where several could be meant."""
    if exact in candidates:
        return exact
    return candidates[0] if len(candidates) == 1 else None


def files_of(root: Path, *, commit: str | None = None) -> list[str]:
    """Return the Python files of a repository at a commit, else in its index and folder.

    Parameters
    ----------
    root : Path
        Top folder of the repository, or a bare one.
    commit : str, optional
        Full hash; without it the files that git tracks or could track are listed.
    """
    if commit is not None:
        out = run_git(root, "ls-tree", "-r", "-z", "--name-only", "--full-tree", commit)
    else:
        out = run_git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    return [os.fsdecode(path) for path in out.split(b"\0") if path]
