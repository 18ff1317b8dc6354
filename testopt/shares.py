"""Parses shares, such as ``0.95`` or ``95%``: of options, settings and the pytest plugin alike."""

from __future__ import annotations

import re
from typing import Final

_SHARE: Final = re.compile(r"([+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][+-]?\d+)?)\s*(%?)", re.ASCII)
_PERCENT: Final = 100.0
_LEAST_PERCENT: Final = 2.0  # 95 is meant as 95 %; 1.5 may be anything


def parse_share(text: str, *, zero: bool = False, one: bool = True) -> float:
    """Return the number of a share such as ``0.95`` or ``95%``.

    Parameters
    ----------
    text : str
    zero, one : bool
        Whether 0 and 1 are shares too.

    Raises
    ------
    ValueError
        When the text is no such share; the message says what to write instead.
    """
    match = _SHARE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"Invalid share {text!r}: write it like 0.95 or 95%.")
    number = float(match[1].replace(",", "."))
    share = number / _PERCENT if match[2] else number
    if _within(share, zero=zero, one=one):
        if "," in match[1]:
            raise ValueError(f"Invalid share {text!r}: did you mean {share:g}?")
        return share
    if not match[2] and number >= _LEAST_PERCENT and _within(number / _PERCENT, zero=zero, one=one):
        raise ValueError(f"Invalid share {text!r}: did you mean {number / _PERCENT:g}?")
    low, high = "at least 0" if zero else "above 0", "at most 1" if one else "below 1"
    raise ValueError(f"Invalid share {text!r}: it must be {low} and {high}, like 0.95 or 95%.")


def _within(share: float, *, zero: bool, one: bool) -> bool:
    return 0.0 < share < 1.0 or (zero and share == 0.0) or (one and share == 1.0)
