"""From the names in JUnit XML to the ``case_id`` that the user's runner prints and accepts.

pytest writes ``tests/test_x.py::Class::test_y[param]`` as the classname ``tests.test_x.Class`` and
the name ``test_y[param]``; xunit1 adds the file, xunit2 does not. Which dots were slashes is found
from the files of the repository; which of several files of one name is meant, from the folder that
the report lies in and the one where testopt runs. Items of pytest that are no Python (doctests in
text, notebooks, YAML) keep the ending of their file: ``docs.a.rst``. Other producers keep
``classname::name``.
"""

from __future__ import annotations

import os
import posixpath
import re
from functools import cached_property
from typing import TYPE_CHECKING, Final

from testopt.git.process import run_git
from testopt.schema import digest

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from testopt.results.junit import Suite

_PYTHON: Final = ".py"
_MAX_CACHED: Final = 4_000
_MAX_PATH: Final = 4_096  # characters, as on Linux: what is longer names no file
_MAX_ID: Final = 1 << 16  # characters of a case id; longer ones end in a digest
_ABSOLUTE: Final = re.compile(r"(?:[A-Za-z]:)?[/\\\\]")
_SCRIPT: Final = re.compile(r"\.[cm]?[jt]sx?\Z")
# Files with items of pytest that are no Python; in a suite that pytest named, any file may be one.
_TEXT: Final = re.compile(r"\.(?:rst|txt|md|ipynb|ya?ml|json|feature)(?:\.|\Z)")
PYTEST: Final = "pytest"  # its usual name for a suite
# What ``--dist loadgroup`` of xdist appends; a parameter may hold an @ too.
_GROUP: Final = re.compile(r"([\w.:]+)@.+|([\w.:]+\[.*\])@[^\]]+", re.DOTALL)
# A browser as karma-junit-reporter writes it (Chrome_Headless_120_0_6099_109_(Linux_x86_64)) and
# as WebdriverIO does (chrome.120_0_6099_109.linux): the version changes, the case does not.
_KARMA: Final = re.compile(r"(?<=[A-Za-z_])_\d++(?:_\d++)*+(?=_\([^()]*\)\.)")
_BROWSERS: Final = (
    "chrome|chromium|chrome-headless-shell|firefox|safari|msedge|microsoftedge|edge|opera|webkit"
    "|internetexplorer|ie|electron"
)
_WEBDRIVER: Final = re.compile(rf"((?:{_BROWSERS}))\.\d++(?:[._]\d++)*(?=\.)")


