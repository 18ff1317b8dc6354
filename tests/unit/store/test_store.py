"""The store's contract: what every backend must do, and what the local folder does beyond it."""

import errno
import fcntl
import json
import os
import shutil
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from builders import make_record, make_results, prediction_row

from testopt.errors import EmptyStoreError, StoreError, UsageError
from testopt.schema import SCHEMA_VERSION, TABLES, FileChange, Result, Run, RunRecord, arrow_schema
from testopt.store import Store, compact
from testopt.store import rebuild as rebuilding
from testopt.store.delta import app_id
from testopt.store.format import FORMAT, open_format
from testopt.store.location import Location
from testopt.store.transactions import transactions

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def record(number, cases=20, failing=(3,), run_id=None):
    ids = [f"tests/test_a.py::test_{n}" for n in range(cases)]
    made = make_record(
        run_id or f"run-{number}",
        change=[FileChange("src/a.py", 3, 1, tokens="alpha beta")],
        predictions=[prediction_row(case, policy="p") for case in ids[:2]],
        time=NOW + timedelta(hours=number), job="unit", commit="c0ffee",
    )  # fmt: skip
    results = make_results(ids, [ids[n] for n in failing if n < cases])
    return replace(made, results=[replace(r, duration_s=0.25 * n) for n, r in enumerate(results)])


def results_of(run_id, cases=3):
    rows = {name: [None] * cases for name in TABLES["results"]}
    rows |= {
        "run_id": [run_id] * cases,
        "case_id": [f"t::{i}" for i in range(cases)],
        "outcome": ["passed"] * cases,
        "attempt": [1] * cases,
    }
    return pa.table(rows, schema=arrow_schema("results"))


_SOME = {
    "string": "x", "list<string>": [], "bool": False, "int32": 1, "int16": 1, "float": 0.5,
    "timestamp[us, tz=UTC]": NOW,
}  # fmt: skip


def age(store, table, days):
    """Make the files of a table look older: the log's times decide."""
    log = Path(store.url) / table / "_delta_log"
    for entry in [*log.glob("*.json")]:
        lines = [json.loads(line) for line in entry.read_text().splitlines()]
        for line in lines:
            if "add" in line:
                line["add"]["modificationTime"] -= int(days * 86_400_000)
        entry.write_text("\n".join(json.dumps(line) for line in lines) + "\n")


