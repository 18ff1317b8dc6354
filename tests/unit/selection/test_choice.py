"""What is chosen from scores, rules, budgets and draws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testopt.reasons import Reason, ReasonKind
from testopt.schema import Selection
from testopt.selection.choice import Candidates, choose, draw
from testopt.selection.evidence import Evidence, Regression

SHARES = st.floats(0.0, 1.0)
EVIDENCE = st.lists(
    st.tuples(st.lists(SHARES, min_size=1, max_size=4), st.booleans()), max_size=60
).map(lambda rows: Evidence(tuple(Regression(tuple(sorted(s)[::-1]), b) for s, b in rows)))
NEW = Reason(ReasonKind.NEW_CASE)
IMPORTS = Reason(ReasonKind.IMPORTS_CHANGED)
QUIET = {"explore": 0.0, "refresh": 0.0, "key": "k"}


def evidence(*scores: float) -> Evidence:
    return Evidence(tuple(Regression((score,)) for score in scores))


@st.composite
def candidates(draw):
    n = draw(st.integers(0, 25))
    of = st.lists(SHARES, min_size=n, max_size=n)
    cases = [f"tests/t.py::t{i}" for i in range(n)]
    forced = {c: NEW for c in cases if draw(st.booleans())}
    return Candidates(cases, np.array(draw(of)), np.array(draw(of)) * 10.0, forced)


def some(n: int = 10, forced: tuple[int, ...] = ()) -> Candidates:
    """Cases of which each has a score of a tenth of its number, and takes a second."""
    cases = [f"t{i}" for i in range(n)]
    must = {cases[i]: NEW for i in forced}
    return Candidates(cases, np.arange(n) / 10.0, np.ones(n), must)


@settings(deadline=None)
@given(candidates(), EVIDENCE, SHARES, SHARES, st.booleans())
def test_a_higher_recall_selects_all_that_a_lower_one_does(found, past, a, b, by_case):
    name = "case_recall" if by_case else "recall"
    low, high = (
        choose(found, Selection(**{name: recall}, **QUIET), past) for recall in sorted((a, b))
    )
    assert not (low.selected & ~high.selected).any()


@settings(deadline=None)
@given(candidates(), EVIDENCE, st.none() | SHARES, st.none() | SHARES, st.none() | SHARES)
def test_what_must_run_is_selected_and_what_is_selected_runs(found, past, recall, fraction, safe):
    affected = None if safe is None else {c: IMPORTS for c in found.cases if draw("a", c) < safe}
    asked = Selection(recall=recall, fraction=fraction, affected=affected, key="k", refresh=0.3)
    choice = choose(found, asked, past)
    assert choice.selected[found.among(found.forced)].all()
    assert not (choice.selected & ~choice.runs).any()
    assert ((choice.propensity == 1.0) == choice.selected).all()
    if fraction is None:
        if affected is not None:
            assert choice.selected[found.among(affected)].all()
        if choice.promise.threshold is not None:
            assert choice.selected[found.score >= choice.promise.threshold].all()
    else:
        must = found.among(found.forced)
        room = max(fraction * found.seconds.sum() - found.seconds[must].sum(), 0.0)
        assert found.seconds[choice.selected & ~must].sum() <= room + 1e-6


def test_without_evidence_everything_runs_and_the_plan_says_what_is_missing():
    choice = choose(some(), Selection(recall=0.95, **QUIET), evidence(0.9, 0.8))
    assert choice.selected.all()
    assert (choice.promise.kind, choice.promise.missing) == ("none", 17)
    assert "(17 missing)" in choice.promise.why


def test_with_evidence_the_lowest_scores_are_left_out():
    choice = choose(some(forced=(1,)), Selection(recall=0.9, **QUIET), evidence(*[0.75] * 50))
    assert np.flatnonzero(choice.selected).tolist() == [1, 8, 9]
    assert choice.promise.kind == "promise"
    assert choice.promise.threshold == 0.75
    assert choice.propensity.tolist() == [0, 1, *[0] * 6, 1, 1]


def test_of_two_promises_the_one_that_keeps_more_holds():
    past = Evidence(tuple(Regression((0.8, 0.35)) for _ in range(50)))
    both = choose(some(), Selection(recall=0.9, case_recall=0.9, **QUIET), past)
    assert np.flatnonzero(both.selected).tolist() == [4, 5, 6, 7, 8, 9]


@pytest.mark.parametrize("budget", [{"budget_s": 3.0}, {"fraction": 0.3}])
@pytest.mark.parametrize("recall", [None, 0.95])
def test_a_binding_budget_turns_the_promise_into_an_estimate(budget, recall):
    past = evidence(*[0.15] * 20, *[0.95] * 20, *[0.2] * 10)
    choice = choose(some(forced=(0,)), Selection(recall=recall, **budget, **QUIET), past)
    assert np.flatnonzero(choice.selected).tolist() == [0, 8, 9]
    promise = choice.promise
    assert promise.kind == "estimate"
    assert promise.recall == (0.4 if recall is None else recall)
    assert 0.2 < promise.low < 0.4 < promise.high < 0.6
    assert "20 of 50 past regressions would have been caught" in promise.why
    assert promise.why.startswith("within 3.0 s")


def test_a_budget_that_does_not_bind_leaves_the_promise():
    past = evidence(*[0.75] * 50)
    choice = choose(some(), Selection(recall=0.9, budget_s=3.0, **QUIET), past)
    assert choice.promise.kind == "promise"
    everything = choose(some(), Selection(budget_s=10.0, **QUIET), past)
    assert everything.selected.all()
    assert everything.promise.why == "everything runs: the budget allows it"


def test_what_must_run_runs_beyond_the_budget_and_that_is_said():
    asked = Selection(budget_s=2.0, **QUIET)
    choice = choose(some(forced=(0, 1, 2)), asked, evidence(0.9))
    assert np.flatnonzero(choice.selected).tolist() == [0, 1, 2]
    assert choice.promise.why.endswith("the cases that must run alone take longer")


def test_a_case_longer_than_the_budget_leaves_its_place_to_others():
    found = some(4)
    found.seconds[3] = 100.0
    choice = choose(found, Selection(budget_s=2.0, **QUIET), evidence())
    assert np.flatnonzero(choice.selected).tolist() == [1, 2]


def test_what_could_be_affected_is_selected_beside_the_promise():
    affected = {"t0": IMPORTS}
    alone = choose(some(), Selection(affected=affected, **QUIET), evidence(*[0.75] * 50))
    assert np.flatnonzero(alone.selected).tolist() == [0]
    both = choose(some(), Selection(affected=affected, recall=0.9, **QUIET), evidence(*[0.75] * 50))
    assert np.flatnonzero(both.selected).tolist() == [0, 8, 9]


def test_draws_follow_from_the_key_alone_and_have_their_shares():
    past, found = evidence(*[0.95] * 50), some(200)
    found.score[:] = np.linspace(0, 1, 200)
    explored, again = [], []
    for n in range(400):
        asked = Selection(recall=0.9, explore=0.1, refresh=0.02, key=f"run {n}")
        choice = choose(found, asked, past)
        repeat = choose(found, asked, past)
        assert (choice.runs == repeat.runs).all()
        explored.append(choice.explored)
        left = ~choice.selected
        assert np.allclose(choice.propensity[left], 0.1 + 0.9 * 0.02)
        if choice.explored:
            assert choice.runs.all()
        else:
            again.append(choice.runs[left].mean())
    assert 0.05 < np.mean(explored) < 0.16
    assert 0.016 < np.mean(again) < 0.024


def test_in_shadow_everything_runs_and_the_choice_stays():
    asked = Selection(recall=0.9, shadow=(Reason(ReasonKind.ASKED_SHADOW),), **QUIET)
    choice = choose(some(), asked, evidence(*[0.75] * 50))
    assert choice.runs.all()
    assert choice.selected.sum() == 2
    assert (choice.propensity == 1.0).all()
