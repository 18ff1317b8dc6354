"""`testopt doctor` names what makes predictions worse, on real repositories, and how to mend it."""

from __future__ import annotations

import json
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from builders import make_record, new_store, prediction_row

from testopt.selection.policy import Policy

if TYPE_CHECKING:
    from testopt.schema import RunRecord

pytestmark = pytest.mark.integration


class Project:
    """A repository with a store."""

    def __init__(self, repo, call) -> None:
        self.repo, self._call = repo, call
        files = {"src/a.py": "x = 1\n", "t.py": "", ".gitignore": ".testopt/\n"}
        self.head = repo.commit("first", files)
        self.runs = 0
        self._pending: list[RunRecord] = []

    @property
    def store(self):
        return new_store(self.repo.path, ".testopt")

    def record(self, outcomes: dict[str, str], *, policy: str = "", **run) -> None:
        """Record one run of cases with these outcomes."""
        self.runs += 1
        plan = [prediction_row(case, n, policy=policy) for n, case in enumerate(outcomes, 1)]
        run = {"hours": self.runs, "commit": self.head, "source": "pytest", **run}
        name = f"run-{self.runs}"
        self._pending.append(make_record(name, outcomes, predictions=plan if policy else (), **run))

    def write(self) -> None:
        """Append what was recorded to the store, all at once."""
        if self._pending:
            assert self.store.append_runs(self._pending) == len(self._pending)
            self._pending = []

    def doctor(self, *args: str):
        self.write()
        return self._call("--repo", self.repo.path, "doctor", *args)

    def findings(self) -> dict[str, dict]:
        done = self.doctor("--json")
        assert done.code == 0
        return {f["slug"]: f for f in done.document["findings"]}


@pytest.fixture
def project(make_repo, testopt, no_ci) -> Project:
    return Project(make_repo(), testopt)


def cases(*failing: int, count: int = 10) -> dict[str, str]:
    return {f"t.py::test_{n}": "failed" if n in failing else "passed" for n in range(count)}


def test_no_results_with_and_without_a_store(project):
    assert set(project.findings()) == {"no-results"}
    project.store.read("runs")
    assert "the store holds no runs" in project.findings()["no-results"]["message"]
    assert "testopt ingest" in project.findings()["no-results"]["fix"]


def test_a_shallow_clone_lacks_the_commits_of_results(project, tmp_path, testopt):
    project.record(cases())
    project.record(cases(1))
    project.head = project.repo.commit("second")
    project.record(cases())
    project.write()
    clone = tmp_path / "clone"
    url = f"file://{project.repo.path}"
    subprocess.run(["git", "clone", "-q", "--depth=1", url, clone], check=True)
    done = testopt(
        "--repo", clone, "--store", project.repo.path / ".testopt", "doctor", "--json", "--strict"
    )
    assert done.code == 1
    found = {f["slug"]: f for f in done.document["findings"]}
    assert "fetch --unshallow" in found["shallow-clone"]["fix"]
    assert "2 of the last 3 runs" in found["unknown-commits"]["message"]
    assert not {"shallow-clone", "unknown-commits"} & set(project.findings())


def test_a_few_unknown_commits_are_a_note(project):
    for _ in range(19):
        project.record(cases())
    project.record(cases(), commit=None)
    found = project.findings()["unknown-commits"]
    assert "1 of the last 20 runs" in found["message"]
    assert not found["warns"]


def test_case_ids_of_another_kind_match_nothing(project):
    project.record({f"pkg.t.Case::test_{n}": "passed" for n in range(10)})
    project.record(cases())
    found = project.findings()["unmatched-cases"]
    assert "10 of 10 case ids" in found["message"]
    assert "10 of its 10 are new" in found["message"]


def test_a_part_of_the_suite_or_new_cases_match_well(project):
    project.record(cases())
    project.record(cases(count=2))
    assert "unmatched-cases" not in project.findings()
    project.record(cases(count=15))
    assert "unmatched-cases" not in project.findings()


