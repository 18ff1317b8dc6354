"""Runs commands of the user with limits of time, memory and output, and ends what they started."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

KEPT_OUTPUT: Final = 16_384  # last bytes of the output that are kept
MAX_FILE: Final = 4 << 30  # bytes of one file that a command may write
_BLOCK: Final = 65_536
_DRAIN_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds, and bytes of private memory of each process (None: as the system has it)."""

    seconds: float
    memory: int | None = None


@dataclass(frozen=True, slots=True)
class ProcessResult:
    """How a command ended: exit code (None: it was stopped), seconds, the end of its output."""

    code: int | None
    seconds: float
    timed_out: bool
    output: str


class Processes:
    """Starts commands, each in a process group of its own, and can stop them all."""

    def __init__(self) -> None:
        self._live: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self.stopped = False

    def run(
        self, command: Sequence[str], *, cwd: Path, env: Mapping[str, str], limits: Limits
    ) -> ProcessResult:
        """Run a command to its end.

        Parameters
        ----------
        command : sequence of str
            Program and arguments; no shell is involved.
        cwd : Path
            Working folder.
        env : mapping
            The whole environment.
        limits : Limits
            Past the time the whole process group is killed.

        Raises
        ------
        OSError
            When the program cannot be started.
        """
        begun = time.monotonic()
        process = subprocess.Popen(
            list(command),
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        with self._lock:
            self._live.add(process)
            if self.stopped:
                _kill(process)
        _limit(process.pid, limits.memory)
        tail = _Tail(process.stdout)
        timed_out = False
        try:
            process.wait(limits.seconds)
        except subprocess.TimeoutExpired:
            timed_out = True
        finally:
            _kill(process)
            process.wait()
            with self._lock:
                self._live.discard(process)
        seconds = time.monotonic() - begun
        code = None if timed_out else process.returncode
        return ProcessResult(code, seconds, timed_out, tail.text())

    def stop(self) -> None:
        """Kill everything that runs, and whatever is started later."""
        with self._lock:
            self.stopped = True
            for process in self._live:
                _kill(process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and what it started; what outlived its parent is in the same group."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _limit(pid: int, memory: int | None) -> None:
    """Bound a process from outside; a function between fork and exec is unsafe with threads."""
    prlimit = getattr(resource, "prlimit", None)
    if prlimit is None:  # not Linux: the time limit has to do
        return
    with suppress(OSError, ValueError):
        prlimit(pid, resource.RLIMIT_CORE, (0, 0))
        prlimit(pid, resource.RLIMIT_FSIZE, (MAX_FILE, MAX_FILE))
        if memory is not None:
            prlimit(pid, resource.RLIMIT_DATA, (memory, memory))


class _Tail:
    """Reads a pipe to its end and keeps the last bytes."""

    def __init__(self, stream: IO[bytes] | None) -> None:
        self._stream = stream
        self._kept = bytearray()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        if self._stream is None:
            return
        with self._stream:
            while block := os.read(self._stream.fileno(), _BLOCK):
                self._kept += block
                del self._kept[:-KEPT_OUTPUT]

    def text(self) -> str:
        """Return the kept text; waits a moment for a pipe that somebody still holds."""
        self._thread.join(_DRAIN_S)
        return bytes(self._kept).decode("utf-8", "replace")
