"""Seeds small faults in source, near changed lines: which ones, and where.

The kinds follow the mutation operators of Offutt et al. (1996, "An experimental determination of
sufficient mutant operators") as far as they carry over: relational, logical and arithmetic
replacement, constants, and statement deletion; in Python also swaps of calls that are easily
confused. Every fault changes more than layout; in Python it compiles, in other languages nearly
every one.
"""

from __future__ import annotations

import ast
import hashlib
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from testopt.backfill.mutators import Edit, edits_of
from testopt.backfill.text_mutators import LANGUAGES, text_edits
from testopt.code.lines import only_reformatted
from testopt.code.outline import outline
from testopt.code.paths import language_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from testopt.code.outline import Definition

MAX_BYTES: Final = 2_000_000  # larger files are data
NEAR_LINES: Final = 6  # distance that still counts as near a changed line
_BOM: Final = b"\xef\xbb\xbf"

_Lines = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Fault:
    """One edit of one file: `drop` bytes at offset `at` become `put`.

    ``path`` is as `testopt.code.paths.path_text` spells it; ``line`` counts from 1.
    """

    path: str
    line: int
    operator: str
    offset: int
    length: int
    replacement: bytes

    def apply(self, source: bytes) -> bytes:
        """Return the source with the fault in it."""
        return source[: self.offset] + self.replacement + source[self.offset + self.length :]

    @property
    def key(self) -> str:
        """What makes the fault this one: stable from run to run."""
        replacement = self.replacement.decode("utf-8", "replace")
        return f"{self.path}\0{self.offset}\0{self.length}\0{replacement}"


def find_faults(path: str, source: bytes, lines: Collection[int]) -> list[tuple[int, Fault]]:
    """Return the faults that could be seeded on or near some lines.

    Parameters
    ----------
    path : str
        Name of the file, for the faults.
    source : bytes
        Content of the file, UTF-8.
    lines : collection of int
        Changed lines, from 1.

    Returns
    -------
    list of (int, Fault)
        Distance in lines to the nearest changed one (at most ``NEAR_LINES``, or one more for
        the rest of the same function), and the fault; in the order of the file. Empty where the
        file is not UTF-8, is of a language without faults (`can_hold_faults`), or is Python that
        does not parse.
    """
    if not lines or len(source) > MAX_BYTES or not can_hold_faults(path):
        return []
    bom_size = len(_BOM) if source.startswith(_BOM) else 0
    read = _read_python if language_of(path) == "python" else _read_text
    functions, edits = read(path, source[bom_size:])
    distances = _ChangeDistances(functions, lines)
    faults = []
    for edit in edits:
        distance = distances.distance(edit.line)
        if distance is not None:
            at = edit.offset + bom_size
            faults.append(
                (distance, Fault(path, edit.line, edit.operator, at, edit.length, edit.replacement))
            )
    return sorted(set(faults), key=lambda item: (item[1].offset, item[1].key))


def can_hold_faults(path: str) -> bool:
    """Tell whether faults can be seeded in the language of a file."""
    return path.endswith(".py") or language_of(path) in LANGUAGES


def _read_python(path: str, source: bytes) -> tuple[list[_Lines], Iterable[Edit]]:  # noqa: ARG001 - as below
    """Return the functions of a file, each with its first and last line, and its edits."""
    tree = parse_source(source)
    if tree is None:
        return [], []
    functions = (n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))
    return [(f.lineno, f.end_lineno or f.lineno) for f in functions], edits_of(tree, source)


def _read_text(path: str, source: bytes) -> tuple[list[_Lines], Iterable[Edit]]:
    """Return the same of a file that is not Python."""
    definitions = _definitions(path, source)
    if definitions is None:
        return [], []
    functions = [(d.first, d.last) for d in definitions if not (d.is_class or d.is_value)]
    return functions, text_edits(source, language_of(path))


def _definitions(path: str, source: bytes) -> tuple[Definition, ...] | None:
    """Return the outline of a file; None where it is not UTF-8."""
    try:
        return outline(source.decode("utf-8"), path)
    except UnicodeDecodeError:
        return None


