"""What is known of each suite of a document: which environment it ran in, when, and how it repeats.

A case may stand in a document several times. Whether these are attempts of one execution or
executions in several environments, the suites around them tell: the names of the suites, the host,
and the device or browser that their attributes and properties name.
"""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    import numpy.typing as npt

# How executions of one case relate that stand in one suite.
RETRIED: Final = 0  # attempts, where all but the last one fail
APART: Final = 1  # each counts: the format writes the attempts of a case into one element
PYTEST: Final = 2  # attempts, and those of pytest-rerunfailures stand there like passes
_ENVIRONMENTS: Final = frozenset(
    {"avd", "browser", "browser.fullname", "browser.name", "browser_name", "browsername", "device"}
    | {"device.name", "device_id", "device_name", "deviceid", "devicename", "flavor", "platform"}
    | {"platformname", "platform_name", "udid"}
)
_DIGITS: Final = 10
_WANTED: Final = ("device", "browser", "platform")


def environment_of(attributes: Mapping[str, str]) -> str:
    """Return the device, browser or platform that a suite's attributes name, else nothing."""
    return "|".join(f"{n}={attributes[n]}" for n in _WANTED if attributes.get(n))


def environment_in(name: str, value: str) -> str:
    """Return what a property says of the device or browser, else nothing."""
    return f"|{name}={value}" if name.lower() in _ENVIRONMENTS else ""


@dataclass(slots=True)
class Suites:
    """The suites of a document by their number; suite 0 stands for none.

    ``names`` are hashes of the names, devices and browsers of a suite and those around it,
    ``hosts`` of the host, ``starts`` seconds since 1970 or NaN, ``kinds`` one of ``RETRIED``,
    ``APART`` and ``PYTEST``, ``tests`` how many a suite says that it holds, or -1.
    """

    names: array[int] = field(default_factory=lambda: array("q", [0]))
    hosts: array[int] = field(default_factory=lambda: array("q", [0]))
    starts: array[float] = field(default_factory=lambda: array("d", [math.nan]))
    kinds: array[int] = field(default_factory=lambda: array("b", [RETRIED]))
    tests: array[int] = field(default_factory=lambda: array("q", [-1]))
    # Numbers of rows at which another suite begins, and which one that is.
    firsts: array[int] = field(default_factory=lambda: array("q"))
    numbers: array[int] = field(default_factory=lambda: array("q"))
    # Rows that are attempts before the final one of their element, and rows of pytest that tell
    # of a tear-down that failed after a call that failed.
    interim: array[int] = field(default_factory=lambda: array("q"))
    torn: array[int] = field(default_factory=lambda: array("q"))

    def open(
        self,
        name: str,
        host: str = "",
        *,
        start: datetime | None = None,
        inside: int = 0,
        kind: int = RETRIED,
        tests: str | None = None,
    ) -> int:
        """Add a suite inside of another one; return its number."""
        self.names.append(hash((self.names[inside], name)))
        self.hosts.append(hash(host) if host else self.hosts[inside])
        self.starts.append(self.starts[inside] if start is None else start.timestamp())
        self.kinds.append(kind)
        usable = tests is not None and tests.isdecimal() and len(tests) < _DIGITS
        self.tests.append(int(tests) if usable and tests else -1)
        return len(self.names) - 1

    def specify(self, number: int, environment: str) -> None:
        """Add to what tells a suite from others."""
        self.names[number] = hash((self.names[number], environment))

    def enter(self, row: int, number: int) -> None:
        """Note that the rows from this one on are of a suite."""
        self.firsts.append(row)
        self.numbers.append(number)

    def at(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the numbers of the suites of rows."""
        if not self.firsts:
            return np.zeros(len(rows), dtype=np.int64)
        place = np.searchsorted(np.array(self.firsts), rows, side="right") - 1
        return np.array(self.numbers)[place]

    def sizes(self, rows: int) -> npt.NDArray[np.int64]:
        """Return how many of so many rows each suite has."""
        sizes = np.zeros(len(self.names), dtype=np.int64)
        np.add.at(sizes, np.array(self.numbers, np.int64), np.diff([*self.firsts, rows]))
        return sizes
