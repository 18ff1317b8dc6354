"""Finds the tests of a file of JavaScript whose titles, and those around them, are literal."""

from __future__ import annotations

import re
import sys
from typing import Final

_TOKEN: Final = re.compile(
    r"""(?P<skip>//[^\n]*|/\*.*?(?:\*/|\Z))
    |(?<![\w$.])(?P<call>x?(?:describe|suite)|[xf]?(?:it|test)|fdescribe)
      (?P<more>(?:\.\w+)*)\s*\(\s*
      (?P<title>'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\$]|\\.|\$(?!\{))*`)\s*(?=[,)])
    |(?P<text>'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\.)*`)
    |(?P<regex>(?<=[(,=:\[!&|?{};\n])[ \t]*/(?![*/])
      (?:[^/\\\[\n]|\\.|\[(?:[^\]\\\n]|\\.){0,80}\]){1,200}/)
    |(?<![\w$.])x?(?:describe|suite)\b(?P<any>(?:\.\w+)*)\s*(?=[(`])
    |(?P<open>[({\[])|(?P<close>[)}\]])""",
    re.DOTALL | re.VERBOSE,
)
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "0": "\0"}
_ESCAPE: Final = re.compile(
    r"\\(?:(?:u|x)(?P<code>(?<=u)[0-9a-fA-F]{4}|(?<=x)[0-9a-fA-F]{2})|u\{(?P<point>[0-9a-fA-F]{1,6})\}"
    r"|(?P<char>.))",
    re.DOTALL,
)
_ARROW: Final = " \u203a "
_NO_LITERAL: Final = ("each", "for", "todo")


def titles(text: str) -> list[tuple[str, ...]]:
    """Return the titles of each test: those of the describes around it, and its own.

    Tests in a loop, or whose title is computed, are left out.
    """
    reader = _Reader()
    for match in _TOKEN.finditer(text):
        reader.take(match)
    return list(reader.found)


class _Reader:
    """Follows the describes of a file, token by token."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, ...], None] = {}
        self._depth = 0
        # depth inside of the parenthesis of each describe around, its title
        self._around: list[tuple[int, str | None]] = []
        # what a describe with a computed title waits for: "table" of each, then "body"
        self._awaited = ""
        self._table = 0

    def take(self, match: re.Match[str]) -> None:
        """Take the next token."""
        if match["title"]:
            self._call(match)
        elif match["any"] is not None:
            self._awaited = "table" if _is_computed(match["any"]) else "body"
        elif match["text"]:
            self._awaited = "body" if self._awaited == "table" else self._awaited
        elif match["open"]:
            self._open(match["open"])
        elif match["close"]:
            self._close()

    def _call(self, match: re.Match[str]) -> None:
        self._depth += 1
        title = None if _is_computed(match["more"]) else _literal(match["title"])
        if match["call"].endswith(("describe", "suite")):
            self._around.append((self._depth, title))
        elif title is not None and all(each is not None for _, each in self._around):
            self.found[(*(each or "" for _, each in self._around), title)] = None

    def _open(self, mark: str) -> None:
        self._depth += 1
        if mark == "(" and self._awaited == "table":
            self._table = self._depth
        elif mark == "(" and self._awaited == "body":
            self._around.append((self._depth, None))
        if mark == "(":
            self._awaited = ""

    def _close(self) -> None:
        self._depth -= 1
        if self._table and self._depth < self._table:
            self._table, self._awaited = 0, "body"
        while self._around and self._depth < self._around[-1][0]:
            self._around.pop()


def jest_cases(text: str) -> list[str]:
    """Return ids as jest-junit makes them, with its defaults: the full name, twice."""
    names = (f"{' '.join(around)} {title}" for *around, title in titles(text))
    return [f"{name}::{name}" for name in names]


def vitest_cases(path: str, text: str) -> list[str]:
    """Return ids as Vitest's own JUnit reporter makes them: the file, then all titles."""
    return [f"{path}::{' > '.join(each)}" for each in titles(text)]


def mocha_cases(path: str, text: str) -> list[str]:
    """Return ids as Mocha's own JSON has them: the file, then all titles."""
    return [f"{path}::{' '.join(each)}" for each in titles(text)]


def playwright_cases(path: str, text: str) -> list[str]:
    """Return ids as Playwright's own JUnit reporter makes them: the file, then all titles."""
    return [f"{path}::{_ARROW.join(each)}" for each in titles(text)]


def _is_computed(more: str) -> bool:
    return any(part in _NO_LITERAL for part in more.split(".")[1:])


def _literal(text: str) -> str:
    """Return what a literal says, as an attribute of XML gives it back: line breaks are blanks."""
    return re.sub(r"[\t\r\n]", " ", _ESCAPE.sub(_unescaped, text[1:-1]))


def _unescaped(match: re.Match[str]) -> str:
    if match["code"] or match["point"]:
        code = int(match["code"] or match["point"], 16)
        return chr(code) if code <= sys.maxunicode else ""
    return _ESCAPES.get(match["char"], match["char"])
