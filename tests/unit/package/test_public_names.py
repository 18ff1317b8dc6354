"""The public names are few, and what is imported on the way to them is little."""

import subprocess
import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import pytest

import testopt

ROOT = Path(__file__).resolve().parents[3]
HEAVY = {"click", "deltalake", "git", "lightgbm", "numpy", "pandas", "pyarrow", "scipy", "sklearn"}


PUBLIC = {
    "ChangeRiskClassifier": "testopt.risk.classifier",
    "FailureRanker": "testopt.ranking.ranker",
    "Plan": "testopt.schema",
    "Settings": "testopt.settings",
    "Store": "testopt.store",
    "TestoptError": "testopt.errors",
    "backtest": "testopt.api",
    "rank": "testopt.api",
    "run_features": "testopt.api",
}


def modules_after(code: str) -> set[str]:
    """Return the modules that a new interpreter holds after `code`."""
    code = f"{code}\nimport sys\nprint(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split())


def test_the_public_names_and_what_they_are():
    assert set(testopt.__all__) == {"__version__", *PUBLIC}
    for name, module in PUBLIC.items():
        assert getattr(testopt, name) is vars(import_module(module))[name]
    assert testopt.__version__ == version("testopt")
    assert not hasattr(testopt, "absent")


def test_dir_shows_the_public_names_alone():
    assert dir(testopt) == sorted(["__version__", *PUBLIC])


def test_nothing_that_pytest_would_collect():
    public = [getattr(testopt, name) for name in testopt.__all__]
    named = [thing for thing in public if getattr(thing, "__name__", "").startswith("Test")]
    assert [(thing.__name__, thing.__test__) for thing in named] == [("TestoptError", False)]


@pytest.mark.integration
def test_the_import_costs_next_to_nothing():
    bare = modules_after("import __future__, importlib, typing")
    assert modules_after("import testopt") - bare == {"testopt"}


@pytest.mark.integration
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
