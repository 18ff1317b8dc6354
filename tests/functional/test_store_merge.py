"""``testopt store merge`` and ``export history``: stores of several machines become one."""

from __future__ import annotations

import csv
import json

import pytest
from builders import append_rows as append
from builders import commit_row, file_row, label_row, link_row, make_record, prediction_row
from click.testing import CliRunner

from testopt.cli import cli
from testopt.store import Store

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("no_ci")]

CASES = ["t.py::a", "t.py::b", "t.py::c"]


def record(run_id, hours=0.0, **facts):
    plan = [prediction_row(case, policy="p") for case in CASES]
    facts = {"commit": "c" * 40, "branch": "main", "job": "unit"} | facts
    return make_record(
        run_id, CASES, CASES[:1], hours=hours, change=["a.py"], predictions=plan, **facts
    )


@pytest.fixture
def machines(tmp_path, monkeypatch):
    """Two stores that share one run, and what only one of them mined and kept."""
    monkeypatch.chdir(tmp_path)
    a, b = (Store.open(str(tmp_path / name), create=True) for name in "ab")
    a.append_runs([record("shared"), record("of-a", 1)])
    b.append_runs([record("shared"), record("of-b", 2, job="other")])
    append(b, "commits", [commit_row("1" * 40)])
    append(b, "file_changes", [file_row("1" * 40, "a.py")])
    append(b, "labels", [label_row("1" * 40, "2" * 40)])
    append(b, "links", [link_row("t.py::a", "a.py")])
    append(b, "predictions", [prediction_row(c, policy="p") | {"run_id": "kept"} for c in CASES])
    return a, b


def run(*args):
    result = CliRunner().invoke(cli, ["--repo", ".", *map(str, args)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def rows(store, table, **options):
    names = {"runs": ["run_id", "job", "cases"], "results": ["run_id", "case_id", "outcome"]}
    found = store.read(table, columns=names.get(table), **options).to_pylist()
    return sorted(map(repr, found))


def test_a_source_may_name_the_project(machines):
    merged = run("--project", "b", "--store", "one", "store", "merge", "{project}")
    assert (merged.exit_code, merged.output) == (0, "b: 2 new runs\n")


def test_what_several_machines_have_becomes_one(machines, tmp_path):
    a, b = machines
    first = run("--store", "one", "store", "merge", "a", "b")
    assert first.exit_code == 0
    assert "2 new runs" in first.output
    assert "1 new run, 1 known already" in first.output
    one = Store.open(str(tmp_path / "one"))
    for table in ("runs", "results", "run_changes"):
        assert set(rows(one, table)) == {*rows(a, table), *rows(b, table)}
    for table in ("commits", "file_changes", "labels", "links"):
        assert rows(one, table) == rows(b, table) != []
    kept = [("run_id", "==", "kept")]
    assert len(rows(one, "predictions", where=kept, unfinished=True)) == 3
    assert one.check() == []


def test_the_same_store_twice_adds_nothing(machines, tmp_path):
    run("--store", "one", "store", "merge", "a", "b")
    one = Store.open(str(tmp_path / "one"))
    before = {table: one.version(table) for table in ("runs", "results", "commits", "labels")}
    document = json.loads(run("--store", "one", "store", "merge", "b", "a", "--json").stdout)
    assert [part["runs"] for part in document["stores"]] == [0, 0]
    assert {table: one.version(table) for table in before} == before


def test_runs_that_are_not_what_the_job_knows_are_refused(machines, tmp_path):
    result = run("--store", "one", "store", "merge", "b", "--job", "unit", "--branch", "main")
    assert result.exit_code == 3
    assert "run of-b is refused: its job is 'other', not 'unit'" in result.output
    one = Store.open(str(tmp_path / "one"))
    assert one.run_ids() == {"shared"}
    assert one.read("commits").num_rows == one.read("labels").num_rows == 0


def test_a_store_is_not_merged_into_itself(machines):
    result = CliRunner().invoke(cli, ["--store", "a", "store", "merge", "a"])
    assert "cannot be merged into itself" in result.exception.message


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_the_history_is_what_ingest_takes(machines, tmp_path, form):
    a, _ = machines
    assert run("--store", "a", "store", "export", "history", f"h.{form}").exit_code == 0
    run("--store", "a", "store", "export", "run_changes", f"c.{form}")
    done = run("--store", "again", "ingest", "--format", "table", f"h.{form}", "--changes",
               f"c.{form}")  # fmt: skip
    assert done.exit_code == 0, done.output
    again = Store.open(str(tmp_path / "again"))
    for table in ("runs", "results"):
        assert rows(again, table) == rows(a, table)


def test_no_text_of_a_csv_is_a_formula(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ["=1+1", "+x", "-x", "@x", "\tx", "plain"]
    Store.open("s", create=True).append_runs([make_record("=r", names)])
    run("--store", "s", "store", "export", "history", "h.csv")
    with (tmp_path / "h.csv").open(newline="") as stream:
        ids = [row["case_id"] for row in csv.DictReader(stream)]
    assert sorted(ids) == sorted([*(f"'{name}" for name in names[:-1]), "plain"])
