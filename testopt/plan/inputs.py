"""What a plan is made from: the run about to start, its cases, the store and the sources."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from testopt.errors import EmptyStoreError
from testopt.plan.known_cases import known_cases

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testopt.git.pending_run import PendingRun
    from testopt.similarity.case_sources import Sources
    from testopt.store import Store


@dataclass(frozen=True, slots=True)
class PlanInputs:
    """What a plan is made from.

    Attributes
    ----------
    run : PendingRun
    cases : sequence of str
        Case ids; repeats are allowed.
    store : Store or None
        History and bundle.
    sources : Sources or None
        None where git does not know the change.
    note : str
        Where the cases come from, where that is not plain.
    files : sequence of str
        The test files that the cases were found in, where no run has told any.
    """

    run: PendingRun
    cases: Sequence[str]
    store: Store | None = None
    sources: Sources | None = None
    note: str = ""
    files: Sequence[str] = ()


def find_plan_inputs(
    run: PendingRun,
    *,
    store: Store | None,
    cases: Sequence[str] | None = None,
    sources: Sources | None = None,
) -> PlanInputs:
    """Put together what a plan for a run is made from.

    Parameters
    ----------
    run : PendingRun
    store : Store or None
    cases : sequence of str, optional
        Those that the run has; default: the known ones.
    sources : Sources, optional
        Those of an earlier plan for this run, which have read much already.

    Raises
    ------
    EmptyStoreError
        Where no cases are given, and none are known.
    """
    found = _found_cases(run, store) if cases is None else (cases, "", ())
    # a change that a diff file tells has no base, and git does not know it
    if sources is None and run.repo is not None and run.change.known and run.change.base:
        from testopt.similarity.case_sources import Sources

        sources = Sources(run.repo, store)
    cases, note, files = found
    return PlanInputs(run, cases, store, sources, note, files)


def _found_cases(run: PendingRun, store: Store | None) -> tuple[Sequence[str], str, Sequence[str]]:
    """Return the cases of the last runs, else those in the sources; a note; the latter's files."""
    try:
        known = known_cases(store, run.repo, run.change)
    except EmptyStoreError as error:
        if run.repo is None:
            raise
        from testopt.plan.cases_in_tree import cases_in_tree, no_cases

        found = cases_in_tree(run.repo, (file.path for file in run.change.files))
        if not found.ids:
            raise no_cases(found, error.message) from None
        return found.ids, found.note, found.files
    return known.ids, known.note, ()
