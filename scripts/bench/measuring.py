"""Time and memory of a command, for the benchmarks beside this file."""

from __future__ import annotations

import json
import os
import subprocess
import sys

# Starts the command from a small process: a child's peak memory counts that of its parent.
_LAUNCHER = """
import json, os, subprocess, sys, time
start = time.perf_counter()
child = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(child.pid, 0)
wall = time.perf_counter() - start
print(json.dumps([wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss // 1024]))
sys.exit(bool(status))
"""


def measure(command: list[str]) -> list[float]:
    """Return wall seconds, CPU seconds and peak memory in MiB of a command.

    Python may keep what it compiles, as it does where a package is installed.
    """
    compiled = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, "-S", "-c", _LAUNCHER, *command],
        check=True, capture_output=True, env=compiled,
    )  # fmt: skip
    values: list[float] = json.loads(done.stdout)
    return values
