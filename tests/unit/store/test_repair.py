"""A repair lets what it removes come again, also of runs that have no row of their own yet."""

from pathlib import Path

import pytest
from builders import make_record, new_store

from testopt.errors import StoreError
from testopt.store import Store
from testopt.store.records import record_tables

RECORDS = [make_record(f"r{n}", ["t.py::a", "t.py::b"], hours=n) for n in range(4)]


def test_a_part_of_an_unfinished_run_comes_again(tmp_path):
    store = new_store(tmp_path, records=[RECORDS[0], RECORDS[3]])
    parts = [{f"{r.run.run_id}#0": record_tables(r, seen=r.run.time)["results"]} for r in RECORDS]
    for part in parts[1:3]:  # two writers, killed before the row of their run
        assert store.append("results", part)
    store.compact(retention_days=7)
    live = {file.path for file in store._logs["results"].files(store._logs["results"].create())}
    assert len(live) == 1
    (Path(store.url) / "results" / live.pop()).unlink()
    assert all(problem.mended for problem in store.check(repair=True))
    for part in parts[1:3]:
        assert store.append("results", part)


def test_a_log_that_does_not_count_rows_is_corrected(tmp_path):
    store = new_store(tmp_path, records=RECORDS[:1])
    (entry,) = (Path(store.url) / "results" / "_delta_log").glob("*1.json")
    entry.write_bytes(entry.read_bytes().replace(b"numRecords", b"numRecordz"))
    store = Store.open(store.url)
    assert [p.message for p in store.check()] == ["the file holds 2 rows, the log says nothing"]
    assert all(problem.mended for problem in store.check(repair=True))
    assert store.check() == []
    assert store.info().runs == 1


def test_a_flipped_bit_ends_no_process(tmp_path):
    store = new_store(tmp_path, records=RECORDS)
    (path,) = (Path(store.url) / "runs").glob("part-*.parquet")
    whole = path.read_bytes()
    footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    for at in range(footer, len(whole) - 8, 97):
        content = bytearray(whole)
        content[at] ^= 1 << at % 8
        path.write_bytes(content)
        with pytest.raises(StoreError, match="is damaged"):
            Store.open(store.url).read("runs")
