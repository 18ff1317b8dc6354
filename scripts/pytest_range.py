"""Try the plugin with each supported version of pytest, with the lowest and newest xdist it takes.

    python scripts/pytest_range.py [--folder DIR] [--only 7.4]

For each pair a virtual environment with nothing but pytest and xdist is made below DIR (default: a
temporary folder; one that is there is used again), and a small project is run in it: recorded, in
an order, in part, by xdist with and without groups, and with an option that pytest would take for
a path. The plugin is found by PYTHONPATH; the engine runs in the environment of this script.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from testopt import Store

# pytest -> the lowest and the newest xdist.
RANGE = {
    "7.4.0": ("3.3.0", "3.8.0"),
    "8.0.0": ("3.5.0", "3.8.0"),
    "8.4.2": ("3.6.1", "3.8.0"),
    "9.0.0": ("3.8.0",),
    "9": ("3.8.0",),
}
ROOT = Path(__file__).resolve().parent.parent
IDS = [
    "tests/docs.txt::docs.txt",
    "tests/test_a.py::TestC::test_in_class",
    "tests/test_a.py::test_fails",
    "tests/test_a.py::test_mail[x@y]",
    "tests/test_a.py::test_one",
    "tests/test_a.py::test_two[a@b]",
]
FILES = {
    "pytest.ini": "[pytest]\naddopts = --doctest-glob=*.txt -p no:cacheprovider\n",
    "tests/docs.txt": ">>> 1 + 1\n2\n",
    "tests/test_a.py": """import pytest
@pytest.mark.xdist_group("db")
def test_one(): pass
@pytest.mark.xdist_group("db")
@pytest.mark.parametrize("m", ["a@b"])
def test_two(m): pass
@pytest.mark.parametrize("m", ["x@y"])
def test_mail(m): pass
def test_fails(): assert 0
class TestC:
    def test_in_class(self): pass
""",
}
_IGNORED = {"TESTOPT_MODE", "TESTOPT_STORE", "PYTEST_ADDOPTS", "PYTHONPATH"}


def environment(folder: Path, pytest: str, xdist: str) -> Path:
    """Return the Python of an environment with these versions."""
    place = folder / f"pytest-{pytest}-xdist-{xdist}"
    python = place / "bin" / "python"
    if not (place / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", place], check=True)
        wanted = f"pytest=={pytest}" if "." in pytest else f"pytest=={pytest}.*"
        command = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*command, wanted, f"pytest-xdist=={xdist}"], check=True)
        (place / "ready").touch()
    return python


class Project:
    """A small repository and what one version of pytest makes of it."""

    def __init__(self, folder: Path, python: Path) -> None:
        self._folder, self._python = folder, python
        self.wrong: list[str] = []
        for name, text in FILES.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org"]
        for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
            subprocess.run([*git, *command], cwd=folder, check=True)

    def run(self, *args: str) -> subprocess.CompletedProcess[str]:
        """Run pytest with the plugin."""
        env = {k: v for k, v in os.environ.items() if k not in _IGNORED}
        env |= {
            "PYTHONPATH": str(ROOT),
            "TESTOPT_COMMAND": f"{sys.executable} -P -m testopt.engine",
        }
        command = [self._python, "-m", "pytest", "-p", "testopt.pytest_plugin", *args]
        return subprocess.run(
            command, cwd=self._folder, env=env, capture_output=True, text=True, check=False
        )

    def expect(self, what: str, right: object, got: object) -> None:
        """Note what is not as it should be."""
        if right != got:
            self.wrong.append(f"{what}: {got!r} instead of {right!r}")

    def records(self, store: str, *args: str) -> None:
        """Run all cases; the store then holds each of them by its own id."""
        done = self.run(f"--testopt-store={store}", *args)
        self.expect(f"{args} exit code", 1, done.returncode)
        rows = Store.open(str(self._folder / store)).read("results").to_pylist()
        self.expect(f"{args} ids", IDS, sorted({row["case_id"] for row in rows}))

    def try_all(self) -> None:
        """Run it in all ways."""
        self.records("s1", "--testopt=record")
        self.records("s1", "--testopt=rank")
        self.expect(
            "the failure comes first",
            True,
            ".py F" in self.run("--testopt-store=s1", "--testopt=rank").stdout,
        )
        self.records("s1", "--testopt=select")
        self.records("s1", "--testopt=rank", "-n2")
        self.records("s2", "--testopt=record", "-n2", "--dist=loadgroup")
        self.records("s2", "--testopt=rank", "-n2", "--dist=loadgroup")
        listed = self.run("--collect-only", "-q").stdout.split("\n\n")[0].split("\n")
        self.expect("collected", IDS, sorted(listed))
        done = self.run("--testopt-store", "s1", "--testopt=off")
        self.expect("a path behind a space", 4, done.returncode)
        self.expect("its safe form is named", True, "--testopt-store=s1" in done.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="where the environments are kept")
    parser.add_argument("--only", default="", help="versions of pytest that begin like this")
    options = parser.parse_args()
    failed = False
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch) / "environments"
        for pytest, versions in RANGE.items():
            for xdist in versions if pytest.startswith(options.only) else ():
                place = Path(scratch) / f"{pytest}-{xdist}"
                project = Project(place, environment(folder, pytest, xdist))
                project.try_all()
                failed = failed or bool(project.wrong)
                print(
                    f"pytest {pytest:<6} xdist {xdist:<6} {'; '.join(project.wrong) or 'right'}",
                    flush=True,
                )
    sys.exit(failed)


if __name__ == "__main__":
    main()
