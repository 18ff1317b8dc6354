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

FunctionKey = tuple[str, str]  # path, and dotted name of a function


@dataclass(frozen=True, slots=True)
class FileEdit:
    """What a change does to one file.

    Attributes
    ----------
    path : str
    extent : str
        ``module``: code that runs at import, or the file comes or goes; ``bodies``: nothing but
        bodies of functions; ``nothing``: the program is the same, as after a change of comments;
        ``data``: no program; ``everything``: a file that all cases may depend on.
    functions : frozenset of str
        Dotted names of the functions whose bodies differ.
    """

    path: str
    extent: Literal["module", "bodies", "nothing", "data", "everything"]
    functions: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class CaseCoverage:
    """What a case ran when its coverage was measured: the commit, and functions in files."""

    commit: str
    ran: frozenset[FunctionKey]


@dataclass(frozen=True, slots=True)
class DependencyEvidence:
    """What is known of cases beside the change.

    Attributes
    ----------
    graph : ImportGraph
        Of the files on both sides of the change.
    definitions : mapping of str to (path, dotted name)
        Where each case is defined; an empty path: not found.
    coverage : mapping of str to CaseCoverage
        Of the cases whose coverage is known, as far as files that changed since are concerned.
    shared : mapping of str to frozenset of (path, dotted name)
        By commit, the functions that ran outside the body of any one case, as fixtures do.
    measured : mapping of str to frozenset of str
        By commit, those of the files that changed since of which any line was measured.
    since : mapping of str to tuple of FileEdit
        By commit, what the files have gone through until the head.
    """

    graph: ImportGraph
    definitions: Mapping[str, FunctionKey]
    coverage: Mapping[str, CaseCoverage] = field(default_factory=dict)
    shared: Mapping[str, frozenset[FunctionKey]] = field(default_factory=dict)
    measured: Mapping[str, frozenset[str]] = field(default_factory=dict)
    since: Mapping[str, tuple[FileEdit, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Impact:
    """Which cases a change could affect.

    Attributes
    ----------
    affected : dict of str to Reason
        Case -> why it could be affected.
    clear : dict of str to Reason
        Case -> why it cannot be.
    all_affected : Reason, optional
        Why all cases are affected, whatever else is known; None where they are not.
    """

    affected: dict[str, Reason]
    clear: dict[str, Reason] = field(default_factory=dict)
    all_affected: Reason | None = None

    @classmethod
    def all_of(cls, cases: Iterable[str], why: Reason) -> Impact:
        """Return the impact of what is not understood: every case, for one reason."""
        return cls(dict.fromkeys(cases, why), all_affected=why)


def affected(
    edits: Sequence[FileEdit], evidence: DependencyEvidence, cases: Sequence[str]
) -> Impact:
    """Find the cases that a change could affect.

    Parameters
    ----------
    edits : sequence of FileEdit
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
    analysis = _ImpactAnalysis(evidence, edits)
    for edit in sorted(edits, key=lambda edit: edit.extent != "everything"):
        if edit.extent == "everything" or (edit.extent == "data" and analysis.reach(edit) is None):
            return Impact.all_of(cases, _why_everything(edit))
    found: dict[str, Reason] = {}
    clear: dict[str, Reason] = {}
    for case in cases:
        is_affected, reason = analysis.verdict(case)
        (found if is_affected else clear)[case] = reason
    return Impact(found, clear)


def _why_everything(edit: FileEdit) -> Reason:
    read = edit.extent == "data"
    kind = ReasonKind.ANYTHING_MAY_READ if read else ReasonKind.ANYTHING_MAY_DEPEND
    return Reason(kind, (edit.path,))


class _ImpactAnalysis:
    """Gives a verdict on cases, looking at each of their files once."""

    def __init__(self, evidence: DependencyEvidence, edits: Sequence[FileEdit]) -> None:
        self._evidence, self._graph = evidence, evidence.graph
        self._edits = [edit for edit in edits if edit.extent != "nothing"]
        self._has_edits = bool(edits)
        self._reach: dict[FileEdit, dict[str, str] | None] = {}
        self._file_verdicts: dict[str, tuple[Reason | None, list[FileEdit]]] = {}
        self._edits_since: dict[tuple[str, str], list[FileEdit]] = {}
        self._starters = self._graph.starters() if edits else {}
        self._unknowable = self._graph.unknowable() if edits else {}

    def reach(self, edit: FileEdit) -> dict[str, str] | None:
        """Return the files that a touch may affect, each with the next one on the way to it."""
        if edit not in self._reach:
            start: Iterable[str] | None = [edit.path]
            if edit.extent in ("data", "everything"):
                start = self._graph.readers(edit.path) if edit.extent == "data" else None
            self._reach[edit] = None if start is None else self._graph.dependents(start)
        return self._reach[edit]

    def verdict(self, case: str) -> tuple[bool, Reason]:
        """Return whether a case could be affected, and why it could or could not."""
        path, function = self._evidence.definitions.get(case, ("", ""))
        if path not in self._file_verdicts:
            self._file_verdicts[path] = self._file_verdict(path)
        why, edits = self._file_verdicts[path]
        if why and not edits:
            return True, why  # not narrowed by anything
        left = [edit for edit in edits if not self._is_in_other_tests(edit, path, function)]
        if not left:
            others = ReasonKind.OTHER_CASES_CHANGED
            return False, Reason(others if edits else ReasonKind.IMPORTS_NOTHING_CHANGED)
        if self._ran_nothing(case, path):
            return False, Reason(ReasonKind.RAN_NOTHING_CHANGED)
        ran = self._ran(case, left)
        if ran is None and left == edits:
            ran = why
        return True, ran or _dependence(left[0], path, self._reached_from(left[0]))

    def _ran(self, case: str, edits: Sequence[FileEdit]) -> Reason | None:
        """Return which changed function a case ran when it was measured, where one is known."""
        coverage = self._evidence.coverage.get(case)
        places = ((edit.path, name) for edit in edits for name in sorted(edit.functions))
        ran = next((p for p in places if coverage is not None and p in coverage.ran), None)
        return None if ran is None else Reason(ReasonKind.RAN_FUNCTION, (ran[1], ran[0]))

    def _file_verdict(self, path: str) -> tuple[Reason | None, list[FileEdit]]:
        """Return why the cases of a file could be affected, and by which touches."""
        if not self._has_edits:
            return None, []
        if path in self._starters:
            by_way = _by_way(path, self._starters)
            return Reason(ReasonKind.STARTS_PROCESSES, (by_way,)), []
        if not path.endswith(".py"):
            return Reason(ReasonKind.SOURCE_UNKNOWN), []
        found = [edit for edit in self._edits if path in self._reached_from(edit)]
        if found:
            return _dependence(found[0], path, self._reached_from(found[0])), found
        code = [edit for edit in self._edits if edit.extent in ("module", "bodies")]
        if code and path in self._unknowable:
            by_way = _by_way(path, self._unknowable)
            return Reason(ReasonKind.IMPORTS_UNKNOWN, (by_way,)), code
        return None, []

    def _is_in_other_tests(self, edit: FileEdit, path: str, function: str) -> bool:
        """Tell whether a touch changes nothing but other test functions."""
        names = self._test_only_edits.get(edit)
        return (
            names is not None and path in self._reached_from(edit) and _last(function) not in names
        )

    @cached_property
    def _test_only_edits(self) -> dict[FileEdit, frozenset[str]]:
        """Names of the changed functions, where all are cases that no code calls by name."""
        cases: dict[str, set[str]] = defaultdict(set)
        for path, function in self._evidence.definitions.values():
            cases[path].add(function)
        found = {}
        for edit in self._edits:
            tests_only = edit.functions <= cases.get(edit.path, set())
            if edit.extent == "bodies" and tests_only and self._is_private(edit):
                found[edit] = frozenset(map(_last, edit.functions))
        return found

    def _is_private(self, edit: FileEdit) -> bool:
        reach = self._reached_from(edit)
        return not any(self._graph.used_by_name(name, reach) for name in edit.functions)

    def _reached_from(self, edit: FileEdit) -> dict[str, str]:
        return self.reach(edit) or {}

    def _ran_nothing(self, case: str, path: str) -> bool:
        """Tell whether all that changed since a case was measured is what it did not run."""
        coverage = self._evidence.coverage.get(case)
        if coverage is None:
            return False
        key = (path, coverage.commit)
        if key not in self._edits_since:
            since = self._evidence.since.get(coverage.commit, ())
            self._edits_since[key] = [edit for edit in since if self._concerns(edit, path)]
        return all(self._is_untouched(coverage, edit) for edit in self._edits_since[key])

    def _is_untouched(self, coverage: CaseCoverage, edit: FileEdit) -> bool:
        shared = self._evidence.shared.get(coverage.commit, frozenset())
        measured = self._evidence.measured.get(coverage.commit, frozenset())
        return (
            edit.extent == "bodies"
            and edit.path in measured
            and not any(
                (edit.path, name) in coverage.ran
                or (edit.path, name) in shared
                or number(called_name(name)) in self._early
                for name in edit.functions
            )
        )

    def _concerns(self, edit: FileEdit, path: str) -> bool:
        if edit.extent == "nothing":
            return False
        reach = self.reach(edit)
        code = edit.extent in ("module", "bodies")
        return reach is None or path in reach or (code and path in self._unknowable)

    @cached_property
    def _early(self) -> frozenset[int]:
        return self._graph.early()


def _last(function: str) -> str:
    return function.rpartition(".")[2]


def _dependence(edit: FileEdit, path: str, via: Mapping[str, str]) -> Reason:
    """Return how a file depends on a changed one."""
    if path == edit.path:
        return Reason(ReasonKind.OWN_FILE_CHANGED)
    if edit.extent == "data":
        return Reason(ReasonKind.MAY_READ, (edit.path, _by_way(path, via)))
    following = via.get(path, edit.path)
    return Reason(ReasonKind.IMPORTS, (edit.path, "" if following == edit.path else following))


def _by_way(path: str, via: Mapping[str, str]) -> str:
    """Return which file that a file imports does something; empty: it does so itself."""
    following = via.get(path, path)
    return "" if following == path else following
