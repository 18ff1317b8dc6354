"""Tests of the newest plans against those before: few false alarms, and no sleep."""

import numpy as np
import pytest

from testopt.learning.drift import (
    LARGE_PSI,
    log_odds_histogram,
    rise_of_rate,
    shift,
    stability_index,
)


def histograms(rng, runs, *, moved=0, by=2.0):
    """Return a histogram a run, each with its own level; the last `moved` lie higher."""
    level = rng.normal(-5.0, 0.5, runs)
    level[runs - moved :] += by if moved else 0.0
    margins = [rng.normal(mean, 1.0, 200) for mean in level]
    return np.array([log_odds_histogram(1.0 / (1.0 + np.exp(-m))) for m in margins])


def test_histograms_hold_every_probability():
    p = np.array([0.0, 1e-9, 0.001, 0.5, 0.51, 1.0])
    counts = log_odds_histogram(p)
    assert counts.shape == (12,)
    assert counts.sum() == len(p)
    assert counts[0] == 2
    assert counts[-1] == 2


def test_the_index_is_that_of_the_book():
    before, after = np.array([30, 50, 20]), np.array([20, 50, 30])
    by_hand = 2 * 0.1 * np.log(1.5)
    assert stability_index(before, after) == pytest.approx(by_hand)
    assert stability_index(before, before * 7) == pytest.approx(0.0)


def test_a_shift_is_found_with_its_window():
    found = shift(histograms(np.random.default_rng(1), 60, moved=20))
    assert found is not None
    size, index, p = found
    assert size in (10, 20)
    assert index > LARGE_PSI
    assert p <= 0.01


def test_steady_runs_seldom_alarm():
    rng = np.random.default_rng(2)
    alarms = [shift(histograms(rng, 50), seed=n) is not None for n in range(20)]
    assert sum(alarms) <= 1


def test_a_few_runs_are_no_evidence():
    assert shift(histograms(np.random.default_rng(3), 19, moved=9)) is None


def test_a_rise_of_misses_is_found():
    found = rise_of_rate([False] * 50 + [True] * 6 + [False] * 4)
    assert found is not None
    assert found[0] == 10
    # hypergeometric by hand: all six among the newest ten of sixty, three windows tried
    ways = np.prod([(10 - i) / (60 - i) for i in range(6)])
    assert found[1] == pytest.approx(2 * ways, rel=0.6)


@pytest.mark.parametrize("values", [[], [True] * 15, [True] * 100, [False] * 100])
def test_a_steady_rate_is_no_rise(values):
    assert rise_of_rate(values) is None


def test_a_fall_is_no_rise():
    assert rise_of_rate([True] * 30 + [False] * 30) is None


def test_steady_rates_seldom_alarm():
    rng = np.random.default_rng(4)
    alarms = [rise_of_rate((rng.random(100) < 0.1).tolist()) is not None for _ in range(300)]
    assert np.mean(alarms) <= 0.01 + 3 * np.sqrt(0.01 / 300)
