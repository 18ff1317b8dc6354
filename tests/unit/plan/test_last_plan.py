"""Where a case stood in the last plan of a run, as it was at the time."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from builders import make_record, new_store

from testopt.plan.last_plan import last_place
from testopt.selection.policy import Policy

CASES = ["t.py::a", "t.py::b"]


def planned(run_id: str, minute: int, reasons: list[str], **policy: str):
    """A run with a plan, in which the last case did not run."""
    time = datetime(2026, 2, 1, 0, minute, tzinfo=UTC)
    rows = [
        {
            "case_id": case,
            "probability": 0.5,
            "rank": rank,
            "selected": True,
            "executed": rank == 1,
            "reason": reason,
            "propensity": 1.0,
            "score": None,
            "policy": Policy(mode="rank", **policy).dump(),
        }
        for rank, (case, reason) in enumerate(zip(CASES, reasons, strict=True), 1)
    ]
    return replace(make_record(run_id, CASES, time=time), predictions=rows)


def test_the_last_run_with_a_plan_counts(tmp_path):
    store = new_store(tmp_path)
    assert last_place(store, CASES[0]) is None
    store.append_runs([planned("new", 2, ["calls it", "never failed"])])
    store.append_runs([planned("old", 1, ["new case", "new case"])])  # it arrives later
    store.append_runs([make_record("without", CASES, time=datetime(2026, 2, 2, tzinfo=UTC))])
    found = last_place(store, CASES[1])
    assert (found.run_id, found.rank, found.of) == ("new", 2, 2)
    assert (found.reason, found.executed, found.fell_back) == ("never failed", False, "")
    assert last_place(store, "t.py::other") is None


def test_a_run_that_kept_the_original_order_says_why(tmp_path):
    store = new_store(tmp_path)
    store.append_runs([planned("one", 1, ["original order"] * 2, fell_back="the engine died")])
    assert last_place(store, CASES[0]).fell_back == "the engine died"
