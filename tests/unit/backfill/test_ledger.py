"""What a backfill keeps of measured coverage."""

from __future__ import annotations

from pathlib import Path

import pytest

from testopt.backfill.ledger import Ledger
from testopt.errors import InputFileError
from testopt.store import Store


class Links:
    """Takes files whose name says that they hold something."""

    def append(self, _store: Store, file: Path) -> None:
        if "empty" in file.name:
            raise InputFileError(f"{file} does not say which case ran which lines")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(Store.open(str(tmp_path / "store"), create=True), expected=1)


def test_a_process_without_cases_is_no_trouble_beside_others(ledger) -> None:
    files = [Path("empty"), Path("one"), Path("two")]
    assert ledger.append_links(Links(), files, "a") == ""
    assert not ledger.may_measure("a", "key")
    assert ledger.may_measure("b", "key")
    assert ledger.report(commits=1, shallow=False).measured == 1


def test_a_commit_whose_coverage_the_store_dropped_is_not_measured_again(ledger, tmp_path) -> None:
    ledger.append_links(Links(), [Path("one")], "a")  # which keeps nothing
    ledger.results_of("a run")
    ledger.finish()
    store = Store.open(str(tmp_path / "store"))
    assert not Ledger(store, expected=1).may_measure("a", "key")
    assert Ledger(store, expected=1, retry=True).may_measure("a", "key")


def test_why_nothing_was_measured_is_told(ledger) -> None:
    assert ledger.append_links(Links(), [Path("empty")], "a") == (
        "empty does not say which case ran which lines"
    )
    assert ledger.may_measure("a", "key")
    assert ledger.report(commits=1, shallow=False).measured == 0
