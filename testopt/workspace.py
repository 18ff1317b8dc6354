"""Folders for temporary files; those that killed processes left are removed."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from testopt.errors import WorkspaceError

if TYPE_CHECKING:
    from collections.abc import Iterator

_PREFIX: Final = "testopt-tmp-"
_LEFT_S: Final = 86_400.0  # no command of ours takes longer


@contextmanager
def workspace() -> Iterator[Path]:
    """Make a folder for temporary files; it is removed with all that it holds.

    Raises
    ------
    WorkspaceError
        When there is no folder for temporary files that can be written to.
    """
    import tempfile  # plans that need no such folder are spared it

    try:
        folder = tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True)
    except OSError as error:
        raise no_room(tempfile.gettempprefix(), error) from error
    with folder as name:
        yield Path(name)


def no_room(place: object, error: OSError) -> WorkspaceError:
    """Return an error that says why temporary files cannot be written."""
    return WorkspaceError(
        f"temporary files cannot be written to {place}: {error.strerror or error}",
        "free some space there, or name another folder: TMPDIR=/path",
    )


def remove_left_workspaces() -> None:
    """Remove what our own processes left that were killed more than a day ago."""
    import shutil
    import tempfile

    with suppress(OSError), os.scandir(tempfile.gettempdir()) as entries:
        for entry in entries:
            if not entry.name.startswith(_PREFIX) or not entry.is_dir(follow_symlinks=False):
                continue
            with suppress(OSError):
                status = entry.stat(follow_symlinks=False)
                if status.st_uid == os.getuid() and time.time() - status.st_mtime > _LEFT_S:
                    shutil.rmtree(entry.path, ignore_errors=True)
