"""Parts of the cases for machines that work side by side: the name of a case says which has it.

Neither the store nor the plan nor the other cases have a say, so machines that know different
things (another history, an older cache, a run repeated next week) still divide any cases among
them without a gap and without an overlap. The pytest plugin divides by the same function.

Names alone balance numbers, not durations. A file of the repository may hold durations that all
machines agree on, because they have checked out the same commit: what it names is divided by them,
and all else by name. Measured on the last full run of seven projects in 4 parts, the longest takes
1.6 to 2.8 of the mean by names; by durations of a run a quarter of the history older 1.0 to 1.6, or
what the longest unit takes alone.
"""

from __future__ import annotations

import hashlib
import heapq
import json
import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

_MAX_BYTES: Final = 16 << 20
_LEAST: Final = 0.003  # share of the time of all: of shorter units the names balance as well
_PART: Final = re.compile(r"([1-9]\d{0,5})/([1-9]\d{0,5})", re.ASCII)


def parse_part(text: str) -> tuple[int, int]:
    """Return which part of how many a text such as ``2/5`` names.

    Raises
    ------
    ValueError
        When it names none.
    """
    found = _PART.fullmatch(text)
    if found is None or int(found[1]) > int(found[2]):
        raise ValueError(f"Invalid part {text!r} (example: 2/5).")
    return int(found[1]), int(found[2])


def part_of(unit: str, count: int) -> int:
    """Return which of so many parts has a unit: cases that are never divided, by their name.

    Parameters
    ----------
    unit : str
        Lone surrogates are allowed.
    count : int
        How many parts there are.

    Returns
    -------
    int
        From 1.
    """
    text = unit.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") % count + 1


@dataclass(frozen=True, slots=True)
class Division:
    """A division of all units there are into parts.

    Attributes
    ----------
    count : int
        How many parts there are.
    placed : mapping of str to int
        The part, from 1, of units of which it does not follow from the name.
    """

    count: int
    placed: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def by_durations(cls, count: int, durations: Iterable[tuple[str, float]]) -> Division:
        """Return the division for durations, in seconds, on which all machines agree.

        Longest processing time first (Graham 1969); several durations of a unit are added.
        """
        times: dict[str, int] = {}
        for unit, seconds in durations:  # whole milliseconds: their sum is the same in any order
            times[unit] = times.get(unit, 0) + round(seconds * 1000)
        loads = [(0, part) for part in range(1, count + 1)]
        placed = {}
        for unit in sorted(times, key=lambda name: (-times[name], name)):
            load, placed[unit] = loads[0]
            heapq.heapreplace(loads, (load + times[unit], placed[unit]))
        return cls(count, placed)

    def of(self, unit: str) -> int:
        """Return which part has a unit, from 1."""
        return self.placed.get(unit) or part_of(unit, self.count)


def read_durations(path: Path) -> dict[str, float]:
    """Return the seconds of units that a file holds, as `durations_text` writes it.

    Raises
    ------
    ValueError
        When it cannot be read; the message says what is wrong.
    """
    try:
        with path.open("rb") as stream:
            found = json.loads(stream.read(_MAX_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"cannot read the durations {path}: {error}") from None
    if not isinstance(found, dict) or not all(map(_is_duration, found.values())):
        raise ValueError(
            f"{path} does not hold durations; a JSON object of names and seconds is expected"
        )
    return {str(unit): float(seconds) for unit, seconds in found.items()}


def _is_duration(value: object) -> bool:
    return type(value) in (int, float) and 0 <= value < math.inf  # type: ignore[operator]


def durations_text(durations: Iterable[tuple[str, float]]) -> str:
    """Return the text of a file of durations: of the longest units, one a line, by name.

    Parameters
    ----------
    durations : iterable of (str, float)
        Cases as pytest names them, or other ids, and their seconds.
    """
    times: dict[str, float] = {}
    for case, seconds in durations:
        unit = node_unit(case)
        times[unit] = times.get(unit, 0.0) + seconds
    least = _LEAST * sum(times.values())
    # two digits: the file changes where a duration does
    kept = {unit: float(f"{times[unit]:.2g}") for unit in sorted(times) if times[unit] >= least}
    return json.dumps(kept, indent=1) + "\n"


def node_unit(node_id: str) -> str:
    """Return the class of a case that pytest collects, or its function outside of classes.

    Measured on 432 cases of this project's own suite, in 18 files that spend 17 % of their time on
    the set-up of modules: in 4 parts the longest takes 1.79 of the mean, and all together do 1.5
    of the work; by single cases 1.77 and 1.5, by files 2.05 and 1. Without such set-ups files are
    1.9 where functions are 1.45. A class stays whole for what its cases share; the parameters of
    a function, because their ids may differ from machine to machine.
    """
    file, colons, name = node_id.partition("::")
    return file + colons + name.partition("::")[0].partition("[")[0]
