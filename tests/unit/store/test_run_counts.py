"""What the row of a run counts when the run comes in parts."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from builders import append_rows, make_record, new_store

from testopt.store import Store

COUNTS = ("cases", "failed", "error", "skipped", "duration_s", "complete")


def part(store, name, *outcomes, run_id="1", attempt=1):
    rows = [
        {"run_id": run_id, "case_id": f"{name}{n}", "outcome": outcome, "attempt": attempt,
         "duration_s": 0.5}
        for n, outcome in enumerate(outcomes)
    ]  # fmt: skip
    append_rows(store, "results", rows, f"{run_id}#{name}-{attempt}")


def counts(store, run_id="1"):
    (row,) = store.read("runs", columns=COUNTS, where=[("run_id", "=", run_id)]).to_pylist()
    return tuple(row.values())


@pytest.fixture
def store(tmp_path):
    return new_store(tmp_path, "s", [make_record("1", ["a0"], seconds=0.5), make_record("2", "xy")])


def test_each_part_is_counted(store):
    part(store, "b", "failed", "skipped", "error", "passed")
    assert store.recount("1")
    assert counts(store) == (5, 1, 1, 1, 2.5, True)
    assert not store.recount("1")  # nothing has changed
    version = store.version("runs")
    assert not store.recount("1")
    assert (store.version("runs"), counts(store, "2")[0]) == (version, 2)
    assert store.check() == []


def test_the_last_attempt_counts(store):
    part(store, "b", "failed")
    part(store, "b", "passed", attempt=2)
    store.recount("1")
    assert counts(store) == (2, 0, 0, 0, 1.5, True)


def test_a_part_that_is_cut_short_makes_the_run_incomplete(store):
    assert store.recount("1", complete=False)
    assert counts(store)[-1] is False
    store.recount("1")
    assert counts(store)[-1] is False


def test_a_run_that_is_not_there(store):
    assert not store.recount("3")


def test_of_many_writers_the_last_one_counts_all(store, tmp_path):
    def bring(n):
        own = Store.open(str(tmp_path / "s"))
        part(own, f"p{n}_", "passed", "failed")
        own.recount("1")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(bring, range(8)))
    assert counts(store) == (17, 8, 0, 0, 8.5, True)
    assert counts(store, "2")[0] == 2
    assert store.check() == []
    store.compact()
    assert counts(store) == (17, 8, 0, 0, 8.5, True)
