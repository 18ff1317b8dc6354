"""Parses the numbers, times and messages of JUnit XML in all the forms producers write."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from testopt.schema import digest

# Seconds per unit, as Go, Rust and JavaScript producers write them behind the number.
_UNITS = {"": 1.0, "s": 1.0, "sec": 1.0, "secs": 1.0, "seconds": 1.0, "ms": 1e-3}
_UNITS |= {"us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ns": 1e-9, "m": 60.0, "min": 60.0, "h": 3600.0}
_NUMBER = re.compile(r"(-?[\d., '\u00a0\u202f]*\d(?:[eE][+-]?\d+)?)\s*([a-zA-Zµμ]*)\Z")
# An integer as large as this is no number of seconds (115 days) but of nanoseconds.
MAX_SECONDS = 10_000_000
_VARIABLE = re.compile(r"0[xX][0-9a-fA-F]+|\d+")
_MESSAGE_CHARS = 400
_EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
# A run before it is one whose clock was not set, or whose time was read in the wrong unit.
_FIRST_RUN = datetime(2000, 1, 1, tzinfo=UTC)
_AHEAD = timedelta(days=1)
TOO_EARLY = "is before the year 2000"
TOO_LATE = "lies in the future"
_TEXT_FORMS = (
    "%d %b %Y %H:%M:%S",
    "%a %b %d %H:%M:%S %Y",
    "%Y-%m-%d %H:%M",
    "%Y/%m/%d %H:%M:%S",
    "%d/%m/%Y %H:%M:%S",
    "%m/%d/%Y %I:%M:%S %p",
)
# Seconds since 1970 are smaller than that, else it is milli-, micro- or nanoseconds.
_SCALES = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))
_ZONE_NAME = re.compile(r"(?<!\s)\s+(GMT|UTC|Z)(?=\s|\Z)")


def parse_seconds(text: str | None) -> float | None:
    """Return a duration in seconds, or None where there is none to be had.

    Parameters
    ----------
    text : str or None
        Decimal points and commas (``1,234.56``, ``0,03``), units (``5806.690s``, ``80.803us``),
        scientific notation. Whole numbers of ten millions and more are nanoseconds.

    Returns
    -------
    float or None
        None for absent, negative, infinite or unreadable values.
    """
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = _odd_number(text.strip())
    if not (value >= 0 and math.isfinite(value)):
        return None
    if value >= MAX_SECONDS and text.strip().isdigit():
        return value * 1e-9
    return value


def _odd_number(text: str) -> float:
    """Return the value of a number with separators or a unit; NaN when it is none."""
    match = _NUMBER.match(text)
    if match is None or match[2].lower() not in _UNITS:
        return math.nan
    digits = re.sub(r"[ '\u00a0\u202f]", "", match[1])
    comma, point = digits.rfind(","), digits.rfind(".")
    if comma > point:
        # "1.234,56" and "0,03" end in a decimal comma; "1,234,567" has thousands only.
        several = digits.count(",") > 1
        digits = digits.replace(",", "") if several else digits.replace(".", "").replace(",", ".")
    else:
        digits = digits.replace(",", "")
    try:
        return float(digits) * _UNITS[match[2].lower()]
    except ValueError:
        return math.nan


def parse_timestamp(text: str | None, *, now: datetime | None = None) -> datetime | None:
    """Return the moment that a ``timestamp`` attribute names, in UTC.

    Parameters
    ----------
    text : str or None
        ISO 8601 with or without zone and fraction, RFC 1123, ``26 Jun 2018 15:41:26 GMT``, seconds
        (or thousandths and so on) since 1970. A time without a zone is taken as UTC, as CI machines
        run.
    now : datetime, optional
        Times later than a day after it are not believed; default the present.

    Returns
    -------
    datetime or None
        None for absent, unreadable or impossible ones (before 1990, in the future).
    """
    if not text or not text.strip():
        return None
    moment = parse_moment(text)
    latest = (now or datetime.now(UTC)) + _AHEAD
    return moment if moment is not None and _EARLIEST <= moment <= latest else None


def parse_moment(text: str) -> datetime | None:
    """Return the moment that a text names, in UTC, however far from now; None for no such text."""
    found = _iso(text.strip()) or _epoch(text.strip()) or _in_words(text.strip())
    if found is None:
        return None
    try:
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (OverflowError, ValueError):
        return None


def run_time_bounds() -> tuple[datetime, datetime]:
    """Return the first and the last moment at which a run can have taken place."""
    return _FIRST_RUN, datetime.now(UTC) + _AHEAD


def far_from_now(moment: datetime) -> str:
    """Return why a run cannot have taken place at a moment; empty where it can."""
    first, last = run_time_bounds()
    if moment < first:
        return TOO_EARLY
    return TOO_LATE if moment > last else ""


def _iso(text: str) -> datetime | None:
    # Python reads at most six digits of a fraction.
    trimmed = re.sub(r"([.,]\d{6})\d+", r"\1", text)
    try:
        return datetime.fromisoformat(trimmed)
    except ValueError:
        return None


def _epoch(text: str) -> datetime | None:
    try:
        number = float(text)
        scale = next((scale for least, scale in _SCALES if number > least), 1.0)
        return datetime.fromtimestamp(number / scale, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _in_words(text: str) -> datetime | None:
    try:
        return parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        pass
    plain = _ZONE_NAME.sub("", text)
    for form in _TEXT_FORMS:
        try:
            return datetime.strptime(plain, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    return None


def message_digest(message: str) -> str | None:
    """Return a digest of a failure message that survives line numbers, addresses and times.

    Returns
    -------
    str or None
        16 hex digits, equal for messages that differ in numbers and white space only; None for an
        empty message.
    """
    plain = " ".join(_VARIABLE.sub("0", message[: 4 * _MESSAGE_CHARS]).split())
    return digest(plain[:_MESSAGE_CHARS]) if plain else None
