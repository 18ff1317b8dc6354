"""How much of a change a case ran, and where its lines were when that was measured."""

import numpy as np
import pytest

from testopt.impact.coverage_lines import lines_then, ran_share, touched_lines

INSERTED = (range(4, 4), range(5, 8))  # three lines came in after the fourth
REMOVED = (range(10, 13), range(12, 12))  # three lines are gone; the twelfth stands before them
REWRITTEN = (range(20, 22), range(20, 21))
HUNKS = [INSERTED, REMOVED, REWRITTEN]


def test_what_comes_in_between_two_lines_stands_for_both():
    assert touched_lines([range(3, 5), range(7, 7)]) == [{3, 4}, {7, 8}]


@pytest.mark.parametrize(
    ("now", "then"),
    [(4, {4}), (5, {4, 5}), (7, {4, 5}), (8, {5}), (12, {9}), (13, {13}), (19, {19}),
     (20, {20, 21}), (21, {22})],
)  # fmt: skip
def test_lines_in_an_older_version(now, then):
    assert lines_then(frozenset({now}), HUNKS) == then


def test_a_version_that_is_the_same():
    assert lines_then(frozenset({1, 9}), []) == {1, 9}


def test_regions_that_few_ran_tell_more():
    ran = np.array([[1, 1, 0, 0, 0], [0, 1, 1, 1, 0]], bool)
    narrow, both, wide, _, unknown = ran_share(ran, np.array([1, 1, 1, 1, 0], bool))
    assert both == 1.0
    assert 0.0 < wide < narrow < 1.0
    assert np.isnan(unknown)


def test_what_nobody_ran_tells_nothing():
    measured = np.array([True, True])
    assert np.isnan(ran_share(np.zeros((2, 2), bool), measured)).all()
    assert np.isnan(ran_share(np.zeros((0, 2), bool), measured)).all()
    ran = np.array([[False, False], [False, True]])
    assert ran_share(ran, measured).tolist() == [0.0, 1.0]
