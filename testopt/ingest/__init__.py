"""Appends results to the store: JUnit XML, tables, coverage, and one finished run (`record`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from testopt.schema import RunRecord
    from testopt.similarity.case_sources import Sources
    from testopt.store import Store

__all__ = ["record", "update_caches"]


def record(*, store: Store, record: RunRecord) -> bool:
    """Append one finished run.

    Parameters
    ----------
    store : Store
        Where to.
    record : RunRecord
        The run with its results, its change and what was predicted for it.

    Returns
    -------
    bool
        Whether the run is new; one that is there already is left as it is.

    Raises
    ------
    StoreError
        When the rows do not fit or cannot be written.
    """
    new = store.append_runs([record])
    update_caches(store, runs=new, results=len(record.results))
    return new > 0


def update_caches(store: Store, *, runs: int, results: int, sources: Sources | None = None) -> None:
    """Bring up to date what plans read, after some new runs: feature state and track record.

    Parameters
    ----------
    store : Store
    runs, results : int
        How many were appended just now.
    sources : Sources, optional
        Tells which functions the runs changed.
    """
    from testopt.features import state_store
    from testopt.selection import plan_log

    state_store.update_state(store, runs=runs, results=results, sources=sources)
    if runs:
        plan_log.update_log(store)
