"""Mutation operators for languages other than Python: on their tokens, without a syntax tree.

The kinds are those of `testopt.backfill.mutators`, as far as the text of a line shows them and the
types of what stands there stay: a fault that does not compile says nothing of any case. What stands
in comments and strings is left alone.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from functools import cache
from typing import TYPE_CHECKING, Final

from testopt.backfill.mutators import Edit

if TYPE_CHECKING:
    from collections.abc import Iterator

_C_LIKE: Final = (
    "c", "c++", "c#", "go", "java", "javascript", "kotlin", "php", "rust", "scala", "swift",
    "typescript",
)  # fmt: skip
LANGUAGES: Final = frozenset((*_C_LIKE, "ruby"))
_WITHOUT_TYPES: Final = frozenset({"javascript", "php", "ruby", "typescript"})

_COMMENTS: Final = {"ruby": rb"\#[^\n]*|^=begin.*?^=end", "php": rb"(?://|\#)[^\n]*|/\*.*?\*/"}
_SLASHES: Final = rb"//[^\n]*|/\*.*?\*/"
# In Rust a quote before a name is a lifetime and begins no string: see `_pattern`.
_STRINGS: Final = (
    rb"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`"
    rb"|(?<=[(,=:\[!&|?{};\n])[ \t]*/(?![*/ ])(?:\\.|[^/\\\n])+/[a-z]*"
)
_SKIPPED_LINES: Final = (
    rb"^[ \t]*(?:import|package|use|using|require|require_relative|\#[ \t]*\w+|include|namespace"
    rb"|extern|export[ \t]+\*|mod|@\w+)\b[^\n]*"
)
_OPERATORS: Final = rb"""
    (?P<comparison>===|!==|==|!=|<=(?![=>])|(?<![-=])>=|(?<=[ ])[<>](?=[ ]))
    |(?P<logical>&&|\|\|)
    |(?P<augmented>(?<=[ ])[-+*]=(?=[ ][\w($]))
    |(?P<arithmetic>(?<=[\w)\]][ ])[-+*/%](?=[ ][\w($]))
    |(?P<step>\+\+|--)
    |(?P<number>(?<![\w.$\#])\d{1,9}(?![\w.]))
    |(?P<truth>\b(?:true|false)\b)
    |(?P<jump>\b(?:break|continue)\b(?=[ \t]*;|[ \t]*$))
    |(?P<condition>\b(?:if|while)[ ]*\((?=[^\n]*\)[ ]*\{?[ \t]*$))
    |(?P<bare>\bif[ ](?!let\b)(?=[^\n;:]*\{[ \t]*$))
    |(?P<word>\b(?:if|unless)\b(?=[ ]))
    |(?P<result>\breturn[ ](?=[^\n;{(]+;?[ \t]*$))
    |(?P<statement>^[ \t]*(?!return\b|if\b|for\b|while\b|switch\b|else\b|defer\b|await\b|go\b)
        [\w.$>-]+\([^\n{}]*\);?[ \t]*$)
"""
_SWAPPED: Final = {
    b"===": (b"!==",), b"!==": (b"===",), b"==": (b"!=",), b"!=": (b"==",),
    b"<=": (b"<", b">="), b">=": (b">", b"<="), b"<": (b"<=", b">"), b">": (b">=", b"<"),
    b"&&": (b"||",), b"||": (b"&&",),
    b"+=": (b"-=",), b"-=": (b"+=",), b"*=": (b"+=",),
    b"+": (b"-",), b"-": (b"+",), b"*": (b"+",), b"/": (b"*",), b"%": (b"*",),
    b"++": (b"--",), b"--": (b"++",), b"true": (b"false",), b"false": (b"true",),
    b"break": (b"continue",), b"continue": (b"break",), b"if": (b"unless",), b"unless": (b"if",),
}  # fmt: skip
_SHOWN_AS: Final = {
    "augmented": "arithmetic", "step": "off-by-one", "number": "off-by-one", "truth": "constant",
    "bare": "condition", "word": "condition", "result": "return",
}  # fmt: skip


def text_edits(source: bytes, language: str) -> Iterator[Edit]:
    """Yield every edit for a file.

    Parameters
    ----------
    source : bytes
        Its content, UTF-8.
    language : str
        One of `LANGUAGES`.
    """
    starts = [0, *(match.end() for match in re.finditer(rb"\n", source))]
    for match in _pattern(language).finditer(source):
        kind = match.lastgroup
        if kind is None or kind == "skipped" or not _belongs(kind, language):
            continue
        if kind == "step" and _is_loop(source, match.start()):
            continue  # it would not end
        for offset, length, replacement in _replacements(match, kind, source, language):
            line = bisect_right(starts, offset)
            yield Edit(line, _SHOWN_AS.get(kind, kind), offset, length, replacement)


@cache
def _pattern(language: str) -> re.Pattern[bytes]:
    comments = _COMMENTS.get(language, _SLASHES)
    skipped = b"|".join((comments, _SKIPPED_LINES, _STRINGS))
    if language == "rust":
        skipped = rb"'\w+(?!')|" + skipped
    flags = re.VERBOSE | re.MULTILINE | re.DOTALL
    return re.compile(rb"(?P<skipped>" + skipped + rb")|" + _OPERATORS, flags)


def _belongs(kind: str, language: str) -> bool:
    """Return whether a kind of edit keeps the types of a language."""
    if kind == "word":
        return language == "ruby"
    if kind == "condition":
        return language not in {"go", "ruby", "rust"}
    if kind == "bare":
        return language in {"go", "rust", "swift"}
    if kind == "result":
        return language in _WITHOUT_TYPES
    return not (kind in {"step", "statement"} and language in {"ruby", "rust"})


def _replacements(
    match: re.Match[bytes], kind: str, source: bytes, language: str
) -> Iterator[tuple[int, int, bytes]]:
    """Yield offset, length and replacement of what a match stands for."""
    start, text = match.start(), match[0]
    if kind == "number":
        number = int(text)
        yield start, len(text), b"%d" % (number + 1)
        if number > 0:
            yield start, len(text), b"%d" % (number - 1)
    elif kind in {"condition", "bare"}:
        yield from _negated(source, match.end(), bare=kind == "bare")
    elif kind == "result":
        end = source.find(b"\n", match.end())
        value = source[match.end() : end if end >= 0 else len(source)].rstrip(b" \t\r;")
        if value not in {b"", b"nil", b"null"}:
            yield match.end(), len(value), b"nil" if language == "ruby" else b"null"
    elif kind == "statement":
        indent = len(text) - len(text.lstrip())
        yield start + indent, len(text) - indent, b";" if text.endswith(b";") else b""
    else:
        for replacement in _SWAPPED.get(text, ()):
            yield start, len(text), replacement


def _negated(source: bytes, start: int, *, bare: bool) -> Iterator[tuple[int, int, bytes]]:
    """Yield the negation of a condition: up to its closing bracket, or to the brace behind it."""
    end = source.find(b"\n", start)
    line = source[start : end if end >= 0 else len(source)]
    inner = line.rstrip().removesuffix(b"{").rstrip() if bare else _balanced(line)
    if inner and b"{" not in inner:
        yield start, len(inner), b"!(" + inner + b")"


def _is_loop(source: bytes, at: int) -> bool:
    """Return whether the line of a place begins a loop."""
    return source[source.rfind(b"\n", 0, at) + 1 : at].lstrip().startswith((b"for", b"while"))


def _balanced(line: bytes) -> bytes:
    """Return what stands before the bracket that closes the one before a line."""
    depth = 1
    for position, byte in enumerate(line):
        depth += (byte == ord("(")) - (byte == ord(")"))
        if not depth:
            return line[:position]
    return b""
