"""Results into the store: JUnit XML (`ingest_junit`), tables (`ingest_table`), a run (`record`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from testopt.schema import RunRecord
    from testopt.store import Store

__all__ = ["record"]


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
    from testopt.snapshot import keep_up

    new = store.append_runs([record])
    keep_up(store, runs=new, results=len(record.results))
    return new > 0
