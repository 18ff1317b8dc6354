"""What a plan is made from: the run about to start, its cases, the store and the sources."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from testopt.plan.known_cases import known_cases
from testopt.similarity.case_sources import Sources

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testopt.git.pending_run import PendingRun
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
    """

    run: PendingRun
    cases: Sequence[str]
    store: Store | None = None
    sources: Sources | None = None
    note: str = ""


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
    note = ""
    if cases is None:
        known = known_cases(store, run.repo, run.change)
        cases, note = known.ids, known.note
    # a change that a diff file tells has no base, and git does not know it
    if sources is None and run.repo is not None and run.change.known and run.change.base:
        sources = Sources(run.repo, store)
    return PlanInputs(run, cases, store, sources, note)
