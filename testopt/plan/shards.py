"""How all cases are divided into parts for machines that work side by side; see `testopt.parts`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from testopt.parts import part_of
from testopt.runners.case_ids import split_case

if TYPE_CHECKING:
    from collections.abc import Callable


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
    count : int
        How many parts there are.
    unit : callable
        Returns the name of what holds a case and is never divided.
    """

    count: int
    unit: Callable[[str], str] = file_unit

    def of(self, case_id: str) -> int:
        """Return which part has a case, from 1."""
        return part_of(self.unit(case_id), self.count)

    def has(self, part: int, unit: str) -> bool:
        """Return whether a part has a unit."""
        return part_of(unit, self.count) == part

    def name(self, case_id: str) -> str:
        """Return which part has a case, such as ``2/5``."""
        return f"{self.of(case_id)}/{self.count}"
