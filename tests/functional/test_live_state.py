"""The state that plans read, kept up with runs as they are recorded."""

import shutil
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from builders import START, make_change, make_record, new_store

from testopt.features.pipeline import FeatureState
from testopt.features.run_history import history
from testopt.features.state_store import CATCH_UP_RUNS, current_state, update_state
from testopt.features.training_set import read_training_set
from testopt.git.pending_run import PendingRun
from testopt.ingest import record
from testopt.plan import plan
from testopt.plan.inputs import PlanInputs
from testopt.report.plans import note, policy_name
from testopt.schema import Change
from testopt.similarity.case_sources import Sources
from testopt.store import Store
from testopt.store.arrays import load_arrays
from testopt.train import train

CASES = [f"t/test_{i}.py::a" for i in range(6)]


@pytest.fixture
def store(tmp_path):
    return new_store(tmp_path)


def record_of(name, minutes, failing=(), **run):
    return make_record(name, CASES, failing, hours=minutes / 60, seconds=1.0, **run)


def add(store, name, minutes, failing=(), **run):
    record(store=store, record=record_of(name, minutes, failing, **run))


def first(store, minutes=1000):
    run = PendingRun(Change(known=True), began=START + timedelta(minutes=minutes))
    return plan(PlanInputs(run, CASES, store)).cases[0].case_id


@pytest.mark.parametrize("late", [True, False])
def test_a_run_that_began_earlier_and_ended_later_is_not_lost(store, late):
    add(store, "r0", 0)
    add(store, "r1", 70 if late else 50)
    add(store, "r2", 60, [CASES[4]])
    assert first(store) == CASES[4]
    for first_of in (3, 22, 41):  # more than one plan catches up with
        runs = [record_of(f"r{i}", 100 + i) for i in range(first_of, first_of + 19)]
        store.append_runs(runs)
        update_state(store, runs=len(runs), results=len(runs) * len(CASES))
    found = current_state(store)
    assert found.state.history.tick == 60
    assert not found.stale


def test_jobs_that_begin_together_are_all_taken_in(store):
    add(store, "b", 0, job="linux")
    add(store, "a", 0, [CASES[2]], job="windows")
    assert first(store) == CASES[2]
    assert current_state(store).state.history.tick == 2


def test_runs_out_of_order_end_where_those_in_order_do(store, tmp_path):
    other = new_store(tmp_path, "other")
    minutes = [0, 30, 10, 20, 50, 40]
    for i, at in enumerate(minutes):
        add(store, f"r{at}", at, [CASES[i]])
    for i, at in sorted(enumerate(minutes), key=lambda pair: pair[1]):
        add(other, f"r{at}", at, [CASES[i]])
    assert (
        current_state(store).state.history.last_run
        == current_state(other).state.history.last_run
        == "r50"
    )
    assert current_state(store).state.history.tick == 6


def test_a_state_kept_by_an_earlier_version_still_serves(store):
    for i in range(5):
        add(store, f"r{i}", i)
    arrays = current_state(store).state.dump()
    del arrays["taken.runs"]
    old = FeatureState.load(arrays)
    runs = [((START + timedelta(minutes=i)).timestamp(), f"r{i}") for i in range(7)]
    assert old.applied_runs(runs) == {f"r{i}" for i in range(5)}


@pytest.mark.integration
def test_functions_that_runs_changed_are_learnt_as_they_are_recorded(store, repository):
    repo, base, commit = repository
    case, change = "tests/test_core.py::test_one", make_change(base=base, head=commit)
    store.append_runs([make_record("r0", [case], [case], change=change, commit=commit, base=base)])
    update_state(store, runs=1, results=1, sources=Sources(repo, store))
    state, trained = current_state(store).state, FeatureState()
    read_training_set(history(store, sources=Sources(repo, store)), trained)
    kept, whole = (
        {k: v.tolist() for k, v in one.cofailure.dump().items()} for one in (state, trained)
    )
    assert kept == whole
    assert len(kept["things"]) >= 3  # function, file and folder
    np.testing.assert_array_equal(
        load_arrays(store.read_blob(_kept(store)))["cofailure.things"], kept["things"]
    )


def _kept(store):
    from testopt.features.run_features import feature_hash

    return f"state/features-{feature_hash()}.npz"


@pytest.fixture
def repository(make_repo):
    repo = make_repo()
    test = "from core import one\n\n\ndef test_one():\n    assert one() == 1\n"
    base = {"core.py": "def one():\n    return 1\n", "tests/test_core.py": test}
    shas = [repo.commit(files=f) for f in (base, {"core.py": "def one():\n    return 2\n"})]
    return repo.path, *shas


@pytest.mark.parametrize("failing", [9, 10])
def test_a_model_of_few_failures_has_no_say(store, failing):
    store.append_runs(
        record_of(f"r{i:02d}", i, CASES[i % 3 : i % 3 + 1] if i < failing else ())
        for i in range(30)
    )
    train(store=store)
    run = PendingRun(Change(known=True), began=START + timedelta(days=1))
    found = plan(PlanInputs(run, CASES, store))
    young = failing < 10
    assert found.calibrated is not young
    assert (policy_name(found) == "untrained") is young
    assert ("no say before 10 failing runs (9 so far)" in note(found)) is young


def test_a_table_made_anew_does_not_pass_for_what_was_kept(store):
    for i in range(3):
        add(store, f"r{i}", i)
    store.append_runs(record_of(f"r{i}", i) for i in range(3, 70))
    shutil.rmtree(Path(store.url) / "runs" / "_delta_log")
    store = Store.open(store.url)
    assert {p.mended for p in store.check(repair=True)} == {True}
    store = Store.open(store.url)
    found = current_state(store)
    assert found.state.history.tick == CATCH_UP_RUNS
    assert found.stale