class StoreContract:
    """What every backend must do; a subclass supplies `url`."""

    @pytest.fixture
    def store(self, url):
        return Store.open(url, create=True)

    def test_nothing_there_is_said(self, url):
        with pytest.raises(EmptyStoreError) as caught:
            Store.open(url)
        assert "testopt ingest" in caught.value.hint

    def test_absent_tables_read_as_empty(self, store):
        for table in TABLES:
            assert store.read(table).schema == arrow_schema(table)
            assert store.read(table).num_rows == 0
            assert store.version(table) == -1
        assert store.run_ids() == set()

    def test_runs_come_back_as_they_were_given(self, store, url):
        assert store.append_runs([record(1), record(2, failing=(1, 2))], seen=NOW) == 2
        again = Store.open(url)
        rows = again.read("results", where=[("run_id", "==", "run-1")])
        assert rows.schema == arrow_schema("results")
        by_case = {r["case_id"]: r for r in rows.to_pylist()}
        assert len(by_case) == 20
        assert by_case["tests/test_a.py::test_3"] == {
            "run_id": "run-1",
            "case_id": "tests/test_a.py::test_3",
            "file": None,
            "outcome": "failed",
            "duration_s": 0.75,
            "attempt": 1,
            "message": None,
        }
        (run,) = again.read("runs", where=[("run_id", "=", "run-2")]).to_pylist()
        assert (run["cases"], run["failed"], run["seen"]) == (20, 2, NOW)
        assert run["duration_s"] == pytest.approx(0.25 * 190)
        (path,) = again.read("run_changes", where=[("run_id", "=", "run-2")]).to_pylist()
        assert (path["path"], path["added"], path["tokens"]) == ("src/a.py", 3, "alpha beta")
        assert again.read("predictions").num_rows == 4

    def test_the_same_run_twice_leaves_one(self, store):
        assert store.append_runs([record(1), record(1)]) == 1
        assert store.append_runs([record(1), record(2)]) == 1
        assert store.read("results").num_rows == 40
        assert store.read("runs").num_rows == 2

    def test_the_same_part_twice_leaves_one(self, store):
        part = results_of("r")
        assert store.append("results", {"r#0": part, "r#1": part}) == {"r#0", "r#1"}
        assert store.append("results", {"r#1": part, "r#2": part}) == {"r#2"}
        assert store.append("results", {"r#0": part}) == set()

    def test_rows_without_a_run_are_not_seen(self, store):
        store.append("results", {"half": results_of("half")})
        assert store.read("results").num_rows == 0
        assert store.read("results", columns=["outcome"]).column_names == ["outcome"]
        assert store.append_runs([record(0, cases=3, run_id="half")]) == 1
        # The part was there already and is not doubled; the mark makes it visible.
        assert store.read("results")["case_id"].to_pylist() == ["t::0", "t::1", "t::2"]

    @pytest.mark.parametrize(
        ("op", "value", "expected"),
        [
            ("==", "tests/test_a.py::test_2", 1),
            ("!=", "tests/test_a.py::test_2", 4),
            ("<", "tests/test_a.py::test_2", 2),
            ("<=", "tests/test_a.py::test_2", 3),
            (">", "tests/test_a.py::test_2", 2),
            (">=", "tests/test_a.py::test_2", 3),
            ("in", ["tests/test_a.py::test_0", "nope"], 1),
            ("not in", ["tests/test_a.py::test_0", "nope"], 4),
            ("in", [], 0),
        ],
    )
    @pytest.mark.parametrize("dictionary", [(), ("case_id", "run_id")])
    def test_filters(self, store, op, value, expected, dictionary):
        store.append_runs([record(1, cases=5)])
        found = store.read("results", where=[("case_id", op, value)], dictionary=dictionary)
        assert found.num_rows == expected
        assert pa.types.is_dictionary(found["case_id"].type) == bool(dictionary)

    def test_filter_by_time_and_null(self, store):
        store.append_runs([record(i) for i in range(5)], seen=NOW)
        late = store.read(
            "runs", columns=["run_id"], where=[("time", ">", NOW + timedelta(hours=3))]
        )
        assert late["run_id"].to_pylist() == ["run-4"]
        assert store.read("runs", where=[("seen", ">", NOW)]).num_rows == 0
        assert store.read("runs", where=[("branch", "!=", "main")]).num_rows == 0

    def test_columns_come_in_the_order_asked_for(self, store):
        store.append_runs([record(1)])
        found = store.read("results", columns=["outcome", "run_id"], where=[("attempt", "==", 1)])
        assert found.column_names == ["outcome", "run_id"]
        with pytest.raises(UsageError, match="no column 'colour'"):
            store.read("results", columns=["colour"])
        with pytest.raises(StoreError, match="no table 'colours'"):
            store.read("colours")

    def test_one_dictionary_for_all_chunks(self, store):
        for i in range(3):
            store.append_runs([record(i, cases=5 + i)])
        ids = store.read("results", dictionary=["case_id"])["case_id"]
        words = {tuple(c.dictionary.to_pylist()) for c in ids.chunks}
        assert len(words) == 1
        assert store.read("links", dictionary=["case_id"])["case_id"].type == ids.type

    def test_strange_texts_survive(self, store):
        ids = [
            "a\nb",
            "quote'\"::x",
            "snow \u2603 \U0001f600",
            "",
            "x" * 10_000,
            "-rf",
            "null\0byte",
        ]
        run = Run("run 'odd'\n", NOW)
        store.append_runs([RunRecord(run, [Result(i, "passed") for i in ids])])
        found = store.read("results", where=[("run_id", "==", run.run_id)])
        assert sorted(found["case_id"].to_pylist()) == sorted(ids)
        assert store.read("results", where=[("case_id", "==", "x" * 10_000)]).num_rows == 1

    def test_rows_that_do_not_fit_are_refused(self, store):
        holes = pa.table({**results_of("r").to_pydict(), "run_id": [None] * 3})
        with pytest.raises(StoreError, match="run_id"):
            store.append("results", {"r": holes})
        with pytest.raises(StoreError, match="do not fit"):
            store.append("results", {"r": pa.table({"run_id": ["r"]})})
        assert store.version("results") <= 0

    def test_compaction_keeps_every_row(self, url):
        store = Store.open(url, create=True, compact_files=1000)
        for i in range(12):
            store.append_runs([record(i)])
        before = sorted(map(str, store.read("results").to_pylist()))
        report = {t.table: t for t in store.compact().tables}
        assert (report["results"].files_before, report["results"].files_after) == (12, 1)
        again = Store.open(url)
        assert sorted(map(str, again.read("results").to_pylist())) == before
        assert again.append_runs([record(3), record(99)]) == 1
        assert again.read("results", where=[("run_id", "==", "run-3")]).num_rows == 20
        assert again.check() == []

    def test_many_small_files_are_merged_by_themselves(self, url):
        store = Store.open(url, create=True, compact_files=8)
        for i in range(30):
            store.append_runs([record(i)])
        files = {t.table: t.files for t in store.info().tables}
        assert max(files.values()) <= 8
        assert store.read("results").num_rows == 600

    def test_info(self, store, url):
        store.append_runs([record(1), record(5)])
        info = store.info()
        assert (info.url, info.runs, info.schema_version) == (url, 2, SCHEMA_VERSION)
        assert (info.first_run, info.last_run) == (
            NOW + timedelta(hours=1),
            NOW + timedelta(hours=5),
        )
        assert {t.table: t.rows for t in info.tables} == {
            "runs": 2,
            "results": 40,
            "run_changes": 2,
            "predictions": 4,
        }

    def test_version_grows_with_each_commit(self, store):
        store.append_runs([record(1)])
        first = store.version("runs")
        store.append_runs([record(2)])
        assert store.version("runs") > first >= 0

    def test_blobs(self, store):
        assert store.read_blob("state/a/x.npz") is None
        store.write_blob("state/a/x.npz", b"one")
        store.write_blob("state/a/x.npz", b"two")
        store.write_blob("state/b", b"")
        assert store.read_blob("state/a/x.npz") == b"two"
        assert store.read_blob("state/b") == b""

    @pytest.mark.parametrize(
        "name", ["../x", "/x", "a/../b", "results/x", "format.json", "", ".x", "a//b"]
    )
    def test_blob_names_stay_inside(self, store, name):
        with pytest.raises(StoreError, match="not a name"):
            store.write_blob(name, b"")


