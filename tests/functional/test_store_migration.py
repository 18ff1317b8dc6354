"""A store of format 1, written by the program of that time, under the program of today."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from testopt.errors import StoreError
from testopt.schema import TABLES, arrow_schema
from testopt.store import Store
from testopt.store.delta import TableLog
from testopt.store.format import ADDED, FORMAT, open_format
from testopt.store.location import Location

DATA = Path(__file__).parent.parent / "data" / "store-v1" / "project.tar.gz"
NEW = ADDED[2]
OLD_TABLES = [table for table in TABLES if table != "decisions"]  # which came later


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("v1")
    with tarfile.open(DATA) as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture
def project(unpacked, tmp_path, monkeypatch):
    monkeypatch.setenv("TESTOPT_KEY", "a key for tests only")
    return Path(shutil.copytree(unpacked, tmp_path / "project", symlinks=True))


@pytest.fixture
def url(project):
    return str(project / ".testopt")


def rows_then(project):
    return json.loads((project / "rows-v1.json").read_text())


def rows_now(store, table):
    left_out = NEW.get(table, ())
    rows = [
        {k: v for k, v in r.items() if k not in left_out} for r in store.read(table).to_pylist()
    ]
    return sorted(json.dumps(r, default=str, sort_keys=True) for r in rows)


def assert_as_before(store, project):
    for table, rows in rows_then(project).items():
        then = sorted(json.dumps(row, sort_keys=True) for row in rows)
        assert rows_now(store, table) == then, table
    for table, columns in NEW.items():
        for column in columns:
            assert set(store.read(table, columns=[column])[column].to_pylist()) == {None}


def fields_of(url, table):
    return {field.name for field in DeltaTable(f"{url}/{table}").schema().fields}


def test_all_rows_are_there_and_the_new_columns_are_null(project, url):
    files = {p: p.read_bytes() for p in Path(url).rglob("part-*.parquet")}
    store = Store.open(url)
    assert json.loads((Path(url) / FORMAT).read_text())["schema_version"] == 2
    assert_as_before(store, project)
    assert {p: p.read_bytes() for p in Path(url).rglob("part-*.parquet")} == files
    for table in OLD_TABLES:  # also for whoever reads the tables without testopt
        assert fields_of(url, table) == set(TABLES[table])
    assert store.check() == []


def test_opening_again_changes_nothing(url):
    versions = {t: Store.open(url).version(t) for t in TABLES}
    assert {t: Store.open(url).version(t) for t in TABLES} == versions


@pytest.mark.parametrize("table", NEW)
def test_filters_on_new_columns(url, table):
    store = Store.open(url)
    (column, *_) = NEW[table]
    where = [(column, "in", ["x"])]
    assert store.read(table, columns=["run_id"], where=where).num_rows == 0
    assert store.read(table, columns=[column], dictionary=[column]).num_rows > 0


def test_compaction_export_and_check(project, url, tmp_path):
    store = Store.open(url)
    report = store.compact()
    assert any(t.files_after < t.files_before for t in report.tables)
    assert_as_before(Store.open(url), project)
    for table, columns in TABLES.items():
        out = tmp_path / f"{table}.parquet"
        assert store.export(table, str(out)) == store.read(table).num_rows
        assert pq.read_schema(out).names == list(columns)
    assert store.check() == []


@pytest.mark.parametrize("table", ["runs", "results", "run_changes"])
def test_a_broken_log_is_made_anew_from_old_files(project, url, table):
    shutil.rmtree(Path(url) / table / "_delta_log")
    store = Store.open(url)
    problems = store.check(repair=True)
    assert any(p.mended for p in problems)
    assert rows_now(store, table) == sorted(
        json.dumps(row, sort_keys=True) for row in rows_then(project)[table]
    )
    assert fields_of(url, table) == set(TABLES[table])


def test_a_lost_format_is_found_by_the_columns(project, url):
    (Path(url) / FORMAT).unlink()
    assert [p.kind for p in Store.repair_format(url)] == ["format"]
    assert json.loads((Path(url) / FORMAT).read_text())["schema_version"] == 1
    assert_as_before(Store.open(url), project)
    (Path(url) / FORMAT).write_text("damaged")
    assert Store.repair_format(url)
    assert json.loads((Path(url) / FORMAT).read_text())["schema_version"] == 2


def test_a_lost_format_of_a_half_migrated_store(project, url):
    TableLog(Location(url), "runs").add_missing_columns()
    (Path(url) / FORMAT).unlink()
    assert Store.repair_format(url)
    assert_as_before(Store.open(url), project)
    assert fields_of(url, "predictions") == set(TABLES["predictions"])


@pytest.mark.parametrize("at", range(len(OLD_TABLES) + 1))
def test_interrupted_between_tables_it_is_done_again(project, url, monkeypatch, at):
    done = []
    add = TableLog.add_missing_columns

    def dies(log):
        if len(done) == at:
            raise KeyboardInterrupt
        done.append(log.table)
        return add(log)

    with monkeypatch.context() as patch:
        patch.setattr(TableLog, "add_missing_columns", dies)
        with suppress(KeyboardInterrupt):
            Store.open(url)
    assert_as_before(Store.open(url), project)
    assert all(fields_of(url, table) == set(TABLES[table]) for table in OLD_TABLES)


SLOW = """
import sys, time
from testopt.store import Store
from testopt.store.delta import TableLog
add = TableLog.add_missing_columns
def slowly(log):
    print(log.table, flush=True)
    done = add(log)
    time.sleep(float(sys.argv[2]))
    return done
