"""The engine's side of the pipe: lines in, lines out, and an end in every case.

It ends with its input, and also when pytest has gone and its forked children still hold the pipe.
"""

from __future__ import annotations

import json
import os
import select
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from testopt.engine import Engine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_WATCH_S: Final = 5.0
_TIDY_S: Final = 60  # more than this, and what is only a cache is not made
_CHUNK: Final = 1 << 20


def serve(engine: Engine, source: int, sink: int, *, parent: int = 0) -> None:
    """Answer the requests that arrive on a pipe until it ends, or the run does.

    Parameters
    ----------
    engine : Engine
    source, sink : int
        File descriptors to read from and to write to.
    parent : int
        Process that must be alive; 0: not watched.
    """
    for line in _lines(source, parent, engine.idle):
        answer = engine.handle(json.loads(line))
        if answer is not None:
            data = json.dumps(answer, separators=(",", ":")).encode("ascii") + b"\n"
            with open(sink, "wb", closefd=False) as out:
                out.write(data)
        if engine.done:
            return


def _lines(source: int, parent: int, idle: Callable[[], None]) -> Iterator[bytes]:
    """Yield the lines of a pipe; end with it, or with the process at its other end.

    Where none is waiting, `idle` is called first.
    """
    pieces: list[bytes] = []  # of a line that has not ended
    while True:
        if not select.select([source], [], [], 0)[0]:
            idle()
        if not select.select([source], [], [], _WATCH_S)[0]:
            if parent and not _alive(parent):
                return
            continue
        data = os.read(source, _CHUNK)
        if not data:
            return
        *complete, rest = data.split(b"\n")
        if complete:
            complete[0] = b"".join(pieces) + complete[0]
            pieces = []
        pieces.append(rest)
        yield from complete


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def main(argv: Sequence[str]) -> int:
    """Run the engine on stdin and stdout; ``--detach`` leaves the process that started it."""
    parent = 0
    if "--detach" in argv:
        parent = os.getppid()
        if os.fork():
            os._exit(0)
    sink = os.dup(1)
    os.dup2(2, 1)  # what a library prints must not meet the protocol
    engine = Engine()
    with suppress(BrokenPipeError, KeyboardInterrupt):
        serve(engine, 0, sink, parent=parent)
        os.close(sink)  # tells the client that there is no need to wait, nor to kill
        signal.alarm(_TIDY_S)
        engine.update_caches()
    return 0
