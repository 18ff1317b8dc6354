"""What belongs to the front of an order: edited cases, and those that failed in the run before."""

import numpy as np
import pytest
from builders import run_features

from testopt.ranking.cost_order import run_order
from testopt.ranking.front import EDITED, FAILING_BEFORE, FEW, NEW, lead, leading
from testopt.ranking.orderings import cost_exponent, priority

MANY = 1418
ONE = np.arange(MANY) == 794


def places(features, seconds, p=None):
    """Return the place of each case, from 1."""
    value, exponent = priority(features, p), cost_exponent(features, p)
    order = run_order(value, seconds, [f"{i:05d}" for i in range(len(value))], exponent=exponent)
    place = np.empty(len(order), int)
    place[order] = np.arange(1, len(order) + 1)
    return place


@pytest.mark.parametrize("new", [False, True])
@pytest.mark.parametrize("model", [False, True])
def test_an_edited_case_stands_before_cases_that_are_close_to_the_change(new, model):
    features = run_features(
        MANY, executions=np.where(ONE & new, 0, 9), prior=np.where(ONE, 0.0, 0.4),
        in_change=ONE * 1.0, sources_read=True,
    )  # fmt: skip
    seconds = np.where(ONE, 0.3, 0.01)  # what is assumed of a case that was never timed
    p = np.where(ONE, 0.003, 0.02) if model else None
    assert places(features, seconds, p)[ONE] == 1


@pytest.mark.parametrize("model", [False, True])
def test_what_failed_in_the_run_before_stands_first_however_close_others_are(model):
    features = run_features(
        MANY, executions=1, failures=ONE, runs_since_failure=np.where(ONE, 0.0, np.nan),
        has_parent=True, failing_in_parent=ONE, failing_last=ONE, sources_read=True,
        prior=np.where(ONE, 0.0, 1.0),
    )  # fmt: skip
    seconds = np.where(ONE, 2.0, 0.01)
    assert places(features, seconds, np.full(MANY, 0.02) if model else None)[ONE] == 1


def test_where_much_fails_anyway_a_failure_gives_no_lead():
    failing = np.arange(100) < 50
    assert not lead(run_features(100, executions=3, failing_in_parent=failing)).any()
    few = np.arange(8) < FEW
    given = lead(run_features(8, executions=3, failing_in_parent=few))
    assert given.tolist() == [FAILING_BEFORE] * FEW + [0.0] * (8 - FEW)


def test_a_new_case_leads_a_little_where_its_source_is_read():
    runs = np.array([0, 5])
    assert lead(run_features(2, executions=runs, sources_read=True)).tolist() == [NEW, 0.0]
    assert not lead(run_features(2, executions=runs)).any()
    assert not lead(run_features(2, executions=0, sources_read=True)).any()
    helper = run_features(2, executions=5, in_change=[0.5, 1.0], sources_read=True)
    assert lead(helper).tolist() == [0.0, EDITED]


def test_a_lead_costs_time_like_everything_else():
    features = run_features(2, executions=9, in_change=[1.0, 0.0], prior=0.5, sources_read=True)
    assert places(features, np.array([0.1, 0.1])).tolist() == [1, 2]
    assert places(features, np.array([3600.0, 0.01])).tolist() == [2, 1]


def test_what_must_run_leads_unless_it_takes_too_long():
    must = np.arange(40) % 10 == 0
    order = np.arange(40)[::-1]
    assert (leading(must, order, np.ones(40)) == must).all()
    slow = np.where(np.arange(40) == 20, 9.0, 1.0)
    assert np.flatnonzero(leading(must, order, slow)).tolist() == [0, 10, 30]
    assert not leading(must & False, order, slow).any()
