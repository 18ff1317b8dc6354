"""What the user asks of a selection, completed by the settings and by the change itself."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from testopt.errors import RepositoryError, UsageError
from testopt.git.messages import find_commit_by_message
from testopt.reasons import Reason, ReasonKind
from testopt.selection.repeated import why_again

if TYPE_CHECKING:
    from testopt.git.pending_run import PendingRun
    from testopt.schema import Selection
    from testopt.settings import Settings
    from testopt.store import Store

RUN_ALL: Final = "[testopt: run all]"  # in the message of a commit: everything runs


def complete_selection(
    selection: Selection,
    *,
    settings: Settings,
    run: PendingRun,
    run_id: str = "",
    part: tuple[int, int] | None = None,
    store: Store | None = None,
) -> Selection:
    """Return a selection with all that the settings and the change say of it.

    Parameters
    ----------
    selection : Selection
        What the user asks on the command line; without recall, budget and impact the recall of
        the settings counts.
    settings : Settings
        Recall, rules for what must run, shares of the draws.
    run : PendingRun
        The change, whose messages may ask that everything runs.
    run_id : str
        Identity of the run, which the draws follow from; empty: commit and job.
    part : tuple of int, optional
        Which part of how many this is, where several machines share the cases: the draws are then
        those of the pipeline, the same on all of them and when one of them begins again.
    store : Store, optional
        Tells what failed before, where a job is run again.

    Raises
    ------
    UsageError
        For shares outside 0..1 and budgets that are not positive.
    """
    limits = (selection.recall, selection.case_recall, selection.budget_s, selection.fraction)
    bare = all(value is None for value in limits) and selection.affected is None
    complete = replace(
        selection,
        recall=settings.recall if bare else selection.recall,
        must_run=(*settings.must_run, *selection.must_run),
        run_all_on=(*settings.run_all_on, *selection.run_all_on),
        run_all=selection.run_all or _run_all(settings, run) or why_again(run, store, part),
        explore=settings.explore,
        refresh=settings.refresh,
        key=_key(run, run_id, in_parts=part is not None),
    )
    _check(complete)
    return complete


def _check(selection: Selection) -> None:
    shares = {
        "recall": selection.recall,
        "case recall": selection.case_recall,
        "fraction": selection.fraction,
        "explore": selection.explore,
        "refresh": selection.refresh,
    }
    for name, share in shares.items():
        if share is not None and not 0.0 <= share <= 1.0:
            raise UsageError(f"{name} is {share:g}", "it takes a share from 0 to 1, such as 0.95")
    if selection.budget_s is not None and not selection.budget_s > 0.0:
        raise UsageError(f"Invalid budget {selection.budget_s:g} s", "it takes a time above 0")


def _run_all(settings: Settings, run: PendingRun) -> Reason | None:
    """Return who asks that everything runs; None where nobody does."""
    if settings.run_all:
        if settings.origin.get("run_all") == "environment":
            return Reason(ReasonKind.ASKED_BY_ENVIRONMENT, ("TESTOPT_RUN_ALL",))
        return Reason(ReasonKind.ASKED_BY_SETTING, ("run_all",))
    change = run.change
    if run.repo is None or not change.known or change.base is None:
        return None
    try:
        commit = find_commit_by_message(run.repo, RUN_ALL, base=change.base, head=change.head)
    except RepositoryError as error:
        return Reason(ReasonKind.MESSAGES_UNREADABLE, (error.message,))
    return Reason(ReasonKind.ASKED_BY_COMMIT, (commit,)) if commit else None


def _key(run: PendingRun, run_id: str, *, in_parts: bool) -> str:
    """Return what the draws follow from. Parts may be jobs of different names."""
    where = run.commit or f"{run.began:%Y-%m-%d}"
    if in_parts:
        return run.pipeline or run_id or where
    return run_id or f"{where}\0{run.job}"
