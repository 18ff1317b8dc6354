"""Weights by inverse propensity: unbiased whatever the draws, with an interval that covers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testopt.selection.propensity import horvitz_thompson, weighted_recall

DRAWS = 4000


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.floats(0.05, 0.9))
def test_the_estimate_is_unbiased_whatever_the_propensities(seed, size, least):
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 3, size).astype(float)
    propensity = rng.uniform(least, 1.0, size)
    drawn = rng.random((DRAWS, size)) < propensity
    estimates = [horvitz_thompson(values[d], propensity[d]) for d in drawn]
    # the variance of Poisson sampling is known, so that the tolerance is too
    error = np.sqrt((values**2 * (1.0 / propensity - 1.0)).sum() / DRAWS)
    assert abs(np.mean(estimates) - values.sum()) <= 5.0 * error + 1e-9


def test_it_agrees_with_a_simulation_of_explored_and_refreshed_runs():
    """Left-out cases run where their change is drawn, or they are; the truth is known here."""
    rng = np.random.default_rng(5)
    explore, refresh, runs = 0.2, 0.1, 400
    chance = explore + (1.0 - explore) * refresh
    totals, truth = [], 0
    regressing = rng.poisson(0.5, runs)  # left-out cases that regress, by run
    truth = int(regressing.sum())
    for _ in range(500):
        explored = rng.random(runs) < explore
        found = np.where(explored, regressing, rng.binomial(regressing, refresh)).sum()
        totals.append(horvitz_thompson(np.ones(found), np.full(found, chance)))
    spread = np.std(totals) / np.sqrt(len(totals))
    assert abs(np.mean(totals) - truth) <= 4.0 * spread


@pytest.mark.parametrize("rate", [0.02, 0.1])
def test_the_interval_covers_the_truth(rate):
    rng = np.random.default_rng(6)
    propensity, regressions, covered, lives = 0.3, 200, 0, 300
    for _ in range(lives):
        missed = rng.binomial(regressions, rate)
        found = rng.binomial(missed, propensity)
        made = weighted_recall(
            regressions - missed, np.full(found, propensity), least_propensity=propensity
        )
        covered += made.low - 1e-9 <= 1.0 - missed / regressions <= made.high + 1e-9
    assert covered / lives >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / lives)


def test_finding_nothing_is_not_taken_for_certainty():
    nothing = np.zeros(0)
    seldom = weighted_recall(20, nothing, least_propensity=0.01)
    often = weighted_recall(20, nothing, least_propensity=1.0)
    assert seldom.recall == often.recall == 1.0
    assert seldom.low < 0.1
    assert often.low > 0.8