class TestLocalFolder(StoreContract):
    @pytest.fixture
    def url(self, tmp_path):
        return str(tmp_path / "a store")

    def test_all_transactions_read_at_once_are_those_that_delta_tells(self, store):
        runs = [record(n, cases=1) for n in range(30)]
        for first in range(0, 25, 5):
            store.append_runs(runs[first : first + 5])
        log = store._logs["runs"]
        for checkpointed in (False, True):
            handle = log.refresh()
            if checkpointed:
                handle.create_checkpoint()
                store.append_runs(runs[25:27])
                handle = log.refresh()
            ids = [app_id("runs", run.run.run_id) for run in runs]
            found = transactions(log.location, "runs", handle.version())
            assert [found.get(i) for i in ids] == [handle.transaction_version(i) for i in ids]
            assert sum(i in found for i in ids) == (27 if checkpointed else 25)

    def test_git_ignores_it(self, store, url):
        assert (Path(url) / ".gitignore").read_text() == "*\n"
        assert store.url == url

    def test_a_missing_file_is_named(self, store, url):
        store.append_runs([record(1)])
        (file,) = (Path(url) / "results").glob("*.parquet")
        file.unlink()
        with pytest.raises(StoreError, match=f"{file.name} is missing"):
            store.read("results")

    def test_leftovers_of_dead_writers_are_removed(self, store, url):
        store.append_runs([record(1)])
        old = time.time() - 2 * 86_400
        dead = [Path(url) / "results" / n for n in (".tmp-abc", "part-dead.parquet")]
        young = Path(url) / "results" / "part-young.parquet"
        for path in (*dead, young):
            path.write_bytes(b"x")
        for path in dead:
            os.utime(path, (old, old))
        assert [p.kind for p in store.check()] == ["leftover"] * 2
        store.compact()
        assert [p.exists() for p in (*dead, young)] == [False, False, True]

    def test_old_orphans_are_dropped_and_can_come_again(self, store):
        store.append("results", {"lost": results_of("lost")})
        store.append("results", {"lost#0": results_of("lost"), "lost#1": results_of("lost")})
        store.append_runs([record(1)])
        assert store.check() == []  # young ones may still be under way
        age(store, "results", days=2)
        store = Store.open(store.url)
        assert [p.kind for p in store.check()] == ["orphan"]
        report = {t.table: t for t in store.compact().tables}
        assert report["results"].orphan_runs == 1
        assert store.check() == []
        assert store.read("results").num_rows == 20
        assert store.append_runs([record(2, run_id="lost")]) == 1
        assert store.read("results", where=[("run_id", "==", "lost")]).num_rows == 20

    def test_vacuum_removes_what_was_replaced(self, url):
        store = Store.open(url, create=True, compact_files=1000, retention_days=0)
        for i in range(6):
            store.append_runs([record(i)])
        report = {t.table: t for t in store.compact().tables}
        assert report["results"].removed_files == 6
        assert len(list((Path(url) / "results").glob("*.parquet"))) == 1
        assert Store.open(url).read("results").num_rows == 120

    def test_a_rewrite_loses_to_an_earlier_one_and_no_row_is_doubled(self, url):
        first = Store.open(url, create=True, compact_files=1000)
        for i in range(4):
            first.append_runs([record(i)])
        log = first._logs["results"]
        handle = log.refresh()
        files = log.files(handle)
        Store.open(url).append_runs([record(9)])  # an append in between does no harm
        Store.open(url).compact()
        copy = log.location.local / "results" / files[0].path
        assert not log.rewrite(handle, add=[], remove=files)
        assert copy.exists()
        assert Store.open(url).read("results").num_rows == 100

    def test_rows_appended_during_a_rewrite_stay(self, url, monkeypatch):
        store = Store.open(url, create=True, compact_files=1000)
        for i in range(4):
            store.append_runs([record(i)])
        import testopt.store.compact as module

        real = module.write_files

        def slow(*args, **kwargs):
            Store.open(url, compact_files=1000).append_runs([record(50)])
            return real(*args, **kwargs)

        monkeypatch.setattr(module, "write_files", slow)
        store.compact()
        assert Store.open(url).read("results").num_rows == 100
        assert store.check() == []


