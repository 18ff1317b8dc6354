"""Coverage in the order of a plan: cases that ran the changed lines come first."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from builders import GitRepo
from conftest import call_testopt

from testopt.impact.coverage_index import CoverageIndex
from testopt.runners.locate import Locator
from testopt.store import Store

coverage = pytest.importorskip("coverage")
pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("no_ci")]

ENGINE = """\
def run(x):
    if x > 2:
        x = x - 1
    if x > 3:
        x = x + 5
    return x
"""
TESTS = """\
from engine import run


def test_a():
    assert run(1)


def test_b():
    assert run(2)


def test_c():
    assert run(3)


def test_d():
    assert run(9)
"""
RAN = {"test_a": [2, 4, 6], "test_b": [2, 4, 6], "test_c": [2, 3, 4, 6], "test_d": [2, 3, 4, 5, 6]}
CASES = [f"tests/test_engine.py::{name}" for name in (*RAN, "test_new")]


class Project:
    """A project whose cases share all their words, and what each of them ran."""

    def __init__(self, folder):
        self.repo, self.store = GitRepo(folder), folder / "store"
        self.repo.commit("nothing yet", {".gitignore": "store/\n.coverage*\n"})
        self.first = self.repo.commit(
            "engine", {"engine.py": ENGINE, "tests/test_engine.py": TESTS}
        )

    def testopt(self, *args):
        return call_testopt("--repo", self.repo.path, "--store", self.store, *args)

    def measure(self):
        data = coverage.CoverageData(str(self.repo.path / ".coverage"))
        for name, lines in {"": [1], **RAN}.items():
            data.set_context(name and f"tests/test_engine.py::{name}|run")
            data.add_lines({str(self.repo.path / "engine.py"): lines})
        data.write()
        done = self.testopt("ingest", "--coverage", str(self.repo.path / ".coverage"))
        assert done.code == 0

    def order(self, cases):
        done = self.testopt("rank", "--json", "--cases", cases)
        return [case["case_id"] for case in done.document["cases"]]

    def shares(self, line, until=None, base=None, cases=CASES):
        base = base or self.first
        found = CoverageIndex(self.repo.path, Store.open(self.store)).shares(
            cases,
            locator=Locator(["engine.py", "tests/test_engine.py"]),
            base=base,
            changed={"engine.py": [range(line, line + 1)]},
            until=until,
        )
        return None if found is None else [None if np.isnan(v) else float(v) for v in found]


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


@pytest.fixture
def measured(project):
    project.measure()
    return project


def test_a_plan_puts_first_what_ran_the_changed_line(project):
    project.repo.write("engine.py", ENGINE.replace("x + 5", "x + 6"))
    cases = project.store.parent / "cases.txt"
    cases.write_text("\n".join(CASES[:4]))
    assert project.order(cases)[0] != CASES[3]
    project.measure()
    assert project.order(cases)[0] == CASES[3]


def test_each_case_has_its_share(measured):
    assert measured.shares(5) == [0, 0, 0, 1, None]
    assert measured.shares(3) == [0, 0, 1, 1, None]


def test_ids_of_a_report_mean_the_same_cases(measured):
    assert measured.shares(3, cases=["tests.test_engine::test_b", "test_engine.test_c"]) == [0, 1]


def test_lines_that_moved_since_are_found_again(measured):
    text = "# one\n# two\n\n" + ENGINE
    later = measured.repo.commit("comments", {"engine.py": text})
    assert measured.shares(8, base=later) == [0, 0, 0, 1, None]


def test_what_runs_at_import_or_never_tells_nothing(measured):
    assert measured.shares(1) == [None] * 5
    assert measured.shares(7) == [None] * 5


def test_what_was_measured_later_is_not_known_yet(measured):
    now = datetime.now(UTC)
    assert measured.shares(5, until=now - timedelta(hours=1)) is None
    assert measured.shares(5, until=now + timedelta(hours=1)) == [0, 0, 0, 1, None]


def test_a_commit_that_git_does_not_have_is_not_followed(project):
    project.repo.write("engine.py", ENGINE)
    data = coverage.CoverageData(str(project.repo.path / ".coverage"))
    data.set_context("tests/test_engine.py::test_a|run")
    data.add_lines({str(project.repo.path / "engine.py"): [2]})
    data.write()
    path = str(project.repo.path / ".coverage")
    assert project.testopt("ingest", "--coverage", path, "--commit", "ab" * 20).code == 0
    assert project.shares(2) == [None] * 5


def test_a_store_without_coverage_is_silent(project):
    Store.open(project.store, create=True)
    assert project.shares(5) is None
