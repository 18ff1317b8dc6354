"""Arranges cases by rank without setting up a fixture of wider scope more often than before.

Pure: cases are positions in the collected list. Cases that share a set-up (the same fixture, for
the same class, module or package, with the same parameter) form a block that moves as one. Inside
a block the cases are ranked again, as long as a simulation of pytest's set-ups counts no more of
them than in the original order; where it counts more, the block keeps that order. A case that the
user has put in its place by a mark divides the list: nothing moves across it.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Iterable, Sequence


@dataclass(frozen=True, slots=True)
class Use:
    """One fixture of wider than function scope that a case uses.

    ``node`` is the class, module or package that it lives for (None: the session), ``param`` its
    own parameter, ``params`` those of all fixtures below it too, ``needs`` the keys of the wider
    fixtures that it asks for, which stand earlier in the case's uses.
    """

    key: Hashable
    node: Hashable = None
    param: Hashable = None
    params: frozenset[Hashable] = frozenset()
    needs: tuple[Hashable, ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """What the arrangement knows of a case: the nodes around it, and its wider fixtures."""

    nodes: frozenset[Hashable] = frozenset()
    uses: tuple[Use, ...] = ()


@dataclass(frozen=True, slots=True)
class CaseRanks:
    """The order asked for: rank of each case, and the value of running it where that is known.

    ``probability``, ``cost`` (seconds) and ``level`` are parallel to ``rank``, or empty. Cases of
    one level are worth about the same, so they keep their original order: files stay together.
    """

    rank: Sequence[int]
    probability: Sequence[float] = ()
    cost: Sequence[float] = ()
    level: Sequence[int] = ()


def count_setups(
    cases: Sequence[Case], order: Iterable[int]
) -> dict[tuple[Hashable, Hashable], int]:
    """Count how often pytest sets up each fixture, by key and parameter, in an order of the cases.

    A fixture lives until its node is left, until another parameter is asked of it, or until a
    fixture that it asked for is set up again.
    """
    counts: dict[tuple[Hashable, Hashable], int] = {}
    times: dict[Hashable, int] = {}
    alive: dict[Hashable, tuple[object, ...]] = {}
    visits: dict[Hashable, int] = {}
    inside: frozenset[Hashable] = frozenset()
    for index in order:
        case = cases[index]
        for node in case.nodes - inside:
            visits[node] = visits.get(node, 0) + 1
        inside = case.nodes
        for use in case.uses:
            needed = tuple(times.get(need) for need in use.needs)
            state = (use.node, visits.get(use.node), use.param, needed)
            if alive.get(use.key) != state:
                alive[use.key] = state
                times[use.key] = times.get(use.key, 0) + 1
                one = (use.key, use.param)
                counts[one] = counts.get(one, 0) + 1
    return counts


def arrange(cases: Sequence[Case], ranking: CaseRanks, pinned: Collection[int] = ()) -> list[int]:
    """Return the positions of `cases` in the order in which they should run.

    Parameters
    ----------
    cases : sequence of Case
        In their original order.
    ranking : CaseRanks
        Lower ranks run earlier; ranks are all different.
    pinned : collection of int
        Positions of cases that nothing may cross.

    Returns
    -------
    list of int
        A permutation. `count_setups` of it is nowhere larger than that of the original order.
    """
    setups = _Setups(cases)
    arranger = _Arranger(cases, ranking, setups)
    order: list[int] = []
    for segment in _segments(len(cases), _all_pinned(setups.held, pinned)):
        order += segment if len(segment) == 1 else arranger.best(segment, set())
    return order


class _Setups:
    """Numbers the set-ups that cases may share, in order of appearance.

    Numbers, so that nothing depends on hashes: all workers of a run must find the same order. A
    fixture that is set up once in a session whatever the order does not count.
    """

    def __init__(self, cases: Sequence[Case]) -> None:
        numbers: dict[Hashable, int] = {}
        keys: list[Hashable] = []
        self.held: list[frozenset[int]] = []
        for case in cases:
            held = set()
            for use in case.uses:
                if use.node is not None or use.params:
                    number = numbers.setdefault((use.key, use.node, use.params), len(keys))
                    if number == len(keys):
                        keys.append(use.key)
                    held.add(number)
            self.held.append(frozenset(held))
        self.key_of = keys


def _segments(count: int, pinned: Collection[int]) -> list[list[int]]:
    """Divide the positions at the pinned ones, each of which stands alone."""
    segments: list[list[int]] = [[]]
    for index in range(count):
        if index in pinned:
            segments += [[index], []]
        else:
            segments[-1].append(index)
    return [segment for segment in segments if segment]


def _all_pinned(held: Sequence[frozenset[int]], pinned: Collection[int]) -> set[int]:
    """Add the cases whose set-up is shared across a pinned one: moving them would cost another."""
    fixed = set(pinned)
    while fixed:
        place: dict[int, int] = {}
        torn: set[int] = set()
        for number, segment in enumerate(_segments(len(held), fixed)):
            for index in segment:
                torn |= {r for r in held[index] if place.setdefault(r, number) != number}
        more = {i for i, own in enumerate(held) if not own.isdisjoint(torn)} - fixed
        if not more:
            break
        fixed |= more
    return fixed


class _Arranger:
    """Arranges groups of cases, recursively."""

    def __init__(self, cases: Sequence[Case], ranking: CaseRanks, setups: _Setups) -> None:
        self.cases = cases
        self.rank = ranking.rank
        self.held, self._key_of = setups.held, setups.key_of
        self._probability, self._cost = ranking.probability, ranking.cost
        self._levels = sorted(ranking.level)  # by rank
        self._values = sorted(
            -p / max(c, 1e-3) for p, c in zip(self._probability, self._cost, strict=True)
        )

    def best(self, members: list[int], ignored: set[int]) -> list[int]:
        """Rank the blocks of `members`, and the cases in each; `ignored` set-ups bind nobody."""
        units = []
        for block in self._components(members, ignored):
            if len(block) == 1:
                rank = self.rank[block[0]]
                units.append((*self._place(rank, rank, block), block))
                continue
            order = self._inside(block, ignored)
            first = min(self.rank[i] for i in order)
            units.append((*self._place(self._anchor(order), first, block), order))
        units.sort(key=lambda unit: unit[:2])
        return [index for _, _, order in units for index in order]

    def _inside(self, block: list[int], ignored: set[int]) -> list[int]:
        """Rank the cases of one block unless that costs a set-up."""
        order = self._try(block, ignored)
        if order == block:
            return block
        before, after = count_setups(self.cases, block), count_setups(self.cases, order)
        return block if any(after[key] > count for key, count in before.items()) else order

    def _try(self, block: list[int], ignored: set[int]) -> list[int]:
        common = frozenset.intersection(*(self.held[i] for i in block)) - ignored
        if common:
            return self.best(block, ignored | common)
        parts = self._cut(block, ignored)
        return block if parts is None else self.best(block, ignored | parts)

    def _cut(self, block: list[int], ignored: set[int]) -> set[int] | None:
        """Find the fixture along which a block divides, and the set-ups that then bind nobody.

        It is one that each case uses with exactly one parameter, the one with fewest parameters:
        what binds across its parts is given up, what binds within each of them is kept.
        """
        by_key: dict[Hashable, dict[int, int]] = {}
        for index in block:
            for number in sorted(self.held[index] - ignored):
                counts = by_key.setdefault(self._key_of[number], {})
                counts[number] = counts.get(number, 0) + 1
        divisible = [c for c in by_key.values() if sum(c.values()) == len(block) > len(c)]
        if not divisible:
            return None
        kept = min(divisible, key=lambda counts: (len(counts), min(counts)))
        return {n for counts in by_key.values() for n in counts if n not in kept} or None

    def _components(self, members: list[int], ignored: set[int]) -> list[list[int]]:
        """Group the members that are linked by shared set-ups, each group in original order."""
        leader: dict[int, int] = {}
        parent: dict[int, int] = {}

        def find(index: int) -> int:
            while parent[index] != index:
                parent[index] = index = parent[parent[index]]
            return index

        for index in members:
            parent[index] = index
            for number in self.held[index] - ignored:
                parent[find(leader.setdefault(number, index))] = find(index)
        groups: dict[int, list[int]] = {}
        for index in members:
            groups.setdefault(find(index), []).append(index)
        return list(groups.values())

    def _place(self, anchor: int, first: int, block: list[int]) -> tuple[int, int]:
        """Return what sorts a block: its level and original place, else its rank."""
        if not self._levels:
            return anchor, first
        return self._levels[min(anchor, len(self._levels) - 1)], min(block)

    def _anchor(self, order: list[int]) -> int:
        """Return the rank at which a block stands.

        That is where a single case would stand whose probability per second equals that of the
        block's best beginning, and not before the block's best case.
        """
        best = min(self.rank[i] for i in order)
        if not self._values:
            return best
        value = probability = cost = 0.0
        for index in order:
            probability += self._probability[index]
            cost += max(self._cost[index], 1e-3)
            value = max(value, probability / cost)
        return max(best, bisect_left(self._values, -value))
