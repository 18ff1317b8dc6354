"""Plans as rows of predictions."""

from __future__ import annotations

import pytest

from testopt.plan import original_order, prediction_rows
from testopt.reasons import Reason, ReasonKind
from testopt.schema import Change, Origin, Plan, PlannedCase, Promise, Selection
from testopt.selection.policy import Policy

PAST = (Reason(ReasonKind.NEVER_FAILED, (9,)),)
BELOW = Reason(ReasonKind.BELOW_THRESHOLD, (0.2, 0.5))
KEPT = PlannedCase("a", 1, 0.5, 1.0, selected=True, reasons=PAST, score=0.9)
LEFT = PlannedCase(
    "b", 2, 0.1, 1.0, selected=False, reasons=(BELOW, *PAST), score=0.2, propensity=0.06,
    runs=False, decision=BELOW,
)  # fmt: skip
PROMISE = Promise(0.95, "promise", 0.5, 74, low=0.9, high=0.99, seeded=True)
ORIGIN = Origin(bundle="abc")
PLAN = Plan((KEPT, LEFT), Change(), ORIGIN, promise=PROMISE, mode="select", explored=True)


def policies(rows) -> Policy:
    (text,) = {row["policy"] for row in rows}
    return Policy.parse(text)


def test_a_selecting_plan_keeps_its_promise_scores_and_propensities():
    rows = prediction_rows(PLAN, executed={"a"})
    assert [(r["case_id"], r["selected"], r["executed"]) for r in rows] == [
        ("a", True, True),
        ("b", False, False),
    ]
    assert [(r["score"], r["propensity"]) for r in rows] == [(0.9, 1.0), (0.2, 0.06)]
    assert policies(rows) == Policy(
        mode="select", bundle="abc", kind="promise", recall=0.95, threshold=0.5, explored=True,
        seeded=True, low=0.9,
    )  # fmt: skip


def test_reasons_are_stored_in_words():
    assert [r["reason"] for r in prediction_rows(PLAN)] == [
        "never failed in 9 runs",
        "its score 0.2 is below the threshold 0.5; never failed in 9 runs",
    ]


def test_before_the_run_nobody_knows_what_is_executed():
    assert [r["executed"] for r in prediction_rows(PLAN)] == [None, None]


@pytest.mark.parametrize("how", [{"mode": "shadow"}, {"fell_back": "the engine hangs"}])
def test_where_everything_runs_each_case_was_sure_to_run(how):
    rows = prediction_rows(PLAN, **how)
    assert [r["propensity"] for r in rows] == [1.0, 1.0]
    assert [r["selected"] for r in rows] == [True, False]


def test_a_plan_that_fell_back_says_why_and_promises_nothing():
    policy = policies(prediction_rows(PLAN, fell_back="the engine hangs"))
    assert policy == Policy(mode="select", fell_back="the engine hangs")
    plan = original_order(["a"], Change(), Reason(ReasonKind.NO_STORE), Selection(recall=0.9))
    (row,) = prediction_rows(plan)
    assert policies([row]) == Policy(mode="select", fell_back="there is no store yet")
    assert row["selected"]
    assert plan.promise.why == "everything runs: there is no store yet"


def test_an_order_has_no_scores():
    (row,) = prediction_rows(Plan((KEPT,), Change()), mode="rank")
    assert row["score"] is None
    assert policies([row]) == Policy()
