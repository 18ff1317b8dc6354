"""What is printed of a plan: where its order comes from, what runs, what is left out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from testopt.reasons import Reason, ReasonKind
from testopt.report.plans import details, headline, note, plan_lines, policy_name, promise_line
from testopt.schema import Change, Origin, Plan, PlannedCase, Promise

PROMISE = Promise(0.95, "promise", 0.5, why="as promised")
KNOWN = Change(known=True)
NEW = Reason(ReasonKind.NEW_CASE)
NEVER = Reason(ReasonKind.NEVER_FAILED, (9,))
FAILED = Reason(ReasonKind.FAILED, (1, 9, 3))


def kept(name: str, decision: Reason, **values) -> PlannedCase:
    given = {"selected": True, "reasons": (NEVER,), "decision": decision, **values}
    return PlannedCase(name, 1, 0.5, 1.0, **given)


def left(name: str, decision: Reason, past: Reason, **values) -> PlannedCase:
    given = {"selected": False, "runs": False, "reasons": (decision, past), "decision": decision}
    return PlannedCase(name, 1, 0.5, 1.0, **given | values)


def below(score: float) -> Reason:
    return Reason(ReasonKind.BELOW_THRESHOLD, (score, 0.5))


CASES = (
    kept("a", Reason(ReasonKind.SCORE_REACHED, (0.9, 0.5))),
    kept("b", NEW, must_run=True),
    left("c", below(0.1), NEVER),
    left("d", below(0.2), FAILED),
    left("e", below(0.2), NEVER),
    left("f", Reason(ReasonKind.LONGER_THAN_BUDGET, (9.0, 1.0)), FAILED),
    left("g", below(0.3), NEVER, runs=True),
)


def test_what_is_left_out_is_summed_up_by_what_decided_with_the_past_beside_it():
    plan = Plan(CASES, KNOWN, promise=PROMISE, mode="select")
    assert plan_lines(plan) == [
        "3 of 7 cases run: 3.0 s of 7.0 s (42.9%)",
        "promise: as promised",
        "run:",
        "        1  a score of at least 0.5",
        "        1  drawn, to go on learning",
        "        1  new case",
        "left out:",
        "        3  a score below 0.5, of which 2 never failed, 1 failed before",
        "        1  longer than the budget, of which 1 failed before",
    ]


@pytest.mark.parametrize(
    ("seconds", "size"),
    [
        ([0.0] * 7, "3 of 7 cases run (42.9%); their durations are not known"),
        ([9.0] + [0.0] * 6, "3 of 7 cases run (42.9%); their durations are not known"),
        ([1.0] * 4 + [0.0] * 3, "3 of 7 cases run: 2.0 s of 4.0 s (50.0%)"),
    ],
)
def test_a_share_of_the_time_is_told_where_most_cases_have_a_duration(seconds, size):
    cases = tuple(case._replace(cost_s=s) for case, s in zip(CASES, seconds, strict=True))
    assert plan_lines(Plan(cases, KNOWN, promise=PROMISE, mode="select"))[0] == size


def test_why_a_case_runs_that_the_plan_leaves_out():
    drawn = Plan(CASES[-1:], KNOWN, promise=PROMISE, mode="select", explored=True)
    assert plan_lines(drawn)[-1].endswith("drawn, to measure the recall")
    shadow = replace(
        drawn, mode="shadow", explored=False, shadow=(Reason(ReasonKind.ASKED_SHADOW),)
    )
    assert plan_lines(shadow)[-1].endswith("in shadow: the plan would leave it out")
    assert promise_line(shadow).endswith("; all cases run: in shadow, as was asked for")


def test_where_the_order_comes_from():
    trained = Plan((), KNOWN, Origin(bundle="abc"))
    assert note(trained) == "ordered by bundle abc"
    assert policy_name(trained) == "bundle abc"
    assert trained.calibrated
    assert not trained.degraded
    no_model = Origin(untrained=Reason(ReasonKind.NO_MODEL), by_failures=True, by_closeness=True)
    untrained = Plan((), Change(known=False, why="no git"), no_model)
    assert note(untrained) == (
        "ordered by recent failures and closeness to the change: no trained model yet (testopt "
        "train); the change is unknown: no git"
    )
    assert policy_name(untrained) == "untrained"
    assert not untrained.calibrated
    original = Plan((), KNOWN, Origin(fallback=Reason(ReasonKind.NO_STORE)))
    assert note(original) == "original order: there is no store yet"
    assert policy_name(original) == "none"
    assert original.degraded


def test_the_line_of_a_plan_is_short_and_the_rest_are_details():
    origin = Origin(
        bundle="a35e5d2575ee",
        closeness=Reason(ReasonKind.CLOSENESS_BY_MODEL, ("eb153aba374c", 10)),
    )
    trust = Reason(ReasonKind.SELECTS_AT_ONCE, ("in shadow: 0 of 30 regressions, 0 of 14 days",))
    plan = Plan((), KNOWN, origin, trust=trust)
    assert headline(plan) == "ordered by bundle a35e5d2575ee"
    assert len(details(plan)) == 2
    assert note(plan) == "; ".join([headline(plan), *details(plan)])
    # what makes the order worse is no detail
    stale = replace(origin, stale=(Reason(ReasonKind.OLDER_RUNS_ARRIVED),))
    worse = replace(plan, origin=stale, change=Change(known=False, why="no git"))
    assert headline(worse) == (
        "ordered by bundle a35e5d2575ee; older runs have arrived since the last training; "
        "the change is unknown: no git"
    )
    original = replace(plan, origin=Origin(fallback=Reason(ReasonKind.NO_STORE)))
    assert note(original) == headline(original) == "original order: there is no store yet"
    assert details(original) == []
