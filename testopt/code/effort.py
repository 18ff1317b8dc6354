"""Guesses how long a case takes from its source text, for cases that were never timed.

What takes long is much the same everywhere: many rounds of a loop, waiting, other processes and
threads, generated examples, files. The weights are round and set by hand on the suites of ten
projects: the tenth of the cases with the highest guess takes about half of the time there, where
the truly longest tenth takes three fifths (a tenth would be chance).
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from testopt.code.words import word_number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

_LENGTH: Final = 0.3  # doublings of the duration for each e-fold of the words
_LOOP: Final = 0.3  # for each loop
_LOOPS: Final = 3
_ROUNDS: Final = 0.7  # for each tenfold of the rounds of the longest loop
_REPEATS: Final = 0.3  # for each tenfold of the longest repetition
_COSTLY: Final = (
    (1.5, "sleep subprocess check_output check_call popen"),
    (1.0, "gc thread threading multiprocessing given"),
    (0.5, "open tmp_path tmpdir"),
    (0.5, "permutations product combinations"),
)
_NUMBERS: Final = tuple(
    (weight, frozenset(word_number(word) for word in words.split())) for weight, words in _COSTLY
)
_RANGE: Final = re.compile(r"\brange\(([^()]*)\)")
_REPEATED: Final = re.compile(
    r"\*\s*\(?(?P<right>\d[\d_]{2,})|(?<!\w)(?P<left>\d[\d_]{2,})\s*\*"
    r"|(?<!\w)(?P<base>\d+)\s*\*\*\s*(?P<power>\d+)|(?<!\w)\de(?P<tens>\d)\b"
)
_MAYBE_REPEATED: Final = re.compile(r"\*|\de\d")  # what all of the above hold, found faster
_INTEGER: Final = re.compile(r"(?<![\w.])\d[\d_]*(?![\w.])")
_DIGITS: Final = 9  # of a number that counts; more are data
_MAX_DOUBLINGS: Final = 6.0  # doublings away from an ordinary case that are believed


def effort(text: str, words: Mapping[int, float], tokens: Mapping[str, int]) -> float:
    """Return about how many doublings longer than nothing at all a function takes.

    Parameters
    ----------
    text : str
        The function, with its decorators.
    words : mapping of int to float
        Its words by number.
    tokens : mapping of str to int
        Its identifiers and numbers, with their counts.

    Returns
    -------
    float
        Of use beside that of other functions only.
    """
    doublings = _LENGTH * math.log1p(sum(tokens.values()))
    doublings += _LOOP * min(tokens.get("for", 0) + tokens.get("while", 0), _LOOPS)
    if "range" in tokens:
        doublings += _ROUNDS * max(_rounds(text), default=0.0)
    if _MAYBE_REPEATED.search(text):
        doublings += _REPEATS * max(_repeats(text), default=0.0)
    return doublings + sum(weight for weight, costly in _NUMBERS if not costly.isdisjoint(words))


def _rounds(text: str) -> Iterator[float]:
    """Yield the logarithms of the numbers that ranges are made of."""
    for inside in _RANGE.findall(text):
        for digits in _INTEGER.findall(inside):
            yield _log(digits)


def _repeats(text: str) -> Iterator[float]:
    """Yield the logarithms of what texts and lists are multiplied by."""
    for match in _REPEATED.finditer(text):
        if match["base"]:
            yield min(_log(match["base"]) * int(match["power"][:3]), float(_DIGITS))
        elif match["tens"]:
            yield float(match["tens"])
        else:
            yield _log(match["right"] or match["left"])


def _log(digits: str) -> float:
    plain = digits.replace("_", "")
    return math.log10(1.0 + int(plain)) if 0 < len(plain) <= _DIGITS else 0.0


def relative_seconds(efforts: NDArray[Any]) -> NDArray[np.float64]:
    """Return how many times as long as an ordinary case each may take, shape (n,).

    Parameters
    ----------
    efforts : ndarray, shape (n,)
        From `effort`; NaN where unknown: such a case is an ordinary one.
    """
    ordered = np.sort(efforts[~np.isnan(efforts)]).astype(np.float64)
    if not len(ordered):
        return np.ones(len(efforts))
    above = np.nan_to_num(efforts.astype(np.float64) - ordered[len(ordered) // 2])
    return np.asarray(np.exp2(above.clip(-_MAX_DOUBLINGS, _MAX_DOUBLINGS)))
