"""Lists of case ids that users hand in: one a line, as JSON, or as pytest prints them."""

from __future__ import annotations

import io
import json
import os
import re
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

import click

from testopt.errors import InputFileError
from testopt.input_files import open_input

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_LABELLED: Final = re.compile(r"\s*\[[^\"\[\]\n]+\] \S")  # an id, though it begins as a list does
# What pytest prints behind ids (a rule across the line, the number of cases), and in their stead
# where it is more or less verbose than -q: its header, the tree, the number of cases of each file.
_RULE: Final = re.compile(r"={3,} .+ ={3,}|_{3,} .+ _{3,}|-{3,} .+ -{3,}|!{3,} .+ !{3,}")
_TALLY: Final = re.compile(
    r"(?:no tests|\d+(?:/\d+)? (?:tests?|errors?|deselected))\b.* in [\d.]+s.*"
)
_NO_ID: Final = frozenset("=_-!n0123456789")  # what those two begin with
_TREE: Final = re.compile(r"\s*<[A-Za-z]\w* .*>|=+ test session starts =+")
# What `go test -list` prints behind the names of a package, and `cargo nextest list` before those
# of a binary (or on each line).
_GO_PACKAGE: Final = re.compile(r"(?:ok  |\?   |FAIL)\t(\S+)(?:\t.*)?|FAIL|PASS|no test files")
_GO_NAME: Final = re.compile(r"(?:Test|Fuzz|Example|Benchmark)\w*")
_NEXTEST_BINARY: Final = re.compile(r"([\w-]+(?:::[\w/-]+)?):")
_NEXTEST_LINE: Final = re.compile(r"([\w-]+(?:::[\w/-]+)?) (\w+(?:::\w+)*)")
_VITEST_LINE: Final = re.compile(r"(?:\[[^\]]+\] )?([^\s>][^>]*\.[cm]?[jt]sx?) > (.+)")
_PHPUNIT_LINE: Final = re.compile(r"^ - ([\w\\]+)::(\w+)([#\"].*)?$", re.MULTILINE)
_COUNT: Final = re.compile(r"[^\s:].*\.\w+: \d+")


def read_cases(name: str, *, root: Path | None = None) -> list[str]:
    """Read case ids; lines that are no ids (pytest's own summary) are passed over.

    Parameters
    ----------
    name : str
        A file; ``-`` is standard input.
    root : Path, optional
        Top folder of the repository. Ids that name files from the working folder, or one between
        it and the top, are made relative to the top: pytest prints them relative to its own root.

    Raises
    ------
    InputFileError
        When it cannot be read, or holds something other than ids.
    """
    place = "standard input" if name == "-" else name
    try:
        with _open(name) as stream:
            text = stream.read()
    except OSError as error:
        raise InputFileError(f"{place} cannot be read: {error.strerror}", "check --cases") from None
    listed = text.lstrip().startswith("[") and not _LABELLED.match(text)
    ids = _listed(text, place) if listed else _lines(text, place)
    return ids if root is None else _from_top(ids, root.resolve())


def _open(name: str) -> IO[str]:
    if name == "-":
        return click.open_file(name, encoding="utf-8", errors="surrogateescape")
    return io.TextIOWrapper(open_input(Path(name)), encoding="utf-8", errors="surrogateescape")


def _lines(text: str, place: str) -> list[str]:
    for listing in (_of_go, _of_nextest, _of_vitest, _of_phpunit):
        ids = listing(text)
        if ids is not None:
            return ids
    lines = text.lstrip("\r\n").split("\n")  # other line breaks may stand in an id
    if all(line.endswith("\r") for line in lines[:-1]):
        lines = [line.removesuffix("\r") for line in lines]
    _check(lines, place)
    ends = (n for n, line in enumerate(lines) if not line or _behind_ids(line))
    return [line for line in lines[: next(ends, len(lines))] if line.strip()]


