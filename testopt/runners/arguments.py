"""Formats a plan as arguments of a test runner: pytest, unittest, Go, Maven and others.

What a runner cannot tell apart (parameters, subtests, overloads) runs together: a name stands for
at least the case that it was made of, never for less.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from typing import TYPE_CHECKING, Final

from testopt.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

_VARIANT: Final = re.compile(r"\[[^\]]*\]\Z|\(.*\)(?:\[[^\]]*\])?\Z", re.DOTALL)
_BREAK: Final = re.compile(r"[\r\n]")
# What no pytest accepts in an argument, or not the next one:
# see `testopt.results.case_id_normalisation`.
_UNREPEATABLE: Final = re.compile(r"[\r\n…]|\[.* at 0x[0-9a-fA-F]{6,16}[>,]")
_GO_META: Final = re.compile(r"([\\.+*?()|\[\]{}^$/])")
_SUREFIRE_UNSAFE: Final = re.compile(r"[^\w.$*-]")


def pytest_ids(cases: Sequence[str]) -> list[str]:
    """Return node ids, one an argument.

    Of parameters that hold a line break, or what differs in each process, the function.
    """
    return _unique(
        case if not _UNREPEATABLE.search(case) else case.partition("[")[0] for case in cases
    )


def from_folder(
    form: str,
    cases: Iterable[str],
    folder: str,
    *,
    is_file: Callable[[str], bool] = lambda _: False,
) -> list[str]:
    """Return cases as a runner names them that is started in a folder of the repository.

    Parameters
    ----------
    form : str
        One of ``RUNNERS``; pytest and unittest take paths and modules relative to where they run.
    cases : iterable of str
        Case ids, relative to the top of the repository.
    folder : str
        Relative to the top; empty: the top itself.
    is_file : callable
        Tells whether a bare name is that of a file at the top.
    """
    if not folder or form not in {"pytest", "unittest"}:
        return list(cases)
    return [_relative(case, folder, is_file) for case in cases]


def unittest_names(cases: Sequence[str]) -> list[str]:
    """Return dotted names for ``python -m unittest``, one an argument."""
    return _unique(_dotted(case) for case in cases)


def go_commands(cases: Sequence[str]) -> list[str]:
    """Return arguments for ``go test``: one line a package, quoted for a shell."""
    packages: dict[str, dict[str, None]] = {}
    for case in cases:
        package, _, name = case.rpartition("::")
        packages.setdefault(package or "./...", {})[name.partition("/")[0]] = None
    return [
        shlex.join([package, "-run", f"^({'|'.join(_GO_META.sub(_escaped, n) for n in names)})$"])
        for package, names in packages.items()
    ]


def surefire_property(cases: Sequence[str]) -> list[str]:
    """Return ``-Dtest=…`` for Maven, one argument; several methods of a class follow a ``+``."""
    classes: dict[str, dict[str, None]] = {}
    for case in cases:
        owner, method = _class_and_method(case)
        classes.setdefault(owner, {})[_SUREFIRE_UNSAFE.sub("*", method)] = None
    names = [
        f"{owner}#{'+'.join(methods)}" if "" not in methods else owner
        for owner, methods in classes.items()
    ]
    return [f"-Dtest={','.join(names)}"] if names else []


def gradle_filters(cases: Sequence[str]) -> list[str]:
    """Return ``--tests`` and a name for Gradle in turn, one an argument."""
    names = _unique(".".join(filter(None, _class_and_method(case))) for case in cases)
    return [part for name in names for part in ("--tests", name)]


def jest_pattern(cases: Sequence[str]) -> list[str]:
    """Return ``--testNamePattern=…`` for Jest or Vitest, one argument."""
    names = _unique(re.escape(case.rpartition("::")[2]) for case in cases)
    return [f"--testNamePattern=^({'|'.join(names)})$"] if names else []


def nextest_filter(cases: Sequence[str]) -> list[str]:
    """Return ``-E`` and an expression for ``cargo nextest run``, two arguments."""
    names = _unique(_rust_regex(case.rpartition("::")[2]) for case in cases)
    return ["-E", f"test(/(^|::)({'|'.join(names)})$/)"] if names else []


RUNNERS: Final[dict[str, Callable[[Sequence[str]], list[str]]]] = {
    "pytest": pytest_ids,
    "unittest": unittest_names,
    "go": go_commands,
    "surefire": surefire_property,
    "gradle": gradle_filters,
    "jest": jest_pattern,
    "nextest": nextest_filter,
}


def runner_lines(form: str, cases: Sequence[str]) -> bytes:
    """Return cases in the syntax of a runner, one argument a line.

    Parameters
    ----------
    form : str
        One of ``RUNNERS``.
    cases : sequence of str
        In the order in which they should run.

    Returns
    -------
    bytes
        Bytes of names that are no UTF-8 as they came.

    Raises
    ------
    UsageError
        When a name holds a line break.
    """
    lines = RUNNERS[form](cases)
    broken = next((line for line in lines if _BREAK.search(line)), None)
    if broken is not None:
        raise UsageError(f"the id {broken[:80]!r} holds a line break", "use --format json")
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")


def _relative(case: str, folder: str, is_file: Callable[[str], bool]) -> str:
    file, mark, rest = case.partition("::")
    is_path = "/" in file or file.endswith(".py") or is_file(file)
    if not is_path or posixpath.isabs(file):
        return case
    return posixpath.relpath(file, folder) + mark + rest


def _dotted(case: str) -> str:
    file, mark, rest = _VARIANT.sub("", case).partition("::")
    if "/" in file or file.endswith(".py"):
        file = file.removesuffix(".py").replace("/", ".")
    return f"{file}{mark}{rest}".replace("::", ".")


def _class_and_method(case: str) -> tuple[str, str]:
    """Return the class of a case, a dotted name, and its method without parameters."""
    owner, mark, method = case.partition("::")
    if not mark and "(" not in owner:
        owner, _, method = owner.rpartition(".")
    return owner.replace("::", "."), _VARIANT.sub("", method)


def _rust_regex(name: str) -> str:
    return re.sub(r"\\?/", r"\\/", re.escape(name))


def _escaped(match: re.Match[str]) -> str:
    return f"\\{match[0]}"


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
