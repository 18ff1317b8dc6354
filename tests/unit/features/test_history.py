"""Features of the past, against values worked out by hand."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from testopt.features.cases import CaseTable
from testopt.features.frames import RunFrame
from testopt.features.history import NAMES, HistoryState
from testopt.features.pipeline import FeatureState
from testopt.features.training_set import read_training_set
from testopt.runners.case_ids import split_case
from testopt.schema import FileChange, Run
from testopt.similarity.query import Query

START = datetime(2026, 1, 1, tzinfo=UTC)


def query(i, cases, **run):
    return Query(Run(f"r{i:03}", START + timedelta(hours=i), **run), cases)


def frame(i, outcomes, seconds=1.0, **run):
    """One run: outcomes by case, True failed, None skipped."""
    values = list(outcomes.values())
    return RunFrame(
        query(i, list(outcomes), **run),
        np.array([v is True for v in values]),
        np.array([v is None for v in values]),
        np.full(len(values), seconds, np.float32),
    )


def same(mine, theirs):
    return np.array_equal(mine.matrix, theirs.matrix, equal_nan=True)


def read(state, i, cases, **run):
    _, rows = state.read(query(i, cases, **run))
    return [dict(zip(NAMES, row, strict=True)) for row in rows]


@pytest.mark.parametrize(
    ("case", "parts"),
    [
        ("t/a.py::B::test_c[x-1]", ("t/a.py::B::test_c", "t/a.py::B", "t/a.py")),
        ("t/a.py::test_c", ("t/a.py::test_c", "t/a.py", "t/a.py")),
        ("t/a.py::test_c[a::b]", ("t/a.py::test_c", "t/a.py", "t/a.py")),
        ("78082", ("78082", "78082", "78082")),
        ("org/x/ATest.java", ("org/x/ATest.java", "org/x/ATest.java", "org/x")),
        ("[odd", ("[odd", "[odd", "[odd")),
        ("", ("", "", "")),
    ],
)
def test_split_case(case, parts):
    assert split_case(case) == parts


def test_case_table_survives_odd_ids():
    ids = ["a\nb", "é😀", "\udce9", "", "x" * 10_000]
    table = CaseTable(ids)
    assert table.add(["é😀", "new", "new"]).tolist() == [1, 5, 5]
    again = CaseTable.load(**dict(zip(("data", "ends"), table.dump().values(), strict=True)))
    assert again.ids == [*ids, "new"]


def test_a_stranger_has_no_past():
    (row,) = read(HistoryState(), 0, ["a"])
    assert row["executions"] == 0
    assert np.isnan([row["failure_rate"], row["failing_last"], row["runs_since_failure"]]).all()


def test_rates_streaks_and_recency_by_hand():
    state = HistoryState()
    for i, failed in enumerate([False, True, True, False]):
        state.update(frame(i, {"a": failed, "b": False}))
    a, b = read(state, 6, ["a", "b"])
    assert a["executions"] == pytest.approx(np.log2(5))
    assert a["failure_rate"] == pytest.approx(2.5 / 6)
    assert a["failing_last"] == 0
    assert a["streak"] == pytest.approx(-1)  # one passing run
    assert a["runs_since_failure"] == pytest.approx(1)  # one run after the last failure: log2(2)
    assert a["flip_rate"] == pytest.approx(0.5)
    assert np.isnan(b["runs_since_failure"])
    assert b["streak"] == pytest.approx(-np.log2(5))


def test_skipped_is_not_passed():
    state = HistoryState()
    state.update(frame(0, {"a": True}))
    state.update(frame(1, {"a": None}))
    (row,) = read(state, 2, ["a"])
    assert row["failing_last"] == 1
    assert row["executions"] == pytest.approx(1.0)


def test_failing_in_parent_follows_the_branch_and_else_the_base():
    state = HistoryState()
    state.update(frame(0, {"a": True, "b": False}, branch="main", commit="c0"))
    state.update(frame(1, {"a": False, "b": True}, branch="topic", commit="c1", base="c0"))
    main = read(state, 2, ["a", "b"], branch="main")
    fresh = read(state, 2, ["a", "b"], branch="new", base="c1")
    alone = read(state, 2, ["a", "b"], branch="new")
    assert [r["failing_in_parent"] for r in main] == [1, 0]
    assert [r["failing_in_parent"] for r in fresh] == [0, 1]
    assert np.isnan([r["failing_in_parent"] for r in alone]).all()


def test_a_case_left_out_keeps_what_its_ancestor_said():
    state = HistoryState()
    state.update(frame(0, {"a": True, "b": True}))
    state.update(frame(1, {"b": False}))
    assert [r["failing_in_parent"] for r in read(state, 2, ["a", "b"])] == [1, 0]


def test_jobs_have_their_own_last_outcome():
    state = HistoryState()
    state.update(frame(0, {"a": True}, job="linux"))
    state.update(frame(1, {"a": False}, job="windows"))
    assert read(state, 2, ["a"], job="linux")[0]["failing_in_parent"] == 1
    assert read(state, 2, ["a"], job="windows")[0]["failing_in_parent"] == 0


def test_a_new_parameter_inherits_from_its_function_and_file():
    state = HistoryState()
    for i in range(3):
        state.update(frame(i, {"t.py::f[1]": True, "u.py::g": False}, seconds=2.0))
    (new,) = read(state, 3, ["t.py::f[2]"])
    assert (new["function_rate"], new["file_rate"]) == (1, 1)
    assert np.isnan(new["failure_rate"])
    assert state.seconds(query(3, ["t.py::f[2]", "stranger"])).tolist() == pytest.approx([2.0, 2.0])


def test_variants_teach_and_are_not_history():
    state = FeatureState()
    state.update(frame(0, {"a": False}))
    before = state.dump()
    state.update(frame(1, {"a": True}, kind="mutant"))
    after = state.dump()
    assert all(
        np.array_equal(before[k], after[k], equal_nan=k.startswith("history.case")) for k in before
    )


def test_state_survives_dump_and_load():
    state = FeatureState()
    random = np.random.default_rng(0)
    for i in range(20):
        outcomes = {f"t/{c % 3}.py::f{c}": bool(random.random() < 0.3) for c in range(10 + i)}
        state.update(frame(i, outcomes, branch=f"b{i % 4}", commit=f"c{i}"))
    ask = query(30, [f"t/{c % 3}.py::f{c}" for c in range(40)], branch="b1")
    again = FeatureState.load(state.dump())
    assert same(state.read(ask), again.read(ask))
    again.update(frame(31, {"t/0.py::f0": True, "t/9.py::new": False}))
    state.update(frame(31, {"t/0.py::f0": True, "t/9.py::new": False}))
    assert same(state.read(ask), again.read(ask))


def test_neighbours_are_those_that_came_together():
    state = HistoryState()
    state.update(frame(0, {"a": True, "b": False, "c": True, "d": False}))
    rows = read(state, 1, ["d", "new", "b", "a", "c"])  # in whatever order they run now
    # of the five, "new" was never executed, and "a" is too far from it
    assert [row["neighbours_rate"] for row in rows] == [
        pytest.approx(v) for v in (2 / 3, 1 / 3, 2 / 3, 1 / 3, 1 / 3)
    ]


def test_a_case_alone_has_no_neighbours():
    state = HistoryState()
    state.update(frame(0, {"a": True}))
    assert np.isnan(read(state, 1, ["a"])[0]["neighbours_rate"])
    assert np.isnan([row["neighbours_rate"] for row in read(state, 1, ["x", "y"])]).all()
    assert state.read(query(2, []))[1].shape == (0, len(NAMES))


def test_one_hanging_execution_does_not_make_a_case_expensive():
    state = HistoryState()
    for i, seconds in enumerate([1.0, 1.0, 300.0]):
        state.update(frame(i, {"a": False}, seconds=seconds))
    (cost,) = state.seconds(query(3, ["a"]))
    assert 1 < cost < 10


def test_cases_without_a_duration_cost_what_the_others_do():
    state = HistoryState()
    one = frame(0, {"a.py::x": False, "a.py::y": False, "b.py::z": False})
    one.seconds[:] = [np.nan, 4.0, np.nan]
    state.update(one)
    asked = query(1, ["a.py::x", "a.py::new", "b.py::z", "c.py::new"])
    np.testing.assert_allclose(state.seconds(asked), 4.0, rtol=0.01)


def test_a_run_that_is_not_over_says_nothing_yet():
    state = FeatureState()
    slow = frame(0, {"t::a": True}, source="pytest", duration_s=7200.0)
    state.update(slow)
    early, late = query(1, ["t::a"]), query(9, ["t::a"])
    assert np.isnan(state.read(early).failure_rate[0])
    assert state.read(late).failure_rate[0] == 0.5
    state = FeatureState()
    state.update(slow)
    state.finish()
    assert state.read(early).failure_rate[0] == 0.5


def test_a_run_failed_by_its_environment_teaches_nothing():
    state = FeatureState()
    state.update(frame(0, {"a": False, "b": True}))
    before = state.read(query(1, ["a", "b"]))
    state.update(frame(1, {"a": True, "b": True}, environment_failure=True))
    assert same(before, state.read(query(1, ["a", "b"])))
    frames = [
        frame(0, {"a": False, "b": True}),
        frame(1, {"a": True, "b": True}, environment_failure=True),
    ]
    assert read_training_set(frames, FeatureState()).run.tolist() == [0, 0]


def moved(i, cases, old, new, **run):
    files = tuple(FileChange(b, 0, 0, "R", a) for a, b in zip(old, new, strict=True))
    return replace(query(i, cases, **run), files=files)


def test_a_renamed_file_keeps_its_past():
    state = HistoryState()
    for i in range(3):
        state.update(frame(i, {"old/a.py::t": True, "old/a.py::u": False, "b.py::t": False}))
    before = state.read(query(3, ["old/a.py::t", "old/a.py::u", "b.py::t"]))[1]
    renamed = moved(3, ["new/a.py::t", "new/a.py::u", "b.py::t"], ["old/a.py"], ["new/a.py"])
    assert np.array_equal(state.read(renamed)[1], before, equal_nan=True)
    # what one change says is not known of the next, before it is taken in
    (row, *_) = read(state, 3, ["other/a.py::t"])
    assert row["executions"] == 0


def test_a_rename_that_was_taken_in_lasts_and_is_kept():
    state = HistoryState()
    state.update(frame(0, {"a.py::t[1]": True, "[chromium] a.py::x": True}))
    first = frame(1, {"b.py::t[1]": False, "[chromium] b.py::x": True})
    state.update(replace(first, query=moved(1, first.query.cases, ["a.py"], ["b.py"])))
    second = frame(2, {"c.py::t[1]": True})
    state.update(replace(second, query=moved(2, second.query.cases, ["b.py"], ["c.py"])))
    again = HistoryState.load(state.dump())
    for known in (state, again):
        names = ["a.py::t[1]", "b.py::t[1]", "c.py::t[1]"]
        assert [round(2 ** r["executions"]) for r in read(known, 3, names)] == [4, 4, 4]
        assert round(2 ** read(known, 3, ["[chromium] b.py::x"])[0]["executions"]) == 3


def test_files_that_change_places_stay_two():
    state = HistoryState()
    state.update(frame(0, {"a.py::t": True, "b.py::t": False}))
    swapped = moved(1, ["a.py::t", "b.py::t"], ["a.py", "b.py"], ["b.py", "a.py"])
    assert np.array_equal(
        state.read(swapped)[1], state.read(query(1, ["a.py::t", "b.py::t"]))[1], equal_nan=True
    )
