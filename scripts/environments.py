"""Try testopt with the lowest versions of what it needs, and with each supported Python.

    python scripts/environments.py [--folder DIR] [lowest | 3.11 | 3.12 | 3.13]...

For each name a virtual environment is made below DIR (default: a temporary folder), and tests of
the whole way run in it: results in, trained, ordered, selected, risk, the pytest plugin. `lowest`
has the lowest version of every direct dependency and of every extra but pytest's own (those are
tried by scripts/pytest_range.py); the others have what requirements-dev.lock pins. A Python that is
not there is skipped, and named. Needs a package index; uv is fetched from it where there is none.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHONS = ("3.11", "3.12", "3.13")
LOWEST = "lowest"
TRIED_ELSEWHERE = {"pytest", "xdist"}
TESTS = (
    *(f"tests/unit/{room}" for room in ("cli", "learning", "ranking", "results", "risk", "store")),
    *(f"tests/functional/test_{name}.py" for name in ("main_path", "select", "risk", "szz")),
    *(f"tests/functional/test_{name}.py" for name in ("plugin_records", "plugin_select")),
    *(f"tests/functional/test_{name}.py" for name in ("ingest_cli", "cli_store", "mine")),
)
Command = list[str | Path]


def run(command: Command, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the checkout; end with what it says where it fails."""
    env = {**os.environ, **more}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"error: {' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done


def find_uv(folder: Path) -> str | Path:
    """Return uv: the one on the PATH, else one in an environment of its own."""
    found = shutil.which("uv")
    if found:
        return found
    place = folder / "uv"
    if not (place / "bin" / "uv").exists():
        run([sys.executable, "-m", "venv", place])
        run([place / "bin" / "python", "-m", "pip", "install", "--quiet", "uv"])
    return place / "bin" / "uv"


def find_python(version: str) -> Path | None:
    """Return an interpreter of this version: on the PATH, or one that pyenv keeps."""
    kept = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    named = [shutil.which(f"python{version}"), *sorted(kept.glob(f"{version}.*/bin/python"))]
    asks = "import sys; print(*sys.version_info[:2], sep='.')"
    for python in (sys.executable, *filter(None, named)):
        command = [python, "-c", asks]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.stdout.strip() == version:  # a shim of pyenv may be there without its Python
            return Path(python)
    return None


def lowest(uv: str | Path, folder: Path, version: str) -> Path:
    """Write down the lowest version of every direct dependency, and what suits them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = sorted(project["optional-dependencies"].keys() - TRIED_ELSEWHERE)
    pins = folder / "lowest.txt"
    command: Command = [uv, "pip", "compile", "--quiet", "--resolution", "lowest-direct"]
    command += ["--python-version", version, "--no-annotate", "--no-header", "--output-file", pins]
    for extra in extras:
        command += ["--extra", extra]
    run([*command, "pyproject.toml"])
    return pins


def environment(name: str, folder: Path) -> Path | None:
    """Return the Python of an environment; None where the interpreter is not there."""
    version = PYTHONS[0] if name == LOWEST else name
    interpreter = find_python(version)
    if interpreter is None:
        return None
    uv, place = find_uv(folder), folder / name
    python = place / "bin" / "python"
    if not python.exists():
        run([interpreter, "-m", "venv", "--without-pip", place])
    install: Command = [uv, "pip", "install", "--quiet", "--python", python]
    if name == LOWEST:
        run([*install, "-r", lowest(uv, folder, version), "--group", "dev"])
    else:
        run([*install, "--require-hashes", "-r", "requirements-dev.lock"])
    run([*install, "--no-deps", "--no-build-isolation", "--editable", "."])
    return python


def passes(python: Path, tests: list[str]) -> bool:
    """Run the tests in an environment; show what they say where they fail."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("TESTOPT_", "PYTHON"))}
    command: Command = [python, "-m", "pytest", "-p", "no:cacheprovider", *(tests or TESTS)]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stdout, done.stderr, sep="\n")
    return done.returncode == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="lowest, 3.11, 3.12, 3.13")
    parser.add_argument("--folder", type=Path, help="where the environments are kept")
    parser.add_argument("--tests", nargs="*", default=[], help="these tests instead")
    options = parser.parse_args()
    names, failed = options.names or [LOWEST, *PYTHONS], False
    with tempfile.TemporaryDirectory(prefix="testopt-environments-") as scratch:
        folder = (options.folder or Path(scratch)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            python = environment(name, folder)
            right = python is not None and passes(python, options.tests)
            failed = failed or (python is not None and not right)
            said = "right" if right else "failed" if python else "skipped: no such Python here"
            print(f"{name:8}{said}", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
