"""What is promised, on which evidence, and which score decides."""

import json
import math

import numpy as np
import pytest
from builders import run_features

from testopt.selection.evidence import KEPT_CASES, Evidence, Regression
from testopt.selection.score import fits_budget, must_run, selection_score
from testopt.selection.simulation import FinishedRun, regressing, selection_quality
from testopt.selection.threshold import (
    ALWAYS,
    CREDIT,
    REAL_ENOUGH,
    STEP,
    WINDOW,
    RecallTracker,
    recall_threshold,
)  # fmt: skip

MOST = 1.0 - ALWAYS


def evidence(*scores, seeded=False):
    return Evidence(tuple(Regression((float(s),), seeded) for s in scores))


def features(n, **columns):
    return run_features(n, **{"executions": 7, "has_parent": True, **columns})


@pytest.mark.parametrize(("recall", "needed"), [(0.5, 1), (0.9, 9), (0.95, 19), (0.99, 99)])
def test_a_promise_needs_as_many_regressions_as_the_bound_says(recall, needed):
    few = recall_threshold(evidence(*[0.5] * (needed - 1)), recall)
    assert (few.kind, few.threshold, few.missing) == ("none", None, 1)
    assert f"({1} missing)" in few.why
    enough = recall_threshold(evidence(*[0.5] * needed), recall)
    assert (enough.kind, enough.threshold, enough.missing) == ("promise", 0.5, 0)


def test_the_threshold_is_the_order_statistic_of_conformal_risk_control():
    scores = np.random.default_rng(0).permutation(np.arange(1, 40) / 50.0)
    # 39 regressions: one may be missed, for (1 + 1) / (39 + 1) = 0.05
    assert recall_threshold(evidence(*scores), 0.95).threshold == 2 / 50
    assert recall_threshold(evidence(*scores[:38]), 0.95).threshold == min(scores[:38])


def test_only_the_latest_regressions_count():
    old, new = [0.01] * 50, [0.6] * WINDOW
    assert recall_threshold(evidence(*old, *new), 0.9).threshold == 0.6


def test_what_no_window_can_bear_is_never_promised():
    made = recall_threshold(evidence(*[0.5] * 300), 0.999)
    assert (made.kind, made.threshold) == ("none", None)
    assert "never promised" in made.why


def test_the_first_cases_in_the_order_are_never_left_out():
    for scores in ([1.0] * 50, [math.inf] * 50):
        assert recall_threshold(evidence(*scores), 0.9).threshold == MOST


def test_more_misses_than_allowed_make_everything_run_until_they_are_made_up_for():
    steady = [0.9] * 30
    worse = np.linspace(0.5, 0.1, 6).tolist()  # each one below all before
    assert recall_threshold(evidence(*steady, worse[0]), 0.95).threshold is not None
    burst = recall_threshold(evidence(*steady, *worse), 0.95)
    assert (burst.kind, burst.threshold) == ("promise", None)
    assert "until the misses" in burst.why
    calm = recall_threshold(evidence(*steady, *worse, *[0.9] * 120), 0.95)
    assert calm.threshold == 0.9


def test_the_usual_misses_do_not_make_it_stricter():
    # one in twenty is what 0.95 allows
    scores = ([0.9] * 19 + [0.1]) * 5
    assert recall_threshold(evidence(*scores, *[0.9] * 20), 0.95).threshold == 0.9


def test_a_regression_that_nobody_can_place_counts_as_missed():
    made = recall_threshold(evidence(*[0.9] * 30, -math.inf), 0.95)
    assert made.threshold is None
    assert recall_threshold(evidence(*[0.9] * 60, -math.inf), 0.95).threshold == 0.9


def test_a_promise_on_cases_weighs_the_cases_of_each_regression():
    both = Evidence(tuple(Regression((0.9, 0.2)) for _ in range(30)))
    assert recall_threshold(both, 0.9).threshold == 0.9
    by_case = recall_threshold(both, 0.9, by_case=True)
    assert by_case.threshold == 0.2


def test_seeded_faults_are_named_and_give_way_to_real_regressions():
    seeded = evidence(*[0.5] * 50, seeded=True).regressions
    assert recall_threshold(Evidence(seeded), 0.95).seeded
    assert "on seeded faults" in recall_threshold(Evidence(seeded), 0.95).why
    real = evidence(*[0.8] * REAL_ENOUGH).regressions
    few = recall_threshold(Evidence((*seeded, *real[1:])), 0.95)
    assert (few.seeded, few.threshold) == (True, 0.5)
    enough = recall_threshold(Evidence((*seeded, *real)), 0.95)
    assert (enough.seeded, enough.threshold, enough.regressions) == (False, 0.8, REAL_ENOUGH)


def test_the_interval_is_that_of_a_beta_variable():
    made = recall_threshold(evidence(*np.arange(19) / 20), 0.95)
    # none of 19 missed: the rate of misses has the distribution function 1 - (1 - r)^19
    assert made.low == pytest.approx(0.025 ** (1 / 19), abs=1e-6)
    assert made.high == pytest.approx(0.975 ** (1 / 19), abs=1e-6)


