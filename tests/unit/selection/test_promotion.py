"""When a selection is trusted: rules, their replay, and the test that ends it."""

import numpy as np
import pytest

from testopt.selection.promotion import (
    DAY_S,
    PlanOutcome,
    Rules,
    SelectionRecord,
    evidence_against,
    promotion,
)

START = 1_750_000_000.0


def outcomes(missed: str, *, every: float = DAY_S, start: float = START, allowed: float = 0.05):
    """Return one verdict a day: ``x`` is a miss."""
    return tuple(
        PlanOutcome(f"run {start + i * every:.0f}", start + i * every, mark == "x", allowed)
        for i, mark in enumerate(missed)
    )


def record(missed: str, *, days: float | None = None, **given) -> SelectionRecord:
    last = START + (len(missed) if days is None else days) * DAY_S
    return SelectionRecord(START, last, outcomes(missed, **given))


def test_nothing_yet():
    trust = promotion(SelectionRecord())
    assert (trust.state, trust.selects) == ("shadow", False)
    assert trust.why == "in shadow: 0 of 30 regressions, 0 of 14 days"


def test_both_time_and_regressions_are_asked_for():
    assert promotion(record("." * 29)).state == "shadow"
    assert promotion(record("." * 30)).state == "select"
    soon = promotion(record("." * 40, every=60.0, days=6))
    assert soon.why == "in shadow: 40 of 30 regressions, 6 of 14 days"
    assert promotion(record("." * 40, every=60.0, days=14)).state == "select"


@pytest.mark.parametrize(("missed", "state"), [(1, "select"), (2, "shadow")])
def test_misses_in_shadow_must_be_within_the_promise(missed, state):
    trust = promotion(record("x" * missed + "." * (30 - missed)))
    assert trust.state == state
    if state == "shadow":
        assert "2 missed where 1.5 are allowed" in trust.why


def test_more_regressions_make_up_for_misses():
    assert promotion(record("xx" + "." * 38)).state == "select"


def test_misses_end_it_and_it_begins_anew():
    fallen = promotion(record("." * 30 + "xx"))
    assert (fallen.state, fallen.regressions) == ("shadow", 0)
    assert "rolled back on 2025-" in fallen.why
    again = promotion(record("." * 30 + "xx" + "." * 29))
    assert (again.state, again.regressions, again.misses) == ("shadow", 29, 0)
    assert promotion(record("." * 30 + "xx" + "." * 30)).state == "select"


def test_a_single_miss_does_not_end_a_promise_of_95_percent():
    assert promotion(record("." * 31 + "x" + "." * 3)).state == "select"


def test_a_single_miss_ends_a_promise_of_everything():
    assert promotion(record("." * 31 + "x", allowed=0.0)).state == "shadow"


def test_the_future_does_not_change_what_was_earned():
    """A run that comes later than the promotion cannot undo it by counting as shadow."""
    before = record("." * 30)
    after = record("." * 30 + "x")
    assert promotion(before).state == promotion(after).state == "select"


def test_a_stale_bundle_or_drift_stops_it_while_they_last():
    earned = record("." * 30)
    stale = promotion(earned, stale="the bundle is stale")
    assert (stale.state, stale.selects) == ("rolled back", False)
    assert stale.why == "everything runs: the bundle is stale"
    moved = SelectionRecord(
        earned.first, earned.last, earned.outcomes, "probabilities have shifted"
    )
    assert promotion(moved).why == "everything runs: probabilities have shifted"
    assert promotion(earned).state == "select"


@pytest.mark.parametrize(("promote", "state"), [("always", "select"), ("never", "shadow")])
def test_settings_force_it(promote, state):
    for missed in ("", "x" * 40, "." * 40):
        trust = promotion(record(missed), Rules(promote))
        assert trust.state == state
        assert promote in trust.why


def test_the_rules_are_configurable():
    rules = Rules(days=1, regressions=2)
    assert promotion(record(".", days=9), rules).state == "shadow"
    assert promotion(record("..", days=0.5), rules).state == "shadow"
    assert promotion(record("..", days=1), rules).state == "select"


def test_evidence_against_a_promise():
    assert evidence_against(()) == 1.0
    assert evidence_against(outcomes(".....")) < 1.0
    assert evidence_against(outcomes("xx")) > evidence_against(outcomes("x"))
    assert evidence_against(outcomes("xx")) > 20.0  # the level of 5 %
    assert evidence_against(outcomes("x" + "." * 10)) < 20.0


def test_a_kept_promise_is_seldom_ended_however_long_it_is_watched():
    """Ville's inequality: the chance to exceed 20 ever is at most 5 %; here 300 looks."""
    rng = np.random.default_rng(7)
    ended, lives = 0, 200
    for _ in range(lives):
        missed = rng.random(300) < 0.05
        ratios = np.cumsum(
            np.log(
                [
                    np.where(missed, worse / 0.05, (1 - worse) / 0.95)
                    for worse in 0.05 + np.array([0.05, 0.1, 0.2, 0.4, 0.7]) * 0.95
                ]
            ),
            axis=1,
        )
        path = np.exp(ratios).mean(axis=0)
        marks = "".join("x" if m else "." for m in missed)
        assert path[-1] == pytest.approx(evidence_against(outcomes(marks)))
        ended += bool((path >= 20.0).any())
    assert ended / lives <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / lives)


def test_a_broken_promise_is_ended_soon():
    rng = np.random.default_rng(8)
    lives = [promotion(record("." * 30 + _marks(rng, 0.3, 30))) for _ in range(50)]
    assert sum(trust.fallen or not trust.selects for trust in lives) >= 45


def _marks(rng, rate, count):
    return "".join("x" if rng.random() < rate else "." for _ in range(count))


def by_hand(missed: str, *, after: str = "", at: float = 0.0, promote="auto"):
    """Return where a selection stands that was rolled back on the day `at`."""
    since = START + at * DAY_S
    found = outcomes(missed + after)
    last = found[-1].known if found else None
    return promotion(SelectionRecord(START, last, found, rolled_back=since), Rules(promote=promote))


@pytest.mark.parametrize("promote", ["auto", "always"])
def test_a_rollback_by_hand_counts_and_trust_is_earned_anew(promote):
    trust = by_hand("." * 40, at=39.5, promote=promote)
    assert (trust.state, trust.fallen, trust.regressions) == ("shadow", True, 0)
    assert "rolled back by hand on 2025-" in trust.why
    assert by_hand("." * 40, after="." * 31, at=39.5, promote=promote).selects
    assert by_hand("." * 40, after="." * 29, at=39.5, promote=promote).fallen


def test_a_rollback_before_any_plan_and_under_never():
    assert promotion(SelectionRecord(rolled_back=START), Rules(promote="always")).fallen
    assert "never" in by_hand("." * 40, at=1.0, promote="never").why
