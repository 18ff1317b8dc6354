"""Results in, a trained model out, and an order of the cases for the change at hand."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from builders import Suite

from testopt import Store, backtest

CASES = set(Suite.cases)
FLAKY, RARE = Suite.cases[7], Suite.cases[11]
COLUMNS = ["run_id", "case_id", "probability", "rank", "selected", "duration_s"]

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("no_ci")]


@pytest.fixture(scope="module")
def predicted(trained, tmp_path_factory, testopt):
    """The JSON report of a backtest, and its predictions."""
    out = tmp_path_factory.mktemp("predicted") / "out.parquet"
    at = ("--repo", trained, "--store", trained / "store")
    done = testopt(*at, "backtest", "--predictions", out, "--json")
    assert done.code == 0, done.err
    return done.document, pq.read_table(out)


@pytest.fixture
def place(trained, tmp_path):
    """A copy of the trained store, and the options that name it."""
    shutil.copytree(trained / "store", tmp_path / "store")
    return ("--repo", tmp_path, "--store", tmp_path / "store")


@pytest.fixture
def empty_diff(tmp_path):
    path = tmp_path / "empty.diff"
    path.touch()
    return path


def order(done):
    assert done.code == 0, done.err
    return [case["case_id"] for case in done.document["cases"]]


def bundles(store: Path) -> dict[str, bytes]:
    """Return every file of the store's bundles, by relative path."""
    folder = store / "models"
    found = [path for path in folder.glob("*/*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_every_case_of_every_run_is_predicted(predicted):
    _, table = predicted
    assert table.column_names == COLUMNS
    by_run = {}
    for row in table.to_pylist():
        by_run.setdefault(row["run_id"], []).append(row)
    assert sorted(by_run) == sorted(f"run {n}" for n in range(60))
    for rows in by_run.values():
        assert {row["case_id"] for row in rows} == CASES
        assert sorted(row["rank"] for row in rows) == list(range(1, len(CASES) + 1))
        assert all(0.0 <= row["probability"] <= 1.0 and row["selected"] for row in rows)
    assert pc.min(table["duration_s"]).as_py() == pytest.approx(0.1)


def test_the_backtest_reports_what_would_have_happened(predicted):
    document, table = predicted
    assert document["version"] == 1
    assert (document["runs"], document["cases"]) == (60, 15)
    assert document["failing_runs"] == 33
    assert document["modelled_runs"] > 0
    methods = document["methods"]
    assert set(methods) >= {"testopt", "by case id", "random", "optimal"}
    assert (
        methods["by case id"]["apfdc"] < methods["testopt"]["apfdc"] <= methods["optimal"]["apfdc"]
    )
    waits = document["seconds_to_first"]
    assert waits["optimal"] <= waits["testopt"] < waits["by case id"] < document["suite_seconds"]
    # The case that fails in half of the runs is at the top once it is known.
    late = [r for r in table.to_pylist() if r["case_id"] == FLAKY][30:]
    assert sum(row["rank"] for row in late) / len(late) < 3


def test_the_same_history_gives_the_same_predictions_in_a_notebook_too(
    trained, predicted, tmp_path, testopt
):
    at = ("--repo", trained, "--store", trained / "store")
    done = testopt(*at, "backtest", "--predictions", tmp_path / "again.csv")
    assert done.code == 0
    assert "the first failure would have come after" in done.out
    document, table = predicted
    again = pd.read_csv(tmp_path / "again.csv")
    assert again.columns.tolist() == COLUMNS
    assert again["rank"].tolist() == table["rank"].to_pylist()
    store = Store.open(trained / "store")
    tables = [store.read(name).to_pandas() for name in ("runs", "results", "run_changes")]
    found = backtest(*tables, recalls=[0.9])
    ours = found.to_pandas().drop(columns="selected")
    pd.testing.assert_frame_equal(ours, table.to_pandas().drop(columns="selected"))
    report = json.loads(json.dumps(asdict(found.report), default=str)) | {"version": 1}
    assert [promise["recall"] for promise in report["promises"]] == [0.9]
    assert report | {"promises": [], "curve": []} == document
    by_method = found.report.to_pandas()
    assert by_method.index[-1] == "optimal"
    assert by_method["apfdc"]["random"] == document["methods"]["random"]["apfdc"]


def test_training_twice_gives_the_same_bytes(trained, tmp_path, testopt):
    table = Suite.write(tmp_path / "runs.csv", range(60))
    at = ("--repo", tmp_path, "--store", tmp_path / "store")
    assert testopt(*at, "ingest", "--format", "table", table).code == 0
    done = testopt(*at, "train", "--json")
    assert done.code == 0
    report = done.document
    assert (report["runs"], report["failing_runs"], report["cases"]) == (60, 33, 15)
    assert report["validation"]["failing_runs"] > 0
    made, other = bundles(tmp_path / "store"), bundles(trained / "store")
    assert f"{report['bundle']}/manifest.json" in made
    assert made == other
    # And once more over the same store, in a process with other hashes: nothing new comes of it.
    again = [sys.executable, "-m", "testopt", *map(str, at), "train", "--json"]
    seeded = {**os.environ, "PYTHONHASHSEED": "77"}
    done = subprocess.run(again, check=True, env=seeded, capture_output=True)
    assert json.loads(done.stdout)["bundle"] == report["bundle"]
    assert bundles(tmp_path / "store") == made


def test_a_plan_as_text_json_and_ids(place, testopt, empty_diff):
    rank = (*place, "rank", "--diff", empty_diff)
    document = testopt(*rank, "--json").document
    assert document["version"] == 1
    assert document["policy"].startswith("bundle ")
    assert (document["degraded"], document["change"]["known"]) == (False, True)
    cases = document["cases"]
    ids = [case["case_id"] for case in cases]
    assert set(ids) == CASES
    assert [case["rank"] for case in cases] == list(range(1, 16))
    assert ids[:2] == [FLAKY, RARE]
    first = cases[0]
    assert (first["probability"], first["cost_s"]) == (
        pytest.approx(0.5, abs=0.5),
        pytest.approx(0.2),
    )
    assert "30 of 60 runs" in first["reason"]
    assert testopt(*rank, "--format", "json").document == document
    assert testopt(*rank, "--format", "pytest").out.splitlines() == ids
    text = testopt(*rank)
    assert [line.split()[-1] for line in text.out.splitlines()[1::2]] == ids
    (line,) = text.err.splitlines()
    assert "ordered by bundle" in line
    assert len(line) < 120
    more = testopt(*place, "-v", "rank", "--diff", empty_diff).err.splitlines()
    assert more[0] == line
    assert more[1].startswith("no-repository: ")  # what the doctor would say
    assert testopt("-q", *rank).err == ""


def test_long_text_is_cut_unless_all_is_asked_for(place, tmp_path, testopt, empty_diff):
    path = tmp_path / "many"
    path.write_text("\n".join(f"tests/test_x.py::test_{n}" for n in range(30)))
    rank = (*place, "rank", "--diff", empty_diff, "--cases", path)
    short, long = testopt(*rank).out, testopt(*rank, "--all").out
    assert "and 10 more (--all)" in short
    assert (short.count("::"), long.count("::")) == (20, 30)


def test_cases_come_from_lines_a_list_or_standard_input(place, tmp_path, testopt, empty_diff):
    rank = (*place, "rank", "--diff", empty_diff, "--json", "--cases")
    ids = [Suite.cases[0], "tests/test_new.py::test_it[a b]", FLAKY]
    collected = "\n".join([*ids, "", "3 tests collected in 0.01s"])
    lines, listed = tmp_path / "lines", tmp_path / "listed"
    lines.write_text(collected)
    listed.write_text(json.dumps(ids))
    orders = [
        order(testopt(*rank, lines)),
        order(testopt(*rank, listed)),
        order(testopt(*rank, "-", stdin=collected.encode())),
        order(testopt(*rank, "-", stdin=json.dumps(ids).encode())),
    ]
    assert all(o == orders[0] for o in orders)
    assert sorted(orders[0]) == sorted(ids)
    assert orders[0].index(FLAKY) < orders[0].index(Suite.cases[0])


def test_a_diff_on_standard_input(place, tmp_path):
    diff = "--- a/src/a.py\n+++ b/src/a.py\n@@ -1 +1 @@\n-x = 1\n+x = 2\n"
    command = [sys.executable, "-m", "testopt", *map(str, place), "rank", "--diff", "-", "--json"]
    done = subprocess.run(command, input=diff, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["change"]["files"] == ["src/a.py"]


def test_the_change_between_two_revisions(trained, make_repo, testopt):
    repo = make_repo()
    first = repo.commit(files={"a.py": "a = 1\n"})
    second = repo.commit(files={"b.py": "b = 1\n"})
    third = repo.commit(files={"c.py": "c = 1\n", "a.py": "a = 2\n"})
    at = ("--repo", repo.path, "--store", trained / "store", "rank", "--json")

    def change(*args):
        found = testopt(*at, *args).document["change"]
        return found["base"], found["head"], sorted(found["files"])

    assert change("--base", "HEAD~2", "--head", third) == (first, third, ["a.py", "b.py", "c.py"])
    assert change("--head", "HEAD~1") == (first, second, ["b.py"])
    assert change("--base", "HEAD~1") == (second, third, ["a.py", "c.py"])
    assert change() == (second, third, ["a.py", "c.py"])
    repo.write("b.py", "b = 2\n")
    assert change() == (third, None, ["b.py"])


def test_the_store_is_found_in_the_repository(trained, make_repo, testopt):
    repo = make_repo()
    repo.commit(files={"src/a.py": "a = 1\n"})
    shutil.copytree(trained / "store", repo.path / ".testopt")
    done = testopt("--repo", repo.path / "src", "rank", "--json")
    assert order(done)[0] == FLAKY
    assert repo.git("status", "--porcelain") == ""


def test_a_run_recorded_after_training_changes_the_next_plan(place, tmp_path, testopt, empty_diff):
    rank = (*place, "rank", "--diff", empty_diff, "--json")
    victim = Suite.cases[4]
    before = order(testopt(*rank))
    assert before.index(victim) > 1
    table = Suite.write(tmp_path / "more.csv", range(60, 61), failing=(4,))
    assert testopt(*place, "ingest", "--format", "table", table).code == 0
    done = testopt(*rank)
    after = order(done)
    assert after.index(victim) < before.index(victim)
    assert after.index(victim) <= 2
    reason = {c["case_id"]: c["reason"] for c in done.document["cases"]}[victim]
    assert reason.startswith("failed in 1 of 61 runs")
    assert order(testopt(*rank)) == after


def test_a_run_in_the_past_is_noticed(place, tmp_path, testopt, empty_diff):
    table = tmp_path / "old.csv"
    table.write_text(
        "run_id,time,case_id,outcome,duration_s\n"
        f"old,2020-01-01T00:00:00Z,{Suite.cases[0]},passed,1\n"
    )
    assert testopt(*place, "ingest", "--format", "table", table).code == 0
    done = testopt(*place, "rank", "--diff", empty_diff)
    assert done.code == 0
    assert "older runs have arrived" in done.err


def test_training_as_of_a_time_uses_nothing_later(place, testopt):
    done = testopt(*place, "train", "--as-of", "2026-01-02", "--json")
    assert done.code == 0
    assert done.document["runs"] == 25
    assert not done.document["promoted"]
    assert done.document["last"].startswith("2026-01-02T00:00")


def test_a_bundle_as_of_a_time_is_kept_and_replaces_none_unasked(place, testopt, empty_diff):
    policy = testopt(*place, "rank", "--json", "--diff", empty_diff).document["policy"]
    done = testopt(*place, "train", "--as-of", "2026-01-02")
    kept = done.out.split()[1].rstrip(":")
    assert f"it is not live, and plans use {policy.split()[1]} (60 runs)" in done.out
    assert testopt(*place, "rank", "--json", "--diff", empty_diff).document["policy"] == policy
    done = testopt(*place, "models", "promote", kept)
    assert f"model {kept} is live in place of {policy.split()[1]}" in done.out
    now = testopt(*place, "rank", "--json", "--diff", empty_diff).document["policy"]
    assert now == f"bundle {kept}"


def test_without_git_on_the_path(place, tmp_path, testopt, empty_diff, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    table = Suite.write(tmp_path / "more.csv", range(60, 62))
    assert testopt(*place, "ingest", "--format", "table", table).code == 0
    done = testopt(*place, "rank", "--diff", empty_diff, "--json")
    assert order(done)[0] == FLAKY


def test_without_a_repository_history_alone_gives_the_order(trained, tmp_path, testopt):
    done = testopt("--repo", tmp_path, "--store", trained / "store", "rank", "--json")
    assert done.code == 0
    assert not done.document["change"]["known"]
    assert "is not in a git repository" in done.document["note"]
    assert "(see --diff)" in done.document["note"]
    assert order(done)[0] == FLAKY


def test_a_partial_run_does_not_hide_the_other_cases(place, tmp_path, testopt, empty_diff):
    results = tmp_path / "part.xml"
    file, _, name = Suite.cases[3].partition("::")
    results.write_text(
        f'<testsuite><testcase file="{file}" classname="x" name="{name}"/></testsuite>'
    )
    more = ("--commit", "f" * 40, "--time", "2026-06-01T00:00:00Z")
    assert testopt(*place, "ingest", results, *more).code == 0
    done = testopt(*place, "rank", "--diff", empty_diff, "--json")
    assert set(order(done)) >= CASES
    assert "cases of the last runs, of which the last had 1" in done.err
