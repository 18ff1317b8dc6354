"""When a challenger takes the place of the live model: evidence, age, a share of the changes."""

import math

import numpy as np
import pytest

from testopt.selection.plan_log import STALE_RUNS
from testopt.selection.standing import Standing, Trial
from testopt.selection.takeover import (
    CANARY_PLANS,
    CANARY_RUNS,
    Canary,
    Contender,
    after,
    evidence,
    is_beyond_chance,
    judged,
    take_over,
)

LIVE, NEW = Contender("live", 40), Contender("new", 50)
BETTER = judged(Trial("new", "live"), [0.1] * 60)
WORSE = judged(Trial("new", "live"), [-0.1] * 60)
EVEN = judged(Trial("new", "live"), [0.01, -0.01] * 30)


def step(champion=LIVE, new=NEW, trial=EVEN, share=0.1, canary=None):
    return take_over(champion, new, trial, share=share, canary=canary).step


def test_evidence_of_differences():
    assert evidence(()) == 1.0
    assert is_beyond_chance(BETTER.wealth)
    assert is_beyond_chance(WORSE.against)
    assert not is_beyond_chance(EVEN.wealth)
    assert not is_beyond_chance(EVEN.against)
    assert (BETTER.runs, BETTER.mean) == (60, pytest.approx(0.1))
    once = judged(Trial(), [0.1, -0.3, 0.2])
    assert once == judged(judged(Trial(), [0.1]), [-0.3, 0.2])  # run by run or all at once
    assert all(map(math.isfinite, judged(Trial(), [5.0, -5.0]).wealth))


@pytest.mark.parametrize("deviation", [0.03, 0.2])
def test_chance_seldom_replaces_a_model_however_often_it_is_looked_at(deviation):
    rng = np.random.default_rng(1)
    wrong = 0
    for _ in range(60):
        trial = Trial()
        for d in rng.normal(0.0, deviation, 300):
            trial = judged(trial, [d])
            if is_beyond_chance(trial.wealth):
                wrong += 1
                break
    assert wrong <= 6


def test_a_model_that_cannot_be_used_gives_way_at_once():
    assert step(champion=Contender()) == "live"
    assert step(champion=Contender("live", trouble="damaged"), trial=WORSE) == "live"


def test_only_what_is_better_beyond_chance_takes_over_after_a_share_of_the_changes():
    assert step(trial=Trial()) == "challenger"
    assert step() == "challenger"
    assert step(trial=BETTER) == "canary"
    assert step(trial=BETTER, share=0.0) == "live"
    assert step(trial=WORSE) == "refused"


@pytest.mark.parametrize(
    ("champion", "new"), [(Contender("live", 40, STALE_RUNS + 1), NEW), (LIVE, Contender("n", 80))]
)
def test_an_old_model_gives_way_to_one_that_is_not_worse(champion, new):
    assert step(champion, new, Trial()) == "live"
    assert step(champion, new, EVEN) == "live"
    assert step(champion, new, WORSE) == "refused"


def test_a_model_that_was_rolled_back_to_is_replaced_by_evidence_alone():
    held = Contender("live", 1, STALE_RUNS + 1, held=True)
    assert step(held, NEW, EVEN) == "challenger"
    assert step(held, NEW, BETTER) == "canary"


@pytest.mark.parametrize(
    ("canary", "expected"),
    [
        (Canary(CANARY_PLANS - 1, CANARY_RUNS - 1), "waits"),
        (Canary(CANARY_PLANS, CANARY_PLANS), "live"),
        (Canary(0, CANARY_RUNS), "live"),  # where plans are not recorded
        (Canary(CANARY_PLANS, 50, "its plans missed 5 of 6 regressions"), "refused"),
    ],
)
def test_the_end_of_a_canary(canary, expected):
    standing = after(
        Standing("live", trial=BETTER), take_over(LIVE, NEW, BETTER, share=0.1), BETTER, "new",
        last=5.0, share=0.1,
    )  # fmt: skip
    assert (standing.bundle, standing.trial.bundle, standing.trial.canary) == ("live", "new", 0.1)
    newer = Contender("newer", 55)
    outcome = take_over(LIVE, newer, standing.trial, share=0.1, canary=canary)
    assert (outcome.step, outcome.bundle) == (expected, "new")
    end = after(standing, outcome, standing.trial, "newer", last=9.0, share=0.1)
    assert end.bundle == ("new" if expected == "live" else "live")
    assert end.trial.bundle == ("new" if expected == "waits" else "newer")
    assert end.before == (("live",) if expected == "live" else ())
    assert end.trial.judged == 9.0


def test_challengers_follow_each_other_on_one_trial():
    outcome = take_over(LIVE, NEW, EVEN, share=0.1)
    standing = after(Standing("live", trial=EVEN), outcome, EVEN, "new", last=7.0, share=0.1)
    assert (standing.trial.bundle, standing.trial.runs, standing.trial.judged) == ("new", 60, 7.0)
    assert after(standing, outcome, EVEN, "later", last=8.0, share=0.1).trial.wealth == EVEN.wealth
