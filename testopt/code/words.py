"""Splits source text into identifiers and words, and numbers the words.

Words are kept as 32-bit numbers (CRC-32), so that an index of thousands of files is a few arrays.
Two words of one project meet in one number about once in 10^5 words, which ranking does not feel.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]+")
_TOKEN: Final = re.compile(r"[^\W\d]\w*|\d+")
# parts of camelCase, PascalCase, HTTPServer and snake_case; other scripts stay whole
_PART: Final = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+|[^\W\d_A-Za-z]+")
_CACHE: Final = 1 << 17
_SHORT: Final = 3  # letters of a word that is not made shorter

# Words of the common languages that every text has; what else is common, its frequency tells.
_STOP: Final = frozenset(
    """
    self this cls args kwargs def func function fn fun var let const return if else elif for while
    do in of to the an from import as is not and or null none nil true false assert class struct
    interface with try except catch finally throw throws raise new public private protected static
    final void lambda pass yield async await break continue switch case default len str int list
    dict print test tests include package use using
    """.split()  # noqa: SIM905 - a list of words reads better
)


def identifiers(text: str) -> list[str]:
    """Return the identifiers of a text, in order and with repeats.

    Parameters
    ----------
    text : str
        Source code or prose.

    Returns
    -------
    list of str
        Words of two or more characters that could be names.
    """
    return _IDENTIFIER.findall(text)


def number(word: str, kind: int = 0) -> int:
    """Return the 32-bit number that stands for a word, behind the prefix of number `kind`."""
    return zlib.crc32(word.encode("utf-8", "surrogatepass"), kind)


def stem(word: str) -> str:
    """Return an English word in lower case without plural and final e; others as they are.

    After the "S" stemmer of Harman (1991), "How effective is suffixing?". Without its e ``case``
    stays one with ``cases``, whatever those should lose.

    Parameters
    ----------
    word : str
        In lower case.
    """
    if len(word) <= _SHORT:
        return word
    if word[-1] == "s" and word[-2] not in "sui":
        word = word[:-3] + "y" if word.endswith("ies") else word[:-1]
    return word.removesuffix("e") if len(word) > _SHORT else word


@lru_cache(_CACHE)
def word_number(word: str) -> int:
    """Return the number of a word of a text, the same for all forms with one `stem`."""
    return number(stem(word))


@lru_cache(_CACHE)
def name_number(name: str) -> int:
    """Return the number of an exact name, apart from the numbers of words."""
    return number("=" + name)


@lru_cache(_CACHE)
def words_of(token: str) -> tuple[str, ...]:
    """Return the words of one token: itself and its parts, in lower case, without common ones.

    Parameters
    ----------
    token : str
        An identifier or a number.

    Returns
    -------
    tuple of str
        ``group_typedLiteral`` gives itself, ``group``, ``typed`` and ``literal``.
    """
    lowered = token.lower()
    parts = [part.lower() for part in _PART.findall(token)]
    if len(parts) == 1 and parts[0] == lowered:
        parts = []
    words = [] if lowered in _STOP else [lowered]
    return (*words, *(p for p in parts if len(p) > 1 and p not in _STOP))


@lru_cache(_CACHE)
def numbers_of(token: str) -> tuple[int, ...]:
    """Return the numbers of the `words_of` a token."""
    return tuple(_numbers_of(token))


def _numbers_of(token: str) -> list[int]:
    if "_" not in token:
        return [word_number(word) for word in words_of(token)]
    # pieces of snake_case are few and come again and again, their combinations do not
    lowered = token.lower()
    numbers = [] if lowered in _STOP else [number(stem(lowered))]
    for piece in token.split("_"):
        numbers += _part_numbers(piece)
    return numbers


@lru_cache(_CACHE)
def _part_numbers(piece: str) -> tuple[int, ...]:
    if piece.isdecimal():
        return (number(piece),) if len(piece) > 1 else ()
    parts = (part.lower() for part in _PART.findall(piece))
    return tuple(word_number(p) for p in parts if len(p) > 1 and p not in _STOP)


def token_numbers(text: str) -> list[int]:
    """Return the numbers of the words of a text, in order and with repeats."""
    return [word for token in _TOKEN.findall(text) for word in numbers_of(token)]


def name_numbers(name: str) -> list[int]:
    """Return the `token_numbers` of one of very many names, which are hardly ever equal.

    Nothing is remembered of it: to keep 200,000 names takes longer than to read them.
    """
    if name.isascii() and name.isidentifier():
        return _numbers_of(name)
    return [word for token in _TOKEN.findall(name) for word in _numbers_of(token)]


def token_counts(text: str) -> Counter[str]:
    """Return how often each identifier and each number stands in a text of any language."""
    return Counter(_TOKEN.findall(text))


def count_words(counted_tokens: Iterable[tuple[str, int]]) -> dict[int, float]:
    """Return the words of counted tokens.

    Parameters
    ----------
    counted_tokens : iterable of (token, count)
        Such as the items of `token_counts`.

    Returns
    -------
    dict of int to float
        Number of the word -> how often it stands there.
    """
    counts: dict[int, float] = {}
    for token, count in counted_tokens:
        for word in numbers_of(token):
            counts[word] = counts.get(word, 0.0) + count
    return counts


def text_words(text: str) -> dict[int, float]:
    """Return the numbers of the words of a text, with their counts."""
    counts: dict[int, float] = {}
    for token in _TOKEN.findall(text):  # names by the ten thousand: no counter in between
        for word in numbers_of(token):
            counts[word] = counts.get(word, 0.0) + 1.0
    return counts
