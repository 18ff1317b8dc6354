"""Commands under limits."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

import pytest

from testopt.backfill.processes import KEPT_OUTPUT, Limits, Processes, ProcessResult

pytestmark = pytest.mark.integration


def _run(code: str, limits: Limits, processes: Processes | None = None) -> ProcessResult:
    runner = processes or Processes()
    words = [sys.executable, "-S", "-c", code]
    return runner.run(words, cwd=Path.cwd(), env=dict(os.environ), limits=limits)


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_code_and_end_of_output() -> None:
    done = _run("import sys; print('x' * 100_000 + 'end'); sys.exit(7)", Limits(30))
    assert (done.code, done.timed_out) == (7, False)
    assert done.output.endswith("end\n")
    assert len(done.output) == KEPT_OUTPUT


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_timeout_kills_the_children_too(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    code = (
        "import subprocess, sys, time\n"
        "p = subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(60)'])\n"
        f"open({str(pid_file)!r}, 'w').write(str(p.pid))\n"
        "time.sleep(60)\n"
    )
    done = _run(code, Limits(3))
    assert done.timed_out
    assert done.code is None
    deadline = time.monotonic() + 5
    while _alive(int(pid_file.read_text())) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _alive(int(pid_file.read_text()))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="prlimit is Linux's")
def test_memory_limit() -> None:
    code = "import time; time.sleep(.3); b = bytearray(1 << 30)"
    done = _run(code, Limits(30, memory=256 << 20))
    assert done.code == 1
    assert "MemoryError" in done.output


def test_stop_from_another_thread() -> None:
    processes = Processes()
    threading.Timer(0.3, processes.stop).start()
    begun = time.monotonic()
    done = _run("import time; time.sleep(60)", Limits(50), processes)
    assert done.code == -9
    assert time.monotonic() - begun < 20
    assert _run("import time; time.sleep(60)", Limits(50), processes).code == -9
