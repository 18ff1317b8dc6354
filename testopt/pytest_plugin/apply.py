"""Applies a plan to collected items, in pytest alone and in the workers of xdist alike."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from testopt.pytest_plugin import ALWAYS
from testopt.pytest_plugin.client import EngineError
from testopt.pytest_plugin.fixtures import describe, fixed_by_marks
from testopt.pytest_plugin.order import CaseRanks, arrange

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pytest


@dataclass(frozen=True, slots=True)
class PlannedOrder:
    """Rank of each item (0 runs first), and where known its probability and cost in seconds.

    ``run`` says which of them run at all, 1 or 0; empty: all do. ``level`` grows with rank; items
    of one level are worth about the same.
    """

    rank: list[int]
    probability: list[float]
    cost: list[float]
    run: list[int]
    level: list[int]

    @classmethod
    def of(cls, rank: list[int], answer: Mapping[str, Any]) -> PlannedOrder:
        """Take the values of an answer; without numbers for each item there are none.

        Raises
        ------
        EngineError
            When it does not say of each case whether it runs.
        """
        count = len(rank)
        probability, cost, run = (answer.get(name) for name in ("probability", "cost", "run"))
        if run is not None and not (_numbers(run, count) and set(run) <= {0, 1}):
            raise EngineError("the engine's selection is not one of the cases")
        level = answer.get("level")
        if not (_numbers(probability, count) and _numbers(cost, count)):
            probability = cost = None
        if not _numbers(level, count):
            level = None
        return cls(rank, probability or [], cost or [], run or [], level or [])

    def only(self, positions: list[int]) -> PlannedOrder:
        """Return the order among the items at some positions."""
        by_rank = sorted(range(len(positions)), key=lambda n: self.rank[positions[n]])
        rank = [0] * len(positions)
        for place, number in enumerate(by_rank):
            rank[number] = place
        probability, cost = (
            [values[i] for i in positions] if values else []
            for values in (self.probability, self.cost)
        )
        level = [self.level[i] for i in positions] if self.level else []
        return PlannedOrder(rank, probability, cost, [], level)


def check_permutation(rank: Any, count: int) -> list[int]:
    """Return `rank` if it holds each of 0..count-1 once.

    Raises
    ------
    EngineError
        When it does not.
    """
    if (
        not isinstance(rank, list)
        or len(rank) != count
        or not all(type(r) is int for r in rank)
        or sorted(rank) != list(range(count))
    ):
        raise EngineError("the engine's order is not one of the cases")
    return rank


def is_always(item: pytest.Item) -> bool:
    """Tell whether the user has marked a case as one that is never left out."""
    return item.get_closest_marker(ALWAYS) is not None


def order_items(
    items: Sequence[pytest.Item], order: PlannedOrder, granularity: str, marks: Sequence[str]
) -> tuple[list[pytest.Item], list[pytest.Item]]:
    """Return the items that run, in the order in which they should, and those left out."""
    left: list[pytest.Item] = []
    if 0 in order.run:
        runs = [bool(said) or is_always(item) for item, said in zip(items, order.run, strict=True)]
        left = [item for item, stays in zip(items, runs, strict=True) if not stays]
        order = order.only([i for i, stays in enumerate(runs) if stays])
        items = [item for item, stays in zip(items, runs, strict=True) if stays]
    ranking = CaseRanks(order.rank, order.probability, order.cost, order.level)
    positions = arrange(describe(items, granularity), ranking, fixed_by_marks(items, marks))
    check_permutation(positions, len(items))
    return [items[position] for position in positions], left


def replace_items(
    items: list[pytest.Item], planned: tuple[list[pytest.Item], list[pytest.Item]]
) -> int:
    """Change a list of items into those that run, tell pytest of the others, and count these."""
    items[:], left = planned
    if left:
        left[0].config.hook.pytest_deselected(items=left)
    return len(left)


def payload(answer: dict[str, Any], granularity: str, marks: Sequence[str]) -> dict[str, Any]:
    """Return what workers need to order what they collect, as plain types with a digest.

    Raises
    ------
    EngineError
        When the answer is not a plan for known cases.
    """
    ids = answer.get("ids")
    if not isinstance(ids, list) or not all(isinstance(i, str) for i in ids):
        raise EngineError("the engine's answer holds no case ids")
    order = PlannedOrder.of(list(range(len(ids))), answer)
    # Text that no channel can alter: ids may hold lone surrogates.
    known = json.dumps([ids, order.probability, order.cost, order.run, order.level])
    return {
        "known": known,
        "digest": digest(known),
        "granularity": granularity,
        "marks": list(marks),
    }


def digest(text: str) -> str:
    """Return what tells the same order from another."""
    return hashlib.blake2b(text.encode("ascii"), digest_size=16).hexdigest()


def order_known(
    items: Sequence[pytest.Item], sent: dict[str, Any], node_ids: Sequence[str] | None = None
) -> tuple[list[pytest.Item], list[pytest.Item], int]:
    """Return the items that run as the controller sent, those left out, and how many are new.

    Items that it does not know run, and come first. `node_ids` are those that the plan knows, where
    xdist has altered them.

    Raises
    ------
    EngineError
        When the order did not arrive whole.
    """
    if digest(sent["known"]) != sent["digest"]:
        raise EngineError("the order did not arrive whole")
    ids, probability, cost, run, level = json.loads(sent["known"])
    place = {case: number for number, case in reversed(list(enumerate(ids)))}
    names = [item.nodeid for item in items] if node_ids is None else node_ids
    places = [place.get(name, -1) for name in names]
    by_place = sorted(range(len(items)), key=places.__getitem__)
    rank = [0] * len(items)
    for number, position in enumerate(by_place):
        rank[position] = number
    if probability:
        # A new case may fail as well as any: it counts as the likeliest known one.
        most, least = max(probability), min(cost)
        probability = [most if p < 0 else probability[p] for p in places]
        cost = [least if p < 0 else cost[p] for p in places]
    runs = [1 if p < 0 else run[p] for p in places] if run else []
    levels = [-1 if p < 0 else level[p] for p in places] if level else []
    order = PlannedOrder(rank, probability, cost, runs, levels)
    staying, left = order_items(items, order, sent["granularity"], sent["marks"])
    return staying, left, sum(p < 0 for p in places)


def _numbers(values: Any, count: int) -> bool:
    return (
        isinstance(values, list)
        and len(values) == count
        and all(type(v) in (int, float) and 0 <= v < float("inf") for v in values)
    )
