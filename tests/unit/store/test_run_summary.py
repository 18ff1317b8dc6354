"""The last runs, kept beside the tables."""

from pathlib import Path

import pytest
from builders import make_record, new_store

from testopt.schema import RunRecord
from testopt.store import Store
from testopt.store.run_summary import MAX_RUNS, read_run_summary, real_runs


def record(number: int, kind: str = "real") -> RunRecord:
    run = {"hours": number, "commit": f"{number:040x}", "kind": kind}
    return make_record(f"r{number:03d}", ["a::t", "a::u"], **run)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    records = [*(record(i) for i in range(MAX_RUNS + 5)), record(900, "mutant")]
    return new_store(tmp_path, records=records)


def test_counts_all_and_keeps_the_last(store: Store) -> None:
    found = read_run_summary(store)
    assert (found.runs, found.results) == (MAX_RUNS + 5, 2 * MAX_RUNS + 10)
    assert found.last == real_runs(store)[:MAX_RUNS]
    assert found.last[0]["run_id"] == f"r{MAX_RUNS + 4:03d}"


def test_what_is_kept_serves_until_a_run_comes(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = read_run_summary(store)
    with monkeypatch.context() as patch:
        patch.setattr(Store, "read", None)
        assert read_run_summary(store) == made
    store.append_runs([record(500)])
    assert read_run_summary(store).last[0]["run_id"] == "r500"


def test_damage_of_what_is_kept_costs_nothing(store: Store) -> None:
    made = read_run_summary(store)
    for damage in (b"{", b'{"version": 0}', b"[" * 100_000, b'{"last": 3}'):
        store.write_blob("state/recent.json", damage)
        assert read_run_summary(store) == made
