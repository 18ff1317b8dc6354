"""Tables of results that are too many for the memory: the same runs as from few rows."""

import random

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from testopt.git.run_identity import RunIdentity
from testopt.ingest import table_runs
from testopt.ingest.table_runs import ingest_table
from testopt.results import tables
from testopt.store import Store


def rows(runs, seed):
    """Return results of some runs, in any order, some cases of them more than once."""
    chance = random.Random(seed)
    made = [
        {
            "run_id": run, "time": "2026-01-01T00:00:00Z", "duration_s": 0.5,
            "case_id": f"t.py::{chance.randrange(9)}",
            "outcome": chance.choice(["passed", "failed", "skipped"]),
            "job": chance.choice(["", "unit"]),
        }
        for run in runs
        for _ in range(12)
    ]  # fmt: skip
    chance.shuffle(made)
    return pa.Table.from_pylist(made)


@pytest.fixture
def files(tmp_path):
    """A CSV and a Parquet file that share runs, and one that breaks off."""
    pa_csv.write_csv(rows([f"r{n}" for n in range(30)], 1), tmp_path / "a.csv")
    pq.write_table(rows([f"r{n}" for n in range(20, 50)], 2), tmp_path / "b.parquet")
    broken = (tmp_path / "a.csv").read_bytes().replace(b"r1", b"x1")
    (tmp_path / "c.csv").write_bytes(broken[: len(broken) // 2] + b'\n"x9"\n')
    return [str(tmp_path / name) for name in ("a.csv", "b.parquet", "c.csv")]


def ingested(folder, paths):
    store = Store.open(str(folder), create=True)
    report = ingest_table(store=store, paths=paths, identity=RunIdentity(repo=None))
    columns = [name for name in store.read("runs").column_names if name != "seen"]
    found = [store.read("runs", columns=columns), store.read("results")]
    assert store.check() == []
    return report, [sorted(map(repr, table.to_pylist())) for table in found]


def test_many_rows_give_the_same_runs_as_few(tmp_path, files, monkeypatch):
    few, expected = ingested(tmp_path / "few", files)
    monkeypatch.setattr(table_runs, "_ROWS_IN_MEMORY", 40)
    monkeypatch.setattr(tables, "_ROWS_OF_BLOCK", 17)
    monkeypatch.setattr(tables, "_BYTES_OF_BLOCK", 1_000)
    many, found = ingested(tmp_path / "many", files)
    assert found == expected
    assert many.files[:2] == few.files[:2]
    assert (many.new_runs, set(many.run_ids)) == (50, set(few.run_ids))


def test_nothing_of_a_file_that_breaks_off_is_taken(tmp_path, files, monkeypatch):
    monkeypatch.setattr(table_runs, "_ROWS_IN_MEMORY", 40)
    monkeypatch.setattr(tables, "_BYTES_OF_BLOCK", 1_000)
    report, (runs, _) = ingested(tmp_path / "s", files)
    assert "cannot be read" in report.files[2].rejected
    assert not any("x1" in run for run in runs)
