"""Opens what users name as input: files, and pipes that somebody writes to; nothing without end."""

from __future__ import annotations

import os
import select
import stat
from typing import TYPE_CHECKING, BinaryIO, Final

from testopt.errors import InputFileError

if TYPE_CHECKING:
    from pathlib import Path

_WAIT_S: Final = 60.0  # for the first byte of a pipe: whatever makes it may take its time


def open_input(path: Path) -> BinaryIO:
    """Open a file, or a pipe such as the shell makes of ``<(command)``, to be read once.

    Raises
    ------
    InputFileError
        When it is a device that never ends, or a pipe that nobody writes to.
    OSError
        When it cannot be opened.
    """
    mode = path.stat().st_mode
    if stat.S_ISBLK(mode) or (stat.S_ISCHR(mode) and not _has_end(path)):
        raise InputFileError(f"{path} is a device that never ends")
    if stat.S_ISFIFO(mode) and path.resolve().exists():  # others are open already
        return _open_pipe(path)
    return path.open("rb")


def require_file(path: Path) -> None:
    """Make sure that what is read more than once is a file.

    Raises
    ------
    InputFileError
        When it is something else.
    OSError
        When it is not there.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise InputFileError(f"{path} is not a file but a pipe, a socket, a device or a folder")


def _has_end(device: Path) -> bool:
    """Tell whether a device of characters ends: the one of nothing, and a terminal."""
    with device.open("rb", buffering=0) as stream:
        return stream.isatty() or device.samefile(os.devnull)


def _open_pipe(path: Path) -> BinaryIO:
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    if not poll.poll(_WAIT_S * 1000):
        os.close(handle)
        raise InputFileError(f"{path} is a pipe, and nothing was written to it for {_WAIT_S:.0f} s")
    os.set_blocking(handle, True)
    return os.fdopen(handle, "rb")
