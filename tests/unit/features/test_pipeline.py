"""Variants teach which cases go with a change; they are no history, and no hint to each other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from builders import make_frame, make_query, make_run

from testopt.features import history
from testopt.features.pipeline import FeatureState
from testopt.features.run_features import NAMES
from testopt.schema import FileChange

CASES = ("tests/a.py::one", "tests/b.py::two")
WITH_PATH = NAMES.index("failed_with_path_case")


def frame(kind, failed, base="c0"):
    run = make_run(commit=f"{kind}{base}", base=base, kind=kind)
    changed = FileChange("src/x.py", tokens="parse_table")
    return make_frame(make_query(CASES, changed, run=run), failed)


def asked(state):
    return state.read(frame("real", ()).query).matrix


def test_a_variant_says_what_goes_with_a_change_once_its_commit_is_over():
    state = FeatureState()
    state.update(frame("clean", ()))
    state.update(frame("mutant", CASES[:1]))
    assert asked(state)[:, WITH_PATH].tolist() == [0.0, 0.0]
    state.update(frame("reverse", CASES[:1]))
    assert asked(state)[:, WITH_PATH].tolist() == [0.0, 0.0]
    state.update(frame("mutant", (), base="c1"))
    assert asked(state)[0, WITH_PATH] > 0.4
    assert asked(state)[1, WITH_PATH] == 0.0


def test_what_is_kept_for_plans_knows_the_last_variants_too():
    state = FeatureState()
    state.update(frame("clean", ()))
    state.update(frame("mutant", CASES[:1]))
    again = FeatureState.load(state.dump())
    assert asked(again)[0, WITH_PATH] > 0.0


def test_a_variant_is_no_history():
    taught, plain = FeatureState(), FeatureState()
    for state in (taught, plain):
        state.update(frame("clean", ()))
    taught.update(frame("mutant", CASES))
    taught.update(frame("mutant", (), base="c1"))
    past = len(history.NAMES)
    np.testing.assert_array_equal(asked(taught)[:, :past], asked(plain)[:, :past])


def test_a_disturbed_run_teaches_nothing():
    state = FeatureState()
    bad = frame("real", CASES)
    run = replace(bad.query.run, environment_failure=True)
    state.update(replace(bad, query=replace(bad.query, run=run)))
    assert np.isnan(asked(state)[:, WITH_PATH]).all()
