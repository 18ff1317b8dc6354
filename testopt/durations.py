"""Parses and formats durations."""

from __future__ import annotations

import re
from typing import Final

_NOTHING: Final = 1e-6  # seconds; JUnit XML writes 0 where nothing was measured
_UNITS: Final = {"h": 3600.0, "m": 60.0, "min": 60.0, "s": 1.0, "ms": 1e-3}
_PART: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(h|min|ms|m|s|)", re.ASCII)
_WORDS: Final = ((3600, "h", 60, "min"), (60, "min", 1, "s"))


def parse_duration(text: str) -> float:
    """Return the seconds of a duration such as ``10m``, ``1h30m`` or ``90 s``.

    Raises
    ------
    ValueError
        When the text is no duration, or a number has no unit; the message says what to write.
    """
    written = text.rstrip()
    seconds, end = 0.0, 0
    while end < len(written) or not end:
        match = _PART.match(written, end)
        end = match.end() if match is not None else end
        if match is None or (not match[2] and end < len(written)):
            raise ValueError(f"Invalid duration {text!r}: write it like 90s, 10m or 1h30m.")
        if not match[2]:
            raise ValueError(f"Invalid duration {text!r}: add a unit (examples: 90s, 10m, 1h30m).")
        seconds += float(match[1]) * _UNITS[match[2]]
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


def is_measured(seconds: float) -> bool:
    """Tell whether a duration is more than nothing; one that is not known is NaN."""
    return seconds > _NOTHING


def tells_time(measured: float, cases: float, total_s: float) -> bool:
    """Tell whether a share of the time says anything: at least half of the cases take some."""
    return total_s > 0 and 2 * measured >= cases
