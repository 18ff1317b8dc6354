"""Real files of many producers give the expected counts."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

DATA = os.environ.get("TESTOPT_BENCH_DATA", "")
SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "bench" / "junit_zoo.py"


@pytest.mark.skipif(not DATA, reason="TESTOPT_BENCH_DATA names no folder with junit/")
def test_every_file_of_the_zoo_is_right():
    env = {**os.environ, "PYTHONPATH": str(SCRIPT.parents[2])}
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "-v"], capture_output=True, text=True, check=False, env=env
    )
    files = len(json.loads(Path(DATA, "junit", "expected.json").read_text()))
    assert done.stdout.splitlines()[-1] == f"{files} of {files} files: 100.0%", done.stderr
