"""The wheel holds what it must, and is the same whenever it is built."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

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
    assert "testopt = testopt.cli:main" in text
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
