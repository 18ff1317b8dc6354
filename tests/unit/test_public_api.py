"""The public names are few, and what is imported on the way to them is little."""

import subprocess
import sys
from pathlib import Path

import pytest

import testopt

ROOT = Path(__file__).resolve().parents[2]
HEAVY = {"click", "deltalake", "git", "lightgbm", "numpy", "pandas", "pyarrow", "scipy", "sklearn"}


def modules_after(code: str) -> set[str]:
    """Return the top-level modules that a new interpreter holds after `code`."""
    code = f"{code}\nimport sys\nprint(*sorted({{m.partition('.')[0] for m in sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split())


def test_few_names_and_each_is_there():
    assert len(testopt.__all__) <= 13
    assert len(set(testopt.__all__)) == len(testopt.__all__)
    assert sorted(testopt.__all__) == dir(testopt)
    for name in testopt.__all__:
        assert getattr(testopt, name) is not None
    assert not hasattr(testopt, "absent")


def test_nothing_that_pytest_would_collect():
    public = [getattr(testopt, name) for name in testopt.__all__]
    named = [thing for thing in public if getattr(thing, "__name__", "").startswith("Test")]
    assert all(thing.__test__ is False for thing in named)


def test_the_import_costs_next_to_nothing():
    bare = modules_after("import __future__, importlib, typing")
    assert modules_after("import testopt") - bare == {"testopt"}


@pytest.mark.parametrize("plan", ["rank", "select"])
def test_a_plan_needs_no_heavy_library(trained, tmp_path, plan):
    (tmp_path / "empty.diff").touch()
    store, diff = str(trained / "store"), str(tmp_path / "empty.diff")
    code = f"""
import testopt.engine, testopt.plan
from testopt.cli import main
try:
    main(["--repo", {str(tmp_path)!r}, "--store", {store!r}, {plan!r}, "--diff", {diff!r}])
except SystemExit as end:
    assert not end.code, end.code
"""
    loaded = modules_after(code)
    assert {"numpy", "deltalake"} <= loaded
    assert loaded & HEAVY <= {"click", "deltalake", "numpy", "pyarrow"}
