"""Parts of a plan for machines that work side by side, of about equal duration."""

from __future__ import annotations

import heapq
import re
from typing import TYPE_CHECKING, Final

from testopt.ranking.cost_order import COST_FLOOR_S

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testopt.schema import PlannedCase


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
        raise ValueError(f"{text!r} is no part such as 2/5")
    return int(found[1]), int(found[2])


def shard(cases: Sequence[PlannedCase], index: int, count: int) -> tuple[PlannedCase, ...]:
    """Return one of the parts of some cases.

    Longest processing time first (Graham 1969): each case goes to the part that has least to do,
    the longest case first. The same cases and durations give the same parts everywhere: together
    they are all cases, and no case is in two.

    Parameters
    ----------
    cases : sequence of PlannedCase
    index : int
        Which part, from 1.
    count : int
        How many parts there are.

    Returns
    -------
    tuple of PlannedCase
        In the order of the plan.
    """
    loads = [(0.0, part) for part in range(1, count + 1)]
    chosen = set()
    for case in sorted(cases, key=lambda c: (-c.cost_s, c.case_id)):
        load, part = loads[0]
        heapq.heapreplace(loads, (load + case.cost_s + COST_FLOOR_S, part))
        if part == index:
            chosen.add(case.case_id)
    return tuple(case for case in cases if case.case_id in chosen)
