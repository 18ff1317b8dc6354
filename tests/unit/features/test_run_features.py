"""The facts of a run's cases are those that the matrix is made from."""

from dataclasses import fields

import numpy as np
from builders import make_frame, make_query, make_run, run_features

from testopt.features.pipeline import FeatureState
from testopt.features.run_features import NAMES, RunFeatures

CASES = ("t/a.py::a", "t/a.py::b", "t/b.py::new")


def query(i, cases):
    return make_query(cases, run=make_run(f"r{i}", i, branch="main"))


def features():
    """Of a case that failed in two of five runs, one that never did, and a new one."""
    state = FeatureState()
    for i, failed in enumerate([False, True, False, True, False]):
        failing = CASES[:1] if failed else ()
        state.update(make_frame(query(i, CASES[:2]), failing, seconds=[0.5, np.nan]))
    state.finish()
    return state.read(query(9, CASES))


def same(mine, theirs):
    return all(
        np.array_equal(getattr(mine, field.name), getattr(theirs, field.name), equal_nan=True)
        for field in fields(RunFeatures)
    )


def test_facts_are_counts():
    found = features()
    assert found.executions.tolist() == [5, 5, 0]
    assert found.failures.tolist() == [2, 0, 0]
    assert found.is_new.tolist() == [False, False, True]
    np.testing.assert_array_equal(found.runs_since_failure, [1, np.nan, np.nan])
    np.testing.assert_array_equal(found.ticks_since_failure, [2, np.nan, np.nan])
    np.testing.assert_array_equal(found.age_ticks, [5, 5, np.nan])
    np.testing.assert_allclose(found.seconds, [0.5, np.nan, np.nan], rtol=1e-6)
    assert found.has_parent.all()
    assert not found.failing_last.any()
    assert not found.failing_in_parent.any()


def test_the_matrix_is_made_from_the_facts():
    found = features()
    for name in ("executions", "runs_since_failure", "age_ticks"):
        made = np.log2(1.0 + getattr(found, name).astype(np.float64)).astype(np.float32)
        np.testing.assert_array_equal(found.column(name), made)
    np.testing.assert_array_equal(found.column("failure_rate"), np.float32(found.failure_rate))
    assert found.matrix.shape == (3, len(NAMES))


def test_rows_keep_their_facts():
    found = features()
    parts = [found.at(slice(0, 1)), found.at(np.array([False, True, True]))]
    assert same(RunFeatures.concatenate(parts), found)
    assert len(RunFeatures.concatenate([])) == 0
    assert same(RunFeatures.concatenate([found.at(slice(0, 0))]), RunFeatures.concatenate([]))


def test_sources_are_read_or_not_whatever_the_matrix_holds():
    named, read = (run_features(2, sources_read=read) for read in (False, True))
    assert not named.sources_read
    assert read.sources_read
    assert not named.in_change.any()
    assert not run_features(0, sources_read=True).sources_read
