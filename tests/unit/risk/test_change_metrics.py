"""The change metrics against a history worked out by hand."""

import math
import random
from dataclasses import replace

import pytest

from testopt.risk.change_metrics import NAMES, ChangeFacts, ChangeHistory, TouchedFile, with_lines

DAY = 86_400.0
YEAR = 365.25 * DAY


def commit(author, days, **facts):
    return ChangeFacts(author, days * DAY, **{"words": 0, **facts})


def touched(path, added=0, deleted=0, **rest):
    return TouchedFile(path, path.partition("/")[0], added, deleted, **rest)


def named(row):
    return dict(zip(NAMES, row, strict=True))


def measured(history):
    """Yield the metrics of each commit, as they were when it was made."""
    state = ChangeHistory()
    for facts, files in history:
        yield state.measure(facts, files)
        state.update(facts, files)


# Four commits of two people:
#   0: ann, day 0, makes core/a.py (100 lines) and core/b.py (50)
#   1: bob, day 10, fixes core/a.py (+5 -1: 104 lines)
#   2: ann, day 400, makes web/c.py (10)
#   3: bob, day 410, changes core/a.py (+6 -2), core/b.py (+8 -0), web/tests/c.py (new, +16)
HISTORY = [
    (
        commit("ann", 0),
        [touched("core/a.py", 100, status="A"), touched("core/b.py", 50, status="A")],
    ),
    (commit("bob", 10, is_fix=True), [touched("core/a.py", 5, 1)]),
    (commit("ann", 400), [touched("web/c.py", 10, status="A")]),
    (
        commit("bob", 410),
        [
            touched("core/a.py", 6, 2),
            touched("core/b.py", 8, 0),
            touched("web/tests/c.py", 16, 0, status="A", is_test=True),
        ],
    ),
]


def test_the_worked_example():
    rows = [named(row) for row in measured(HISTORY)]
    assert rows[3] == pytest.approx(
        {
            "ns": 2,  # core, web
            "nd": 2,  # core, web/tests
            "nf": 3,
            "entropy": 1.5,  # 8, 8 and 16 of 32 lines: 2 * 1/4 * 2 + 1/2 * 1
            "la": 30,
            "ld": 2,
            "lt": 154,  # 104 + 50 + 0
            "fix": 0,
            "ndev": 2,
            "age": (400 + 410) / 2,  # since days 10 and 0; the new file has no age
            "nuc": 2,  # commits 0 and 1
            "exp": 1,
            "rexp": 1 / 2,  # 400 days: one full year ago
            "sexp": 1,
            "words": 0,
        }
    )
    assert rows[1]["fix"] == 1
    assert (rows[1]["lt"], rows[1]["age"], rows[1]["nuc"], rows[1]["exp"]) == (100, 10, 1, 0)
    assert rows[0]["ndev"] == rows[0]["nuc"] == rows[0]["age"] == rows[0]["lt"] == 0


def test_lines_of_texts_and_of_supplied_files_do_not_count():
    files = [touched("a.py", 3, 1), touched("README.md", 90, 9), touched("web/yarn.lock", 500, 4)]
    row = named(ChangeHistory().measure(commit("ann", 0, words=30), files))
    assert (row["la"], row["ld"], row["entropy"]) == (3, 1, 0)
    assert (row["nf"], row["words"]) == (3, 30)
    assert named(with_lines(list(row.values()), touched("tests/a.py", 8), 5, 2))["la"] == 5
    assert named(with_lines(list(row.values()), files[1], 5, 2))["la"] == 0


def test_git_knows_the_size_better():
    state = ChangeHistory()
    known = touched("a.py", 1, 0, size_before=70)
    assert named(state.measure(commit("ann", 0), [known]))["lt"] == 70
    state.update(commit("ann", 0), [known])
    assert named(state.measure(commit("ann", 1), [touched("a.py")]))["lt"] == 71


def test_a_renamed_file_keeps_its_past_and_a_copy_shares_it():
    state = ChangeHistory()
    state.update(commit("ann", 0), [touched("a.py", 9, status="A")])
    renamed = touched("b.py", 1, status="R", old_path="a.py")
    assert named(state.measure(commit("bob", 1), [renamed]))["nuc"] == 1
    state.update(commit("bob", 1), [renamed])
    assert named(state.measure(commit("eve", 2), [touched("b.py")]))["ndev"] == 2
    assert named(state.measure(commit("eve", 2), [touched("a.py")]))["ndev"] == 0
    state.update(commit("eve", 2), [touched("c.py", status="C", old_path="b.py")])
    assert named(state.measure(commit("eve", 3), [touched("b.py")]))["ndev"] == 2
    assert named(state.measure(commit("eve", 3), [touched("c.py")]))["ndev"] == 3


def test_merges_leave_no_trace():
    state = ChangeHistory()
    state.update(commit("ann", 0, is_merge=True), [touched("a.py", 5)])
    row = named(state.measure(commit("ann", 1), [touched("a.py")]))
    assert row["exp"] == row["nuc"] == row["lt"] == 0


def test_odd_commits_have_numbers_too():
    state = ChangeHistory()
    empty = named(state.measure(commit("ann", 0), []))
    assert not any(empty.values())
    binary = touched("logo.png", None, None)
    assert named(state.measure(commit("ann", 0), [binary]))["nf"] == 1
    state.update(commit("ann", 100), [binary])
    back_in_time = named(state.measure(commit("ann", 50), [binary]))
    assert back_in_time["age"] == 0
    assert back_in_time["rexp"] == 1


@pytest.mark.parametrize(("years", "weight"), [(0.99, 1), (1.01, 1 / 2), (2.5, 1 / 3), (9.5, 0.1)])
def test_recent_experience_fades_by_full_years(years, weight):
    state = ChangeHistory()
    state.update(ChangeFacts("ann", 0.0), [])
    row = named(state.measure(ChangeFacts("ann", years * YEAR), []))
    assert row["rexp"] == pytest.approx(weight)


def random_history(n=120, seed=3):
    rng = random.Random(seed)
    for day in range(n):
        files = [
            touched(f"{rng.choice('abc')}/{rng.randrange(8)}.py", rng.randrange(40))
            for _ in range(rng.randrange(4))
        ]
        unique = list({f.path: f for f in files}.values())
        yield commit(rng.choice(["ann", "bob", "eve"]), day, is_fix=rng.random() < 0.3), unique


def test_a_metric_never_sees_what_comes_later():
    history = list(random_history())
    whole = list(measured(history))
    assert list(measured(history[:60])) == whole[:60]
    scrambled = [(replace(c, author="x", is_fix=True), f[::-1]) for c, f in history[60:]]
    assert list(measured(history[:60] + scrambled))[:60] == whole[:60]


def test_all_numbers_are_finite_and_not_negative():
    rows = [value for row in measured(random_history(seed=4)) for value in row]
    assert all(math.isfinite(v) and v >= 0 for v in rows)


def test_a_vast_commit_is_measured():
    files = [touched(f"d{i % 50}/{i}.py", 1, status="A") for i in range(20_000)]
    row = named(ChangeHistory().measure(commit("ann", 0), files))
    assert (row["nf"], row["ns"], row["nd"]) == (20_000, 50, 50)
    assert row["entropy"] == pytest.approx(math.log2(20_000))
