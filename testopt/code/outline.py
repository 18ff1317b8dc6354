"""Where the functions and classes of a source file begin and end, in any language.

Where a grammar is installed (`testopt.code.grammars`) it tells. Else a definition reaches to the
next one that is indented no deeper: that needs no parser, holds for broken files and for every
language that people indent, and counts what stands between two definitions to the first of them.
Long strings of Python, which may hold any text, end none.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from testopt.code.grammars import definitions as read_definitions
from testopt.code.paths import language_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from testopt.code.grammars import Span

_PYTHON: Final = re.compile(
    r"^(?P<indent>[ \t]*)(?:(?P<mark>@)"
    r"|(?:async[ \t]+)?(?:def|(?P<class>class))[ \t]+(?P<name>\w+)[ \t]*(?=[(\[:])"
    r"|(?P<value>[A-Za-z_]\w*)[ \t]*(?::[^=\n]*)?=(?!=))",
    re.MULTILINE,
)
_OTHER: Final = re.compile(
    r"^(?P<indent>[ \t]*)(?:(?P<mark>@(?!interface)|\[\w|#\[)"
    r"|(?:[\w]+[ \t]+)*(?P<class>class|interface|struct|enum|trait|impl|module|object|namespace)"
    r"[ \t]+(?P<name>\w+)"
    r"|(?:[\w]+[ \t]+)*(?:func|function|fn|def|fun|sub)[ \t]+(?:\([^)\n]*\)[ \t]*)?(?P<func>\w+)"
    r"|(?:describe|it|test)[ \t]*\([ \t]*[\"'`](?P<title>[^\"'`\n]+)"
    r"|TEST(?:_[FP])?[ \t]*\([ \t]*(?P<suite>\w+)[ \t]*,[ \t]*(?P<case>\w+)"
    r"|(?!(?:return|else|new|throw|if|for|while|switch|case|do)\b)"
    r"(?:[\w<>\[\],.&*:~]+[ \t]+)+[*&]?(?P<method>\w+)[ \t]*\([^;\n]*$)",
    re.MULTILINE,
)
# Comments and strings of Python; inside of the long ones nothing is a definition.
_COMMENT_OR_STRING: Final = re.compile(
    r"""#[^\n]*|(?P<long>\"{3}(?:[^\\]|\\.)*?(?:\"{3}|\Z)|'{3}(?:[^\\]|\\.)*?(?:'{3}|\Z))"""
    r"""|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'""",
    re.DOTALL,
)
_MAX_TEXT: Final = 2_000_000  # characters; a longer file is generated


@dataclass(frozen=True, slots=True)
class Definition:
    """A function, class or top-level value: dotted name, and first and last line from 1."""

    name: str
    first: int
    last: int
    is_class: bool = False
    is_value: bool = False

    @property
    def call_name(self) -> str:
        """The name under which other code uses it: what no code calls by name goes by its class.

        Those are constructors, and the methods of Python that operators and built-ins call.
        """
        owner, _, last = self.name.rpartition(".")
        return owner.rpartition(".")[2] if owner and _SPECIAL_METHOD.fullmatch(last) else last


_SPECIAL_METHOD: Final = re.compile(r"__\w+__|constructor")


@dataclass(slots=True)
class _Header:
    indent: int
    name: str
    line: int
    kind: str
    last: int = 0


def _headers(text: str, language: str) -> Iterator[_Header]:
    """Yield marks (decorators), definitions and top-level values in the order of the text."""
    pattern = _PYTHON if language == "python" else _OTHER
    if language == "python" and ('"' * 3 in text or "'" * 3 in text):
        text = _COMMENT_OR_STRING.sub(_blanked, text)
    line, at = 1, 0
    for match in pattern.finditer(text):
        kind = match.lastgroup or ""
        indent = len(match["indent"].expandtabs())
        if kind == "value" and indent:
            continue
        line += text.count("\n", at, match.start())
        at = match.start()
        name = match[kind] if kind != "case" else f"{match['suite']}.{match['case']}"
        if kind == "name":
            kind = "class" if match["class"] else "name"
        yield _Header(indent, name, line, kind)


def _blanked(match: re.Match[str]) -> str:
    """Return a comment or string as it is, a long string as its bare lines."""
    return match[0] if match["long"] is None else "\n" * match[0].count("\n")


@lru_cache(256)
def outline(text: str, path: str) -> tuple[Definition, ...]:
    """Return the definitions of a source text, in order; inner ones follow the outer one.

    Parameters
    ----------
    text : str
        Content of the file.
    path : str
        Its path, for the language.

    Returns
    -------
    tuple of Definition
        Decorators and annotations belong to what they stand before.

    See Also
    --------
    testopt.code.grammars.languages : Languages that grammars read.
    """
    text, language = text[:_MAX_TEXT], language_of(path)
    spans = read_definitions(text, path, language)
    return _by_indentation(text, language) if spans is None else _nested(spans)


def _nested(spans: Sequence[Span]) -> tuple[Definition, ...]:
    """Name each definition after those around it."""
    found: list[Definition] = []
    stack: list[Definition] = []
    for span in spans:
        while stack and stack[-1].last < span.last:
            stack.pop()
        name = f"{stack[-1].name}.{span.name}" if stack else span.name
        stack.append(Definition(name, span.first, span.last, span.is_class))
        found.append(stack[-1])
    return tuple(found)


def _by_indentation(text: str, language: str) -> tuple[Definition, ...]:
    definitions: list[_Header] = []
    stack: list[_Header] = []
    marks: list[_Header] = []
    for item in _headers(text, language):
        if item.kind == "mark":
            marks.append(item)
            continue
        item.line = next((m.line for m in marks if m.indent == item.indent), item.line)
        marks.clear()
        while stack and stack[-1].indent >= item.indent:
            stack.pop().last = item.line - 1
        if stack:
            item.name = f"{stack[-1].name}.{item.name}"
        stack.append(item)
        definitions.append(item)
    for item in stack:
        item.last = text.count("\n") + 1
    return tuple(
        Definition(i.name, i.line, i.last, i.kind == "class", i.kind == "value")
        for i in definitions
    )


def enclosing(text: str, path: str, lines: range) -> list[Definition]:
    """Return the innermost definitions around some lines of a text.

    Parameters
    ----------
    text, path : str
        As in `outline`.
    lines : range
        Line numbers from 1; an empty range stands for the line at its start.

    Returns
    -------
    list of Definition
        Each once, in order; lines before the first definition have none.
    """
    definitions = outline(text, path)
    starts = [d.first for d in definitions]
    innermost: dict[Definition, None] = {}
    for line in lines if len(lines) else range(lines.start, lines.start + 1):
        for position in range(bisect_right(starts, line) - 1, -1, -1):
            if definitions[position].last >= line:
                innermost[definitions[position]] = None
                break
    return list(innermost)
