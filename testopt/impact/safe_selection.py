"""Which cases a change could affect, by what coverage and imports say: the evidence of `--safe`.

A case could be affected by a changed file that its test file imports, however indirectly, or that
something it imports reads. What cannot be known counts as affected: a dynamic import, a started
process, a file that nothing names. Coverage narrows that where it can: a case is clear when,
since the commit at which it was measured, only bodies of functions that it did not run have
changed. Code of modules and class bodies, which runs at import, is never narrowed; that is what
selection by covered lines alone misses.

Literature: a safe selection runs every case that may reveal a fault of the change (Rothermel and
Harrold 1997); the firewall of modules and the line coverage are those of Gligoric et al. (2015),
"Practical regression test selection with dynamic file dependencies".
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from testopt.code.words import number
from testopt.impact.python_module import called_name
from testopt.reasons import Reason, ReasonKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from testopt.impact.import_graph import ImportGraph

Place = tuple[str, str]  # path, and dotted name of a function


@dataclass(frozen=True, slots=True)
class Touch:
    """What a change does to one file.

    Attributes
    ----------
    path : str
    how : str
        ``module``: code that runs at import, or the file comes or goes; ``bodies``: nothing but
        bodies of functions; ``nothing``: the program is the same, as after a change of comments;
        ``data``: no program; ``everything``: a file that all cases may depend on.
    functions : frozenset of str
        Dotted names of the functions whose bodies differ.
    """

    path: str
    how: Literal["module", "bodies", "nothing", "data", "everything"]
    functions: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Trace:
    """What a case ran when its coverage was measured: the commit, and functions in files."""

    commit: str
    ran: frozenset[Place]


@dataclass(frozen=True, slots=True)
class DependencyEvidence:
    """What is known of cases beside the change.

    Attributes
    ----------
    graph : ImportGraph
        Of the files on both sides of the change.
    home : mapping of str to (path, dotted name)
        Where each case is defined; an empty path: not found.
    traces : mapping of str to Trace
        Of the cases whose coverage is known, as far as files that changed since are concerned.
    shared : mapping of str to frozenset of (path, dotted name)
        By commit, the functions that ran outside the body of any one case, as fixtures do.
    measured : mapping of str to frozenset of str
        By commit, those of the files that changed since of which any line was measured.
    since : mapping of str to tuple of Touch
        By commit, what the files have gone through until the head.
    """

    graph: ImportGraph
    home: Mapping[str, Place]
    traces: Mapping[str, Trace] = field(default_factory=dict)
    shared: Mapping[str, frozenset[Place]] = field(default_factory=dict)
    measured: Mapping[str, frozenset[str]] = field(default_factory=dict)
    since: Mapping[str, tuple[Touch, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Impact:
    """Which cases a change could affect.

    Attributes
    ----------
    affected : dict of str to Reason
        Case -> why it could be affected.
    clear : dict of str to Reason
        Case -> why it cannot be.
    everything : Reason, optional
        Why all cases are affected, whatever else is known; None where they are not.
    """

    affected: dict[str, Reason]
    clear: dict[str, Reason] = field(default_factory=dict)
    everything: Reason | None = None

    @classmethod
    def all_of(cls, cases: Iterable[str], why: Reason) -> Impact:
        """Return the impact of what is not understood: every case, for one reason."""
        return cls(dict.fromkeys(cases, why), everything=why)


def affected(
    touches: Sequence[Touch], evidence: DependencyEvidence, cases: Sequence[str]
) -> Impact:
    """Find the cases that a change could affect.

    Parameters
    ----------
    touches : sequence of Touch
        What the change does to each of its files.
    evidence : DependencyEvidence
        Imports, coverage, and where the cases are.
    cases : sequence of str
        Case ids.

    Returns
    -------
    Impact
        Every case is either affected or clear, each with its reason.
    """
    judge = _Judge(evidence, touches)
    for touch in sorted(touches, key=lambda touch: touch.how != "everything"):
        if touch.how == "everything" or (touch.how == "data" and judge.reach(touch) is None):
            return Impact.all_of(cases, _why_everything(touch))
    found: dict[str, Reason] = {}
    clear: dict[str, Reason] = {}
    for case in cases:
        is_affected, reason = judge.verdict(case)
        (found if is_affected else clear)[case] = reason
    return Impact(found, clear)


def _why_everything(touch: Touch) -> Reason:
    read = touch.how == "data"
    kind = ReasonKind.ANYTHING_MAY_READ if read else ReasonKind.ANYTHING_MAY_DEPEND
    return Reason(kind, (touch.path,))


class _Judge:
    """Gives a verdict on cases, looking at each of their files once."""

    def __init__(self, evidence: DependencyEvidence, touches: Sequence[Touch]) -> None:
        self._evidence, self._graph = evidence, evidence.graph
        self._touches = [touch for touch in touches if touch.how != "nothing"]
        self._any = bool(touches)
        self._reach: dict[Touch, dict[str, str] | None] = {}
        self._ways: dict[str, tuple[Reason | None, list[Touch]]] = {}
        self._fresh: dict[tuple[str, str], list[Touch]] = {}
        self._starters = self._graph.starters() if touches else {}
        self._unknowable = self._graph.unknowable() if touches else {}

    def reach(self, touch: Touch) -> dict[str, str] | None:
        """Return the files that a touch may affect, each with the next one on the way to it."""
        if touch not in self._reach:
            start: Iterable[str] | None = [touch.path]
            if touch.how in ("data", "everything"):
                start = self._graph.readers(touch.path) if touch.how == "data" else None
            self._reach[touch] = None if start is None else self._graph.dependents(start)
        return self._reach[touch]

    def verdict(self, case: str) -> tuple[bool, Reason]:
        """Return whether a case could be affected, and why it could or could not."""
        path, function = self._evidence.home.get(case, ("", ""))
        if path not in self._ways:
            self._ways[path] = self._way(path)
        why, touches = self._ways[path]
        if why and not touches:
            return True, why  # not narrowed by anything
        left = [touch for touch in touches if not self._is_of_others(touch, path, function)]
        if not left:
            others = ReasonKind.OTHER_CASES_CHANGED
            return False, Reason(others if touches else ReasonKind.IMPORTS_NOTHING_CHANGED)
        if self._ran_nothing(case, path):
            return False, Reason(ReasonKind.RAN_NOTHING_CHANGED)
        ran = self._ran(case, left)
        if ran is None and left == touches:
            ran = why
        return True, ran or _dependence(left[0], path, self._ways_to(left[0]))

    def _ran(self, case: str, touches: Sequence[Touch]) -> Reason | None:
        """Return which changed function a case ran when it was measured, where one is known."""
        trace = self._evidence.traces.get(case)
        places = ((touch.path, name) for touch in touches for name in sorted(touch.functions))
        ran = next((p for p in places if trace is not None and p in trace.ran), None)
        return None if ran is None else Reason(ReasonKind.RAN_FUNCTION, (ran[1], ran[0]))

    def _way(self, path: str) -> tuple[Reason | None, list[Touch]]:
        """Return why the cases of a file could be affected, and by which touches."""
        if not self._any:
            return None, []
        if path in self._starters:
            by_way = _by_way(path, self._starters)
            return Reason(ReasonKind.STARTS_PROCESSES, (by_way,)), []
        if not path.endswith(".py"):
            return Reason(ReasonKind.SOURCE_UNKNOWN), []
        found = [touch for touch in self._touches if path in self._ways_to(touch)]
        if found:
            return _dependence(found[0], path, self._ways_to(found[0])), found
        code = [touch for touch in self._touches if touch.how in ("module", "bodies")]
        if code and path in self._unknowable:
            by_way = _by_way(path, self._unknowable)
            return Reason(ReasonKind.IMPORTS_UNKNOWN, (by_way,)), code
        return None, []

    def _is_of_others(self, touch: Touch, path: str, function: str) -> bool:
        """Tell whether a touch changes nothing but other test functions."""
        names = self._own.get(touch)
        return names is not None and path in self._ways_to(touch) and _last(function) not in names

    @cached_property
    def _own(self) -> dict[Touch, frozenset[str]]:
        """Names of the changed functions, where all are cases that no code calls by name."""
        cases: dict[str, set[str]] = defaultdict(set)
        for path, function in self._evidence.home.values():
            cases[path].add(function)
        found = {}
        for touch in self._touches:
            mine = touch.functions <= cases.get(touch.path, set())
            if touch.how == "bodies" and mine and self._is_private(touch):
                found[touch] = frozenset(map(_last, touch.functions))
        return found

    def _is_private(self, touch: Touch) -> bool:
        reach = self._ways_to(touch)
        return not any(self._graph.used_by_name(name, reach) for name in touch.functions)

    def _ways_to(self, touch: Touch) -> dict[str, str]:
        return self.reach(touch) or {}

    def _ran_nothing(self, case: str, path: str) -> bool:
        """Tell whether all that changed since a case was measured is what it did not run."""
        trace = self._evidence.traces.get(case)
        if trace is None:
            return False
        key = (path, trace.commit)
        if key not in self._fresh:
            since = self._evidence.since.get(trace.commit, ())
            self._fresh[key] = [touch for touch in since if self._concerns(touch, path)]
        return all(self._is_untouched(trace, touch) for touch in self._fresh[key])

    def _is_untouched(self, trace: Trace, touch: Touch) -> bool:
        shared = self._evidence.shared.get(trace.commit, frozenset())
        measured = self._evidence.measured.get(trace.commit, frozenset())
        return (
            touch.how == "bodies"
            and touch.path in measured
            and not any(
                (touch.path, name) in trace.ran
                or (touch.path, name) in shared
                or number(called_name(name)) in self._early
                for name in touch.functions
            )
        )

    def _concerns(self, touch: Touch, path: str) -> bool:
        if touch.how == "nothing":
            return False
        reach = self.reach(touch)
        code = touch.how in ("module", "bodies")
        return reach is None or path in reach or (code and path in self._unknowable)

    @cached_property
    def _early(self) -> frozenset[int]:
        return self._graph.early()


def _last(function: str) -> str:
    return function.rpartition(".")[2]


def _dependence(touch: Touch, path: str, way: Mapping[str, str]) -> Reason:
    """Return how a file depends on a changed one."""
    if path == touch.path:
        return Reason(ReasonKind.OWN_FILE_CHANGED)
    if touch.how == "data":
        return Reason(ReasonKind.MAY_READ, (touch.path, _by_way(path, way)))
    following = way.get(path, touch.path)
    return Reason(ReasonKind.IMPORTS, (touch.path, "" if following == touch.path else following))


def _by_way(path: str, way: Mapping[str, str]) -> str:
    """Return which file that a file imports does something; empty: it does so itself."""
    following = way.get(path, path)
    return "" if following == path else following
