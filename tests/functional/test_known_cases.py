"""The cases that a project is known to have: one rule for the command line and the engine."""

import pytest
from builders import make_record, new_store

from testopt.errors import EmptyStoreError
from testopt.ingest import record
from testopt.plan.known_cases import known_cases, last_run_cases

ONE, TWO, DEUX = (f"test_a.py::test_{name}" for name in ("one", "two", "deux"))


@pytest.fixture
def store(tmp_path):
    return new_store(tmp_path)


@pytest.fixture
def add(store):
    """Record a run of some cases; each is a minute younger than the one before."""
    minutes = iter(range(1000))

    def add(commit, *cases, **run):
        at = next(minutes)
        run |= {"hours": at / 60, "commit": commit * 40}
        record(store=store, record=make_record(f"{commit}-{at}", cases, **run))

    return add


def test_cases_that_were_renamed_or_removed_are_not_known(store, add, tmp_path):
    (tmp_path / "test_a.py").write_text("def test_one(): pass\ndef test_deux(): pass\n")
    (tmp_path / "test_b.py").write_text("def test_b(p): pass\n")
    add("1", ONE, TWO, "test_b.py", "test_b.py::test_b[old]", "gone.py::t", "k.C::x")
    add("2", ONE, DEUX, "test_b.py::test_b[new]", "k.C::y")
    add("3", DEUX)
    known = known_cases(store, tmp_path)
    assert known.ids == sorted([ONE, DEUX, "test_b.py::test_b[new]", "k.C::y"])
    assert known.at_last_commit == 1
    assert known.note == "4 cases of the last runs, of which the last had 1 (see --cases)"


def test_many_runs_of_one_case_hide_no_other(store, add, tmp_path):
    (tmp_path / "test_a.py").write_text("def test_one(): pass\ndef test_two(): pass\n")
    add("1", ONE, TWO, job="ci")
    for _ in range(9):  # as someone does who works on it
        add("2", ONE)
    assert known_cases(store, tmp_path).ids == [ONE, TWO]


def test_jobs_and_replays_count_and_seeded_faults_do_not(store, add):
    add("1", ONE, kind="clean", job="backfill")
    add("1", TWO, job="linux")
    add("1", DEUX, kind="mutant")
    known = known_cases(store)
    assert known.ids == sorted([ONE, TWO])
    assert not known.note


def test_the_guess_at_the_next_run_is_the_last_one_of_its_job(store, add):
    assert last_run_cases(store, "linux") == []
    assert last_run_cases(None, "linux") == []
    add("1", ONE, TWO, job="linux")
    add("1", DEUX, job="windows")
    assert last_run_cases(store, "linux") == [ONE, TWO]
    assert last_run_cases(store, "none yet") == [DEUX]


def test_where_nothing_is_known_it_is_said(store):
    for nothing in (store, None):
        with pytest.raises(EmptyStoreError, match="holds no runs"):
            known_cases(nothing)