def test_runs_of_several_packages_are_no_other_way_of_naming(project):
    text = "def test_1(): pass\n"
    project.repo.commit("packages", {f"services/{p}/tests/test_x.py": text for p in "ab"})
    for package in "ab":
        cases = [f"services/{package}/tests/test_x.py::test_{n}" for n in range(10)]
        project.record(dict.fromkeys(cases, "passed"))
    assert "unmatched-cases" not in project.findings()
    project.record({f"org.x.{package}Test::{package}_{n}": "passed" for n in range(9)})
    assert "unmatched-cases" not in project.findings()
    project.record({f"tests/test_x.py::test_{n}": "passed" for n in range(10)})
    assert "unmatched-cases" in project.findings()


def test_ambiguous_ids_are_counted(project, testopt):
    text = "def test_1(): pass\n"
    project.repo.commit("tests", {"a/tests/test_x.py": text, "b/tests/test_x.py": text})
    xml = '<testsuite name="pytest"><testcase classname="tests.test_x" name="test_1"/></testsuite>'
    project.repo.write("results.xml", xml)
    results = project.repo.path / "results.xml"
    assert testopt("--repo", project.repo.path, "ingest", results).code == 0
    found = project.findings()["ambiguous-ids"]
    assert found["message"].startswith("1 case ids")
    assert "tests.test_x::test_1" in found["message"]
    assert "xunit1" in found["fix"]


def test_cases_whose_sources_are_not_found_are_counted(project):
    titles = {f"adds {n} to nothing": "passed" for n in range(3)}
    project.record({**cases(), **titles})
    found = project.findings()["no-source"]
    assert found["message"].startswith("the sources of 3 of 13 cases are not found, such as adds 0")
    assert not found["warns"]
    tests = "".join(f"test('adds {n} to nothing', () => {{}});\n" for n in range(3))
    project.repo.commit("tests", {"src/sum.test.js": tests})
    assert "no-source" not in project.findings()


def test_regressions_begin_with_the_first_case_that_passed_before(project):
    project.record(cases(1, 2))
    project.record(cases(2))
    assert "testopt backfill" in project.findings()["no-regressions"]["fix"]
    project.record(cases(1, 2), job="another job")
    assert "no-regressions" in project.findings()
    project.record(cases(5), job="another job")
    assert "no-regressions" not in project.findings()


def test_a_bundle_is_missing_then_fine_then_stale_then_damaged(project, testopt, monkeypatch):
    for n in range(12):
        project.record(cases(n % 3))
    project.write()
    assert project.findings()["no-bundle"]["fix"] == "testopt train"
    assert testopt("--repo", project.repo.path, "train").code == 0
    assert set(project.findings()) == {"no-promise"}
    done = project.doctor("--strict")
    assert done.code == 0
    assert "nothing makes predictions worse" in done.out
    monkeypatch.setattr("testopt.doctor.OLD_RUNS", 5)
    for _ in range(6):
        project.record(cases())
    assert "6 runs have come since" in project.findings()["stale-bundle"]["message"]
    (forest,) = (project.repo.path / ".testopt" / "models").glob("*/forest.npz")
    forest.write_bytes(forest.read_bytes()[:-10])
    assert "checksum" in project.findings()["damaged-bundle"]["message"]
    assert project.doctor("--strict").code == 1


def test_plans_that_fell_back_are_counted_with_their_reasons(project):
    project.record(cases(), policy="none rank: there is no store yet")
    for _ in range(3):
        project.record(cases(), policy="untrained rank")
    found = project.findings()["fallbacks"]
    assert "1 of the last 4 plans" in found["message"]
    assert not found["warns"]
    for _ in range(46):
        project.record(cases(), policy="bundle abc rank")
    for _ in range(6):
        project.record(cases(), policy="none rank: the engine did not answer in 10 s")
    document = project.doctor("--json").document
    assert document["plans"] == 50
    assert document["fallbacks"] == [["the engine did not answer in 10 s", 6]]
    assert project.findings()["fallbacks"]["warns"]
    assert "6 fell back: the engine did not answer in 10 s" in project.doctor().out


