"""Takes out of a case id what differs in each run: addresses, UUIDs, temporary folders, times.

A JUnit ``case_id`` keeps every character that the runner could accept again. Only what differs in
each process or on each machine becomes ``…``: memory addresses, random (version 1, 4 and 7) UUIDs,
temporary folders, and moments within a day of the run itself; an absolute path that ends in a file
of the repository becomes relative. Several cases of one file that differ in such parts only are
numbered in their order: ``t[<A at 0x…>]``, ``t[<A at 0x…>]#2``. Numbers in names (``t[3]``,
``with data set #0``) are what runners accept, and stay.

pytest makes no id of an object that it cannot show, so what stands in its brackets was written by
someone and stays as it is: a UUID, a moment, a path, a hexadecimal number. Only an address in the
``repr`` that someone asked for becomes ``…``, in what the plugin records as in JUnit XML.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from testopt.results.junit_values import parse_timestamp

if TYPE_CHECKING:
    from collections.abc import Callable

_PLACEHOLDER: Final = "…"
_MAX_GAP: Final = timedelta(days=1)
_PASSES: Final = 16  # what stands beside a placeholder may be seen for what it is by then only
_MAX_NUMBERED: Final = 10_000  # ids of one file that are told apart

# What may have to go; most names have none of it. Each branch begins with one character, by which
# the engine for regular expressions skips quickly.
MAYBE_UNSTABLE: Final = re.compile(
    r"0[xX]|@[0-9a-f]{5}|-[147][0-9a-fA-F]{3}-|/|\\|-\d\d-\d\d|1\d{9}"
)
_ADDRESS: Final = re.compile(
    r"(?P<at>\bat )0[xX][0-9a-fA-F]{6,16}\b"  # Python's repr
    r"|\b0[xX](?:0{2,4})?(?:7[ef]|5[56])[0-9a-fA-F]{10}\b"  # the heap and stack of Linux
    r"|\b0[xX]c0{2,3}[0-9a-f]{6,7}\b"  # the heap of Go
    r"|(?P<java>[\w;\])$]@)[0-9a-f]{5,8}(?![\w.@-])"  # Object.toString of Java
)
_REPR: Final = re.compile(r"(?<= at )0x[0-9a-fA-F]{6,16}(?=[>,])")  # as Python writes objects
_UUID: Final = re.compile(
    r"(?<![0-9a-fA-F])[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[147][0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-"
    r"[0-9a-fA-F]{12}(?![0-9a-fA-F])"
)
_TEMPORARY: Final = re.compile(
    r"(?:/private)?/(?:var/)?tmp/"
    r"(?:pytest-of-[^/\s]+/pytest-\d+|tmp\.?[A-Za-z0-9_]{6,10}|go-build\d+|junit-?\d+)"
    r"|(?:/private)?/var/folders/\w\w/\w+/T(?:/tmp\w{8})?"
    r"|[A-Za-z]:\\+Users\\+[^\\]+\\+AppData\\+Local\\+Temp(?:\\+tmp\w{8})?"
)
_TIMESTAMP: Final = re.compile(
    r"(?<!\d)\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)?)?(?!\d)"
)
_EPOCH: Final = re.compile(r"(?<![\w.])1\d{9}(?:\.\d{1,9}|\d{3}|\d{6}|\d{9})?(?![\w.])")
_PATH: Final = re.compile(
    r"(?<![\w.:/\\])(?:[A-Za-z]:)?[/\\](?:[^\s/\\:'\",)\]]+[/\\])+[^\s/\\:'\",)\]]+"
)


class CaseIdNormaliser:
    """Takes what cannot be stable out of the case ids of one file.

    Parameters
    ----------
    relative : callable, optional
        Returns the path within the repository that an absolute path ends in, or None.
    """

    def __init__(self, relative: Callable[[str], str | None] = lambda _path: None) -> None:
        self._relative = relative
        self._numbers: dict[str, dict[str, int]] = {}
        self._numbered = 0

    def normalise(self, case_id: str, time: datetime | None) -> str:
        """Return a case id without what differs in each run.

        Parameters
        ----------
        case_id : str
            As the producer writes it.
        time : datetime or None
            When the run took place, UTC.
        """
        relative = normalised = _PATH.sub(self._path, case_id)
        for _ in range(_PASSES):
            before, normalised = normalised, without_addresses(normalised)
            if time is not None:
                normalised = _without_moments(normalised, time)
            if normalised == before:
                break
            normalised = _PATH.sub(self._path, normalised)
        return relative if normalised == relative else self._number(normalised, relative)

    def node(self, node_id: str) -> str:
        """Return a node id of pytest without addresses of objects."""
        found = _REPR.sub(f"0x{_PLACEHOLDER}", node_id) if " at 0x" in node_id else node_id
        return node_id if found == node_id else self._number(found, node_id)

    def _path(self, match: re.Match[str]) -> str:
        return self._relative(match[0]) or match[0]

    def _number(self, case_id: str, raw: str) -> str:
        """Tell apart the ids that became equal, in the order of their first appearance."""
        numbers = self._numbers.setdefault(case_id, {})
        number = numbers.get(raw)
        if number is None:
            if self._numbered >= _MAX_NUMBERED:
                return case_id
            self._numbered += 1
            number = numbers[raw] = len(numbers) + 1
        return case_id if number == 1 else f"{case_id}#{number}"


def without_addresses(text: str) -> str:
    """Return a text without memory addresses, random UUIDs and temporary folders."""
    text = _ADDRESS.sub(_address, text)
    return _TEMPORARY.sub("/tmp/" + _PLACEHOLDER, _UUID.sub(_PLACEHOLDER, text))  # noqa: S108 - a name, no file


def _address(match: re.Match[str]) -> str:
    if match["java"]:
        return match["java"] + _PLACEHOLDER
    return f"{match['at'] or ''}0x{_PLACEHOLDER}"


def _without_moments(text: str, time: datetime) -> str:
    def is_near(moment: datetime | None) -> bool:
        return moment is not None and abs(moment - time) <= _MAX_GAP

    def replace_timestamp(match: re.Match[str]) -> str:
        return _PLACEHOLDER if is_near(parse_timestamp(match[0])) else match[0]

    def replace_epoch(match: re.Match[str]) -> str:
        seconds = float(match[0][:10])
        return _PLACEHOLDER if is_near(datetime.fromtimestamp(seconds, UTC)) else match[0]

    return _EPOCH.sub(replace_epoch, _TIMESTAMP.sub(replace_timestamp, text))
