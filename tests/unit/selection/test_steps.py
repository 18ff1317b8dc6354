"""The steps out of shadow: what leads up, what leads down, and what a plan does about it."""

from dataclasses import replace

import numpy as np
import pytest

from testopt.reasons import ReasonKind
from testopt.schema import Selection
from testopt.selection.choice import Candidates, choose
from testopt.selection.evidence import Evidence, Regression
from testopt.selection.promotion import (
    DAY_S,
    PlanOutcome,
    Rules,
    SelectionRecord,
    needs_evidence,
    promotion,
)
from testopt.selection.steps import CONFIRMATIONS, EVIDENCE, STEPS, FullRun, step_now

GRADUAL = Rules("gradual")
START = 1_750_000_000.0


def told(story: str) -> SelectionRecord:
    """Read a story, a day a mark.

    ``|`` is a full run that confirms enough plans for one step, ``.`` a regression that was
    caught, ``a`` one that the step alone caught, ``x`` a miss that is known on that day.
    """
    days = [(START + i * DAY_S, mark) for i, mark in enumerate(story)]
    outcomes = [
        PlanOutcome(f"run {time:.0f}", time, mark == "x", averted=mark == "a")
        for time, mark in days
        if mark != "|"
    ]
    full = [FullRun(time, CONFIRMATIONS) for time, mark in days if mark == "|"]
    return SelectionRecord(START, START + len(story) * DAY_S, tuple(outcomes), "", tuple(full))


@pytest.mark.parametrize(
    ("story", "most"),
    [
        ("", 0.2),
        ("|", 0.4),
        ("||||||||", 0.8),
        ("..", 0.2),
        ("|||x", 0.6),
        ("|||x|", 0.8),
        ("|a|", 0.6),
        ("x", None),
        ("x|", 0.2),
    ],
)
def test_full_runs_lead_up_and_misses_down(story, most):
    trust = promotion(told(story), GRADUAL)
    assert trust.most == most
    assert trust.selects == (most is not None)
    assert trust.state == ("shadow" if most is None else "gradual")


def test_some_plans_are_confirmed_before_a_step():
    half = [FullRun(t, CONFIRMATIONS // 2) for t in (1.0, 2.0)]
    assert step_now(half[:1], ()).most == STEPS[1]
    assert step_now(half, ()).most == STEPS[2]
    # a regression that the promise alone would have missed: the count begins anew
    averted = PlanOutcome("r", 1.5, missed=False, averted=True)
    assert step_now(half, [averted]).most == STEPS[1]
    # a full run that shows a miss confirms nothing
    missed = PlanOutcome("r", 2.0, missed=True)
    assert step_now(half, [missed]).most == STEPS[0]


def test_it_says_which_step_and_why():
    assert promotion(told("|"), GRADUAL).why == (
        "at most 40% of the cases are left out; 60% after 40 confirmed plans (0 so far)"
    )
    assert promotion(told("x"), GRADUAL).why == (
        "everything runs since the miss of 2025-06-15; 20% after 40 confirmed plans (0 so far)"
    )
    assert promotion(told("||||"), GRADUAL).why == "at most 80% of the cases are left out"


def test_the_usual_rule_takes_over():
    earned = promotion(told("." * 30), GRADUAL)
    assert (earned.state, earned.most) == ("select", None)
    # what a step has averted, the promise alone would have missed
    assert promotion(told("." * 28 + "aa"), GRADUAL).state == "gradual"


def test_misses_beyond_the_promise_begin_it_anew():
    fallen = promotion(told("||xx"), GRADUAL)
    assert (fallen.state, fallen.fallen, fallen.most) == ("shadow", True, None)
    again = promotion(told("||xx|"), GRADUAL)
    assert (again.state, again.most) == ("gradual", 0.2)
    after = promotion(told("." * 30 + "xx"), GRADUAL)
    assert (after.state, after.fallen) == ("shadow", True)
    assert promotion(told("." * 30 + "xx|"), GRADUAL).most == 0.2


def test_a_rollback_by_hand_begins_it_anew():
    by_hand = replace(told("||||"), rolled_back=START + 1.5 * DAY_S)
    assert promotion(by_hand, GRADUAL).most == 0.4  # two of the four came later
    last = replace(told("||||"), rolled_back=START + 4 * DAY_S)
    trust = promotion(last, GRADUAL)
    assert (trust.state, trust.fallen) == ("shadow", True)
    assert trust.why == (
        "everything runs since 2025-06-19; 20% after 40 confirmed plans (0 so far); "
        "rolled back by hand on 2025-06-19"
    )


def test_a_stale_bundle_or_drift_stops_it_too():
    for given in ({"stale": "the bundle is stale"}, {}):
        record = told("||")
        if not given:
            record = replace(record, drift="odds have shifted")
        trust = promotion(record, GRADUAL, **given)
        assert (trust.state, trust.selects, trust.most) == ("rolled back", False, None)


class TestPlan:
    """Ten cases with a score of a tenth of their number; all but the last are below."""

    PAST = Evidence(tuple(Regression((0.9,)) for _ in range(40)))
    CASES = Candidates([f"t{i}" for i in range(10)], np.arange(10) / 10, np.ones(10), {})

    def choice(self, most, **given):
        asked = Selection(explore=0.0, refresh=0.0, key="k", most_left_out=most, **given)
        return choose(self.CASES, asked, self.PAST)

    @pytest.mark.parametrize(("most", "out"), [(None, 9), (0.2, 2), (0.25, 2), (0.8, 8), (1.0, 9)])
    def test_the_lowest_scores_are_left_out(self, most, out):
        selected = self.choice(most, recall=0.95).selected
        assert selected.tolist() == [False] * out + [True] * (10 - out)

    def test_it_is_a_part_of_what_was_decided(self):
        choice = self.choice(0.2, recall=0.95)
        assert (choice.promise.cap, choice.promise.floor) == (0.2, 0.2)
        assert choice.promise.threshold == pytest.approx(0.9)
        assert choice.promise.why.endswith("; at most 20% are left out")
        kinds = [reason.kind for reason in choice.decisions]
        assert kinds == [
            *[ReasonKind.BELOW_THRESHOLD] * 2,
            *[ReasonKind.KEPT_BY_STEP] * 7,
            ReasonKind.SCORE_REACHED,
        ]

    def test_a_budget_does_not_leave_out_more(self):
        choice = self.choice(0.2, budget_s=3.0)
        assert choice.selected.sum() == 8
        assert "at most 20% are left out" in choice.promise.why

    def test_where_less_is_left_out_anyhow_nothing_is_said(self):
        promise = self.choice(0.95, recall=0.95).promise
        assert (promise.cap, promise.floor) == (0.95, None)
        assert "at most" not in promise.why


def test_a_first_step_needs_evidence():
    trust = promotion(told("|"), GRADUAL)
    assert needs_evidence(trust, EVIDENCE) is trust
    few = needs_evidence(trust, EVIDENCE - 1)
    assert (few.state, few.selects, few.most) == ("shadow", False, None)
    assert few.why == "in shadow: a first step needs 19 past regressions, and there are 18"
