"""How all cases are divided into parts for machines that work side by side; see `testopt.parts`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from testopt.errors import UsageError
from testopt.parts import Division, read_durations
from testopt.runners.case_ids import split_case

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def file_unit(case_id: str) -> str:
    """Return the file of a case, or what stands in its place: a class, a package, the id.

    Arguments for a runner hold files whole, because of tests in them that nobody knows yet; what
    is printed for no runner is divided alike.
    """
    file, colons, _ = case_id.partition("::")
    return file if colons else split_case(case_id)[2]


@dataclass(frozen=True, slots=True)
class Parts:
    """A division of all cases there are.

    Attributes
    ----------
    division : Division
        How many parts there are, and which has a unit.
    unit : callable
        Returns the name of what holds a case and is never divided.
    """

    division: Division
    unit: Callable[[str], str] = file_unit

    @classmethod
    def agreed(cls, count: int, unit: Callable[[str], str], durations: Path | None) -> Parts:
        """Return the division by the durations of a file, if there is one.

        Raises
        ------
        UsageError
            When the file cannot be read.
        """
        if durations is None:
            return cls(Division(count), unit)
        try:
            found = read_durations(durations)
        except ValueError as error:
            raise UsageError(str(error), "see the setting shard_durations") from None
        times = ((unit(name), seconds) for name, seconds in found.items())
        return cls(Division.by_durations(count, times), unit)

    def of(self, case_id: str) -> int:
        """Return which part has a case, from 1."""
        return self.division.of(self.unit(case_id))

    def has(self, part: int, unit: str) -> bool:
        """Return whether a part has a unit."""
        return self.division.of(unit) == part

    def name(self, case_id: str) -> str:
        """Return which part has a case, such as ``2/5``."""
        return f"{self.of(case_id)}/{self.division.count}"
