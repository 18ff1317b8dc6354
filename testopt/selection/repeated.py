"""Whether a job is run again without anyone knowing what failed in it before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testopt.errors import StoreError
from testopt.reasons import Reason, ReasonKind

if TYPE_CHECKING:
    from testopt.git.pending_run import PendingRun
    from testopt.store import Store


def why_again(
    run: PendingRun, store: Store | None, part: tuple[int, int] | None = None
) -> Reason | None:
    """Return why everything runs in an attempt after the first; None where it need not.

    A case that failed has to run again, and the selection of another store, or of a newer one, may
    leave it out. What failed in an attempt that the store knows must run anyway.

    Parameters
    ----------
    run : PendingRun
    store : Store or None
    part : tuple of int, optional
        Which part of how many is run again.
    """
    if run.attempt < 2 or run.pipeline is None:  # noqa: PLR2004 - the second one
        return None
    try:
        if store is not None and _is_known(store, run, part):
            return None
    except StoreError:
        pass
    return Reason(ReasonKind.RUN_AGAIN, (run.attempt,))


def _is_known(store: Store, run: PendingRun, part: tuple[int, int] | None) -> bool:
    """Return whether the store has results of an earlier attempt, of the same part."""
    names = [run.pipeline, *(f"{run.pipeline}-{n}" for n in range(1, run.attempt))]
    rows = store.read(
        "runs",
        columns=["run_id"],
        where=[("pipeline_run", "in", names), ("job", "=", run.job), ("kind", "=", "real")],
    )
    if part is None or not rows.num_rows:
        return bool(rows.num_rows)
    where = [("run_id", "in", rows["run_id"].to_pylist()), ("executed", "==", True)]
    name = f"{part[0]}/{part[1]}"
    found = store.read("predictions", columns=["run_id"], where=[*where, ("shard", "=", name)])
    return bool(found.num_rows)
