"""Features of the past, against values worked out by hand."""

import numpy as np
import pytest
from builders import make_frame, make_query, make_run

from testopt.features.cases import CaseTable
from testopt.features.history import NAMES, HistoryState
from testopt.features.pipeline import FeatureState
from testopt.features.training_set import read_training_set
from testopt.runners.case_ids import split_case


def query(i, cases, **run):
    return make_query(cases, run=make_run(f"r{i:03}", i, **run))


def frame(i, outcomes, seconds=1.0, **run):
    """One run: outcomes by case, True failed, None skipped."""
    failing, skipped = ([c for c, v in outcomes.items() if v is of] for of in (True, None))
    asked = query(i, list(outcomes), **run)
    return make_frame(asked, failing, skipped=skipped, seconds=seconds)


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
    assert np.isnan([row["failure_rate"], row["failing_last"], row["hours_since_failure"]]).all()


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
    assert a["hours_since_failure"] == pytest.approx(np.log2(1 + 4))
    assert a["flip_rate"] == pytest.approx(0.5)
    assert np.isnan(b["hours_since_failure"])
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
    near = [row["neighbours_rate_1"] for row in rows]
    assert near == [pytest.approx(1.0), pytest.approx(0.0), 1.0, 0.0, 0.0]
    assert [row["neighbours_rate_8"] for row in rows] == [
        pytest.approx(v) for v in (2 / 3, 2 / 4, 2 / 3, 1 / 3, 1 / 3)
    ]


def test_a_case_alone_has_no_neighbours():
    state = HistoryState()
    state.update(frame(0, {"a": True}))
    assert np.isnan(read(state, 1, ["a"])[0]["neighbours_rate_3"])
    assert np.isnan([row["neighbours_rate_1"] for row in read(state, 1, ["x", "y"])]).all()
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


def test_a_case_that_is_gone_is_no_failure_of_the_ancestor():
    state = HistoryState()
    state.update(frame(0, {"t::gone": True, "t::a": True, "t::b": False}, branch="main"))
    one, _ = read(state, 1, ["t::a", "t::b"], branch="main")
    assert one["parent_failing_share"] == 0.5


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
