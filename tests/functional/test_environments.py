"""The lowest versions of what testopt needs, and each supported Python; packages are fetched."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "environments.py"


@pytest.mark.slow
@pytest.mark.integration
@pytest.mark.parametrize("name", ["lowest", "3.11", "3.12", "3.13"])
def test_each_environment(tmp_path, no_ci, name):
    command = [sys.executable, str(SCRIPT), "--folder", str(tmp_path), name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "skipped: " in done.stdout:
        pytest.skip(done.stdout.strip())
    assert done.returncode == 0, done.stdout + done.stderr
    assert "right" in done.stdout
