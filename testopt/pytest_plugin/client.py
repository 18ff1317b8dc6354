r"""Talks to the engine, a child process, in JSON lines over pipes, and never waits without a limit.

No thread runs in pytest's process, and the engine is no child of it for long (it detaches itself),
so that tests which fork, count threads or wait for any child see nothing of it. Messages are ASCII
JSON: case ids with lone surrogates cross unharmed as ``\udc80``.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

PROTOCOL = 4
_ANSWER_LIMIT = 256 << 20  # bytes; an answer for a million cases has less
_CHUNK = 1 << 16
_DETACH_S = 2.0
_LAST_S = 1.0  # for the engine to close its end after its last answer, or to die when killed
_WORDS = 300  # characters of the engine's last line on stderr that are repeated
# What Python reads from the environment and the engine may keep; the rest (PYTHONPATH,
# PYTHONSTARTUP, PYTHONWARNINGS, PYTHONINSPECT, ...) belongs to the user's process.
_PYTHON_KEPT = frozenset(
    {
        "PYTHONHOME",
        "PYTHONUSERBASE",
        "PYTHONNOUSERSITE",
        "PYTHONPYCACHEPREFIX",
        "PYTHONDONTWRITEBYTECODE",
        "PYTHONPLATLIBDIR",
    }
)
# Hooks by which coverage tools measure child processes.
_STRIPPED = ("PYTHON", "COV_CORE_", "COVERAGE_PROCESS_", "PYTEST_")


class EngineError(Exception):
    """The engine cannot be used; the message says why, in one line."""

    __test__ = False


def engine_command() -> list[str]:
    """Return the command of the engine that came with this plugin."""
    return [sys.executable, "-P", "-m", "testopt.engine", "--detach"]


def engine_environment(environ: Mapping[str, str], *, own: bool) -> dict[str, str]:
    """Return the environment of the engine: the user's, without what is meant for their tests.

    Parameters
    ----------
    environ : mapping
        The user's environment.
    own : bool
        Whether the engine is the one that came with this plugin: it is then found where the
        plugin was found, also when that is no installation.
    """
    env = {k: v for k, v in environ.items() if k in _PYTHON_KEPT or not k.startswith(_STRIPPED)}
    home = Path(__file__).resolve().parent.parent.parent
    if own and home.name not in {"site-packages", "dist-packages"}:
        env["PYTHONPATH"] = str(home)
    return env


class Client:
    """One engine process.

    Parameters
    ----------
    command : sequence of str
        Its command line; empty: the engine that came with this plugin.

    Raises
    ------
    EngineError
        When the process cannot be started.
    """

    def __init__(self, command: Sequence[str] = ()) -> None:
        self._owner = os.getpid()
        self._inbox = bytearray()
        self._outbox = bytearray()
        self._ended = False
        self._last = False
        self._own = not command
        self.timed_out = False
        self.stuck = False  # it has timed out, and not even begun to work
        self._stderr = _scratch_file()
        try:
            self._process = subprocess.Popen(
                list(command) or engine_command(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr if self._stderr is not None else subprocess.DEVNULL,
                env=engine_environment(os.environ, own=self._own),
                bufsize=0,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            self._forget_stderr()
            raise EngineError(f"the engine does not start: {error}") from error
        self._stdin, self._stdout = _pipe(self._process.stdin), _pipe(self._process.stdout)
        os.set_blocking(self._stdin.fileno(), False)
        os.set_blocking(self._stdout.fileno(), False)

    def post(self, message: Mapping[str, Any]) -> None:
        """Send a message that has no answer, as far as that is possible without waiting."""
        self._outbox += json.dumps(message, separators=(",", ":")).encode("ascii") + b"\n"
        with _no_sigpipe():
            self._write()

    def ask(self, message: Mapping[str, Any], timeout: float) -> dict[str, Any]:
        """Send a message and return its answer.

        Raises
        ------
        EngineError
            When the engine has died, says something else, reports a fault, or gives no answer in
            `timeout` seconds. A fault that it reports leaves it usable; else `close` it.
        """
        deadline = time.monotonic() + timeout
        self.post(message)
        with _no_sigpipe():
            line = self._read_line(deadline, timeout)
        try:
            answer = json.loads(line)
        except (ValueError, RecursionError):
            raise self._broken("the engine's answer is not JSON") from None
        if not isinstance(answer, dict) or answer.get("re") != message["op"]:
            raise self._broken("the engine answers something else")
        if "error" in answer:
            raise EngineError(one_line(str(answer["error"])))
        self._last = message["op"] == "end"
        return answer

    @property
    def usable(self) -> bool:
        """Whether there is an engine to talk to, and this is the process that started it."""
        return not self._ended and os.getpid() == self._owner

    def settle(self) -> None:
        """Wait for the process that has detached the engine, so that no test meets it as a child.

        It ends in the time that Python takes to start.
        """
        if self._own and self.usable:
            with suppress(OSError, subprocess.TimeoutExpired):
                self._process.wait(timeout=_DETACH_S)

    def close(self) -> None:
        """End the engine, whatever it is doing. A forked copy of the process leaves it alone."""
        if os.getpid() != self._owner:
            return
        self._ended = self._ended or self._at_end()
        for pipe in (self._stdin, self._stdout):
            with suppress(OSError):
                pipe.close()
        if not self._ended:
            self._ended = True
            with suppress(OSError):
                os.killpg(self._process.pid, signal.SIGKILL)
        with suppress(OSError, subprocess.TimeoutExpired):
            self._process.wait(timeout=_LAST_S)
        self._forget_stderr()

    def _broken(self, why: str) -> EngineError:
        self.close()
        return EngineError(why)

    def _at_end(self) -> bool:
        """Tell whether the engine has closed its end: its process number may then be another's.

        After the last answer it is about to: what it then goes on to do is not to be cut short.
        """
        poll = select.poll()
        try:
            poll.register(self._stdout.fileno(), select.POLLIN)
            poll.poll(1000 * _LAST_S if self._last else 0)
            return os.read(self._stdout.fileno(), 1) == b""
        except (OSError, ValueError):
            return False

    def _read_line(self, deadline: float, timeout: float) -> bytes:
        poll = select.poll()
        poll.register(self._stdout.fileno(), select.POLLIN)
        start = 0
        while (end := self._inbox.find(b"\n", start)) < 0:
            start = len(self._inbox)
            if start > _ANSWER_LIMIT:
                raise self._broken("the engine's answer does not end")
            if self._outbox:
                poll.register(self._stdin.fileno(), select.POLLOUT)
            left = deadline - time.monotonic()
            if left <= 0 or not poll.poll(left * 1000):
                self.timed_out = True
                self.stuck = self._own and self._process.poll() is None
                raise self._broken(f"the engine did not answer in {timeout:g} s")
            self._write()
            if not self._outbox:
                with suppress(KeyError):
                    poll.unregister(self._stdin.fileno())
            self._read()
        line = bytes(self._inbox[:end])
        del self._inbox[: end + 1]
        return line

    def _write(self) -> None:
        view = memoryview(self._outbox)
        sent = 0
        try:
            while sent < len(view):
                sent += os.write(self._stdin.fileno(), view[sent : sent + _CHUNK])
        except BlockingIOError:
            pass
        except (OSError, ValueError):  # it has died: reading tells why
            sent = len(view)
        finally:
            view.release()
        del self._outbox[:sent]

    def _read(self) -> None:
        try:
            data = os.read(self._stdout.fileno(), 16 * _CHUNK)
        except BlockingIOError:
            return
        if not data:
            words = self._last_words()
            self._ended = True
            raise self._broken("the engine died" + (f": {words}" if words else ""))
        self._inbox += data

    def _last_words(self) -> str:
        if self._stderr is None:
            return ""
        try:
            size = self._stderr.seek(0, os.SEEK_END)
            self._stderr.seek(max(0, size - 4096))
            lines = self._stderr.read().decode("utf-8", "replace").split("\n")
        except (OSError, ValueError):
            return ""
        return one_line(next((line for line in reversed(lines) if line.strip()), ""))

    def _forget_stderr(self) -> None:
        if self._stderr is not None:
            with suppress(OSError):
                self._stderr.close()


def _scratch_file() -> IO[bytes] | None:
    """Return an unnamed file for the engine's stderr; None on a full or read-only disk."""
    try:
        return tempfile.TemporaryFile(prefix="testopt-")
    except OSError:
        return None


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise EngineError("the engine has no pipe")
    return pipe


def one_line(text: str) -> str:
    """Return text that is safe to print on a terminal, in one line of limited length."""
    words = " ".join(text.split())
    safe = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in words)
    return safe if len(safe) <= _WORDS else safe[:_WORDS] + "..."


@contextmanager
def _no_sigpipe() -> Iterator[None]:
    """Keep a dead engine from ending pytest where a test has set SIGPIPE to its default."""
    usual = signal.getsignal(signal.SIGPIPE) is not signal.SIG_DFL
    if usual:
        yield
        return
    try:
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    except ValueError:  # not the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
