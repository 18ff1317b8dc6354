"""Reads and writes plain files of a store, in a local folder or an object store."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testopt.errors import StoreError, UsageError
from testopt.schema import TABLES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Folders beside the tables.
DAMAGED = "damaged"  # what cannot be used is kept there
REBUILDING, REBUILT = "rebuilding", "rebuilt"  # a table in the making, and one that is whole

_NAME = re.compile(r"[A-Za-z0-9_=+@-][A-Za-z0-9._=+@-]*(/[A-Za-z0-9_=+@-][A-Za-z0-9._=+@-]*)*")
_MAX_BYTES = 1 << 30  # of a plain file that is read whole
_ROOM = 1 << 18  # bytes; a run of 10,000 cases takes about as many
_FULL = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}
_FULL_WORDS = ("no space left", "file too large", "quota exceeded", "storage full")
_DENIED_WORDS = ("permission denied", "read-only file system", "access denied", "forbidden")


def _is_full(error: BaseException) -> bool:
    text = str(error).lower()
    return getattr(error, "errno", None) in _FULL or any(w in text for w in _FULL_WORDS)


def _is_denied(error: BaseException) -> bool:
    text = str(error).lower()
    return isinstance(error, PermissionError) or any(w in text for w in _DENIED_WORDS)


def is_refused(error: BaseException) -> bool:
    """Tell whether the disk is full or writing is not allowed: repeating does not help."""
    return _is_full(error) or _is_denied(error)


def explain(error: BaseException, what: str) -> StoreError:
    """Return a `StoreError` that says what could not be done and why, in words of a user."""
    if _is_full(error):
        return StoreError(
            f"{what}: no space left (full disk, quota or file size limit)",
            "free some space and repeat the command; what the store acknowledged is kept",
        )
    if _is_denied(error):
        return StoreError(f"{what}: permission denied or read-only", "check who owns the store")
    text = str(error)
    first = text.strip().splitlines()
    return StoreError(
        f"{what}: {first[0] if first else type(error).__name__}", "see `testopt store check`"
    )


@dataclass(frozen=True)
class Location:
    """A store's URL, and reading and writing of its plain files (blobs).

    Parameters
    ----------
    url : str
        A folder, or a URL such as ``s3://bucket/prefix``.
    """

    url: str

    @property
    def local(self) -> Path | None:
        """The folder of a local store, else None."""
        if "://" not in self.url:
            return Path(self.url)
        if self.url.startswith("file://"):
            return Path(self.url.removeprefix("file://"))
        return None

    @property
    def options(self) -> dict[str, str] | None:
        """Storage options for Delta: commits by conditional put, never by unsafe rename."""
        return {"aws_conditional_put": "etag"} if self.url.startswith(("s3://", "s3a://")) else None

    def table_url(self, table: str) -> str:
        """Return the URL of a table."""
        base = str(self.local.absolute()) if self.local else self.url.rstrip("/")
        return f"{base}/{table}"

    @cached_property
    def _remote(self) -> tuple[Any, str]:
        from pyarrow import fs

        try:
            # Small files in one request: many S3-compatible stores fail on multipart uploads.
            join = "&" if "?" in self.url else "?"
            query = f"{join}allow_delayed_open=true" if self.options else ""
            filesystem, root = fs.FileSystem.from_uri(self.url + query)
        except (ValueError, OSError) as error:
            raise UsageError(
                f"{self.url} is not a store URL: {error}", "use a folder or s3://bucket/prefix"
            ) from error
        return filesystem, root.rstrip("/")

    def open_input(self, path: str) -> Any:
        """Open a file of the store for random reading; `path` is relative to the store."""
        from pyarrow import fs

        if self.local:
            return fs.LocalFileSystem().open_input_file(str(self.local / path))
        filesystem, root = self._remote
        return filesystem.open_input_file(f"{root}/{path}")

    def read(self, name: str) -> bytes | None:
        """Return the content of a plain file, or None when there is none."""
        try:
            if self.local:
                return _read_local(self.local / name)
            with self.open_input(name) as stream:
                return bytes(stream.read())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise explain(error, f"{self.url}/{name} cannot be read") from error

    def write(self, name: str, fill: Callable[[Any], object], *, keep: bool = False) -> int:
        """Write a plain file atomically and return its size.

        Parameters
        ----------
        name : str
            Path relative to the store.
        fill : callable
            Is given the open binary stream and writes to it.
        keep : bool
            Leave an existing file as it is (local stores only).

        Raises
        ------
        StoreError
            When it cannot be written; an older file of that name is then unchanged.
        """
        try:
            if self.local:
                return _write_local(self.local / name, fill, keep=keep)
            filesystem, root = self._remote
            with filesystem.open_output_stream(f"{root}/{name}") as stream:
                fill(stream)
                return int(stream.tell())
        except OSError as error:
            raise explain(error, f"{self.url}/{name} cannot be written") from error

    def check_room(self) -> None:
        """Make sure that a local store can be written to: not on a full or read-only disk.

        Raises
        ------
        StoreError
            When it cannot.
        """
        import tempfile

        if self.local is None:
            return
        try:
            with tempfile.TemporaryFile(dir=self.local) as stream:
                stream.write(bytes(_ROOM))
        except OSError as error:
            raise explain(error, f"{self.url} cannot be written to") from error

    def sync(self, folder: str, name: str) -> None:
        """Make sure that a file of a local store, and its name, outlive a power cut."""
        if self.local is not None:
            for path in (self.local / folder / name, self.local / folder):
                with suppress(OSError):  # a file system that cannot promises nothing anyway
                    _sync(path)

    def list(self, prefix: str) -> list[str]:
        """Return the names of the plain files that begin with `prefix`, sorted."""
        return sorted(n for n in self._names(prefix) if n.startswith(prefix))

    def _names(self, prefix: str) -> Iterator[str]:
        folder = prefix.rpartition("/")[0]
        if self.local:
            for path in (self.local / folder).rglob("*"):
                if path.is_file() and not path.name.startswith(".tmp-"):
                    yield path.relative_to(self.local).as_posix()
            return
        from pyarrow import fs

        filesystem, root = self._remote
        selector = fs.FileSelector(f"{root}/{folder}", allow_not_found=True, recursive=True)
        for info in filesystem.get_file_info(selector):
            if info.is_file:
                yield info.path.removeprefix(f"{root}/")

    def delete(self, name: str) -> None:
        """Remove a plain file; one that is not there is fine."""
        with suppress(FileNotFoundError):
            if self.local:
                (self.local / name).unlink()
            else:
                filesystem, root = self._remote
                filesystem.delete_file(f"{root}/{name}")


def blob_name(name: str) -> str:
    """Return `name` when it is a safe relative path outside the tables.

    Raises
    ------
    StoreError
        When it could leave the store, hide, or collide with a table.
    """
    if not _NAME.fullmatch(name) or name.partition("/")[0] in {*TABLES, "format.json"}:
        raise StoreError(f"{name!r} is not a name for a file of the store")
    return name


def _flush(handle: int) -> None:
    """Write a file to its disk for good; macOS's fsync stops at the disk's cache."""
    through = getattr(fcntl, "F_FULLFSYNC", None)
    if through is not None:
        with suppress(OSError):  # a file system that cannot, as one of the network
            fcntl.fcntl(handle, through)
            return
    os.fsync(handle)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        _flush(handle)
    finally:
        os.close(handle)


def _read_local(path: Path) -> bytes:
    """Return the content of a file; a pipe or a device is none, and could have no end."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
        status = os.fstat(stream.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise StoreError(f"{path} is no file, but a pipe, a socket, a device or a folder")
        if status.st_size > _MAX_BYTES:
            raise StoreError(f"{path} is larger than allowed ({status.st_size} bytes)")
        return stream.read()


def _write_local(path: Path, fill: Callable[[Any], object], *, keep: bool) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = str(path.parent / f".tmp-{os.urandom(16).hex()}")
    # the mode that the user's umask asks for, so that a team may share a folder
    handle = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with os.fdopen(handle, "wb") as stream:
            fill(stream)
            stream.flush()
            _flush(stream.fileno())
            size = stream.tell()
        if keep:
            with suppress(FileExistsError):
                os.link(temporary, path)
        else:
            os.replace(temporary, path)  # noqa: PTH105 - temporary is a str
            temporary = ""
        with suppress(OSError):
            _sync(path.parent)
        return size
    finally:
        if temporary:
            with suppress(OSError):
                os.unlink(temporary)  # noqa: PTH108
