"""Tells code from comments and blank lines, and edits that change nothing from those that do.

Light lexers, not parsers: they need no grammar, survive broken code, and err only inside strings
that look like comments. Python files are also compared by their syntax trees.
"""

from __future__ import annotations

import ast
import re
from bisect import bisect_right
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_TREE: Final = 1_000_000  # characters; larger Python files are compared by tokens alone

_WORD: Final = re.compile(r"\w")
_LEXEME: Final = r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|[^\W\d]\w*|\d[\w.]*|[^\s\w]'
_NAME: Final = re.compile(r"[^\W\d]\w+")


class Comments(NamedTuple):
    """How a language writes comments: line starters, and pairs that may span lines."""

    line: tuple[str, ...] = ()
    block: tuple[tuple[str, str], ...] = ()


_SLASHES: Final = Comments(("//",), (("/*", "*/"),))
_HASH: Final = Comments(("#",))
_MARKUP: Final = Comments((), (("<!--", "-->"),))
_COMMENTS: Final[dict[str, Comments]] = {
    **dict.fromkeys(
        ("c", "c++", "c#", "java", "javascript", "typescript", "go", "rust", "scala", "kotlin",
         "swift", "dart", "groovy", "objective-c", "protobuf", "zig", "css"),
        _SLASHES,
    ),
    **dict.fromkeys(
        ("ruby", "shell", "perl", "r", "make", "config", "elixir", "julia", "powershell"), _HASH
    ),
    **dict.fromkeys(("html", "xml", "vue"), _MARKUP),
    "python": Comments(("#",), (('"""', '"""'), ("'''", "'''"))),
    "php": Comments(("//", "#"), (("/*", "*/"),)),
    "sql": Comments(("--",), (("/*", "*/"),)),
    "haskell": Comments(("--",), (("{-", "-}"),)),
    "lua": Comments(("--",), (("--[[", "]]"),)),
    "ocaml": Comments((), (("(*", "*)"),)),
    "clojure": Comments((";",)),
    "erlang": Comments(("%",)),
    "fortran": Comments(("!",)),
}  # fmt: skip
# '#' begins a directive in C, and '-- ' only looks like a comment in other languages
_NONE: Final = Comments()


def code_mask(lines: Sequence[str], language: str) -> list[bool]:
    """Tell for each line whether it holds code.

    Parameters
    ----------
    lines : sequence of str
        Lines of a file, from its first one (a comment may have begun above a later one).
    language : str
        Lower-case name as ``testopt.code.paths.language_of`` gives it.

    Returns
    -------
    list of bool
        False for blank lines, comments, documentation strings, and lines of brackets alone.
    """
    comments = _COMMENTS.get(language, _NONE)
    mask, closing = [], ""
    for line in lines:
        text, closing = _strip(line.strip(), comments, closing)
        mask.append(bool(_WORD.search(text)))
    return mask


def _strip(text: str, comments: Comments, closing: str) -> tuple[str, str]:
    """Return the code of a line, and what closes the comment that is open at its end."""
    if closing:
        end = text.find(closing)
        if end < 0:
            return "", closing
        return _strip(text[end + len(closing) :].strip(), comments, "")
    for opening, close in comments.block:
        if text.startswith(opening):
            return _strip(text[len(opening) :], comments, close)
    if comments.line and text.startswith(comments.line):
        return "", ""
    return text, _opened_behind_code(text, comments)


def _opened_behind_code(text: str, comments: Comments) -> str:
    """Return what closes a block comment that begins behind code and stays open."""
    for opening, close in comments.block:
        # a Python string behind code is a value, not a comment
        at = text.rfind(opening) if opening != close else -1
        if at >= 0 and close not in text[at:] and not text.count('"', 0, at) % 2:
            return close
    return ""


@cache
def _token_pattern(language: str) -> re.Pattern[str]:
    """Return an expression whose first group is a token; comments match outside of it."""
    comments = _COMMENTS.get(language, _NONE)
    parts = [f"{re.escape(a)}.*?{re.escape(b)}" for a, b in comments.block if a != b]
    parts += [rf"(?:^|(?<=\s)){re.escape(start)}[^\n]*" for start in comments.line]
    return re.compile("|".join([*parts, f"({_LEXEME})"]), re.DOTALL | re.MULTILINE)


def tokens(lines: Iterable[str], language: str) -> list[str]:
    """Return the tokens of some lines, without comments and whitespace.

    Parameters
    ----------
    lines : iterable of str
        Lines of source code.
    language : str
        As for `code_mask`.

    Returns
    -------
    list of str
        Names, numbers, strings and single punctuation characters, in order.
    """
    matches = _token_pattern(language).finditer("\n".join(lines))
    return [match[1] for match in matches if match[1] is not None]


def line_identifiers(lines: Iterable[str]) -> list[str]:
    """Return the identifiers (two characters or more) of some lines, with repeats."""
    return [name for line in lines for name in _NAME.findall(line)]


def without_whitespace(line: str) -> str:
    """Return a line without any whitespace."""
    return "".join(line.split())


def only_reformatted(old: Sequence[str], new: Sequence[str], language: str) -> bool:
    """Tell whether an edit changes layout or comments and no token.

    Parameters
    ----------
    old, new : sequence of str
        Lines before and after.
    language : str
        As for `code_mask`. In Python the depth of the first line counts as code.

    Returns
    -------
    bool
        True when nothing that runs has changed.
    """
    if tokens(old, language) != tokens(new, language):
        return False
    return language != "python" or _depths(old) == _depths(new)


def reflowed_lines(old: Sequence[str], new: Sequence[str], language: str) -> list[int]:
    """Return the old line that each new one came from, where an edit is `only_reformatted`.

    Parameters
    ----------
    old, new : sequence of str
        Lines before (at least one) and after, with the same tokens.
    language : str
        As for `code_mask`.

    Returns
    -------
    list of int
        Counted from 0: where the first token of the line stood; a line without tokens goes with
        the line above.
    """
    came_from = dict(zip(_token_lines(new, language)[::-1], _token_lines(old, language)[::-1]))  # noqa: B905
    sources, last = [], 0
    for number in range(len(new)):
        last = came_from.get(number, last)
        sources.append(last)
    return sources


def _token_lines(lines: Sequence[str], language: str) -> list[int]:
    """Return the number of the line of each token."""
    text = "\n".join(lines)
    ends = [match.end() for match in re.finditer("\n", text)]
    matches = _token_pattern(language).finditer(text)
    return [bisect_right(ends, match.start()) for match in matches if match[1] is not None]


def _depths(lines: Sequence[str]) -> set[int]:
    """Return the depth of the first line of code, if there is one."""
    for line, code in zip(lines, code_mask(lines, "python"), strict=True):
        if code:
            return {len(line.expandtabs()) - len(line.expandtabs().lstrip())}
    return set()


def same_program(old: str, new: str) -> bool:
    """Tell whether two Python files are the same program but for documentation strings.

    Parameters
    ----------
    old, new : str
        Whole files.

    Returns
    -------
    bool
        False also when either cannot be parsed or is too large to be.
    """
    if max(len(old), len(new)) > MAX_TREE:
        return False
    try:
        return _dump(old) == _dump(new)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False


def _dump(text: str) -> str:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # old code is full of "\d" and the like
        tree = ast.parse(text)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and _is_docstring(body[0]):
            body[0] = ast.Pass()
    return ast.dump(tree)


def _is_docstring(node: ast.AST) -> bool:
    value = getattr(node, "value", None) if isinstance(node, ast.Expr) else None
    return isinstance(value, ast.Constant) and isinstance(value.value, str)