TableLog.add_missing_columns = slowly
Store.open(sys.argv[1])
"""


def opening(url, seconds):
    return subprocess.Popen(
        [sys.executable, "-c", SLOW, url, str(seconds)], stdout=subprocess.PIPE, text=True
    )


def test_killed_in_the_middle(project, url):
    child = opening(url, 60)
    assert child.stdout.readline() == "commits\n"
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert json.loads((Path(url) / FORMAT).read_text())["schema_version"] == 1
    assert_as_before(Store.open(url), project)


def test_several_processes_at_once(project, url):
    children = [opening(url, 0.05) for _ in range(3)]
    for child in children:
        child.communicate(timeout=120)
        assert child.returncode == 0
    assert_as_before(Store.open(url), project)
    assert Store.open(url).check() == []
    entries = [*(Path(url) / "runs" / "_delta_log").glob("*.json")]
    altered = [e for e in entries if '"ADD COLUMN"' in e.read_text()]
    assert len(altered) == 1


def test_without_locks_as_on_an_object_store(project, url, monkeypatch):
    """Two that both find the columns missing: the one that comes later sees that they are there."""
    late = TableLog(Location(url), "runs")
    stale = [late.refresh()]
    refresh = late.refresh
    TableLog(Location(url), "runs").add_missing_columns()
    monkeypatch.setattr(late, "refresh", lambda: stale.pop() if stale else refresh())
    assert late.add_missing_columns().version() == refresh().version()
    assert_as_before(Store.open(url), project)


def test_who_may_not_write_reads_on(project, url):
    if os.geteuid() == 0:
        pytest.skip("root may always write")
    for path in (Path(url), *Path(url).rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        assert_as_before(Store.open(url), project)
    finally:
        for path in (Path(url), *Path(url).rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)


def test_a_refused_migration_leaves_a_readable_store(project, url, monkeypatch):
    def refused(_):
        raise StoreError("table runs cannot be altered") from PermissionError(13, "denied")

    open_format(Location(url), create=False, migrations={1: refused})
    assert json.loads((Path(url) / FORMAT).read_text())["schema_version"] == 1

    def broken(_):
        raise StoreError("table runs cannot be altered")

    with pytest.raises(StoreError, match="cannot be altered"):
        open_format(Location(url), create=False, migrations={1: broken})


def test_a_writer_that_finds_an_older_table_adds_the_columns(project, url):
    """As an older program leaves it, which had opened the store before it was migrated."""
    store = Store.open(url)
    shutil.rmtree(Path(url) / "runs")
    old = arrow_schema("runs")
    for name in NEW["runs"]:
        old = old.remove(old.get_field_index(name))
    DeltaTable.create(f"{url}/runs", schema=old)
    row = {**rows_then(project)["runs"][0], "time": None, "seen": None, "run_id": "new"}
    row |= dict.fromkeys(("time", "seen"), store.read("commits")["time"][0].as_py())
    rows = pa.Table.from_pylist([row | {"tree": "abc"}], schema=arrow_schema("runs"))
    store.append("runs", {"new": rows})
    assert fields_of(url, "runs") == set(TABLES["runs"])
    assert store.read("runs")["tree"].to_pylist() == ["abc"]


def test_commands_go_on(project, url, testopt, no_ci):
    at = ("--repo", project, "--store", url)
    out = project / "now.csv"
    assert testopt(*at, "backtest", "--predictions", out).code == 0
    with out.open() as now, (project / "backtest-v1.csv").open() as then:
        # what is learnt from the same rows may be weighed in another way today
        same = [[row | {"probability": ""} for row in csv.DictReader(f)] for f in (now, then)]
        assert same[0] == same[1]
    assert testopt(*at, "why", "tests/test_b.py::test_one").code == 0
    plan = testopt(*at, "select", "--json")
    assert plan.code == 0
    assert "damaged" not in plan.err  # the bundle of that time is read
    bundle = json.loads((Path(url) / "models" / "current.json").read_text())
    assert bundle
    for command in ("doctor", "monitor", "rank", "store info", "store check", "train"):
        done = testopt(*at, *command.split())
        assert done.code == 0, (command, done.err)