def test_runs_ahead_of_the_clock(project):
    project.record(cases(), time=datetime.now(UTC) + timedelta(days=3, hours=1))
    assert "3 days ahead of the clock" in project.findings()["clock"]["message"]


def test_a_damaged_store(project):
    project.record(cases())
    project.write()
    (project.repo.path / ".testopt" / "format.json").write_text("{")
    assert "format.json is damaged" in project.findings()["damaged-store"]["message"]


def test_no_repository_and_no_git(project, tmp_path, testopt, monkeypatch):
    project.record(cases())
    project.write()
    store = project.repo.path / ".testopt"
    (tmp_path / "plain").mkdir()
    done = testopt("--repo", tmp_path / "plain", "--store", store, "doctor", "--json")
    assert "no-repository" in {f["slug"] for f in json.loads(done.out)["findings"]}
    monkeypatch.setenv("PATH", str(tmp_path))
    done = testopt("--repo", project.repo.path, "--store", store, "doctor")
    assert "git was not found" in done.out


def test_without_enough_regressions_no_promise_can_be_given(
    trained, tmp_path, testopt, monkeypatch
):
    shutil.copytree(trained, tmp_path / "copy")
    at = ("--repo", tmp_path / "copy", "--store", tmp_path / "copy" / "store")
    monkeypatch.setenv("TESTOPT_RECALL", "0.99")
    found = {f["slug"]: f for f in testopt(*at, "doctor", "--json").document["findings"]}
    assert "needs 99 past regressions" in found["no-promise"]["message"]
    assert not found["no-promise"]["warns"]
    monkeypatch.setenv("TESTOPT_RECALL", "0.5")
    assert "no-promise" not in testopt(*at, "doctor", "--json").out


def test_plans_that_were_to_leave_cases_out_and_did_not(project):
    nothing = Policy(mode="select", kind="none").dump()
    for n in range(3):
        project.record(cases(), policy=nothing if n else Policy(kind="promise").dump())
    found = project.findings()["nothing-left-out"]
    assert found["message"] == "2 of the last 3 plans were to leave cases out and ran all"
    assert not found["warns"]


def test_runs_are_counted_in_one_way(project, testopt):
    outcomes = {"t.py::a": "passed"}
    for job in ("linux", "mac"):
        project.record(outcomes, job=job, pipeline_run="7")
    project.record(outcomes, complete=False)
    project.record(outcomes, environment_failure=True)
    for _ in range(3):
        project.record(outcomes, kind="mutant")
    words = "4 runs (1 unfinished, 1 failed by the environment), and 3 variants of a backfill"
    assert f"{words}; 0 plans looked at" in project.doctor().out
    at = ("--repo", project.repo.path, "store", "info")
    assert f"{words}, 2026-01-01" in testopt(*at).out
    numbers = {"runs": 4, "unfinished": 1, "disturbed": 1, "variants": 3}
    assert project.doctor("--json").document["counts"] == numbers
    document = testopt(*at, "--json").document
    assert {name: document[name] for name in numbers} == numbers


def test_languages_without_a_grammar_are_named(make_repo, monkeypatch):
    from testopt.doctor import check_health

    repo = make_repo()
    repo.commit("sources", {f"pkg/f{n}.go": "package f\n" for n in range(12)} | {"a.rb": "\n"})
    monkeypatch.setattr("testopt.doctor.languages", lambda: frozenset({"ruby"}))
    finding = next(
        f for f in check_health(repo=repo.path, store=None).findings if f.slug == "no-grammars"
    )
    assert finding.message == "functions are found by their indentation in go (12 files)"
    assert "testopt[languages]" in finding.fix
    assert not finding.warns
    monkeypatch.setattr("testopt.doctor.languages", lambda: frozenset({"ruby", "go"}))
    slugs = [f.slug for f in check_health(repo=repo.path, store=None).findings]
    assert "no-grammars" not in slugs
