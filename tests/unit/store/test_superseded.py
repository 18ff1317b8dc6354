"""Compaction of coverage links keeps what a reader asks for, and nothing else."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa

from testopt.schema import LINK_OUTSIDE, LINK_SET_UP, arrow_schema
from testopt.store import Store


def measured(store: Store, day: int, *rows: tuple[str, str]) -> None:
    """Append links of one day and its commit."""
    seen = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day)
    made = [
        {"case_id": case, "path": path, "lines": "1-2", "commit": f"c{day}", "seen": seen}
        for case, path in rows
    ]
    store.append("links", {f"day {day}": pa.Table.from_pylist(made, schema=arrow_schema("links"))})


def kept(store: Store) -> set[tuple[str, str, str]]:
    rows = store.read("links", columns=["case_id", "path", "commit"]).to_pylist()
    return {(row["case_id"], row["path"], row["commit"]) for row in rows}


def test_the_latest_links_of_each_case_stay(tmp_path):
    store = Store.open(tmp_path / "store", create=True)
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