def test_evidence_survives_json_and_damaged_evidence_is_refused():
    past = Evidence((Regression((math.inf, 0.25)), Regression((-math.inf,), seeded=True)))
    document = json.loads(json.dumps(past.to_dict(), allow_nan=False))
    assert Evidence.from_dict(document) == past
    for bad in (
        {}, {"regressions": None}, {"regressions": [{"scores": []}]}, {"regressions": [[]]},
        {"regressions": [{"scores": [0.5], "seeded": 1}]},
        {"regressions": [{"scores": ["sometimes"], "seeded": False}]},
        {"regressions": [{"scores": [float("nan")], "seeded": False}]},
        {"regressions": [{"scores": [0.5] * 99, "seeded": False}]},
        {"regressions": [{"scores": [0.5], "seeded": False}] * 9999},
    ):  # fmt: skip
        with pytest.raises((ValueError, TypeError, KeyError, AttributeError)):
            Evidence.from_dict(bad)


def test_of_many_cases_those_are_kept_that_never_understate_the_loss():
    scores = np.random.default_rng(1).random(500)
    kept = np.array(Regression.of(scores).scores)
    assert len(kept) == KEPT_CASES
    assert kept[0] == scores.max()
    for floor in np.linspace(0, 1, 41):
        assert (kept < floor).mean() >= (scores < floor).mean() - 1 / KEPT_CASES


def test_scores_fall_along_the_order_and_equals_share_the_first_place():
    p = np.array([0.1, 0.9, 0.5, 0.5])
    x, seconds = features(4), np.ones(4)
    score = selection_score(x, p, seconds)
    assert score.tolist() == [0.25, 1.0, 0.75, 0.75]
    assert not len(selection_score(features(0), p[:0], seconds[:0]))


def test_a_row_that_stands_for_many_cases_scores_like_them():
    p, seconds = np.array([0.9, 0.5, 0.1]), np.ones(3)
    weight = np.array([1.0, 8.0, 1.0])
    score = selection_score(features(3), p, seconds, weight=weight)
    assert score == pytest.approx([1.0, 0.9, 0.1])


def test_new_changed_and_failing_cases_must_run():
    x = features(
        5,
        executions=[0, 3, 3, 3, 3],
        has_parent=[1, 1, 1, 0, 1],
        failing_in_parent=[0, 1, 0, 0, 0],
        failing_last=[0, 0, 0, 1, 1],
        in_change=[0, 0, 1, 0, 0],
    )
    assert must_run(x).tolist() == [True, True, True, True, False]


def test_only_what_passed_in_the_ancestor_run_regresses():
    x = features(
        4, executions=[0, 3, 3, 3], has_parent=[1, 1, 0, 1], failing_in_parent=[0, 1, 0, 0]
    )
    assert regressing(x, np.ones(4, bool)).tolist() == [False, False, False, True]
    assert not regressing(x, np.zeros(4, bool)).any()


def test_a_budget_takes_what_must_run_and_then_the_highest_scores():
    scores, seconds = np.array([0.9, 0.1, 0.5, 0.7]), np.array([1.0, 1.0, 1.0, 5.0])
    must = np.array([False, True, False, False])
    assert fits_budget(scores, must, seconds, 2.1).tolist() == [True, True, False, False]
    assert fits_budget(scores, must, seconds, 0.5).tolist() == [False] * 4
    assert fits_budget(scores, must, seconds, 9.0).all()


def test_the_quality_of_a_selection_counts_changes_cases_and_seconds():
    bad, none = np.array([True, True, False]), np.zeros(3, bool)
    seconds = np.array([1.0, 2.0, 3.0])
    runs = [FinishedRun(np.ones(3), none, r, seconds, seconds) for r in (bad, bad, none)]
    kept = [np.array(k, bool) for k in ([1, 0, 0], [0, 0, 1], [0, 1, 0])]
    found = selection_quality(runs, kept)
    assert (found.regressions, found.caught, found.change_recall) == (2, 1, 0.5)
    assert found.case_recall == 0.25
    assert found.saved_all == pytest.approx(1 - 6 / 18)
    assert found.saved_failing == pytest.approx(1 - 4 / 12)
    assert found.saved_passing == pytest.approx(1 - 2 / 6)


def test_no_sequence_of_regressions_exceeds_the_bound():
    # each one harder than all before: what is calibrated on the past alone misses every one
    scores = np.linspace(0.9, 0.1, 300).tolist()
    tracker, missed = RecallTracker(0.9), 0
    for score in scores:
        floor = tracker.promise().threshold
        missed += floor is not None and score < floor
        tracker.learn(Regression((score,)))
    assert 0 < missed <= 0.1 * len(scores) + 0.1 / STEP + CREDIT + 1
