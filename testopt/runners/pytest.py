"""pytest: node ids, in the order in which they should run."""

from __future__ import annotations

import posixpath
import re
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from testopt.errors import UsageError
from testopt.pluralize import pluralize
from testopt.runners.protocol import Arguments, Request, Runner, steps

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from testopt.runners.place import Place

# What no pytest accepts in an argument, or not the next one:
# see `testopt.results.case_id_normalisation`.
_UNREPEATABLE: Final = re.compile(r"[\r\n…]|\[[^\[\r\n]* at 0x[0-9a-fA-F]{6,16}[>,]")
_MARKS: Final = ("\r", "\n", "…", " at 0x")  # one of them stands in each of these
# Endings of languages that have runners of their own; a name with a slash may be a Go module's.
_OTHERS: Final = re.compile(r"v\d+|go|[cm]?[jt]sx?|java|kt|groovy|scala|rs|rb|php|cs|cpp")
# At the top of a repository: what is no dotted name of another runner.
_AT_TOP: Final = re.compile(r".+\.(?:py|rst|txt|md|ipynb|ya?ml|json|feature)", re.DOTALL)
_TEST_FILE: Final = re.compile(r"(?:.*/)?(?:test_[^/]*|[^/]*_test)\.py", re.DOTALL)


# A module of tests in an id of JUnit XML of which no file was found, or several.
_MODULE: Final = re.compile(r"(?:\w+\.)*(?:test_\w*|\w+_test)(?:\.\w+)*::.*", re.DOTALL)


@lru_cache(1 << 14)
def _is_its_file(path: str) -> bool:
    name = path.rpartition("/")[2]
    ending = name.rpartition(".")[2]
    return "." in name and ending.isidentifier() and _OTHERS.fullmatch(ending) is None


class Pytest(Runner):
    """pytest, started in a folder of the repository.

    Arguments never overlap: of ``a.py a.py::t`` pytest 8 runs ``t`` alone, of ``a.py::t a.py``
    pytest 7 and 8 run ``t`` twice, and pytest 9 loses the order of both (tried with 7.4.4, 8.1.2,
    8.2.2, 8.4.2 and 9.0.1).
    """

    name = "pytest"
    collect = "pytest --collect-only -q -o addopts="
    obeys_order = True
    long_lists = "write the lines to a file, and hand it over: pytest @FILE (8.2 or newer)"

    def fits(self, case: str) -> bool:
        """Return whether an id begins with a file that is no other language's."""
        file = case.partition("::")[0]
        if "/" not in file:
            return _AT_TOP.fullmatch(file) is not None or _MODULE.fullmatch(case) is not None
        return _is_its_file(file)

    def is_test_file(self, path: str) -> bool:
        """Return whether a file is called ``test_*.py`` or ``*_test.py``."""
        return _TEST_FILE.fullmatch(path) is not None

    def holds_cases(self, path: str, place: Place) -> bool:
        """Return whether pytest collects a file, by its settings where the project has some."""
        from testopt.runners.cases_in_python import is_collected

        return is_collected(path, place)

    def cases_in(self, path: str, text: str, place: Place) -> list[str]:
        """Return node ids without parameters."""
        from testopt.runners.cases_in_python import Names, python_cases

        options = place.options
        names = Names(
            options.get("python_functions", Names().functions),
            options.get("python_classes", Names().classes),
        )
        return python_cases(path, text, place, names=names)

    def unit(self, case: str) -> str:
        """Return the node id; where it cannot be repeated, that of the function, or the file."""
        if not _is_vague(case):
            return case
        function, bracket, _ = case.partition("[")
        return function if bracket and not _is_vague(function) else self.group(case)

    def group(self, case: str) -> str:
        """Return the file."""
        return case.partition("::")[0]

    def group_of_file(self, path: str, root: Path | None) -> str:  # noqa: ARG002 - not needed
        """Return the file."""
        return path

    def arguments(self, request: Request) -> Arguments:
        """Return node ids and files, relative to where pytest starts."""
        if request.everything:
            return Arguments()
        if request.empty:
            return Arguments(["--collect-only", "-qq"])
        request = self._located(request)
        if not _have_files(request.cases):
            return _everything([c for c in request.cases if not _has_file(c)], request)
        vague = _vague(request.cases)
        named = [self.unit(name) if name in vague else name for name, _ in steps(self, request)]
        widest = dict.fromkeys(_widest(named))
        count = pluralize(sum(case in vague for case in request.cases), "case")
        note = f"the whole functions of {count} that no other process can name"
        return Arguments(_from_folder(widest, request), [note] if vague else [])

    def _located(self, request: Request) -> Request:
        """Return a request with the files of dotted modules that are those of other cases."""
        if _have_files(request.cases):
            return request
        files = {self.group(case) for case in request.known if _has_file(case)}
        by_module = {file.removesuffix(".py").replace("/", "."): file for file in files}
        cases = [
            case if _has_file(case) else _node_id(case, by_module, request.root)
            for case in request.cases
        ]
        return replace(request, cases=cases)


