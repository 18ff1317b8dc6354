"""Parses and formats durations."""

from __future__ import annotations

import re
from typing import Final

_PARTS: Final = {"h": 3600.0, "m": 60.0, "min": 60.0, "s": 1.0, "ms": 1e-3, "": 1.0}
_PART: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(h|min|ms|m|s|)", re.ASCII)
_WORDS: Final = ((3600, "h", 60, "min"), (60, "min", 1, "s"))


def parse_duration(text: str) -> float:
    """Return the seconds of a duration such as ``10m``, ``1h30m``, ``90 s`` or ``90``.

    Raises
    ------
    ValueError
        When the text is no duration.
    """
    seconds, end = 0.0, 0
    while end < len(text.rstrip()):
        match = _PART.match(text, end)
        if match is None:
            raise ValueError(f"{text!r} is no duration")
        seconds += float(match[1]) * _PARTS[match[2]]
        end = match.end()
    if not end:
        raise ValueError("an empty text is no duration")
    return seconds


def format_duration(seconds: float) -> str:
    """Return a duration such as ``40 ms``, ``2.4 s``, ``42 s``, ``3 min 20 s`` or ``2 h 5 min``."""
    if 0.0 < seconds < 0.9995:  # noqa: PLR2004 - three digits
        return f"{seconds * 1e3:.0f} ms"
    if seconds < 9.95:  # noqa: PLR2004 - one digit behind the point is of use
        return f"{seconds:.1f} s"
    for size, name, small, part in _WORDS:
        whole = round(seconds / small)
        if whole * small >= size:
            units, rest = divmod(whole, size // small)
            return f"{units} {name}" + (f" {rest} {part}" if rest else "")
    return f"{round(seconds)} s"