def rows_of(store, table):
    """Rows as a set: each once."""
    return {tuple(str(v) for v in row.values()) for row in store.read(table).to_pylist()}


def test_a_folder_of_something_else_becomes_no_store(tmp_path):
    (tmp_path / "main.py").touch()
    with pytest.raises(StoreError, match=r"it holds other files, such as main\.py"):
        Store.open(str(tmp_path), create=True)
    assert [path.name for path in tmp_path.iterdir()] == ["main.py"]


class TestDamage:
    @pytest.fixture
    def store(self, tmp_path):
        store = Store.open(str(tmp_path / "s"), create=True)
        for i in range(3):
            store.append_runs([record(i, cases=2000)])
        return store

    @pytest.mark.parametrize("how", ["missing", "truncated", "altered"])
    @pytest.mark.parametrize("table", ["results", "runs", "run_changes"])
    def test_is_named_and_mended(self, store, how, table):
        file = min((Path(store.url) / table).glob("*.parquet"))
        content = bytearray(file.read_bytes())
        if how == "missing":
            file.unlink()
        elif how == "truncated":
            file.write_bytes(content[: len(content) // 2])
        else:
            content[len(content) // 4] ^= 0x55
            file.write_bytes(content)
        kinds = [(p.kind, p.table, p.file) for p in store.check()]
        assert ("missing" if how == "missing" else "damaged", table, file.name) in kinds
        assert {p.mended for p in store.check(repair=True)} == {True}
        again = Store.open(store.url)
        assert again.check() == []
        again.append_runs([record(i, cases=2000) for i in range(3)])
        assert again.read("results").num_rows == 6000
        assert again.run_ids() == {"run-0", "run-1", "run-2"}
        assert again.check() == []

    @pytest.mark.parametrize("table", ["results", "runs", "run_changes"])
    @pytest.mark.parametrize("how", ["gone", "truncated", "gap"])
    def test_a_table_is_made_anew_where_its_log_is_broken(self, store, how, table):
        log = Path(store.url) / table / "_delta_log"
        whole = {t: rows_of(store, t) for t in ("runs", "results", "run_changes")}
        store.compact()  # replaced files are still there, and count once
        store.append_runs([record(3, cases=10)])
        entries = sorted(log.glob("*.json"))
        if how == "gone":
            shutil.rmtree(log)
        elif how == "truncated":
            entries[-1].write_bytes(entries[-1].read_bytes()[:40])
        else:
            for path in log.glob("*.checkpoint.parquet"):
                path.unlink()
            (log / "_last_checkpoint").unlink(missing_ok=True)
            entries[-2].unlink()
        again = Store.open(store.url)
        assert ("log", table) in {(p.kind, p.table) for p in again.check()}
        with pytest.raises(StoreError):
            again.append_runs([record(4)])
        found = again.check(repair=True)
        assert all(p.mended for p in found)
        assert any("kept in damaged/" in p.done for p in found)
        again = Store.open(store.url)
        assert again.check() == []
        assert whole["results"] <= rows_of(again, "results")
        assert whole["runs"] <= rows_of(again, "runs")
        assert again.run_ids() == {f"run-{i}" for i in range(4)}
        assert again.append_runs([record(3, cases=10), record(4)]) == 1
        assert len(rows_of(again, "results")) == again.read("results").num_rows

    @pytest.mark.parametrize("merged", [False, True])
    def test_a_table_made_anew_knows_the_keys_of_parts(self, store, merged):
        parts = {"many#0": results_of("many", 3), "many#1": results_of("many", 5).slice(3)}
        for key, part in parts.items():
            assert store.append("results", {key: part}) == {key}
        if merged:
            store.compact()
        shutil.rmtree(Path(store.url) / "results" / "_delta_log")
        Store.open(store.url).check(repair=True)
        assert Store.open(store.url).append("results", parts) == set()

    def test_a_table_made_anew_knows_the_keys_of_thousands_of_parts(self, tmp_path, monkeypatch):
        monkeypatch.setattr(compact, "MAX_KEYS_MERGED", 5_000)
        store = Store.open(str(tmp_path / "s"), create=True)
        row = results_of("many", 1)
        for first, end in ((0, 4_200), (4_200, 5_100), (5_100, 5_101)):
            store.append("results", {f"many#{n}": row for n in range(first, end)})
        (done,) = (t for t in store.compact().tables if t.table == "results")
        assert (done.files_before, done.files_after) == (3, 2)  # all would have too many keys
        shutil.rmtree(Path(store.url) / "results" / "_delta_log")
        Store.open(store.url).check(repair=True)
        parts = {"many#4199": row, "many#5100": row}
        assert Store.open(store.url).append("results", parts) == set()

    def test_an_interrupted_rebuild_is_finished(self, store, monkeypatch):
        shutil.rmtree(Path(store.url) / "runs" / "_delta_log")
        move = rebuilding._move

        def killed(source, target):
            if source.parent.name == "rebuilt":
                raise KeyboardInterrupt
            move(source, target)

        with monkeypatch.context() as patch:
            patch.setattr(rebuilding, "_move", killed)
            with pytest.raises(KeyboardInterrupt):
                Store.open(store.url).check(repair=True)
        with pytest.raises(StoreError, match="interrupted"):
            Store.open(store.url).read("results")
        assert {p.mended for p in Store.open(store.url).check(repair=True)} == {True}
        again = Store.open(store.url)
        assert again.check() == []
        assert again.read("results").num_rows == 6000

    def test_a_rebuild_that_cannot_move_changes_nothing(self, store, monkeypatch):
        shutil.rmtree(Path(store.url) / "runs" / "_delta_log")
        before = sorted((Path(store.url) / "runs").iterdir())
        move = rebuilding._move

        def refused(source, target):
            if source.parent.name == "rebuilt":
                raise StoreError("refused")
            move(source, target)

        monkeypatch.setattr(rebuilding, "_move", refused)
        with pytest.raises(StoreError, match="refused"):
            Store.open(store.url).check(repair=True)
        assert sorted((Path(store.url) / "runs").iterdir()) == before

    def test_runs_whose_rows_are_lost_come_back_from_replaced_files(self, store):
        whole = rows_of(store, "runs")
        store.compact()
        (file,) = [f.path for f in store._logs["runs"].files(store._logs["runs"].refresh())]
        (Path(store.url) / "runs" / file).write_bytes(b"PAR1")
        found = {p.message: p.done for p in store.check(repair=True) if p.kind == "lost"}
        assert found["the row of run 'run-1' is gone; its results are there"] == (
            "its rows were found in other files of the store"
        )
        assert rows_of(Store.open(store.url), "runs") == whole

    def test_runs_whose_rows_are_lost_are_made_anew_from_their_results(self, store):
        for path in (Path(store.url) / "runs").glob("*.parquet"):
            path.write_bytes(b"PAR1")
        done = [p.done for p in store.check(repair=True) if p.kind == "lost"]
        assert done == ["made anew from its results; its commit, branch and job are not known"] * 3
        again = Store.open(store.url)
        assert again.check() == []
        assert again.read("results").num_rows == 6000
        (row,) = again.read("runs", where=[("run_id", "==", "run-1")]).to_pylist()
        assert (row["cases"], row["failed"], row["source"]) == (2000, 1, "recovered")
        assert (row["commit"], row["complete"]) == (None, False)

    def test_a_backfilled_run_whose_row_is_lost_is_replayed_again(self, tmp_path):
        store = Store.open(str(tmp_path / "b"), create=True)
        store.append_runs([record(0, run_id="0123456789abcdef")])
        for path in (tmp_path / "b" / "runs").glob("*.parquet"):
            path.unlink()
        found = store.check(repair=True)
        assert any("the run was removed: ingest it again" in p.done for p in found)
        again = Store.open(store.url)
        assert again.check() == []
        assert again.append_runs([record(0, run_id="0123456789abcdef")]) == 1
        assert again.read("results").num_rows == 20

    @pytest.mark.parametrize("wrong", [{"numRecords": 7}, {"minValues": {"case_id": "z"}}])
    def test_whole_files_of_which_the_log_tells_something_else_are_kept(self, store, wrong):
        log = Path(store.url) / "results" / "_delta_log"
        entry = max(log.glob("*.json"))
        lines = [json.loads(line) for line in entry.read_text().splitlines()]
        for line in lines:
            if "add" in line:
                line["add"]["stats"] = json.dumps(json.loads(line["add"]["stats"]) | wrong)
        entry.write_text("\n".join(json.dumps(line) for line in lines) + "\n")
        again = Store.open(store.url)
        assert [p.kind for p in again.check()] == ["statistics"]
        assert [p.done for p in again.check(repair=True)] == ["corrected; no row is lost"]
        assert Store.open(store.url).check() == []
        assert Store.open(store.url).read("results").num_rows == 6000

    def test_rows_that_stand_there_twice_are_named_and_mended(self, store):
        log = store._logs["results"]
        (_file,) = [f for f in log.files(log.refresh()) if f.bounds["run_id"][0] == "run-1"]
        rows = store.read("results", where=[("run_id", "==", "run-1")])
        log.append({"again": rows})
        (found,) = store.check()
        assert (found.kind, found.table) == ("doubled", "results")
        assert found.message == "2,000 rows stand there more than once"
        assert [p.mended for p in store.check(repair=True)] == [True]
        again = Store.open(store.url)
        assert again.check() == []
        assert again.read("results").num_rows == 6000

    def test_what_a_power_cut_took_from_the_log_is_taken_back(self, store):
        whole = rows_of(store, "results"), rows_of(store, "runs")
        for table in ("results", "runs"):
            log = Path(store.url) / table / "_delta_log"
            max(log.glob("*.json")).unlink()
        again = Store.open(store.url)
        assert again.run_ids() == {"run-0", "run-1"}
        assert {(p.kind, p.table) for p in again.check()} == {("lost", "results"), ("lost", "runs")}
        assert all(p.mended for p in again.check(repair=True))
        again = Store.open(store.url)
        assert (rows_of(again, "results"), rows_of(again, "runs")) == whole
        assert again.append_runs([record(2, cases=2000)]) == 0
        assert again.check() == []

    @pytest.mark.parametrize("table", ["commits", "file_changes", "links", "labels"])
    def test_tables_without_runs_are_emptied_and_read_again(self, store, table):
        row = {name: _SOME[kind] for name, (kind, _) in TABLES[table].items()}
        rows = pa.Table.from_pylist([row], schema=arrow_schema(table))
        store.append(table, {"a range": rows})
        (file,) = (Path(store.url) / table).glob("*.parquet")
        file.write_bytes(b"PAR1")
        (found,) = store.check(repair=True)
        assert "read them again: testopt " in found.done
        again = Store.open(store.url)
        assert again.check() == []
        assert again.append(table, {"a range": rows}) == {"a range"}
        assert again.read(table).num_rows == 1

    def test_files_have_the_mode_that_the_umask_asks_for(self, tmp_path):
        before = os.umask(0o002)
        try:
            store = Store.open(str(tmp_path / "team"), create=True)
            store.append_runs([record(1)])
            store.write_blob("state/x", b"x")
        finally:
            os.umask(before)
        files = [path for path in Path(store.url).rglob("*") if path.is_file()]
        assert {oct(path.stat().st_mode & 0o777) for path in files} == {"0o664"}

    def test_no_repair_where_there_are_no_locks(self, store, monkeypatch):
        def refused(handle, mode):
            raise OSError(errno.ENOLCK, "no locks")

        monkeypatch.setattr(fcntl, "flock", refused)
        assert store.append_runs([record(7)]) == 1
        assert store.check() == []
        assert not store.info().has_locks
        with pytest.raises(StoreError, match="without locks"):
            store.check(repair=True)

    def test_compaction_drops_nothing_where_no_run_is_known(self, store, monkeypatch):
        monkeypatch.setattr(compact, "DAY_S", -1.0)
        shutil.rmtree(Path(store.url) / "runs")
        again = Store.open(store.url)
        again.compact()
        log = again._logs["results"]
        assert sum(f.rows for f in log.files(log.refresh())) == 6000

    def test_what_is_dropped_is_kept_aside(self, store):
        file = min((Path(store.url) / "results").glob("*.parquet"))
        content = file.read_bytes()[:-9]
        file.write_bytes(content)
        assert not any(p.done for p in store.check())
        done = [p.done for p in store.check(repair=True)]
        assert any("the run was removed: ingest it again" in d for d in done)
        assert (Path(store.url) / "damaged" / "results" / file.name).read_bytes() == content
        assert [p.name for p in (Path(store.url) / "damaged").glob("runs-*/*")] != []

    def test_compaction_of_damaged_files_stops_no_append(self, tmp_path):
        store = Store.open(str(tmp_path / "t"), create=True, compact_files=4)
        store.append_runs([record(0)])
        min((tmp_path / "t" / "results").glob("*.parquet")).write_bytes(b"PAR1")
        assert sum(store.append_runs([record(i)]) for i in range(1, 8)) == 7
        with pytest.raises(StoreError, match="cannot be compacted"):
            store.compact()

    def test_missing_log_entry(self, store):
        (Path(store.url) / "results" / "_delta_log" / f"{2:020}.json").unlink()
        problems = Store.open(store.url).check()
        assert ("log", "results") in {(p.kind, p.table) for p in problems}
        assert any("2 to 2" in p.message for p in problems)


class TestFormat:
    def test_a_newer_store_is_refused(self, tmp_path):
        Store.open(str(tmp_path), create=True).append_runs([record(1)])
        (tmp_path / FORMAT).write_text('{"schema_version": 99}')
        with pytest.raises(StoreError, match="format 99") as caught:
            Store.open(str(tmp_path), create=True)
        assert "upgrade testopt" in caught.value.hint
        assert list((tmp_path / "results").glob("*.parquet"))

    def test_an_older_store_without_a_way_is_refused(self, tmp_path):
        Store.open(str(tmp_path), create=True)
        (tmp_path / FORMAT).write_text('{"schema_version": 0}')
        with pytest.raises(StoreError, match="cannot be migrated to format"):
            Store.open(str(tmp_path))
        assert json.loads((tmp_path / FORMAT).read_text())["schema_version"] == 0

    def test_an_older_store_is_migrated_step_by_step(self, tmp_path):
        Store.open(str(tmp_path), create=True)
        (tmp_path / FORMAT).write_text('{"schema_version": 1}')
        steps = []
        migrations = {v: lambda _, v=v: steps.append(v) for v in (1, 2)}
        open_format(Location(str(tmp_path)), create=False, current=3, migrations=migrations)
        open_format(Location(str(tmp_path)), create=False, current=3, migrations=migrations)
        assert steps == [1, 2]
        assert json.loads((tmp_path / FORMAT).read_text())["schema_version"] == 3

    def test_an_interrupted_migration_goes_on_where_it_stopped(self, tmp_path):
        Store.open(str(tmp_path), create=True)
        (tmp_path / FORMAT).write_text('{"schema_version": 1}')
        steps = []

        def broken(_):
            raise StoreError("power cut")

        location = Location(str(tmp_path))
        first = {1: lambda _: steps.append(1), 2: broken}
        with pytest.raises(StoreError, match="power cut"):
            open_format(location, create=False, current=3, migrations=first)
        second = {1: lambda _: steps.append(1), 2: lambda _: steps.append(2)}
        open_format(location, create=False, current=3, migrations=second)
        assert steps == [1, 2]

    @pytest.mark.parametrize("content", ["", "{}", "[1]", '{"schema_version": "x"}', "\xff"])
    def test_a_damaged_format_is_said(self, tmp_path, content):
        Store.open(str(tmp_path), create=True)
        (tmp_path / FORMAT).write_text(content, encoding="latin-1")
        with pytest.raises(StoreError, match=r"format\.json is damaged"):
            Store.open(str(tmp_path), create=True)

    def test_a_lost_format_is_said(self, tmp_path):
        Store.open(str(tmp_path), create=True).append_runs([record(1)])
        (tmp_path / FORMAT).unlink()
        with pytest.raises(StoreError, match=r"no format\.json"):
            Store.open(str(tmp_path), create=True)
