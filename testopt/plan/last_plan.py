"""Where a case stood in the last plan that was recorded, and why: as it was at the time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from testopt.selection.policy import Policy
from testopt.store.run_summary import real_runs

if TYPE_CHECKING:
    from datetime import datetime

    from testopt.store import Store


@dataclass(frozen=True, slots=True)
class LastPlace:
    """The place of a case in a plan of the past.

    Attributes
    ----------
    run_id : str
    time : datetime
        Of the run.
    rank, of : int
        Its place, from 1, among how many cases.
    reason : str
        Why it stood there, in the words of the time.
    fell_back : str
        Why the run kept the original order; empty where it followed the plan.
    executed : bool or None
        Whether the run executed it; None where that was not known.
    """

    run_id: str
    time: datetime
    rank: int
    of: int
    reason: str
    fell_back: str
    executed: bool | None


def last_place(store: Store, case_id: str) -> LastPlace | None:
    """Return where a case stood in the last run with a plan that holds it; None without one.

    Raises
    ------
    StoreError
        When a table is damaged.
    """
    columns = ["run_id", "rank", "reason", "policy", "executed"]
    rows = store.read("predictions", columns=columns, where=[("case_id", "=", case_id)])
    by_run = {row["run_id"]: row for row in rows.to_pylist()}
    run = next((run for run in real_runs(store) if run["run_id"] in by_run), None)
    if run is None:
        return None
    row = by_run[run["run_id"]]
    where = [("run_id", "=", run["run_id"])]
    return LastPlace(
        run_id=run["run_id"],
        time=run["time"],
        rank=row["rank"],
        of=store.read("predictions", columns=["rank"], where=where).num_rows,
        reason=row["reason"] or "",
        fell_back=Policy.parse(row["policy"]).fell_back,
        executed=row["executed"],
    )
