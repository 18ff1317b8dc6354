"""`rank` and `select` in a repository without a store: the cases are found in the sources."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from testopt.plan.cases_in_tree import cases_in_tree

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("no_ci")]

FILES = {
    "pyproject.toml": "[tool.pytest.ini_options]\n",
    "calc.py": "def add(a, b):\n    return a + b\n",
    "text.py": "def shout(words):\n    return words.upper()\n",
    "tests/test_calc.py": "from calc import add\n\ndef test_add():\n    assert add(1, 2) == 3\n",
    "tests/test_text.py": "import pytest\nfrom text import shout\n\n"
    "@pytest.mark.parametrize('x', ['a', 'b'])\ndef test_shout(x):\n    assert shout(x)\n",
    "tests/test_made.py": "globals()['test_made'] = lambda: None\n",
}
NOTE = "2 cases found in the sources, not told by pytest"


@pytest.fixture
def repo(make_repo, monkeypatch):
    made = make_repo()
    made.commit(files=FILES)
    made.write("text.py", "def shout(words):\n    return words.upper() + '!'\n")
    monkeypatch.chdir(made.path)
    return made


def test_the_closest_case_comes_first(repo, testopt):
    done = testopt("rank", "--json")
    assert done.code == 0, done.err
    assert [case["case_id"] for case in done.document["cases"]] == [
        "tests/test_text.py::test_shout", "tests/test_calc.py::test_add",
    ]  # fmt: skip
    assert NOTE in done.err


def test_pytest_gets_whole_files_so_that_nothing_is_lost(repo, testopt):
    done = testopt("rank", "--format", "pytest")
    assert done.out.split() == ["tests/test_made.py", "tests/test_text.py", "tests/test_calc.py"]
    assert "run only in 3 whole files" in done.err


def test_select_filters_nothing(repo, testopt):
    text, lines = testopt("select"), testopt("select", "--format", "pytest")
    assert text.out.startswith("2 of 2 cases run")
    assert NOTE in text.err
    assert lines.out == ""
    assert "nothing is filtered" in lines.err


def test_ids_are_those_that_pytest_tells_later(repo, testopt):
    found = {case["case_id"] for case in testopt("rank", "--json").document["cases"]}
    listing = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-o", "addopts="]
    env = {**os.environ, "PYTHONPATH": str(repo.path)}
    done = subprocess.run(listing, capture_output=True, text=True, check=True, env=env)
    told = {line.partition("[")[0] for line in done.stdout.splitlines() if "::" in line}
    assert told == {*found, "tests/test_made.py::test_made"}
    given = testopt("rank", "--cases", "-", "--json", stdin=done.stdout.encode())
    assert len(given.document["cases"]) == 4


@pytest.mark.parametrize(
    ("files", "hint"),
    [
        ({"go.mod": "module x\n", "a_test.go": "package a\n"}, "go test -list . ./... | testopt"),
        ({"README.md": "nothing\n"}, "name them with --cases"),
    ],
)
def test_where_there_is_none_it_says_how_to_list_them(make_repo, testopt, files, hint):
    made = make_repo()
    made.commit(files=files)
    done = testopt("--repo", made.path, "rank")
    assert done.code == 3
    assert "no test was found in the sources" in done.err
    assert hint in done.err


def test_a_bare_repository_has_the_cases_of_its_last_commit(repo, testopt, tmp_path):
    bare = tmp_path / "bare.git"
    subprocess.run(["git", "clone", "-q", "--bare", repo.path, bare], check=True)
    done = testopt("--repo", bare, "rank", "--json")
    assert {case["case_id"] for case in done.document["cases"]} == {
        "tests/test_text.py::test_shout", "tests/test_calc.py::test_add",
    }  # fmt: skip


def test_what_is_near_to_the_change_is_read_first(make_repo, monkeypatch):
    made = make_repo()
    text = "def test_x(): pass\n"
    made.commit(files={f"{name}/tests/test_x.py": text for name in "abc"})
    monkeypatch.setattr("testopt.plan.cases_in_tree._MOST_CASES", 0)
    found = cases_in_tree(made.path, ["b/lib.py"])
    assert found.ids == ["b/tests/test_x.py::test_x"]
    assert not found.whole
    assert len(found.files) == 3
    assert "in a part of the files" in found.note
