"""Applies an order to collected items, in pytest alone and in the workers of xdist alike."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from testopt.pytest_plugin.client import EngineError
from testopt.pytest_plugin.fixtures import describe, fixed_by_marks
from testopt.pytest_plugin.order import Ranking, arrange

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest


@dataclass(frozen=True, slots=True)
class Order:
    """Rank of each item (0 runs first), and where known its probability and cost in seconds."""

    rank: list[int]
    probability: list[float]
    cost: list[float]

    @classmethod
    def of(cls, rank: list[int], probability: Any, cost: Any) -> Order:
        """Take the values of an answer; without numbers for each item there are none."""
        fine = _numbers(probability, len(rank)) and _numbers(cost, len(rank))
        return cls(rank, probability if fine else [], cost if fine else [])


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


def order_items(
    items: Sequence[pytest.Item], order: Order, granularity: str, marks: Sequence[str]
) -> list[pytest.Item]:
    """Return the items in the order in which they should run: the same ones, each once."""
    ranking = Ranking(order.rank, order.probability, order.cost)
    positions = arrange(describe(items, granularity), ranking, fixed_by_marks(items, marks))
    check_permutation(positions, len(items))
    return [items[position] for position in positions]


def payload(answer: dict[str, Any], granularity: str, marks: Sequence[str]) -> dict[str, Any]:
    """Return what workers need to order what they collect, as plain types with a digest.

    Raises
    ------
    EngineError
        When the answer is not an order of known cases.
    """
    ids = answer.get("ids")
    if not isinstance(ids, list) or not all(isinstance(i, str) for i in ids):
        raise EngineError("the engine's answer holds no case ids")
    rank = check_permutation(list(range(len(ids))), len(ids))
    order = Order.of(rank, answer.get("probability"), answer.get("cost"))
    # Text that no channel can alter: ids may hold lone surrogates.
    known = json.dumps([ids, order.probability, order.cost])
    return {
        "known": known,
        "digest": digest(known),
        "granularity": granularity,
        "marks": list(marks),
    }


def digest(text: str) -> str:
    """Return what tells the same order from another."""
    return hashlib.blake2b(text.encode("ascii"), digest_size=16).hexdigest()


def order_known(items: Sequence[pytest.Item], sent: dict[str, Any]) -> list[pytest.Item]:
    """Return the items in the order that the controller sent; unknown ones come first.

    Raises
    ------
    EngineError
        When the order did not arrive whole.
    """
    if digest(sent["known"]) != sent["digest"]:
        raise EngineError("the order did not arrive whole")
    ids, probability, cost = json.loads(sent["known"])
    place = {case: number for number, case in reversed(list(enumerate(ids)))}
    places = [place.get(item.nodeid, -1) for item in items]
    by_place = sorted(range(len(items)), key=places.__getitem__)
    rank = [0] * len(items)
    for number, position in enumerate(by_place):
        rank[position] = number
    values: list[list[float]] = [[], []]
    if probability:
        # A new case may fail as well as any: it counts as the likeliest known one.
        values = [
            [max(probability) if p < 0 else probability[p] for p in places],
            [min(cost) if p < 0 else cost[p] for p in places],
        ]
    return order_items(items, Order(rank, *values), sent["granularity"], sent["marks"])


def _numbers(values: Any, count: int) -> bool:
    return (
        isinstance(values, list)
        and len(values) == count
        and all(type(v) in (int, float) and 0 <= v < float("inf") for v in values)
    )
