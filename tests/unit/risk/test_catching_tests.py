"""Which tests may catch a defect in a file: those that ran it, and those that failed with it."""

from builders import append_rows, link_row, make_record, new_store

from testopt.risk.catching_tests import find_catching_tests


def store_of(path, runs):
    """Return a store of runs, each given as (changed paths, failing cases)."""
    cases = ("test_a", "test_b", "test_always")
    records = [
        make_record(f"run-{n}", cases, failing, hours=n, change=changed)
        for n, (changed, failing) in enumerate(runs)
    ]
    return new_store(path, records=records)


def test_what_failed_with_a_file_and_not_otherwise(tmp_path):
    runs = [
        (["a.py"], ["test_a", "test_always"]),
        (["b.py"], ["test_always"]),
        (["a.py", "b.py"], ["test_a", "test_always"]),
        (["a.py"], ["test_always"]),
        (["b.py"], ["test_b", "test_always"]),
        (["c.py"], ["test_always"]),
    ]
    catchers = find_catching_tests(store_of(tmp_path, runs), ["a.py", "b.py", "c.py", "new.py"])
    assert catchers.known
    (found,) = catchers.for_path("a.py")
    assert (found.case_id, found.failed, found.changes, found.covers) == ("test_a", 2, 3, False)
    assert [t.case_id for t in catchers.for_path("b.py")] == ["test_b"]
    assert catchers.for_path("c.py") == catchers.for_path("new.py") == ()


def test_what_ran_a_file_comes_after_what_caught_something(tmp_path):
    store = store_of(tmp_path, [(["a.py"], ["test_b"]), (["x.py"], []), (["y.py"], [])])
    cases = ["test_a", "test_b", "", "|setup"]
    append_rows(store, "links", [link_row(case, "a.py") for case in cases])
    first, second = find_catching_tests(store, ["a.py"]).for_path("a.py")
    assert (first.case_id, first.failed, first.covers) == ("test_b", 1, True)
    assert (second.case_id, second.failed, second.covers) == ("test_a", 0, True)


def test_only_the_first_few_are_shown(tmp_path):
    store = new_store(tmp_path)
    append_rows(store, "links", [link_row(f"test_{n}", "a.py") for n in range(9)])
    catchers = find_catching_tests(store, ["a.py"])
    assert catchers.known
    assert len(catchers.for_path("a.py")) == 9
    assert [t.case_id for t in catchers.likeliest("a.py")] == [f"test_{n}" for n in range(5)]


def test_without_runs_and_coverage_nothing_is_known(tmp_path):
    store = new_store(tmp_path)
    assert not find_catching_tests(store, ["a.py"]).known
