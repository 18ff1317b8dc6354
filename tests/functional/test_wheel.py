"""The wheel holds what it must, and is the same whenever it is built."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from testopt import __version__ as testopt_version
from testopt.similarity.pretrained import load_pretrained

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("testopt", "models", "pyproject.toml", "README.md", "LICENSE")


def shipped_files() -> list[Path]:
    return [path for path in (ROOT / "models").rglob("*") if path.is_file()]


def build(folder: Path) -> Path:
    """Copy the sources into a folder and build a wheel there."""
    folder.mkdir()
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            ignore = shutil.ignore_patterns("__pycache__", "*.pyc")
            shutil.copytree(source, folder / part, ignore=ignore)
        elif source.is_file():
            shutil.copy(source, folder / part)
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel"]
    env = {k: v for k, v in os.environ.items() if k != "SOURCE_DATE_EPOCH"}
    subprocess.run(command, cwd=folder, check=True, capture_output=True, env=env)
    (wheel,) = (folder / "dist").glob("*.whl")
    return wheel


def run(command, folder, **env):
    """Run a command as a user would, away from this checkout; return what it prints."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("TESTOPT_", "PYTHON"))}
    command = [str(part) for part in command]
    done = subprocess.run(
        command, cwd=folder, env=kept | env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


def make_environment(folder, *installs):
    """Return the programs of an environment in which pip has installed something."""
    run([sys.executable, "-m", "venv", folder], ROOT)
    for install in installs:
        run([folder / "bin" / "python", "-m", "pip", "install", "--quiet", *install], folder)
    return folder / "bin"


@pytest.fixture
def project(tmp_path):
    """A repository of somebody with one test."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "test_it.py").write_text("def test_it(): pass\n")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        run([*git, *command], folder)
    return folder


@pytest.mark.slow
def test_the_wheel_in_an_environment_of_its_own(tmp_path, project, no_ci):
    wheel = build(tmp_path / "sources")
    programs = make_environment(tmp_path / "full", [wheel, "pytest"])
    testopt = programs / "testopt"
    assert run([testopt, "--version"], project) == f"testopt {testopt_version}\n"
    run([programs / "python", "-m", "pip", "check"], project)
    for shell in ("bash", "zsh", "fish"):
        assert "testopt" in run([testopt], project, _TESTOPT_COMPLETE=f"{shell}_source")
    words = {"_TESTOPT_COMPLETE": "bash_complete", "COMP_WORDS": "testopt ra", "COMP_CWORD": "1"}
    assert "rank" in run([testopt], project, **words)
    said = run([programs / "python", "-m", "pytest", "--testopt=rank"], project)
    assert "testopt: " in said
    assert "test_it.py::test_it" in run([testopt, "rank"], project)
    assert run([testopt, "train", "--help"], project)


@pytest.mark.slow
def test_what_the_documents_install_to_plan_alone(tmp_path, project, no_ci):
    wheel = build(tmp_path / "sources")
    page = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
    line = re.search(
        r"^pip install ([\w ]+)\npip install --no-deps /path/to/testopt$", page, re.MULTILINE
    )
    assert line is not None
    needed = [*line[1].split(), "pytest"]
    programs = make_environment(tmp_path / "thin", needed, ["--no-deps", wheel])
    said = run([programs / "python", "-m", "pytest", "--testopt=rank"], project)
    assert "testopt: " in said
    assert "test_it.py::test_it" in run([programs / "testopt", "rank"], project)
    installed = run([programs / "python", "-m", "pip", "list"], project)
    assert re.search("(?i)lightgbm|scikit-learn|scipy|pandas", installed) is None


@pytest.mark.slow
def test_the_wheel(tmp_path):
    pytest.importorskip("hatchling")
    first, second = build(tmp_path / "a"), build(tmp_path / "b")
    assert first.name == second.name
    assert first.read_bytes() == second.read_bytes()
    with zipfile.ZipFile(first) as wheel:
        names = set(wheel.namelist())
    modules = {p.relative_to(ROOT).as_posix() for p in (ROOT / "testopt").rglob("*.py")}
    assert modules | {"testopt/py.typed"} <= names
    models = {f"testopt/_models/{p.relative_to(ROOT / 'models')}" for p in shipped_files()}
    assert {n for n in names if n.startswith("testopt/_models/")} == models
    assert "testopt/_models/cold_start/manifest.json" in models
    (points,) = [n for n in names if n.endswith("entry_points.txt")]
    with zipfile.ZipFile(first) as wheel:
        text = wheel.read(points).decode()
    assert "testopt = testopt.cli:run" in text
    assert "[pytest11]" in text
    assert any(n.endswith("licenses/LICENSE") for n in names)
    # Nothing of a working copy slips in.
    strangers = {n for n in names if not n.startswith("testopt") or "__pycache__" in n}
    assert strangers == set()

    site = tmp_path / "site"
    with zipfile.ZipFile(first) as wheel:
        wheel.extractall(site)
    code = (
        "import testopt, testopt.cli; from testopt.similarity.pretrained import load_pretrained; "
        "print(testopt.__file__); print(load_pretrained().name)"
    )
    env = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=env,
        check=True,
        capture_output=True,
        text=True,
    )
    place, model = done.stdout.split()
    assert Path(place).is_relative_to(site)
    assert model == load_pretrained().name
