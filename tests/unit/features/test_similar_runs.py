"""Runs of the same cases tell what this run may look like."""

import numpy as np
import pytest

from testopt.features import similar_runs
from testopt.features.similar_runs import NAMES, SimilarRuns

RELEASE = np.array([0, 1, 2], np.int32)
TRUNK = np.array([0, 1, 2, 3, 4], np.int32)


def fill(state, runs):
    for tick, (cases, failing) in enumerate(runs):
        state.update(cases, np.isin(cases, failing), tick)
    return state


def read(state, cases):
    return dict(zip(NAMES, state.read(cases), strict=True))


def test_nothing_is_known_at_first():
    columns = read(SimilarRuns(), RELEASE)
    assert all(np.isnan(column).all() for column in columns.values())
    assert all(column.shape == (3,) for column in columns.values())


def test_the_youngest_of_the_likeliest_runs_decides():
    runs = [(RELEASE, [0]), (TRUNK, [4]), (RELEASE, [1]), (TRUNK, [3])]
    state = fill(SimilarRuns(), runs)
    release = read(state, RELEASE)
    assert release["sibling_failing"].tolist() == [0, 1, 0]
    trunk = read(state, TRUNK)
    assert trunk["sibling_failing"].tolist() == [0, 0, 0, 1, 0]
    assert trunk["sibling_log_odds"].argmax() in (3, 4)


def test_a_new_case_is_unknown_in_its_similar_run():
    state = fill(SimilarRuns(), [(RELEASE, [0])])
    column = read(state, np.array([0, 9], np.int32))
    assert np.isnan(column["sibling_failing"]).tolist() == [False, True]


def test_few_runs_and_sets_are_kept(monkeypatch):
    monkeypatch.setattr(similar_runs, "KEPT", 5)
    monkeypatch.setattr(similar_runs, "MAX_SETS", 2)
    state = fill(SimilarRuns(), [(np.arange(3 + i % 4, dtype=np.int32), [0]) for i in range(12)])
    kept = state.dump()
    assert len(kept["set_ends"]) == 2
    assert len(kept["ticks"]) <= 5
    assert kept["ticks"][-1] == 11


def test_state_survives_dump_and_load_and_goes_on_alike():
    runs = [(RELEASE, [0]), (TRUNK, []), (RELEASE, [1, 2]), (TRUNK, [3])]
    state = fill(SimilarRuns(), runs)
    again = SimilarRuns.load(state.dump(), 5)
    for other in (state, again):
        other.update(TRUNK, np.isin(TRUNK, [2]), 4)
    assert np.array_equal(state.read(TRUNK), again.read(TRUNK), equal_nan=True)


@pytest.mark.parametrize(
    "damage",
    [
        {"sets": np.array([0, 1, 77], np.int32)},
        {"set_ends": np.array([2])},
        {"run_sets": np.array([5])},
        {"failing_ends": np.array([-1])},
    ],
)
def test_damaged_arrays_are_refused(damage):
    state = fill(SimilarRuns(), [(RELEASE, [0])]).dump()
    with pytest.raises(ValueError, match=r"damaged|sets"):
        SimilarRuns.load({**state, **damage}, 5)