def _of_go(text: str) -> list[str] | None:
    """Return the ids in the output of ``go test -list``; None where it is something else."""
    names: list[str] = []
    ids: list[str] = []
    lines = [line for line in text.splitlines() if line]
    if not any(line.startswith(("ok  \t", "?   \t")) for line in lines):
        return None
    for line in lines:
        package = _GO_PACKAGE.fullmatch(line)
        if package is not None:
            ids += [f"{package[1]}::{name}" for name in names if package[1]]
            names = []
        elif _GO_NAME.fullmatch(line) and not line.startswith("Benchmark"):  # not run unless asked
            names.append(line)
    return ids


def _of_nextest(text: str) -> list[str] | None:
    """Return the ids in the output of ``cargo nextest list``; None where it is something else."""
    if "::" not in text:  # two words may be anything
        return None
    binary, ids = "", list[str]()
    for line in filter(None, text.splitlines()):
        head, pair = _NEXTEST_BINARY.fullmatch(line), _NEXTEST_LINE.fullmatch(line)
        if head is not None:
            binary = head[1]
        elif binary and line.startswith("    "):
            ids.append(f"{binary}::{line.strip().removesuffix(' (skipped)')}")
        elif pair is not None:
            ids.append(f"{pair[1]}::{pair[2]}")
        else:
            return None
    return ids or None


def _of_vitest(text: str) -> list[str] | None:
    """Return the ids in the output of ``vitest list``; None where it is something else."""
    ids = []
    for line in filter(None, text.splitlines()):
        match = _VITEST_LINE.fullmatch(line)
        if match is None:
            return None
        ids.append(f"{match[1]}::{match[2]}")
    return ids or None


def _of_phpunit(text: str) -> list[str] | None:
    """Return the ids in the output of ``phpunit --list-tests``; None where it is something else."""
    _, mark, listed = text.partition("Available test(s):\n")
    if not mark or not text.startswith("PHPUnit "):
        return None
    ids = []
    for found in _PHPUNIT_LINE.finditer(listed):
        owner, method, data = found.groups("")
        ids.append(
            f"{owner.replace(chr(92), '.')}::{method}{' with data set ' if data else ''}{data}"
        )
    return ids


def _behind_ids(line: str) -> bool:
    if line[0] not in _NO_ID:  # most lines are ids, and there may be very many
        return False
    return _RULE.fullmatch(line) is not None or _TALLY.fullmatch(line) is not None


def _check(lines: Sequence[str], place: str) -> None:
    end = lines.index("") if "" in lines else len(lines)
    tree = next((line for line in lines[:end] if _TREE.fullmatch(line)), None)
    if tree is None and end and all(_COUNT.fullmatch(line) for line in lines[:end]):
        tree = lines[0]
    if tree is not None:
        raise InputFileError(
            f"{place} does not hold one case id per line, as pytest -q prints them: "
            f"{tree.strip()[:80]!r}",
            "print one id a line: pytest --collect-only -q -o addopts= (a -v or -q that stands in "
            "addopts or PYTEST_ADDOPTS counts, too)",
        )


def _listed(text: str, place: str) -> list[str]:
    try:
        ids = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputFileError(f"{place} is not a JSON list: {error}", "check --cases") from None
    if not all(isinstance(i, str) for i in ids):
        raise InputFileError(f"{place} is not a text file", "check --cases")
    return [i.encode("utf-8", "backslashreplace").decode() for i in ids]  # lone surrogates


def _from_top(ids: list[str], root: Path) -> list[str]:
    """Return ids relative to the top, read from the nearest folder that has all their files."""
    here = Path.cwd().resolve()
    if root not in here.parents:
        return ids
    files = list(dict.fromkeys(i.partition("::")[0] for i in ids))
    bases = [base for base in (here, *here.parents) if base == root or root in base.parents]
    base = next((b for b in bases if all(_exists(b / file) for file in files)), root)
    moved = {file: _below(file, base, root) for file in files} if base != root else {}
    return [moved.get(file, file) + mark + rest for file, mark, rest in _split(ids)]


def _split(ids: Iterable[str]) -> Iterable[tuple[str, str, str]]:
    return (i.partition("::") for i in ids)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _below(file: str, base: Path, root: Path) -> str:
    path = Path(os.path.normpath(base / file))
    return path.relative_to(root).as_posix() if root in path.parents else file
