"""The plugin with each supported version of pytest and xdist; it fetches them."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "pytest_range.py"


@pytest.mark.slow
def test_each_supported_pytest(tmp_path, no_ci):
    command = [sys.executable, str(SCRIPT), "--folder", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
