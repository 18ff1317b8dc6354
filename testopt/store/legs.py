"""The legs of a run id: what several jobs of one pipeline bring under the id that they share.

A leg is a run of its own. The failure of a case in one job is no attempt of it in another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from testopt.store import Store


def leg_of(run_id: str, job: str) -> str:
    """Return the id of the run that a job brings under a run id that it may share with others."""
    return run_id if not job or run_id.endswith(f"/{job}") else f"{run_id}/{job}"


def legs_of(store: Store, run_id: str) -> dict[str, str]:
    """Return the runs that came under a run id, each with its job.

    Parameters
    ----------
    store : Store
    run_id : str
        As the user or the CI system gave it.

    Raises
    ------
    StoreError
        When the table cannot be read.
    """
    columns = ["run_id", "job"]
    found = [
        store.read("runs", columns=columns, where=[(column, "=", run_id)]).to_pylist()
        for column in ("run_id", "pipeline_run")
    ]
    return {row["run_id"]: row["job"] for rows in found for row in rows}


def kept_plans(
    store: Store, run_id: str, *, columns: Sequence[str] | None = None
) -> dict[str, pa.Table]:
    """Return the plans that are kept for a run id and its legs, by the run that each is for.

    Parameters
    ----------
    store : Store
    run_id : str
    columns : sequence of str, optional
        Those to read, ``run_id`` among them; default all.

    Raises
    ------
    StoreError
        When the table cannot be read.
    """
    import pyarrow.compute as pc

    if store.version("predictions") < 0:
        return {}
    # "0" comes behind "/": all ids that begin with the run id, and few others
    where = [("run_id", ">=", run_id), ("run_id", "<", f"{run_id}0")]
    rows = store.read("predictions", columns=columns, where=where, unfinished=True)
    names = [
        name
        for name in pc.unique(rows["run_id"]).to_pylist()
        if name == run_id or name.startswith(f"{run_id}/")
    ]
    return {name: rows.filter(pc.equal(rows["run_id"], name)) for name in names}
