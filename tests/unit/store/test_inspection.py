"""A check looks at the keys of a large table in parts, and finds what it finds at once."""

import numpy as np
import pytest
from builders import make_record, new_store

from testopt.store import inspection
from testopt.store.delta import TableLog
from testopt.store.location import Location
from testopt.store.parquet import bounds_of, extremes_of, joined_bounds


@pytest.fixture
def state(tmp_path):
    store, ids = new_store(tmp_path), [f"t.py::test_{n}" for n in range(7)]
    store.append_runs([make_record(f"run-{i}", ids) for i in range(9)])
    log = TableLog(Location(store.url), "results")
    rows = store.read("results", where=[("run_id", "in", ["run-2", "run-5"])]).slice(3)
    log.append({"again": rows})
    return inspection.snapshot({"results": log}, is_idle=True)["results"]


def test_parts_find_the_rows_that_stand_there_twice(state, monkeypatch):
    runs = [f"run-{i}" for i in range(9)]
    counts, again = inspection.cases_of_runs(state), inspection.doubled_rows(state, runs)
    assert counts == dict.fromkeys(runs, 7)
    assert again is not None
    assert again.sum() == 11
    monkeypatch.setattr(inspection, "_ROWS_AT_ONCE", 10)
    assert len(list(state.parts(["run_id"]))) > 5
    assert inspection.cases_of_runs(state) == counts
    assert np.array_equal(inspection.doubled_rows(state, runs), again)
    assert inspection.doubled_rows(state, ["run-5"]).sum() < 11
    assert inspection.doubled_rows(state, []) is None


def test_a_table_past_a_network_is_read_once(state, monkeypatch):
    monkeypatch.setattr(inspection, "_ROWS_AT_ONCE", 10)
    read = []
    part = lambda _self, _columns, files, *_: (read.append(files), None, 0)  # noqa: E731
    monkeypatch.setattr(inspection.TableState, "_part", part)
    monkeypatch.setattr(inspection, "runs_of", lambda *_: {"run"})
    monkeypatch.setitem(vars(state.log.location), "local", None)
    assert len(list(state.parts(["run_id"]))) == 1
    assert read == [state.files]


def test_files_without_a_common_run_are_read_once(tmp_path, monkeypatch):
    store, ids = new_store(tmp_path), [f"t.py::test_{n}" for n in range(7)]
    for i in range(6):
        store.append_runs([make_record(f"run-{i}", ids, hours=i)])
    log = TableLog(Location(store.url), "results")
    log.append({"again": store.read("results", where=[("run_id", "==", "run-2")])})
    state = inspection.snapshot({"results": log}, is_idle=True)["results"]
    monkeypatch.setattr(inspection, "_ROWS_AT_ONCE", 7)
    parts = [set(rows["run_id"].to_pylist()) for _, rows in state.parts(["run_id"])]
    assert parts[:2] == [{"run-0"}, {"run-1"}]
    assert sum(map(len, parts)) == 6
    again = inspection.doubled_rows(state, [f"run-{i}" for i in range(6)])
    assert (again.sum(), len(again)) == (7, 49)
    assert inspection.cases_of_runs(state) == {f"run-{i}": 7 for i in range(6)}


def test_bounds_of_parts_are_those_of_the_whole(state):
    rows = state.read(["run_id", "case_id"])
    parts = [extremes_of("results", rows.slice(at, 10)) for at in range(0, rows.num_rows, 10)]
    assert joined_bounds(parts) == bounds_of("results", rows)
