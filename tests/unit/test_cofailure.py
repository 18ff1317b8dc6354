"""What failed when the same things were changed before."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from testopt.bundle import dump_arrays, load_arrays
from testopt.features.cofailure import KEEP, NAMES, CoFailure
from testopt.features.frames import Query, RunFrame
from testopt.schema import FileChange, Run

CASES = ("tests/a.py::one[1]", "tests/a.py::one[2]", "tests/a.py::two", "tests/b.py::three")


def query(*paths):
    run = Run("r", datetime(2024, 1, 1, tzinfo=UTC))
    return Query(run, CASES, tuple(FileChange(path) for path in paths))


def frame(paths, failed):
    bad = np.array([case in failed for case in CASES])
    return RunFrame(query(*paths), bad, np.zeros(4, bool), np.ones(4, np.float32))


def column(state, name, *paths):
    return state.read(query(*paths))[:, NAMES.index(name)].tolist()


def test_nothing_is_known_before_a_thing_was_changed():
    state = CoFailure()
    assert np.isnan(state.read(query("src/x.py"))).all()
    state.update(frame(["src/x.py"], CASES[:1]))
    assert np.isnan(state.read(query("lib/y.py"))).all()
    assert np.isnan(state.read(query())).all()


def test_shares_of_the_changes_by_case_function_and_file():
    state = CoFailure()
    state.update(frame(["src/x.py"], CASES[:1]))
    assert column(state, "failed_with_path_case", "src/x.py") == [0.5, 0, 0, 0]
    assert column(state, "failed_with_path_function", "src/x.py") == [0.5, 0.5, 0, 0]
    assert column(state, "failed_with_path_file", "src/x.py") == [0.5, 0.5, 0.5, 0]
    assert column(state, "failed_with_path_file_share", "src/x.py") == [1, 1, 1, 0]
    assert column(state, "failed_with_folder_case", "src/other.py") == [0.5, 0, 0, 0]


def test_later_changes_without_the_failure_make_it_fade():
    state = CoFailure()
    state.update(frame(["x.py"], CASES[3:]))
    state.update(frame(["x.py"], ()))
    expected = KEEP / (1 + KEEP + 1)
    assert column(state, "failed_with_path_case", "x.py")[3] == pytest.approx(expected)


def test_the_nearest_of_several_changed_files_counts():
    state = CoFailure()
    state.update(frame(["x.py"], CASES[:1]))
    state.update(frame(["y.py"], CASES[3:]))
    assert column(state, "failed_with_path_case", "x.py", "y.py") == [0.5, 0, 0, 0.5]


def test_reading_changes_nothing_and_the_state_survives_a_file():
    state = CoFailure()
    for failed in (CASES[:2], CASES[2:], ()):
        state.update(frame(["src/x.py", "src/y.py"], failed))
    before = state.read(query("src/x.py"))
    again = CoFailure.load(load_arrays(dump_arrays(state.dump())))
    np.testing.assert_array_equal(again.read(query("src/x.py")), before)
    for one in (state, again):
        one.update(frame(["src/x.py"], CASES[:1]))
    np.testing.assert_array_equal(again.read(query("src/x.py")), state.read(query("src/x.py")))


def test_an_empty_state_survives_a_file():
    assert np.isnan(CoFailure.load(CoFailure().dump()).read(query("x.py"))).all()


def told(state, *paths):
    return state.told(query(*paths))


def test_counts_and_the_last_commit_in_words():
    state = CoFailure()
    for n, failed in enumerate((CASES[:1], (), CASES[:1], ())):
        run = Run("r", datetime(2024, 1, 1, tzinfo=UTC), commit=f"{n}f2a91c" + "0" * 33)
        made = frame(["src/x.py"], failed)
        state.update(
            RunFrame(Query(run, CASES, made.query.files), made.failed, *[made.skipped] * 2)
        )
    words = "failed in 2 of 4 changes to `src/x.py`, last at 2f2a91c"
    again = CoFailure.load(load_arrays(dump_arrays(state.dump())))
    for one in (state, again):
        assert told(one, "src/x.py") == {0: words}
        assert told(one, "src/other.py") == {0: words.replace("src/x.py", "src/")}
        assert told(one, "docs/y.md") == {}


def test_a_state_without_counts_begins_to_count():
    state = CoFailure()
    state.update(frame(["x.py"], CASES[:1]))
    old = {name: a for name, a in state.dump().items() if name not in ("counts", "hits")}
    state = CoFailure.load(old)
    assert told(state, "x.py") == {}
    state.update(frame(["x.py"], CASES[3:]))
    assert told(state, "x.py") == {3: "failed in 1 of 1 changes to `x.py`"}
