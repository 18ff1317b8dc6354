"""Whether the cases that a plan was to run came back with results, part by part.

A case that is gone from the tested files cannot come back, and parameters are named anew when a
test is edited: neither is missing. What a runner cannot tell apart runs together, so that a part
may bring cases of another one that is still to come.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from testopt.runners.case_ids import split_case

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from testopt.reasons import Reason


class Fate(Enum):
    """What the tested files say of a case that did not come back."""

    UNKNOWN = auto()
    THERE = auto()  # its file is as it was when the case last ran
    CHANGED = auto()  # its function is there, in a file that has changed since
    MADE = auto()  # the same, but its name never stood in the file: code makes it
    GONE = auto()


@dataclass(frozen=True, slots=True)
class PlannedPart:
    """What became of one part of a plan.

    Attributes
    ----------
    name : str
        Such as ``2/4``; ``1/1`` where the plan is not cut.
    planned : int
        Cases that it was to run.
    gone : tuple of str
        Those that the tested files no longer have.
    missing : tuple of str
        The others that have no result.
    is_to_come : bool
        Whether nothing of it has come yet.
    """

    name: str
    planned: int
    gone: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    is_to_come: bool = False

    @property
    def came(self) -> int:
        """How many of its cases have a result."""
        return self.planned - len(self.gone) - len(self.missing)


@dataclass(frozen=True, slots=True)
class PlanCheck:
    """What became of the plan that was kept for a run.

    Attributes
    ----------
    run_id : str
    parts : tuple of PlannedPart
    unplanned : int
        Cases that ran though they were not to.
    cause : Reason or None
        The likely cause of what is missing.
    """

    run_id: str
    parts: tuple[PlannedPart, ...]
    unplanned: int = 0
    cause: Reason | None = None

    @property
    def planned(self) -> int:
        """How many cases were to run."""
        return sum(part.planned for part in self.parts)

    @property
    def gone(self) -> tuple[str, ...]:
        """Cases that the tested files no longer have."""
        return tuple(case for part in self.parts for case in part.gone)

    @property
    def missing(self) -> tuple[str, ...]:
        """Cases without a result, of the parts that have come."""
        return tuple(c for part in self.parts if not part.is_to_come for c in part.missing)

    @property
    def to_come(self) -> tuple[PlannedPart, ...]:
        """The parts of which nothing has come yet."""
        return tuple(part for part in self.parts if part.is_to_come)


def check_parts(
    planned: Mapping[str, str],
    came: Collection[str],
    *,
    left_out: Collection[str] = (),
    fates: Callable[[Sequence[str]], Mapping[str, Fate]] = lambda _: {},
    fresh: Collection[str] | None = None,
) -> tuple[PlannedPart, ...]:
    """Compare the cases that were to run with those that have a result.

    Parameters
    ----------
    planned : mapping of str to str
        The part of each case that was to run.
    came : collection of str
        Cases with a result, whatever it is.
    left_out : collection of str
        Cases of the plan that were not to run.
    fates : callable
        Says of cases without a result what the tested files say of them.
    fresh : collection of str, optional
        Those of `came` that have come just now, where that is known: what comes alone is of its
        own part.

    Returns
    -------
    tuple of PlannedPart
        By name. Of a part that is to come nothing has come that another one does not explain.
    """
    cases: dict[str, list[str]] = {name: [] for name in sorted(set(planned.values()), key=_order)}
    for case, name in planned.items():
        cases[name].append(case)
    lost = [case for case in planned if case not in came]
    if not lost:
        return tuple(PlannedPart(name, len(own)) for name, own in cases.items())
    files = {split_case(case)[2] for case in came} if len(cases) > 1 else set()
    beside = [c for c in left_out if c not in came and split_case(c)[2] in files]
    known = fates([*lost, *beside])
    excused = _Excuses(planned, came, known)
    parts = []
    for name, own in cases.items():
        without = [case for case in own if case not in came]
        gone = {case for case in without if excused(case)}
        missing = tuple(case for case in without if case not in gone)
        parts.append(PlannedPart(name, len(own), tuple(sorted(gone)), missing))
    ended = [part.name for part in parts if not part.missing]
    whole = [case for name in ended for case in cases[name] if case in came]
    absent = [case for part in parts for case in part.missing]
    absent += [case for case in beside if known.get(case) is not Fate.GONE]
    spill = _Spill(whole, absent, came if fresh is None else fresh)
    return tuple(
        replace(part, is_to_come=spill.explains([c for c in cases[part.name] if c in came]))
        if part.missing
        else part
        for part in parts
    )


def _order(name: str) -> tuple[int, str]:
    number = name.partition("/")[0]
    return int(number) if number.isdecimal() else 0, name


def _last_name(case: str) -> str:
    return split_case(case)[0].rpartition("::")[2]


# What runners may not tell apart: parameters, names in several files, classes, files.
_TOGETHER: Final[tuple[Callable[[str], str], ...]] = (
    lambda case: split_case(case)[0],
    _last_name,
    lambda case: split_case(case)[1],
    lambda case: split_case(case)[2],
)


class _Spill:
    """What came of parts that are to come along with parts that are whole.

    Parameters
    ----------
    whole : sequence of str
        Cases of parts that are whole.
    absent : sequence of str
        Cases of the plan that did not come: what runs together with one of them did not spill.
    fresh : collection of str
        What came just now.
    """

    def __init__(self, whole: Sequence[str], absent: Sequence[str], fresh: Collection[str]) -> None:
        self._fresh = fresh
        self._levels = []
        for together in _TOGETHER:
            touched = {together(case) for case in whole}
            if not any(together(case) in touched for case in absent):
                now = {together(case) for case in whole if case in fresh}
                self._levels.append((together, touched, now))

    def explains(self, own: Sequence[str]) -> bool:
        """Tell whether all that came of a part came along with others; so it is of nothing."""
        return not own or any(
            all(together(case) in (now if case in self._fresh else touched) for case in own)
            for together, touched, now in self._levels
        )


class _Excuses:
    """Tells which cases without a result need not have one."""

    def __init__(
        self, planned: Mapping[str, str], came: Collection[str], fates: Mapping[str, Fate]
    ) -> None:
        self._planned, self._came, self._fates = planned, came, fates
        self._has_owners = any("::" in case for case in came)
        # the parts, "" for none, of the cases that came of a function, and of a class or file
        self._of_function: dict[str, set[str]] = defaultdict(set)
        self._of_owner: dict[str, set[str]] = defaultdict(set)
        for case in came:
            function, owner, _ = split_case(case)
            self._of_function[function].add(planned.get(case, ""))
            self._of_owner[owner].add(planned.get(case, ""))

    def __call__(self, case: str) -> bool:
        fate = self._fates.get(case, Fate.UNKNOWN)
        function, owner, _ = split_case(case)
        if fate is Fate.GONE or (function != case and function in self._came):
            return True  # the latter: a test with subtests has ended
        if "::" not in case and self._has_owners:
            return True  # what stands for a file or package comes only while that is broken
        near = {"", self._planned[case]}
        if fate is Fate.MADE:
            return bool(self._of_owner[owner] & near)
        if function == case:
            return False
        others = self._of_function[function]
        return "" in others or (fate is Fate.CHANGED and bool(others & near))


def similar(missing: Iterable[str], unplanned: Iterable[str]) -> list[tuple[str, str]]:
    """Return pairs of a case that is missing and one that came instead, of the same last name."""
    by_name: dict[str, str] = {}
    for case in unplanned:
        by_name.setdefault(_own_name(case), case)
    pairs = ((case, by_name.get(_own_name(case))) for case in missing)
    return [(case, other) for case, other in pairs if other is not None]


def _own_name(case: str) -> str:
    """Return the name of a case in its class or module, with its parameters."""
    head, bracket, rest = case.partition("[")
    name = head.rpartition("::")[2]
    return (name if "::" in head else name.rpartition(".")[2]) + bracket + rest
