"""``go test``: a package and a pattern of its test functions, one command a line."""

from __future__ import annotations

import posixpath
import re
import shlex
from typing import TYPE_CHECKING, Final

from testopt.pluralize import pluralize
from testopt.runners.cases_in_go import go_cases, is_go_test
from testopt.runners.protocol import MAX_ARGUMENT, Arguments, Request, Runner, steps

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from testopt.runners.place import Place

_ALL: Final = "./..."
_PACKAGE: Final = re.compile(r"(?!-)[\w.~+/-]+(?<!\.py)(?<!\.[cm][jt]s)(?<!\.[jt]s)(?<!\.[jt]sx)")
# A benchmark may end in the number of its processors. What go-junit-report and gotestsum call a
# package that could not be built or started is the package.
_FUNCTION: Final = re.compile(r"((?:Test|Fuzz|Example|Benchmark)(\w?)\w*?)(?:-\d+)?")
_OF_PACKAGE: Final = re.compile(r"TestMain|Failure|\[(?:build|setup) failed\]|")
_MODULE: Final = re.compile(r"^module\s+\"?([^\s\"-][^\s\"]*)", re.MULTILINE)


class Go(Runner):
    """``go test``, a call for each package.

    Subtests, and the seeds of a fuzz test, run with their function.
    """

    name = "go"
    collect = "go test -list . ./..."
    line_is_command = True
    group_kind = "package"

    def fits(self, case: str) -> bool:
        """Return whether an id names a test function of Go, or a package that failed as a whole."""
        package, function = _package_and_function(case)
        if package and _PACKAGE.fullmatch(package) is None:
            return False
        if function:
            found = _FUNCTION.fullmatch(function)
            return found is not None and not found[2].islower()  # Testify tests nothing
        return "/" in package and "." not in posixpath.basename(package)

    def is_test_file(self, path: str) -> bool:
        """Return whether a file is called ``*_test.go``."""
        return path.endswith("_test.go")

    def holds_cases(self, path: str, place: Place) -> bool:
        """Return whether ``go test ./...`` compiles a file here."""
        return is_go_test(path, place)

    def cases_in(self, path: str, text: str, place: Place) -> list[str]:
        """Return package and function of each test."""
        return go_cases(path, text, place)

    def unit(self, case: str) -> str:
        """Return package and test function."""
        return "::".join(filter(None, _package_and_function(case)))

    def group(self, case: str) -> str:
        """Return the package."""
        return _package_and_function(case)[0]

    def group_of_file(self, path: str, root: Path | None) -> str:
        """Return the package by the nearest ``go.mod``."""
        folder = posixpath.dirname(path)
        found = _module_around(root, folder) if root is not None else None
        if found is None:
            return ""
        place, module = found
        inside = posixpath.relpath(folder or ".", place or ".")
        return module if inside == "." else f"{module}/{inside}"

    def arguments(self, request: Request) -> Arguments:
        """Return a line a package: its name, and patterns of its functions."""
        if request.everything:
            benchmarks = any(_is_benchmark(self.unit(case)) for case in request.known)
            return Arguments([f"{_ALL} -bench ." if benchmarks else _ALL])
        if request.empty:
            return Arguments([f"{_ALL} -run '^$'"])
        module = _module_around(request.root, request.folder) if request.root is not None else None
        packages: dict[str, dict[str, None]] = {}
        vague = 0
        for name, whole in steps(self, request):
            package, function = (name, "") if whole else _package_and_function(name)
            if not whole and not _is_import_path(package, module and module[1]):
                vague += 1
                package = _ALL
            packages.setdefault(package, {})[function] = None
        lines = [_line(package, names) for package, names in packages.items()]
        where = f"{pluralize(vague, 'case')} of a package of which the path is not known"
        return Arguments(lines, [f"every package is searched for {where}"] if vague else [])


def _line(package: str, names: dict[str, None]) -> str:
    """Return a package with its functions; with all of them, where a pattern would be too long."""
    tests = _pattern(name for name in names if not _is_benchmark(name))
    benchmarks = _pattern(name for name in names if _is_benchmark(name))
    if "" in names or max(len(tests), len(benchmarks)) >= MAX_ARGUMENT:
        return shlex.join([package, *(["-bench", "."] if benchmarks else [])])
    parts = [package, "-run", tests or "^$"]
    return shlex.join([*parts, "-bench", benchmarks] if benchmarks else parts)


def _pattern(names: Iterator[str]) -> str:
    pattern = "|".join(name for name in names if name)
    return f"^({pattern})$" if pattern else ""


def _is_benchmark(unit: str) -> bool:
    return unit.rpartition("::")[2].startswith("Benchmark")


def _package_and_function(case: str) -> tuple[str, str]:
    """Return the package of a case, and its function: empty where it is the whole package."""
    package, mark, name = case.partition("::")
    if not mark:
        package, name = "", case
    name = name.partition("/")[0]
    if mark and _OF_PACKAGE.fullmatch(name):
        return package, ""
    found = _FUNCTION.fullmatch(name)
    return package, found[1] if found else name


def _is_import_path(package: str, module: str | None) -> bool:
    """Return whether a package is named by its path: a short name could be one of Go's own."""
    if not package:
        return False
    if module is None or package == module or package.startswith(f"{module}/"):
        return True
    return "." in package.partition("/")[0]


def _module_around(root: Path | None, folder: str) -> tuple[str, str] | None:
    """Return the nearest folder around one that has a ``go.mod``, and the module it names."""
    while root is not None:
        try:
            found = _MODULE.search((root / folder / "go.mod").read_text("utf-8", "replace"))
        except OSError:
            found = None
        if found is not None:
            return folder, found[1]
        if not folder:
            break
        folder = posixpath.dirname(folder)
    return None
