"""How many runs broke something, counted in passes as it is in one."""

import random

import pytest
from builders import make_record, new_store

from testopt.schema import FAILING, Result
from testopt.selection import regressed_runs
from testopt.store.run_summary import real_runs


@pytest.fixture
def store(tmp_path):
    chance = random.Random(3)
    records = []
    for n in range(40):
        made = make_record(f"r{n}", hours=n, job=f"job{n % 3}")
        results = [
            Result(f"t{i}", chance.choice(["passed"] * 6 + ["failed", "error", "skipped"]), 0.1, k)
            for i in range(12)
            for k in range(1, chance.choice([2, 2, 3]))
        ]
        records.append(type(made)(made.run, results, made.change))
    return new_store(tmp_path, records=records)


def by_hand(store):
    jobs = {run["run_id"]: (run["job"], run["time"]) for run in real_runs(store)}
    last = {}
    for row in sorted(store.read("results").to_pylist(), key=lambda row: row["attempt"]):
        last[row["case_id"], *jobs[row["run_id"]], row["run_id"]] = row["outcome"]
    found, before = set(), (None, None, None)
    for (case, job, _, run), outcome in sorted(last.items()):
        if outcome in FAILING and before == (case, job, "passed"):
            found.add(run)
        before = case, job, outcome
    return len(found)


@pytest.mark.parametrize("most", [1, 100, 10**9])
def test_as_many_as_by_hand(store, monkeypatch, most):
    monkeypatch.setattr(regressed_runs, "_MOST_RESULTS", most)
    runs = real_runs(store)
    assert regressed_runs.count_regressed_runs(store, runs) == by_hand(store) > 20


def test_runs_that_do_not_count_break_nothing(store):
    assert regressed_runs.count_regressed_runs(store, []) == 0
    assert regressed_runs.count_regressed_runs(store, real_runs(store)[-1:]) == 0
