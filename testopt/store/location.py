"""Reads and writes plain files of a store, in a local folder or an object store."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from testopt.errors import ServerError, StoreError
from testopt.schema import TABLES
from testopt.store.remote import (
    check_url,
    filesystem,
    in_words,
    may_pass,
    options_of,
    redact,
    retried,
    said_by,
    seconds,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FORMAT = "format.json"  # tells the version of the store
T = TypeVar("T")
# Folders beside the tables.
DAMAGED = "damaged"  # what cannot be used is kept there
REBUILDING, REBUILT = "rebuilding", "rebuilt"  # a table in the making, and one that is whole

_NAME = re.compile(r"[A-Za-z0-9_=+@-][A-Za-z0-9._=+@-]*(/[A-Za-z0-9_=+@-][A-Za-z0-9._=+@-]*)*")
_MAX_BYTES = 1 << 30  # of a plain file that is read whole
_ROOM = 1 << 18  # bytes; a run of 10,000 cases takes about as many
_KEPT_BYTES = 32 << 20
_FULL = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}
_FULL_WORDS = ("no space left", "file too large", "quota exceeded", "storage full")
_DENIED_WORDS = (
    "permission denied", "operation not permitted", "read-only file system", "access denied",
    "forbidden",
)  # fmt: skip
_ARROW = re.compile(r"(?:\s|\x1b\[\d*m|↳)+")  # between the causes that Delta Lake names


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
    said = in_words(error, what)
    if said is not None:
        return ServerError(f"{what}: {said[0]}", said[1])
    if _is_full(error):
        return StoreError(
            f"{what}: no space left (full disk, quota or file size limit)",
            "free some space and repeat the command; what the store acknowledged is kept",
        )
    if _is_denied(error):
        return StoreError(f"{what}: permission denied or read-only", "check who owns the store")
    causes = [_ARROW.sub(" ", line).strip() for line in redact(said_by(error)).splitlines()]
    told = ": ".join(dict.fromkeys(filter(None, causes))) or type(error).__name__
    return StoreError(f"{what}: {told}", "see `testopt store check`")


@dataclass(frozen=True)
class Location:
    """A store's URL, and reading and writing of its plain files (blobs).

    Parameters
    ----------
    url : str
        A folder, or a URL such as ``s3://bucket/prefix``, without credentials.
    facts : dict of str to bool
        What this process has found out about the server.
    kept : dict of str to pyarrow.Buffer
        Files of an object store that this process has read.
    """

    url: str
    facts: dict[str, bool] = field(default_factory=dict, compare=False, repr=False)
    kept: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def local(self) -> Path | None:
        """The folder of a local store, else None."""
        if "://" not in self.url:
            return Path(self.url)
        if self.url.startswith("file://"):
            return Path(self.url.removeprefix("file://"))
        return None

    @cached_property
    def options(self) -> dict[str, str] | None:
        """How Delta reaches the store; None where it is local."""
        return None if self.local else options_of(self.url)

    def table_url(self, table: str) -> str:
        """Return the URL of a table."""
        base = str(self.local.absolute()) if self.local else self.url.rstrip("/")
        return f"{base}/{table}"

    def __post_init__(self) -> None:
        if self.local is None:
            check_url(self.url)

    @cached_property
    def _remote(self) -> tuple[Any, str]:
        return filesystem(self.url)

    def _path(self, name: str) -> str:
        root = self._remote[1]
        return f"{root}/{name}" if root else name

    def may_pass(self, error: BaseException) -> bool:
        """Tell whether an error is one of a server that may be in order a moment later."""
        return may_pass(error, self.url)

    @property
    def retry_s(self) -> float:
        """How long something is tried again while a server is out of order."""
        return 0.0 if self.local else seconds(options_of(self.url), "retry_timeout")

    def retried(
        self, action: Callable[[], T], *, failures: tuple[type[Exception], ...] = (OSError,)
    ) -> T:
        """Do something that may be repeated, again and again while a server is out of order."""
        return action() if self.local else retried(self.url, action, failures=failures)

    def open_input(self, path: str) -> Any:
        """Open a file of the store for random reading; `path` is relative to the store.

        One of an object store is read as a whole: its parts would take a request for each column.
        """
        import pyarrow as pa
        from pyarrow import fs

        if self.local:
            return fs.LocalFileSystem().open_input_file(str(self.local / path))
        if path in self.kept:
            return pa.BufferReader(self.kept[path])
        try:
            content = self.retried(lambda: self._download(path))
        except FileNotFoundError:
            raise
        except OSError as error:  # nothing is known of the file then: it is not damaged
            raise explain(error, f"{self.url}/{path} cannot be read") from error
        self._keep(path, content)
        return pa.BufferReader(content)

    def _keep(self, path: str, content: Any) -> None:
        """Keep a small file of rows, which never changes: a plan reads some of them six times."""
        known = sum(c.size for c in tuple(self.kept.values()))  # other threads may add some
        is_small = content.size + known <= _KEPT_BYTES
        if is_small and path.rpartition("/")[2].startswith("part-"):
            self.kept[path] = content

    def _download(self, path: str) -> Any:
        """Return a file of an object store; raise OSError where it is not all of it.

        pyarrow asks for the size first, and then for so many bytes: of a file that somebody
        replaces in between by a longer one they are the beginning.
        """
        files, name = self._remote[0], self._path(path)
        with files.open_input_file(name) as stream:
            content, size = stream.read_buffer(), stream.size()
        changes = "/_delta_log/" not in path and not path.rpartition("/")[2].startswith("part-")
        if content.size != size or (changes and files.get_file_info(name).size != size):
            raise OSError(f"the response body of {path} was cut short")
        return content

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
            return self._upload(name, fill)
        except OSError as error:
            raise explain(error, f"{self.url}/{name} cannot be written") from error

    def _upload(self, name: str, fill: Callable[[Any], object]) -> int:
        import pyarrow as pa

        sink = pa.BufferOutputStream()
        fill(sink)
        content = sink.getvalue()

        def put() -> None:
            with self._remote[0].open_output_stream(self._path(name)) as stream:
                stream.write(content)

        self.retried(put)
        return int(content.size)

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

        files, root = self._remote
        selector = fs.FileSelector(self._path(folder), allow_not_found=True, recursive=True)
        try:
            found = self.retried(lambda: files.get_file_info(selector))
        except OSError as error:
            raise explain(error, f"{self.url} cannot be read") from error
        for info in found:
            if info.is_file:
                yield info.path.removeprefix(f"{root}/")

    def delete(self, name: str) -> None:
        """Remove a plain file; one that is not there is fine."""
        self.kept.pop(name, None)
        with suppress(FileNotFoundError):
            if self.local:
                (self.local / name).unlink()
            else:
                self.retried(lambda: self._remote[0].delete_file(self._path(name)))


def blob_name(name: str) -> str:
    """Return `name` when it is a safe relative path outside the tables.

    Raises
    ------
    StoreError
        When it could leave the store, hide, or collide with a table.
    """
    if not _NAME.fullmatch(name) or name.partition("/")[0] in {*TABLES, FORMAT}:
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
            raise StoreError(f"{path} is not a file but a pipe, a socket, a device or a folder")
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
