"""What failed when the same things were changed before."""

from __future__ import annotations

import numpy as np
import pytest
from builders import make_frame, make_query, make_run

from testopt.features.cofailure import KEEP, KEEP_UNSEEN, NAMES, CoFailure
from testopt.features.pipeline import FeatureState
from testopt.reasons import words
from testopt.store.arrays import dump_arrays, load_arrays

CASES = ("tests/a.py::one[1]", "tests/a.py::one[2]", "tests/a.py::two", "tests/b.py::three")


def query(*paths):
    return make_query(CASES, *paths)


def frame(paths, failed):
    return make_frame(query(*paths), failed)


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
    assert column(state, "failed_with_folder_file", "src/other.py") == [0.5, 0.5, 0.5, 0]


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


def past_of(state, *paths):
    return {at: words(reason) for at, reason in state.reasons(query(*paths)).items()}


def test_counts_and_the_last_commit_in_words():
    state = CoFailure()
    for n, failed in enumerate((CASES[:1], (), CASES[:1], ())):
        run = make_run(commit=f"{n}f2a91c" + "0" * 33)
        state.update(make_frame(make_query(CASES, "src/x.py", run=run), failed))
    text = "failed in 2 of 4 changes to `src/x.py`, last at 2f2a91c"
    again = CoFailure.load(load_arrays(dump_arrays(state.dump())))
    for one in (state, again):
        assert past_of(one, "src/x.py") == {0: text}
        assert past_of(one, "src/other.py") == {0: text.replace("src/x.py", "src/")}
        assert past_of(one, "docs/y.md") == {}


def test_a_state_without_counts_begins_to_count():
    state = CoFailure()
    state.update(frame(["x.py"], CASES[:1]))
    old = {name: a for name, a in state.dump().items() if name not in ("counts", "hits")}
    state = CoFailure.load(old)
    assert past_of(state, "x.py") == {}
    state.update(frame(["x.py"], CASES[3:]))
    assert past_of(state, "x.py") == {3: "failed in 1 of 1 changes to `x.py`"}


def of_commit(number, failed, ran=CASES, kind="real", **run):
    run = make_run(f"r{number}", **{"commit": f"{number:07x}", "kind": kind, **run})
    return make_frame(make_query(ran, "src/x.py", run=run), failed)


def after(*frames):
    state = CoFailure()
    for one in frames:
        state.update(one)
    return state


def test_shards_jobs_and_repeated_runs_of_a_commit_are_one_change():
    whole = after(of_commit(1, CASES[:1]), of_commit(2, CASES[3:]), of_commit(3, ()))
    parts = after(
        of_commit(1, CASES[:1], CASES[:2]),
        of_commit(1, (), CASES[2:]),
        of_commit(2, (), CASES[:2]),
        of_commit(2, CASES[3:], CASES[2:]),
        of_commit(2, CASES[3:], CASES[2:]),
        of_commit(3, (), CASES[:2]),
        of_commit(3, (), CASES[2:]),
    )
    np.testing.assert_allclose(
        parts.read(query("src/x.py")), whole.read(query("src/x.py")), rtol=1e-6
    )
    assert past_of(parts, "src/x.py") == past_of(whole, "src/x.py")


def test_variants_of_a_commit_are_changes_of_their_own():
    state = after(*(of_commit(1, CASES[:1], kind="mutant") for _ in range(3)))
    assert past_of(state, "src/x.py") == {0: "failed in 3 of 3 variants of `src/x.py`"}
    state.update(of_commit(2, ()))
    state.update(of_commit(3, CASES[:1]))
    again = CoFailure.load(load_arrays(dump_arrays(state.dump())))
    for one in (state, again):  # what really happened is counted by itself, and is said first
        text = "failed in 1 of 2 changes to `src/x.py`, last at 0000003"
        assert past_of(one, "src/x.py") == {0: text}


def test_a_change_without_a_run_of_a_case_says_nothing_of_it():
    before = after(of_commit(1, CASES[:1]), of_commit(2, ()))
    left_out = after(
        of_commit(1, CASES[:1]), of_commit(2, ()), of_commit(3, (), CASES[2:]), of_commit(4, ())
    )
    (share,) = column(before, "failed_with_path_case", "src/x.py")[:1]
    run_again = after(of_commit(1, CASES[:1]), of_commit(2, ()), of_commit(3, (), CASES[2:]))
    assert column(run_again, "failed_with_path_case", "src/x.py")[0] == pytest.approx(
        share * KEEP_UNSEEN
    )
    assert past_of(left_out, "src/x.py")[0].startswith("failed in 1 of 3 changes")


def test_a_state_of_an_earlier_version_is_taken_as_run_at_every_change():
    state = after(of_commit(1, CASES[:1]), of_commit(2, ()))
    arrays = state.dump()
    del arrays["last"]
    arrays["hits"] = arrays["hits"][:, :2]
    old = CoFailure.load(arrays)
    np.testing.assert_array_equal(old.read(query("src/x.py")), state.read(query("src/x.py")))
    assert past_of(old, "src/x.py") == past_of(state, "src/x.py")


def test_edits_that_are_not_committed_are_changes_of_their_own():
    same = {"commit": "a" * 40, "base": "a" * 40}
    state = after(*(of_commit(n, CASES[:1] if n % 2 else (), **same) for n in range(1, 7)))
    # the commit that they were made on is not to blame
    assert past_of(state, "src/x.py") == {0: "failed in 3 of 6 changes to `src/x.py`"}


def test_changes_before_a_case_was_there_say_nothing_of_it():
    state = FeatureState()
    for n in range(20):
        ran = CASES[:3] if n < 16 else CASES
        state.update(of_commit(n, CASES[3:] if n == 19 else CASES[:1] if n == 1 else (), ran))
    state.finish()
    state = FeatureState.load(load_arrays(dump_arrays(state.dump())))
    found = past_of(state.cofailure, "src/x.py")
    assert found[3] == "failed in 1 of 4 changes to `src/x.py`, last at 0000013"
    assert found[0] == "failed in 1 of 20 changes to `src/x.py`, last at 0000001"


def test_the_reasons_of_one_case_begin_with_the_one_that_a_plan_gives():
    state = CoFailure()
    for n in range(1, 9):
        files = ("src/x.py",) if n % 2 else ("src/y.py", "lib/z.py")
        run = make_run(commit=f"{n:07x}")
        state.update(make_frame(make_query(CASES, *files, run=run), CASES[n % 4 : n % 3 + 2]))
    asked = query("src/x.py", "src/y.py", "lib/z.py")
    best = state.reasons(asked)
    assert len(best) == len(CASES)
    for position in range(len(CASES)):
        found = state.reasons_of(asked, position)
        assert found[0] == best[position]
        assert len(found) > 1


@pytest.mark.parametrize("name", ["1234567{}", "2026010{}-3", "-{}"])
def test_other_names_of_commits_are_told_apart(name):
    state = after(
        *(of_commit(n, CASES[:1] if n % 2 else (), commit=name.format(n)) for n in range(1, 7))
    )
    assert past_of(state, "src/x.py")[0].startswith("failed in 3 of 6 changes")
    CoFailure.load(load_arrays(dump_arrays(state.dump())))
