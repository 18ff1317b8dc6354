"""The commands of the tutorial, in its order, on a project with the functions that it names."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.usefixtures("no_ci")]

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "tutorial.md").read_text("utf-8")
SOURCE = """\
def chunk_ranges(input_size, chunk_size, overlap_size=0):
    input_stop = input_size
    for i in range(0, input_stop, chunk_size - overlap_size):
        if i + chunk_size >= input_stop:
            yield i, input_stop
            return
        yield i, i + chunk_size


def backoff(start, stop):
    current = {start}
    while current < stop:
        yield current
        current *= 2
    yield stop
"""
TESTS = """\
from boltons.iterutils import backoff, chunk_ranges


def test_backoff_basic():
    assert list(backoff({start}, 10)) == {found}


def test_chunk_ranges():
    assert list(chunk_ranges(9, 5, 1)) == [(0, 5), (4, 9)]
"""


@pytest.fixture
def project(make_repo):
    """Return a project that has been changed four times."""
    repo = make_repo()
    words = "def words(text):\n    return text.split()\n"
    cases = "from boltons.strutils import words\n\n\ndef test_words():\n    assert words('a b')\n"
    files = {
        "boltons/strutils.py": words,
        "tests/test_strutils.py": cases,
        "pyproject.toml": "[tool.pytest.ini_options]\npythonpath = ['.']\n",
    }
    repo.commit("begin", {**files, ".gitignore": "__pycache__/\n.pytest_cache/\n"})
    for n in range(4):
        start = n % 3 + 1
        found = [start * 2**k for k in range(5) if start * 2**k < 10] + [10]
        text = SOURCE.replace("{start}", "start" if n % 2 else "start + 0")
        cases = TESTS.format(start=start, found=found)
        changed = {"boltons/iterutils.py": text, "tests/test_iterutils.py": cases}
        repo.commit(f"change {n}", changed)
    return repo


def test_the_commands_of_the_tutorial_in_its_order(project, monkeypatch):
    folder = os.path.dirname(sys.executable)  # noqa: PTH120 - not resolved: a link of a venv
    monkeypatch.setenv("PATH", folder + os.pathsep + os.environ["PATH"])
    monkeypatch.setenv("TESTOPT_ENGINE_TIMEOUT_S", "60")
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:randomly -p no:cacheprovider")
    for name, value in (("NAME", "A"), ("EMAIL", "a@example.org")):
        monkeypatch.setenv(f"GIT_AUTHOR_{name}", value)
        monkeypatch.setenv(f"GIT_COMMITTER_{name}", value)
    said = {}
    for kind, block in re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL):
        if "git clone" in block:
            continue  # the project is there, and testopt installed
        if kind == "diff":
            old, new = (line[1:] for line in block.splitlines())
            path = project.path / "boltons" / "iterutils.py"
            assert path.read_text().count(old) == 1
            path.write_text(path.read_text().replace(old, new))
        for line in block.splitlines():
            command = line.removeprefix("$ ").partition("  #")[0].strip()
            if kind == "sh" or line.startswith("$ "):
                said[command] = run(command, project.path)
    assert len(said) == 11
    assert said["testopt init"][1].startswith("pytest           2 test files, by pyproject.toml")
    assert "next:\n  pytest --testopt=record\n" in said["testopt init"][1]
    assert "3 passed" in said["pytest -q --testopt=record"][1]
    assert "6 new commits" in said["testopt mine"][1]
    first = said["testopt rank"][1].splitlines()[1:3]
    assert first[0].split()[-1] == "tests/test_iterutils.py::test_chunk_ranges"
    assert first[1].strip().startswith("calls what was changed")
    code, out = said.pop("pytest -q --testopt=rank -x")
    assert code == 1
    assert "1 failed" in out
    assert "passed" not in out
    assert said.pop("pytest --testopt=select")[0] == 1  # the change is still there
    assert {command: code for command, (code, _) in said.items() if code} == {}


def run(command, folder):
    """Return the exit code of a command, and what it printed."""
    done = subprocess.run(
        ["sh", "-c", command], cwd=folder, capture_output=True, text=True, check=False, timeout=600
    )
    return done.returncode, done.stdout + done.stderr
