"""What pytest reports arrives in the store as results, and the plan as predictions."""

from __future__ import annotations

import json
from importlib import import_module
from types import SimpleNamespace

import pytest

from testopt.pytest_plugin.record import Recorder
from testopt.schema import digest
from testopt.store import Store

pytestmark = pytest.mark.integration

EVERYTHING = """
import pytest, unittest

def test_pass(): pass
def test_fail(): assert 0, "boom"
def test_skip(): pytest.skip("no")
@pytest.mark.skip
def test_skip_mark(): pass
@pytest.mark.xfail
def test_xfail(): assert 0
@pytest.mark.xfail
def test_xpass(): pass
@pytest.mark.xfail(strict=True)
def test_xpass_strict(): pass
@pytest.fixture
def bad_setup(): assert 0
@pytest.fixture
def bad_teardown():
    yield
    assert 0
def test_setup_error(bad_setup): pass
def test_teardown_error(bad_teardown): pass
def test_fail_and_teardown_error(bad_teardown): assert 0
class TestUnit(unittest.TestCase):
    def test_ok(self): pass
    @unittest.expectedFailure
    def test_expected(self): self.fail()
    def test_subtests(self):
        for i in range(3):
            with self.subTest(i=i):
                self.assertNotEqual(i, 1)
def test_doc():
    '''No doctest.'''
"""

OUTCOMES = {
    "test_pass": "passed",
    "test_fail": "failed",
    "test_skip": "skipped",
    "test_skip_mark": "skipped",
    "test_xfail": "skipped",
    "test_xpass": "passed",
    "test_xpass_strict": "failed",
    "test_setup_error": "error",
    "test_teardown_error": "error",
    "test_fail_and_teardown_error": "failed",
    "TestUnit::test_ok": "passed",
    "TestUnit::test_expected": "skipped",
    "TestUnit::test_subtests": "failed",
    "test_doc": "passed",
}


@pytest.fixture
def rows_of(pytester, with_plugin, fake_engine):
    """Run a suite and return the rows that were sent, by the name of the case."""

    def go(*args: str) -> dict[str, list[list]]:
        log = fake_engine("record")
        pytester.runpytest_inprocess(*with_plugin, "--testopt=record", *args)
        found: dict[str, list[list]] = {}
        for line in log.read_text().splitlines():
            for row in json.loads(line).get("rows", []):
                found.setdefault(row[0].partition("::")[2] or row[0], []).append(row)
        return found

    return go


def test_every_outcome(pytester, rows_of):
    pytester.makepyfile(test_it=EVERYTHING)
    rows = rows_of()
    assert {name: [row[1] for row in found] for name, found in rows.items()} == {
        name: [outcome] for name, outcome in OUTCOMES.items()
    }
    assert rows["test_fail"][0][3] == "AssertionError: boom\nassert 0"
    assert rows["test_pass"][0][3] is None


def test_durations_are_summed_over_the_phases(pytester, rows_of):
    pytester.makepyfile(
        "import pytest, time\n@pytest.fixture\ndef slow():\n time.sleep(.05)\n yield\n"
        " time.sleep(.05)\ndef test_1(slow): time.sleep(.05)"
    )
    assert rows_of()["test_1"][0][2] >= 0.15


def test_a_file_that_cannot_be_collected_is_an_error_of_the_file(pytester, rows_of):
    pytester.makepyfile(test_bad="import no_such_module_anywhere", test_good="def test_1(): pass")
    rows = rows_of("--continue-on-collection-errors")
    assert rows["test_bad.py"][0][1] == "error"
    assert rows["test_1"][0][1] == "passed"
    assert [row[1] for found in rows_of().values() for row in found] == ["error"]


def test_a_collection_error_in_workers_counts_once(pytester, rows_of):
    pytest.importorskip("xdist")
    pytester.makepyfile(test_bad="import no_such_module_anywhere", test_good="def test_1(): pass")
    assert len(rows_of("-n", "2", "--continue-on-collection-errors")["test_bad.py"]) == 1


def test_reruns_are_attempts(pytester, rows_of):
    pytest.importorskip("pytest_rerunfailures")
    pytester.makepyfile(
        "tries = []\ndef test_1():\n tries.append(1)\n assert len(tries) > 2\n"
        "def test_2(): assert 0"
    )
    rows = rows_of("-p", "pytest_rerunfailures", "--reruns=2")
    assert [row[1] for row in rows["test_1"]] == ["failed", "failed", "passed"]
    assert [row[1] for row in rows["test_2"]] == ["failed", "failed", "failed"]


@pytest.mark.parametrize(
    ("reports", "outcomes"),
    [
        (["setup passed", "call retried", "call passed", "teardown passed"], ["failed", "passed"]),
        (["setup passed", "call retried", "call failed", "teardown passed"], ["failed", "failed"]),
        (["setup passed", "call rerun", "teardown passed", "setup passed", "call passed",
          "teardown failed"], ["failed", "error"]),
        (["setup passed", "??? rerun", "??? failed"], ["error", "error"]),
    ],
)  # fmt: skip
def test_attempts_as_plugins_report_them(reports, outcomes):
    """As pytest-retry, pytest-rerunfailures, and xdist with the latter report them."""
    recorder = Recorder()
    for when, outcome in map(str.split, reports):
        report = SimpleNamespace(
            nodeid="t.py::a", when=when, outcome=outcome, duration=0.5, longrepr="assert 0"
        )
        recorder.add(report)
    recorder.finish()
    assert [row[1] for row in recorder.rows] == outcomes
    assert sum(row[2] for row in recorder.rows) == 0.5 * len(reports)