def choose_faults(
    candidates: Iterable[tuple[int, Fault]], limit: int, *, seed: str, sources: dict[str, bytes]
) -> list[Fault]:
    """Pick faults: near ones first, of many kinds and on many lines, the rest by the seed.

    Parameters
    ----------
    candidates : iterable of (int, Fault)
        From `find_faults`, of one or more files.
    limit : int
        How many at most.
    seed : str
        Decides between equals; the same seed gives the same faults.
    sources : dict of str to bytes
        Content by path, to see that the faulty file compiles.

    Returns
    -------
    list of Fault
        In the order of preference.
    """
    rest = sorted(candidates, key=lambda item: _lottery_number(seed, item[1].key))
    chosen: list[Fault] = []
    chosen_by_operator: dict[str, int] = {}
    chosen_by_line: dict[tuple[str, int], int] = {}
    while rest and len(chosen) < limit:
        best = min(
            range(len(rest)),
            key=lambda i: (
                chosen_by_line.get((rest[i][1].path, rest[i][1].line), 0),
                _tier(rest[i][0]) + chosen_by_operator.get(rest[i][1].operator, 0),
            ),
        )
        fault = rest.pop(best)[1]
        if not _alters(sources[fault.path], fault):
            continue
        chosen.append(fault)
        chosen_by_operator[fault.operator] = chosen_by_operator.get(fault.operator, 0) + 1
        line = (fault.path, fault.line)
        chosen_by_line[line] = chosen_by_line.get(line, 0) + 1
    return chosen


def parse_source(source: bytes) -> ast.Module | None:
    """Return the syntax tree of UTF-8 source, or None where this Python cannot parse it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the code that is parsed, not of ours
            return ast.parse(source.decode("utf-8-sig"))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def same_code(one: bytes, other: bytes, path: str = "a.py") -> bool:
    """Tell whether two versions of a file differ in comments, layout and docstrings at most."""
    if language_of(path) != "python":
        before, after = (text.decode("utf-8", "replace").split("\n") for text in (one, other))
        return only_reformatted(before, after, language_of(path))
    trees = [parse_source(one), parse_source(other)]
    return None not in trees and _shape(trees[0]) == _shape(trees[1])


def _alters(source: bytes, fault: Fault) -> bool:
    """Tell whether the faulty file compiles, as far as can be seen, and means something else."""
    faulty = fault.apply(source)
    if language_of(fault.path) != "python":
        before, after = (_definitions(fault.path, text) for text in (source, faulty))
        return before is not None and after is not None and _names(before) == _names(after)
    tree = parse_source(faulty)
    if tree is None or same_code(source, faulty):
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(tree, "<fault>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _names(definitions: Iterable[Definition]) -> list[str]:
    return [definition.name for definition in definitions]


def _shape(tree: ast.Module | None) -> str:
    """Return a syntax tree as text without positions and docstrings."""
    if tree is None:
        return ""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and is_docstring(body[0]):
            del body[0]
    return ast.dump(tree)


def is_docstring(node: ast.AST) -> bool:
    """Tell whether a statement is a bare string."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _tier(distance: int) -> int:
    """Return 0 on a changed line, 1 near one, 2 in the same function only."""
    if distance == 0:
        return 0
    return 1 if distance <= NEAR_LINES else 2


def _lottery_number(seed: str, key: str) -> bytes:
    return hashlib.blake2b(f"{seed}\0{key}".encode("utf-8", "surrogatepass")).digest()


class _ChangeDistances:
    """Knows how far a line is from the changed ones."""

    def __init__(self, functions: Iterable[_Lines], lines: Collection[int]) -> None:
        self._lines = sorted(set(lines))
        self._functions = [
            (first, last)
            for first, last in functions
            if any(first <= line <= last for line in self._lines)
        ]

    def distance(self, line: int) -> int | None:
        """Return the distance of a line, or None where it is not near."""
        nearest = min(abs(line - changed) for changed in self._lines)
        if nearest <= NEAR_LINES:
            return nearest
        inside = any(first <= line <= last for first, last in self._functions)
        return NEAR_LINES + 1 if inside else None


__all__ = [
    "Edit",
    "Fault",
    "can_hold_faults",
    "choose_faults",
    "find_faults",
    "parse_source",
    "same_code",
]
