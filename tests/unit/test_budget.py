"""A risky change gets a larger share of the test budget, and the mean stays what it was."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testopt.estimators.budget import SPREAD, budget_factor

share = st.floats(0.0, 1.0)


@given(share, share, share)
def test_a_riskier_change_never_gets_less(low, high, spread):
    low, high = sorted((low, high))
    first, second = budget_factor(low, spread=spread), budget_factor(high, spread=spread)
    assert 0.0 <= 1.0 - spread <= first <= second <= 1.0 + spread <= 2.0


def test_the_mean_budget_is_the_usual_one():
    assert np.mean([budget_factor(p) for p in np.linspace(0, 1, 101)]) == pytest.approx(1.0)
    assert (budget_factor(0.0), budget_factor(1.0)) == (1.0 - SPREAD, 1.0 + SPREAD)


def test_unknown_risk_changes_nothing():
    assert budget_factor(None) == 1.0
    assert budget_factor(0.9, spread=0.0) == 1.0


@pytest.mark.parametrize(("percentile", "spread"), [(1.1, 0.5), (-0.1, 0.5), (0.5, 1.5)])
def test_values_that_are_no_shares_are_refused(percentile, spread):
    with pytest.raises(ValueError, match=r"not in 0\.\.1"):
        budget_factor(percentile, spread=spread)