def test_batches_keep_every_row(pytester, rows_of, monkeypatch):
    pytester.makepyfile(
        "import pytest\n@pytest.mark.parametrize('x', range(25))\ndef test_1(x): pass"
    )
    monkeypatch.setattr(import_module("testopt.pytest_plugin.session"), "_BATCH", 10)
    assert len(rows_of("-q", "-q")) == 25


@pytest.mark.parametrize(
    ("args", "complete"), [((), True), (("-x",), False), (("-k", "pass"), True)]
)
def test_a_run_that_was_stopped_is_not_complete(pytester, with_plugin, fake_engine, args, complete):
    pytester.makepyfile(test_it=EVERYTHING)
    log = fake_engine("record")
    pytester.runpytest_inprocess(*with_plugin, "--testopt=record", *args)
    assert json.loads(log.read_text().splitlines()[-1])["complete"] is complete


def test_the_store_holds_the_run_and_what_was_predicted(pytester, with_plugin, git_here):
    """With the real engine, and pytest's root folder below that of the repository."""
    (pytester.path / ".gitignore").write_text("__pycache__/\n.pytest_cache/\nrunpytest-*\nstd*\n")
    pytester.makepyfile(source="x = 1")
    folder = pytester.mkdir("sub")
    (folder / "pytest.ini").write_text("[pytest]")
    # what fails is the faster one, however busy the machine is: a slow failure may come later
    (folder / "test_it.py").write_text(
        "import time\ndef test_1(): time.sleep(0.2)\ndef test_2(): assert 0, 'boom'\n"
    )
    commit = git_here(pytester.path)
    args = [*with_plugin, "--rootdir=sub", "-c", "sub/pytest.ini", "--testopt-engine-timeout-s=60"]
    first = pytester.runpytest_subprocess(*args, "--testopt=record", "sub")
    first.stdout.fnmatch_lines(["testopt: 2 results recorded in .testopt"])
    (pytester.path / "source.py").write_text("x = 2\n")
    second = pytester.runpytest_subprocess(*args, "-v", "--testopt=rank", "sub")
    second.assert_outcomes(passed=1, failed=1)
    assert second.stdout.str().index("::test_2 FAILED") < second.stdout.str().index("::test_1 PAS")

    store = Store.open(str(pytester.path / ".testopt"))
    runs = store.read("runs").sort_by("time").to_pylist()
    assert [(r["commit"], r["branch"], r["kind"]) for r in runs] == [(commit, "main", "real")] * 2
    assert [(r["cases"], r["failed"], r["complete"], r["source"]) for r in runs] == [
        (2, 1, True, "pytest")
    ] * 2
    where = [("run_id", "==", runs[1]["run_id"])]
    results = {r["case_id"]: r for r in store.read("results", where=where).to_pylist()}
    assert results["sub/test_it.py::test_1"]["outcome"] == "passed"
    assert results["sub/test_it.py::test_2"]["outcome"] == "failed"
    assert results["sub/test_it.py::test_2"]["message"] == digest("AssertionError: boom\nassert 0")
    assert results["sub/test_it.py::test_2"]["file"] == "sub/test_it.py"
    changed = store.read("run_changes", where=where).to_pylist()
    assert [c["path"] for c in changed] == ["source.py"]
    predicted = store.read("predictions", where=where).to_pylist()
    assert {p["case_id"]: p["rank"] for p in predicted} == {
        "sub/test_it.py::test_2": 1,
        "sub/test_it.py::test_1": 2,
    }
    assert all(p["executed"] and p["selected"] for p in predicted)


def test_a_file_that_could_not_be_collected_fails_its_cases_until_it_is_whole(
    pytester, with_plugin, git_here
):
    """With the real engine."""
    broken = pytester.path / "test_x.py"
    whole = "def test_a(): pass\nclass TestK:\n def test_b(self): pass\n"
    broken.write_text(whole)
    (pytester.path / "test_y.py").write_text("def test_c(): pass\n")
    git_here(pytester.path)
    args = [*with_plugin, "--testopt-engine-timeout-s=60", "--testopt=record"]
    for text in (whole, "import no_such_module_anywhere", whole):
        broken.write_text(text)
        pytester.runpytest_subprocess(*args, "--continue-on-collection-errors")
    store = Store.open(str(pytester.path / ".testopt"))
    outcomes = []
    for run in store.read("runs").sort_by("time").to_pylist():
        rows = store.read("results", where=[("run_id", "==", run["run_id"])]).to_pylist()
        outcomes.append({r["case_id"].partition("::")[2]: r["outcome"] for r in rows})
    passed = {"test_a": "passed", "TestK::test_b": "passed", "test_c": "passed"}
    assert outcomes == [
        passed,
        passed | {"test_a": "error", "TestK::test_b": "error"},
        passed,
    ]
