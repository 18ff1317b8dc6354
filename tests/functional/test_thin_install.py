"""Whoever plans and records needs none of the packages that train; the others are named."""

import re
import shutil
import subprocess
import sys

import pytest
from builders import Suite

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("no_ci")]

# What the smaller installation of docs/ci.md leaves out.
LEFT_OUT = ("lightgbm", "narwhals", "joblib", "pandas", "scipy", "sklearn", "threadpoolctl")
CALL = """
import importlib.abc, sys
class LeftOut(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in LEFT_OUT:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, LeftOut())
from testopt.cli import main
for line in sys.stdin.read().splitlines():
    try:
        main(line.split("\\t"))
    except SystemExit as end:
        print(line.split("\\t")[4], end.code or 0)
"""
JUNIT = '<testsuite><testcase classname="a" name="b" time="0.1"/></testsuite>'


@pytest.fixture
def call(trained, tmp_path):
    """Return a function that calls commands, one after the other, without these packages."""
    shutil.copytree(trained / "store", tmp_path / "store")
    (tmp_path / "empty.diff").touch()
    (tmp_path / "junit.xml").write_text(JUNIT)

    def run(*commands):
        at = ("--repo", str(tmp_path), "--store", str(tmp_path / "store"))
        lines = "\n".join("\t".join((*at, *command)) for command in commands)
        done = subprocess.run(
            [sys.executable, "-c", f"LEFT_OUT = {LEFT_OUT}\n{CALL}"],
            input=lines, cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        ended = dict(re.findall(r"^(\w+) (\d)$", done.stdout, re.MULTILINE))
        return ended, done.stdout + done.stderr

    return run


def test_planning_and_recording_need_no_package_that_trains(call, tmp_path):
    diff = ("--diff", str(tmp_path / "empty.diff"))
    commands = [
        ("rank", *diff),
        ("select", *diff),
        ("why", *diff, Suite.cases[0]),
        ("ingest", str(tmp_path / "junit.xml")),
        ("doctor",),
        ("store", "info"),
    ]
    ended, said = call(*commands)
    assert ended == {command[0]: "0" for command in commands}, said
    assert "ordered by bundle" in said


def test_what_is_missing_is_named(call):
    ended, said = call(("train",))
    assert ended == {"train": "2"}
    assert "error: this command needs the package scikit-learn, which is not installed" in said
    assert "hint: install it: pip install scikit-learn" in said
