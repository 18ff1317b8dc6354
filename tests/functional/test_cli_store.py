"""``testopt store``: the real command on real stores, whole, damaged, absent and foreign."""

import csv
import json
import subprocess
import sys
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest
from builders import make_run, new_store

from testopt.cli import main
from testopt.schema import Result, RunRecord

pytestmark = pytest.mark.integration


@pytest.fixture
def filled(tmp_path):
    store, results = new_store(tmp_path), [Result("t::a", "passed", 1.5), Result("t,b", "failed")]
    for day in (1, 2):
        run = make_run(f"run\x1b[31m{day}", 24 * (day - 1))
        store.append_runs([RunRecord(run, results)])
    return tmp_path / "store"


@pytest.fixture
def command(capsys):
    """Run ``testopt store`` in this process; return its exit code and what it printed."""

    def run(store, *args):
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main(["--repo", str(store.parent), "--store", str(store), "store", *args])
        printed = capsys.readouterr()
        return SimpleNamespace(
            returncode=caught.value.code or 0, stdout=printed.out, stderr=printed.err
        )

    return run


def test_info(command, filled):
    done = command(filled, "info")
    assert done.returncode == 0
    assert "2 runs, 2026-01-01 to 2026-01-02" in done.stdout
    document = json.loads(command(filled, "info", "--json").stdout)
    assert (document["version"], document["runs"]) == (1, 2)
    assert {t["table"]: t["rows"] for t in document["tables"]} == {"runs": 2, "results": 4}


def test_check_names_damage_and_mends_it(command, filled):
    assert command(filled, "check").stdout == "the store is whole\n"
    damaged = min((filled / "results").glob("*.parquet"))
    damaged.write_bytes(b"PAR1")
    done = command(filled, "check")
    assert done.returncode == 3
    assert f"results/{damaged.name}" in done.stdout
    assert "\x1b" not in done.stdout
    document = json.loads(command(filled, "check", "--json").stdout)
    assert not document["ok"]
    assert {p["kind"] for p in document["problems"]} == {"damaged", "incomplete"}
    assert command(filled, "check", "--repair").returncode == 0
    assert command(filled, "check").stdout == "the store is whole\n"


def test_compact(command, filled):
    document = json.loads(command(filled, "compact", "--json").stdout)
    after = {t["table"]: (t["files_before"], t["files_after"]) for t in document["tables"]}
    assert after["results"] == (2, 1)
    done = command(filled, "compact")
    assert done.returncode == 0
    assert "results" in done.stdout


def test_export(command, filled, tmp_path):
    assert command(filled, "export", "results", str(tmp_path / "o.csv")).returncode == 0
    with (tmp_path / "o.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert sorted((r["case_id"], r["outcome"]) for r in rows) == [
        ("t,b", "failed"),
        ("t,b", "failed"),
        ("t::a", "passed"),
        ("t::a", "passed"),
    ]
    assert command(filled, "export", "runs", str(tmp_path / "o.parquet")).returncode == 0
    assert pq.read_table(tmp_path / "o.parquet").num_rows == 2
    assert command(filled, "export", "commits", str(tmp_path / "c.csv")).returncode == 0
    wrong = command(filled, "export", "results", str(tmp_path / "o.txt"))
    assert (wrong.returncode, "does not end in .parquet or .csv" in wrong.stderr) == (2, True)
    unknown = command(filled, "export", "colours", str(tmp_path / "o.csv"))
    assert (unknown.returncode, "no table 'colours'" in unknown.stderr) == (3, True)
    nowhere = command(filled, "export", "runs", str(tmp_path / "no" / "o.csv"))
    assert (nowhere.returncode, "cannot be written" in nowhere.stderr) == (3, True)


@pytest.mark.parametrize("name", ["info", "check", "compact"])
def test_no_store(command, tmp_path, name):
    done = command(tmp_path / "none", name)
    assert done.returncode == 3
    assert "there is no store at" in done.stderr
    assert "testopt ingest" in done.stderr
    assert not (tmp_path / "none").exists()


def test_newer_store(command, filled):
    (filled / "format.json").write_text('{"schema_version": 2000}')
    done = command(filled, "info")
    assert done.returncode == 3
    assert "upgrade testopt" in done.stderr


@pytest.mark.parametrize("args", [[], ["info"], ["check"], ["compact"], ["export"]])
def test_help_has_examples(command, tmp_path, args):
    assert "Example" in command(tmp_path, *args, "--help").stdout


def test_as_a_process(filled):
    done = subprocess.run(
        [sys.executable, "-m", "testopt", "--store", str(filled), "store", "info", "--json"],
        capture_output=True,
        text=True,
        cwd=filled.parent,
        check=True,
    )
    assert json.loads(done.stdout)["runs"] == 2
    assert done.stderr == ""


@pytest.mark.parametrize("damage", ["{", None])
def test_repair_writes_the_format_anew_where_the_tables_fit(command, filled, damage):
    path = filled / "format.json"
    whole = path.read_text()
    path.unlink()
    if damage is not None:
        path.write_text(damage)
    assert command(filled, "check").returncode == 3
    done = command(filled, "check", "--repair")
    assert done.returncode == 0
    assert "format.json: the file was damaged or gone" in done.stdout
    assert path.read_text() == whole
    assert command(filled, "check").stdout == "the store is whole\n"


def test_repair_leaves_the_format_of_a_newer_version(command, filled):
    path = filled / "format.json"
    path.write_text('{"format": "testopt store", "schema_version": 99}')
    assert "upgrade testopt" in command(filled, "check", "--repair").stderr
    assert "99" in path.read_text()


def test_check_names_a_damaged_model(command, filled):
    (filled / "models").mkdir()
    (filled / "models" / "current.json").write_text("{")
    done = command(filled, "check")
    assert done.returncode == 3
    assert "current.json is damaged; run: testopt train" in done.stdout