def _is_vague(case: str) -> bool:
    return _UNREPEATABLE.search(case) is not None


def _vague(cases: Sequence[str]) -> set[str]:
    """Return the cases that no other process can name: to look at all at once is quicker."""
    text = "\0".join(cases)
    none = not any(mark in text for mark in _MARKS)
    return set() if none else set(filter(_is_vague, cases))


def _has_file(case: str) -> bool:
    file = case.partition("::")[0]
    return "/" in file or _AT_TOP.fullmatch(file) is not None


def _have_files(cases: Sequence[str]) -> bool:
    return all(map(_has_file, {case.partition("::")[0] for case in cases}))  # files are few


def _node_id(case: str, by_module: Mapping[str, str], root: Path | None) -> str:
    """Return the node id of a case whose file is a known one, or stands in the repository."""
    head, mark, name = case.partition("::")
    parts = head.split(".")
    for end in range(len(parts), 0, -1):
        file = by_module.get(".".join(parts[:end]))
        path = "/".join(parts[:end]) + ".py"
        if file is None and root is not None and (root / path).is_file():
            file = path
        if file is not None:
            return "::".join([file, *parts[end:]]) + mark + name
    return case


def _widest(names: Sequence[str]) -> Iterator[str]:
    """Yield, for each node id, the file, class or function around it that is asked for, else it."""
    asked = set(names)
    around: dict[str, str] = {}  # owner -> what holds it, or nothing
    for name in names:
        function = name.partition("[")[0]
        owner = function.rpartition("::")[0]
        if owner not in around:
            around[owner] = _holder(owner, asked)
        yield around[owner] or (function if function in asked else name)


def _holder(owner: str, asked: set[str]) -> str:
    """Return the widest of a class and what is around it that is asked for; empty: nothing."""
    parts = owner.split("::")
    wider = ("::".join(parts[:end]) for end in range(1, len(parts) + 1))
    return next((name for name in wider if name and name in asked), "")


def _everything(unnamed: Sequence[str], request: Request) -> Arguments:
    """Return arguments for everything, because of cases of which the file is not known."""
    count, one = pluralize(len(unnamed), "case"), f"{unnamed[0][:80]!r}"
    if request.exact:
        raise UsageError(
            f"no file is known of {count}, such as {one}", "name node ids: path/to/test_a.py::test"
        )
    note = f"no file is known of {count}, such as {one}"
    return Arguments(notes=[note])


def _from_folder(cases: Iterable[str], request: Request) -> list[str]:
    if not request.folder:  # most stand as they are
        return [from_folder(c, request) if c[:1] in "-@" else c for c in cases]
    return [from_folder(case, request) for case in cases]


def from_folder(case: str, request: Request) -> str:
    """Return a case or a file as it is named where the runner starts."""
    if not request.folder and not case.startswith(("-", "@")):
        return case
    file, mark, rest = case.partition("::")
    if request.folder and not posixpath.isabs(file):
        file = posixpath.relpath(file, request.folder)
    # what begins with a dash is an option, with an @ the name of a file of arguments
    return f"{'./' if file.startswith(('-', '@')) else ''}{file}{mark}{rest}"
