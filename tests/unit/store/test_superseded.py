"""Compaction of coverage links keeps what a reader asks for, and nothing else."""

from datetime import timedelta

from builders import START, append_rows, link_row, new_store

from testopt.schema import LINK_OUTSIDE, LINK_SET_UP
from testopt.store import Store


def measured(store: Store, day: int, *rows: tuple[str, str]) -> None:
    """Append links of one day and its commit."""
    at = {"commit": f"c{day}", "seen": START + timedelta(days=day)}
    append_rows(store, "links", [link_row(*row, **at) for row in rows], part=f"day {day}")


def kept(store: Store) -> set[tuple[str, str, str]]:
    rows = store.read("links", columns=["case_id", "path", "commit"]).to_pylist()
    return {(row["case_id"], row["path"], row["commit"]) for row in rows}


def test_the_latest_links_of_each_case_stay(tmp_path):
    store = new_store(tmp_path)
    store.compact()
    common = [(LINK_OUTSIDE, "x.py"), (LINK_SET_UP, "x.py")]
    measured(store, 0, ("a", ""), ("a", "x.py"), ("a", "old.py"), ("b", ""), ("b", "x.py"), *common)
    first = kept(store)
    store.compact()
    assert kept(store) == first
    measured(store, 1, ("a", ""), ("a", "x.py"), *common)
    store.compact()
    assert kept(store) == {
        ("a", "", "c1"), ("a", "x.py", "c1"), ("b", "", "c0"), ("b", "x.py", "c0"),
        *((case, path, commit) for case, path in common for commit in ("c0", "c1")),
    }  # fmt: skip
    measured(store, 2, ("b", ""), *common)
    store.compact()
    assert {commit for *_, commit in kept(store)} == {"c1", "c2"}
    assert ("b", "x.py", "c0") not in kept(store)
    assert store.check() == []
    measured(store, 0, ("a", ""), ("a", "old.py"))  # the same part again
    assert {commit for *_, commit in kept(store)} == {"c1", "c2"}
