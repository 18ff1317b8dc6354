"""What speaks for and against an added line being the one that a later fix changes.

Only what the change itself and its files after it say is read: no history, no parser but
`testopt.code.outline`. Lines of one change are compared with each other alone.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from testopt.code.lines import code_mask
from testopt.code.outline import outline
from testopt.code.paths import is_code, is_test_path, language_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from testopt.code.outline import Definition

MAX_LINES: Final = 5_000  # added lines of a change that are judged
_MAX_WIDTH: Final = 300  # characters of a line that are read
_NAME: Final = re.compile(r"[A-Za-z_]\w*")
_STRING: Final = re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'')
_I: Final = re.IGNORECASE
_KINDS: Final = {
    "condition": re.compile(r"^\s*\}?\s*(?:if|elif|else|unless|when|switch|case|guard|match)\b"),
    "loop": re.compile(r"^\s*(?:for|while|do|foreach|until|loop)\b|for_?each", _I),
    "return": re.compile(r"\b(?:return|yield)\b"),
    "jump": re.compile(r"\b(?:goto|break|continue|raise|throws?|panic)\b"),
    "assignment": re.compile(r"(?<![=!<>+\-*/%&|^])=(?![=>])"),
    "update": re.compile(r"[+\-*/%&|^]=|\+\+|--"),
    "call": re.compile(r"\w\("),
    "import": re.compile(
        r"^\s*(?:#\s*include|import\b|from\s|using\b|use\s|package\b)|\brequire\("
    ),
    "directive": re.compile(r"^\s*(?:#\s*(?:define|if|else|endif|pragma|undef)|@\w)"),
    "comparison": re.compile(r"(?<![\-=<])[<>](?![>=<])|[<>]=|[=!]="),
    "logic": re.compile(r"&&|\|\||\b(?:and|or|not)\b|!(?!=)"),
    "arithmetic": re.compile(r"[\w)\]] ?[+\-*/%] ?[\w(]"),
    "number": re.compile(r"\b\d"),
    "nothing": re.compile(r"\b(?:NULL|None|null|nil|nullptr|undefined)\b"),
    "member": re.compile(r"->|\w\.\w"),
    "index": re.compile(r"\w\["),
    "pointer": re.compile(r"[*&]\w"),
    "choice": re.compile(r"\?[^:]*:"),
    "bits": re.compile(r"<<|>>|[^&]&[^&\w]|[^|]\|[^|]"),
    "size": re.compile(r"sizeof|len|size|count|num|max|min|offset|idx|index", _I),
    "memory": re.compile(r"alloc|free|destroy|unref|delete|release|clone|copy|close|init", _I),
    "lock": re.compile(r"lock|mutex|atomic|thread|sync|wait", _I),
    "error": re.compile(r"err|fail|ret\b|\brc\b|exception|status", _I),
    "log": re.compile(r"log|warn|print|debug|assert|trace", _I),
    "flag": re.compile(r"flag|mask|bit|enable|state|type|mode", _I),
    "time": re.compile(r"time|msec|sec\b|poll|expire", _I),
    "text": re.compile(r"str|format|fmt|buf|path|name", _I),
    "opens": re.compile(r"\{\s*$"),
    "goes on": re.compile(r"[,(]\s*$"),
    "ends": re.compile(r";\s*$"),
}
_PLACE: Final = (
    "code", "names", "depth", "width", "like deleted", "only added", "hunk", "first", "last",
    "file", "share", "new file", "test", "header", "mean rarity", "most rare", "once", "new names",
    "function", "in function", "added in function", "deleted", "repeated",
)  # fmt: skip
FEATURES: Final = (*_KINDS, *_PLACE)


@dataclass(frozen=True, slots=True)
class Hunk:
    """Consecutive changed lines; ``first`` is the number of the first new one."""

    first: int
    old: tuple[str, ...]
    new: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ChangedText:
    """The changed lines of a file, and its whole text after the change."""

    path: str
    text: str
    is_new: bool
    hunks: tuple[Hunk, ...]

    @property
    def added(self) -> int:
        """How many lines were added."""
        return sum(len(hunk.new) for hunk in self.hunks)


@dataclass(frozen=True, slots=True)
class AddedLine:
    """A line that a change adds: where it stands, the function around it, its features."""

    path: str
    number: int
    text: str
    function: str
    is_code: bool
    features: tuple[float, ...]


def added_lines(files: Sequence[ChangedText]) -> list[AddedLine]:
    """Return the lines that a change adds, each with its features.

    Parameters
    ----------
    files : sequence of ChangedText
        All files of the change.

    Returns
    -------
    list of AddedLine
        In the order of the files; the first 5,000.
    """
    total = sum(file.added for file in files) or 1
    repeated = Counter(line.strip() for f in files for hunk in f.hunks for line in hunk.new)
    gone = Counter(n for f in files for hunk in f.hunks for line in hunk.old for n in _names(line))
    out: list[AddedLine] = []
    for file in files:
        if len(out) < MAX_LINES:
            out += _of_file(_Surroundings(file, total, repeated, gone))
    return out[:MAX_LINES]


def _names(line: str) -> list[str]:
    return _NAME.findall(_STRING.sub('""', line[:_MAX_WIDTH]))


class _Surroundings:
    """What the lines of a file are compared with."""

    def __init__(
        self, file: ChangedText, total: int, repeated: Counter[str], gone: Counter[str]
    ) -> None:
        self.file, self.total, self.repeated, self.gone = file, total, repeated, gone
        self.is_program = is_code(file.path)
        lines = file.text.split("\n") if self.is_program else []
        self.mask = code_mask(lines, language_of(file.path))
        self.used = Counter(_NAME.findall(file.text)) if self.is_program else Counter[str]()
        self.n_names = sum(self.used.values()) + 1
        self.added = Counter(n for hunk in file.hunks for line in hunk.new for n in _names(line))
        self.definitions = outline(file.text, file.path) if self.is_program else ()
        self.starts = [d.first for d in self.definitions]
        self.in_function = Counter(
            function
            for hunk in file.hunks
            for number in range(hunk.first, hunk.first + len(hunk.new))
            if (function := self.function_of(number)) is not None
        )

    def function_of(self, number: int) -> Definition | None:
        """Return the innermost function around a line."""
        for place in range(bisect_right(self.starts, number) - 1, -1, -1):
            definition = self.definitions[place]
            if definition.last >= number and not definition.is_class:
                return definition
        return None

    def holds_code(self, number: int) -> bool:
        """Tell whether a line is no comment, no blank line and no bracket alone."""
        return 0 < number <= len(self.mask) and self.mask[number - 1]


def _of_file(around: _Surroundings) -> Iterator[AddedLine]:
    for hunk in around.file.hunks:
        old = [set(_names(line)) for line in hunk.old[:200]]
        for place, line in enumerate(hunk.new):
            number = hunk.first + place
            function = around.function_of(number)
            yield AddedLine(
                around.file.path,
                number,
                line,
                function.name if function else "",
                around.holds_code(number),
                (
                    *_kinds(line, is_program_text=around.holds_code(number)),
                    *_shape(line, around.holds_code(number), old),
                    *_place(around, hunk, place),
                    *_rarity(line, around),
                    *_function(function, around),
                    math.log1p(len(hunk.old)),
                    math.log1p(around.repeated[line.strip()]),
                ),
            )


def _kinds(line: str, *, is_program_text: bool) -> list[float]:
    if not is_program_text:
        return [0.0] * len(_KINDS)
    bare = _STRING.sub('""', line[:_MAX_WIDTH])
    return [float(bool(pattern.search(bare))) for pattern in _KINDS.values()]


def _shape(line: str, holds_code: bool, old: Sequence[set[str]]) -> list[float]:  # noqa: FBT001
    names, expanded = set(_names(line)), line[:_MAX_WIDTH].expandtabs(4)
    alike = max((len(names & o) / max(len(names | o), 1) for o in old), default=0.0)
    return [
        float(holds_code),
        math.log1p(len(_names(line))),
        min((len(expanded) - len(expanded.lstrip())) / 4.0, 8.0),
        min(len(line.strip()), 160) / 40.0,
        alike,
        float(not old),
    ]


def _place(around: _Surroundings, hunk: Hunk, place: int) -> list[float]:
    path, size = around.file.path, len(hunk.new)
    return [
        math.log1p(size),
        float(place == 0),
        float(place == size - 1),
        math.log1p(around.file.added),
        size / around.total,
        float(around.file.is_new),
        float(is_test_path(path)),
        float(path.endswith((".h", ".hh", ".hpp", ".d.ts"))),
    ]


def _rarity(line: str, around: _Surroundings) -> list[float]:
    """Return how rare the names of a line are in its file, and which are new there."""
    names = _names(line)
    if not names or not around.is_program:
        return [0.0] * 4
    rare = [math.log(around.n_names / (1 + around.used[name])) for name in names]
    new = [around.used[n] - around.added[n] + around.gone[n] <= 0 for n in names]
    return [
        sum(rare) / len(rare),
        max(rare),
        sum(around.used[name] <= 1 for name in names) / len(names),
        sum(new) / len(names),
    ]


def _function(function: Definition | None, around: _Surroundings) -> list[float]:
    if function is None:
        return [0.0] * 3
    size, added = function.last - function.first + 1, around.in_function[function]
    return [math.log1p(size), 1.0, math.log1p(added)]
