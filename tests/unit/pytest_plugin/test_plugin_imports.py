"""The plugin imports the standard library and pytest only, and little of that when it is off."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PLUGIN = Path(__file__).resolve().parents[3] / "testopt" / "pytest_plugin"
# What reads the text of options, for the command line too, and imports the standard library only.
SHARED = ("durations", "parts", "shares")
FILES = [*sorted(PLUGIN.glob("*.py")), *(PLUGIN.parent / f"{name}.py" for name in SHARED)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_imports(path):
    allowed = sys.stdlib_module_names | {"pytest"}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        for name in names:
            own = name == "testopt.pytest_plugin" or name.startswith("testopt.pytest_plugin.")
            own = own or name in {f"testopt.{shared}" for shared in SHARED}
            assert own or name.partition(".")[0] in allowed, name


@pytest.mark.integration
def test_off_loads_next_to_nothing(pytester, with_plugin):
    pytester.makepyfile(
        """
        import sys
        def test_1():
            loaded = {m for m in sys.modules if m.startswith("testopt")}
            own = {"testopt", "testopt.pytest_plugin", "testopt.pytest_plugin.mode"}
            assert loaded <= own
        """
    )
    command = [sys.executable, "-m", "pytest", "-q", *with_plugin]
    done = subprocess.run(command, cwd=pytester.path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
