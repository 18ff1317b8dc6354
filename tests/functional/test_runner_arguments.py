"""What `rank` and `select` print for a runner runs what it says, in real repositories."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from testopt.parts import part_of

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("no_ci")]

SUITE = "def test_{0}1(): pass\ndef test_{0}2(): pass\n"


class Repository:
    """A repository of two files of tests, and a report of a run of them."""

    def __init__(self, folder, call, git_here) -> None:
        self.path, self._call, self._git = folder / "repo", call, git_here
        (self.path / "tests").mkdir(parents=True)
        (self.path / "pytest.ini").write_text("[pytest]\n")
        (self.path / ".gitignore").write_text(".testopt/\n__pycache__/\n*.xml\n")
        for name in "ab":
            self.write(f"tests/test_{name}.py", SUITE.format(name))
        self.commit()
        case = '<testcase classname="tests.test_{0}" name="test_{0}{1}" time="{1}"/>'
        cases = "".join(case.format(name, i) for name in "ab" for i in (1, 2))
        (self.path / "j.xml").write_text(f'<testsuite name="pytest">{cases}</testsuite>')
        assert self.run("ingest", str(self.path / "j.xml")).code == 0

    def write(self, name: str, text: str) -> None:
        (self.path / name).parent.mkdir(exist_ok=True)
        (self.path / name).write_text(text)

    def commit(self) -> None:
        self._git(self.path, "change")

    def run(self, *args, stdin: bytes | None = None):
        return self._call("--repo", self.path, *args, stdin=stdin)

    def pytest(self, lines: list[str]) -> set[str]:
        """Return the names of the tests that pytest runs with arguments."""
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-v", *lines]
        env = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        done = subprocess.run(
            command, cwd=self.path, env=env, capture_output=True, text=True, check=True, timeout=60
        )
        words = (line.split() for line in done.stdout.splitlines() if " PASSED" in line)
        return {w[0].rpartition("::")[2] for w in words}


@pytest.fixture
def repository(tmp_path, testopt, git_here, monkeypatch) -> Repository:
    monkeypatch.setenv("TESTOPT_KEY", "a key for tests only")
    monkeypatch.setenv("TESTOPT_EXPLORE", "0.000001")
    monkeypatch.setenv("TESTOPT_REFRESH", "0")
    made = Repository(tmp_path, testopt, git_here)
    monkeypatch.chdir(made.path)
    return made


def test_everything_is_no_filter(repository, monkeypatch):
    repository.write("tests/other_test.py", "def test_new(): pass\n")
    for setting in ({}, {"TESTOPT_RUN_ALL": "1"}):
        for name, value in setting.items():
            monkeypatch.setenv(name, value)
        done = repository.run("select", "--format", "pytest")
        assert (done.code, done.out) == (0, "")
        assert "nothing is filtered, so tests that testopt has never seen run, too" in done.err
    assert repository.pytest([]) == {"test_a1", "test_a2", "test_b1", "test_b2", "test_new"}


def test_changed_and_new_files_run_whole(repository):
    repository.write("tests/test_a.py", SUITE.format("a") + "def test_a3(): pass\n")
    repository.write("tests/test_c.py", "def test_c1(): pass\n")
    done = repository.run("select", "--fraction", "0.2", "--format", "pytest")
    lines = done.out.splitlines()
    assert done.code == 0, done.err
    assert {"tests/test_a.py", "tests/test_c.py"} <= set(lines)
    assert repository.pytest(lines) >= {"test_a1", "test_a2", "test_a3", "test_c1"}
    assert "never seen run only in 2 whole files" in done.err


def test_an_order_has_changed_and_new_files_whole(repository):
    repository.write("tests/test_b.py", SUITE.format("b") + "def test_b3(): pass\n")
    lines = repository.run("rank", "--format", "pytest").out.splitlines()
    assert sorted(lines) == [
        "tests/test_a.py::test_a1", "tests/test_a.py::test_a2", "tests/test_b.py"
    ]  # fmt: skip


def test_a_file_that_came_after_the_last_run_is_new(repository):
    repository.write("tests/test_c.py", "def test_c1(): pass\n")
    repository.commit()
    for name in "de":
        repository.write(f"more/test_{name}.py", "def test_d1(): pass\n")
    repository.commit()
    repository.write("src.py", "x = 1\n")
    repository.commit()
    lines = repository.run("rank", "--format", "pytest").out.splitlines()
    assert {"tests/test_c.py", "more/test_d.py", "more/test_e.py"} <= set(lines)


def test_a_file_without_a_case_in_the_last_run_is_none_of_the_suite(repository):
    repository.write("tests/test_windows.py", "import winreg\n")
    repository.write("data/test_x.py", "syntax error\n")
    repository.commit()
    (repository.path / "j.xml").touch()
    text = (repository.path / "j.xml").read_text()
    (repository.path / "k.xml").write_text(text.replace('"1"', '"3"'))
    assert repository.run("ingest", "k.xml").code == 0
    repository.write("tests/test_windows.py", "import winreg, sys\n")
    repository.write("data/test_y.py", "syntax error\n")
    done = repository.run("rank", "--format", "pytest")
    assert len(done.out.splitlines()) == 4, done.out


def test_named_cases_alone_are_asked_for(repository):
    repository.write("tests/test_a.py", SUITE.format("a") + "def test_a3(): pass\n")
    named = b"tests/test_a.py::test_a1\n"
    for command in ("rank", "select"):
        done = repository.run(command, "--cases", "-", "--format", "pytest", stdin=named)
        assert done.out.encode() == named
        assert "never seen" not in done.err


def test_parts_together_have_each_case_once(repository):
    parts = [
        repository.run("select", "--shard", f"{i}/2", "--format", "pytest").out.splitlines()
        for i in (1, 2)
    ]
    names = [line for part in parts for line in part if not line.startswith("-")]
    # everything runs: files stand for their cases, as other machines may know more of them
    assert sorted(names) == ["tests/test_a.py", "tests/test_b.py"]


def test_a_new_file_and_a_test_that_nobody_knows_are_of_one_part(repository):
    repository.write("tests/test_a.py", SUITE.format("a") + "def test_a3(): pass\n")
    repository.write("tests/test_new.py", SUITE.format("n"))
    for some in ((), ("--fraction", "0.5")):
        printed = [
            repository.run("select", *some, "--shard", f"{i}/3", "--format", "pytest").out
            for i in (1, 2, 3)
        ]
        names = "".join(printed).splitlines()
        assert {"tests/test_a.py", "tests/test_new.py"} <= set(names)
        assert not any(name.startswith("tests/test_a.py::") for name in names)
        assert len(names) == len(set(names))


def test_a_file_of_the_part_that_other_parts_may_know_is_named(repository):
    repository.write("tests/test_old.py", SUITE.format("o"))
    repository.commit()
    index = part_of("tests/test_old.py", 2)
    text = (repository.path / "j.xml").read_text()
    (repository.path / "again.xml").write_text(text.replace('"1"', '"4"'))
    assert repository.run("ingest", "again.xml").code == 0
    said = "1 test file of this part, such as tests/test_old.py, without a known case"
    for i in (1, 2):
        done = repository.run("select", "--shard", f"{i}/2", "--format", "pytest")
        assert (said in done.err) == (i == index)


def test_a_runner_that_obeys_no_order_gets_none(repository, tmp_path):
    (repository.path / "go.xml").write_text(
        '<testsuite name="m/net"><testcase classname="m/net" name="TestDial" time="1"/></testsuite>'
    )
    store = tmp_path / "go"
    assert repository.run("--store", store, "ingest", "go.xml").code == 0
    done = repository.run("--store", store, "rank", "--format", "go")
    assert (done.code, done.out) == (0, "./...\n")
    assert "go keeps its own order" in done.err
    done = repository.run("rank", "--cases", "-", "--format", "go", stdin=b"m/net::TestDial\n")
    assert done.out == "m/net -run '^(TestDial)$'\n"


def test_a_format_that_fits_no_case_is_refused_before_a_plan_is_kept(repository):
    done = repository.run("select", "--run-id", "7", "--format", "surefire")
    assert (done.code, done.out) == (2, "")
    assert "the plan is kept" in repository.run("select", "--run-id", "7", "--format", "pytest").err
    assert "no case is one of surefire's, such as 'tests/test_a.py::test_a1'" in done.err


def test_a_new_file_counts_where_no_id_names_its_file(tmp_path, testopt, git_here, monkeypatch):
    monkeypatch.setenv("TESTOPT_KEY", "a key for tests only")
    monkeypatch.setenv("TESTOPT_EXPLORE", "0.000001")
    monkeypatch.setenv("TESTOPT_REFRESH", "0")
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".gitignore").write_text(".testopt/\n*.xml\n")
    (tmp_path / "a.test.js").write_text("test('one', () => {});\n")
    git_here(tmp_path)
    (tmp_path / "a.js").touch()
    git_here(tmp_path)
    words = ("one", "two", "three", "four")
    case = '<testcase classname="case {0}" name="case {0}" time="1"/>'
    cases = "".join(case.format(word) for word in words)
    (tmp_path / "j.xml").write_text(f'<testsuite name="undefined">{cases}</testsuite>')
    assert testopt("ingest", "j.xml").code == 0
    select = ("select", "--fraction", "0.5", "--format", "jest")
    assert sum(word in testopt(*select).out for word in words) == 2
    (tmp_path / "b.test.js").write_text("test('case one', () => {});\n// two three four\n")
    done = testopt(*select)
    assert not any(word in done.out for word in words), done.out