class CaseResolver:
    """Maps test cases of JUnit XML to case ids.

    Parameters
    ----------
    files : iterable of str
        Paths of the repository's files, relative to its root, with ``/``.
    folder : str
        Where testopt runs, relative to the root.
    """

    def __init__(self, files: Iterable[str] = (), *, folder: str = "") -> None:
        self._files = frozenset(files)
        # Dotted name of each ending of a path -> the paths that have it.
        self._by_module = _endings(p for p in self._files if p.endswith(_PYTHON))
        self._packages = _folders_of(p for p in self._files if p.endswith(_PYTHON))
        self._prefixes: dict[tuple[str, str | None, Suite], tuple[str | None, str | None]] = {}
        self._folder = folder
        self._bases: tuple[str, ...] = ()
        self._anchors: tuple[str, ...] = ()
        self.ambiguous = 0
        self.at("")

    def at(self, *folders: str) -> None:
        """Say where the report lies whose cases come next.

        Parameters
        ----------
        *folders : str
            Folders of the repository, relative to its top, the likeliest first.
        """
        near = [folder for folder in (*folders, self._folder) if folder]
        self._bases = (*dict.fromkeys(base for f in near for base in _upwards(f)), "")
        packages = (next((b for b in _upwards(f) if b in self._packages), "") for f in near)
        self._anchors = tuple(dict.fromkeys(filter(None, packages)))
        self._prefixes.clear()

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
        found = self._prefixes.get(key)
        if found is None:
            if len(self._prefixes) >= _MAX_CACHED:
                self._prefixes.clear()
            found = self._prefixes[key] = self._prefix(*key)
        prefix, file = found
        if prefix is None:
            return self._collected(name, suite, file)
        if suite.name == PYTEST or (file or "").endswith(_PYTHON):
            name = _without_group(name)
        case_id = prefix + name
        if len(case_id) > _MAX_ID:
            case_id = f"{case_id[:_MAX_ID]}…{digest(case_id)}"
        return case_id, file

    def _prefix(
        self, classname: str, file: str | None, suite: Suite
    ) -> tuple[str | None, str | None]:
        """Return the id up to the name (None: it depends on the name), and the file."""
        path = self._relative(file)
        if len(classname) > _MAX_PATH:
            return _raw(classname), path
        if _ABSOLUTE.match(classname):
            classname = self._relative(classname) or classname
        if not classname:
            return (None if self._by_module else _raw(suite.name)), path
        if _SCRIPT.search(classname):
            label = f"[{suite.project}] " if suite.project and classname == suite.name else ""
            return f"{label}{self._located(classname) or classname}::", path
        classname = _WEBDRIVER.sub(r"\1", _KARMA.sub("", classname, count=1), count=1)
        found = self._module(classname, path, suite)
        if found is None:
            return _raw(classname), path
        chosen, classes = found
        return "::".join([chosen, *classes, ""]), chosen

    def _module(
        self, classname: str, path: str | None, suite: Suite
    ) -> tuple[str, list[str]] | None:
        """Return the file that a classname of pytest begins with, and the classes in it."""
        by_pytest = suite.name == PYTEST or _TEXT.search(classname) is not None
        if path is not None and (path.endswith(_PYTHON) or by_pytest):
            classes = _after(classname, path)
            if classes is not None:
                return path, classes
        parts = classname.split(".")
        for end in range(min(len(parts), self._most_parts), 0, -1):
            name = ".".join(parts[:end])
            candidates = self._by_module.get(name)
            ending = "/".join(parts[:end]) + _PYTHON
            if candidates is None and by_pytest:
                candidates = self._by_file.get(name)
                ending = candidates[0][-len(name) :] if candidates else ""
            if candidates is None:
                continue
            chosen = self._choose(candidates, ending)
            if chosen is None:
                self.ambiguous += 1
                return None
            return chosen, parts[end:]
        return None

    @cached_property
    def _most_parts(self) -> int:
        """How many parts a path, or the dotted name of one, has at most."""
        return max((path.count("/") + path.count(".") for path in self._files), default=0) + 1

    @cached_property
    def _by_file(self) -> dict[str, list[str]]:
        """Paths of the files that are no Python, by each ending, with dots for slashes."""
        return _endings(p for p in self._files if not p.endswith(_PYTHON))

    def _choose(self, candidates: list[str], ending: str) -> str | None:
        """Return the one path that a dotted name means, or None where several could be meant.

        The nearest folder decides. What lies in another package than the report and testopt
        themselves is another file of the same name.
        """
        for base in self._bases:
            path = f"{base}/{ending}" if base else ending
            if path in candidates:
                return path
        for anchor in self._anchors:
            below = [path for path in candidates if path.startswith(f"{anchor}/")]
            if below:
                return below[0] if len(below) == 1 else None
        return candidates[0] if len(candidates) == 1 and not self._anchors else None

    def _located(self, path: str) -> str | None:
        """Return the file of the repository that a relative path means from the nearest folder."""
        for base in self._bases:
            found = posixpath.normpath(f"{base}/{path}" if base else path)
            if found in self._files:
                return found
        return None

    def _relative(self, file: str | None) -> str | None:
        """Return a path as the repository knows it: that of a container ends like one of ours."""
        if not file:
            return None
        path = file.replace("\\", "/").removeprefix("./")
        if not self._files or len(path) > _MAX_PATH:
            return path
        parts = path.strip("/").split("/")
        # a relative path is not shortened down to a bare name, which many folders have
        last = len(parts) if _ABSOLUTE.match(path) else max(len(parts) - 1, 1)
        for start in range(last):
            found = self._located("/".join(parts[start:]))
            if found is not None:
                return found
        return path

    def relative_path(self, path: str) -> str | None:
        """Return the path of a file of the repository, two parts at least, that a path ends in."""
        parts = path.replace("\\", "/").strip("/").split("/")[-self._most_parts :]
        endings = ("/".join(parts[start:]) for start in range(len(parts) - 1))
        return next((ending for ending in endings if ending in self._files), None)

    def _collected(self, name: str, suite: Suite, file: str | None) -> tuple[str, str | None]:
        """Resolve a case without classname.

        pytest's collection errors name the module; pytest-reportlog writes node ids.
        """
        head, mark, rest = name.partition("::")
        if mark and file in self._files and (file == head or str(file).endswith(f"/{head}")):
            rest = _without_group(rest) if head.endswith(_PYTHON) else rest
            return f"{file}{mark}{rest}", file
        candidates = self._by_module.get(name, [])
        chosen = self._choose(candidates, name.replace(".", "/") + _PYTHON) if candidates else None
        return (chosen, chosen) if chosen is not None else (_raw(suite.name) + name, file)


def _endings(paths: Iterable[str]) -> dict[str, list[str]]:
    """Return the paths by each of their endings, with dots for slashes and without ``.py``."""
    found: dict[str, list[str]] = {}
    for path in sorted(paths):
        parts = path.removesuffix(_PYTHON).split("/")
        for start in range(len(parts)):
            found.setdefault(".".join(parts[start:]), []).append(path)
    return found


def _folders_of(paths: Iterable[str]) -> frozenset[str]:
    return frozenset(folder for path in paths for folder in _upwards(posixpath.dirname(path)))


def _upwards(folder: str) -> list[str]:
    """Return a folder and those around it, without the top."""
    parts = folder.split("/") if folder else []
    return ["/".join(parts[:end]) for end in range(len(parts), 0, -1)]


def _without_group(name: str) -> str:
    grouped = _GROUP.fullmatch(name) if "@" in name else None
    return (grouped[1] or grouped[2]) if grouped else name


def _raw(classname: str) -> str:
    return f"{classname}::" if classname else ""


def _after(classname: str, path: str) -> list[str] | None:
    """Return the classes that a classname names behind the module of a path."""
    module = path.removesuffix(_PYTHON).replace("/", ".")
    # pytest's classname begins with the path; unittest's may begin with its end only.
    last = posixpath.basename(path).removesuffix(_PYTHON)
    while last and len(module) >= len(last):
        if classname == module:
            return []
        if classname.startswith(module + "."):
            return classname[len(module) + 1 :].split(".")
        module = module.partition(".")[2]
    return None


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
