"""By which rules the fixes of a store were told."""

import pytest

from testopt.store import Store
from testopt.store.judged_fixes import (
    JUDGED,
    JudgedFixes,
    merge_judged,
    read_judged,
    write_judged,
)

A, B = JudgedFixes("a", frozenset({"1"})), JudgedFixes("b")


@pytest.fixture
def stores(tmp_path):
    return [Store.open(str(tmp_path / name), create=True) for name in ("own", "other")]


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[]", b'{"version":9,"rules":"a","left":[]}', b"\xff"]
)
def test_a_damaged_mark_is_none(stores, data):
    stores[0].write_blob(JUDGED, data)
    assert read_judged(stores[0]) is None


@pytest.mark.parametrize(
    ("own", "other", "first", "merged"),
    [
        (A, JudgedFixes("a", frozenset({"2"})), False, JudgedFixes("a", frozenset({"1", "2"}))),
        (A, B, False, None),
        (None, B, False, None),
        (B, None, False, None),
        (A, B, True, B),
    ],
)
def test_rules_of_two_stores(stores, own, other, first, merged):
    for store, judged in zip(stores, (own, other), strict=True):
        if judged:
            write_judged(store, judged)
    merge_judged(*stores, first=first)
    assert read_judged(stores[0]) == merged
