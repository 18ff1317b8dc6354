"""Finds the report files that a user names: files, folders, globs, archives, standard input."""

from __future__ import annotations

import bz2
import glob
import gzip
import lzma
import os
import shutil
import stat
import struct
import sys
import tarfile
import uuid
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, cast

from testopt.errors import InputFileError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

STDIN: Final = "-"
_MAX_UNPACKED: Final = 64 << 30  # bytes that one archive may unpack to
_SKIPPED_FOLDERS: Final = frozenset({".git", ".hg", ".svn", ".testopt", "node_modules"})
# Reports of tests are known by their names in folders and archives; others may be named.
_REPORTS: Final = (
    ".xml",
    ".xml.gz",
    ".trx",
    ".jsonl",
    "ctrf-report.json",
    "rspec.json",
    "mocha.json",
)
_ARCHIVED: Final = tuple(ending for ending in _REPORTS if not ending.endswith(".gz"))
_COMPRESSED: Final[dict[str, Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
# What reading a damaged file or archive raises; RuntimeError stands for zip archives with a
# password or a compression that Python does not know.
DAMAGED: Final = (
    OSError,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
    tarfile.TarError,
    RuntimeError,
)
# The list of an archive may be as damaged as what it lists.
_DAMAGED_LIST: Final = (*DAMAGED, ValueError, IndexError, OverflowError, struct.error)


class ZipReader:
    """Keeps the zip archive open that was read last: reading its list takes as long as it is."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._archive: zipfile.ZipFile | None = None

    def archive(self, path: Path) -> zipfile.ZipFile:
        """Return an open archive; the one before is closed, its open members are not."""
        if self._archive is None or path != self._path:
            if self._archive is not None:
                self._archive.close()
            self._archive, self._path = zipfile.ZipFile(path), path
        return self._archive


@dataclass(frozen=True, slots=True)
class ReportFile:
    """One file to read: what to call it, where it lies, and when it was written.

    ``path`` is a file on disk, ``member`` its name inside a zip archive, which ``zips`` opens;
    ``folder`` is what groups it with other files, ``mtime`` seconds since 1970.
    """

    name: str
    path: Path
    member: str | None = None
    folder: str = ""
    mtime: float | None = None
    size: int = 0
    zips: ZipReader | None = field(default=None, repr=False, compare=False)

    def open(self) -> BinaryIO:
        """Open the file for reading, unpacked.

        Raises
        ------
        InputFileError
            When it cannot be opened.
        """
        try:
            if self.member is not None:
                zips = self.zips or ZipReader()
                return cast("BinaryIO", zips.archive(self.path).open(self.member))
            unpack = _COMPRESSED.get(self.path.suffix.lower())
            return cast("BinaryIO", unpack(self.path)) if unpack else self.path.open("rb")
        except _DAMAGED_LIST as error:
            raise InputFileError(f"cannot be opened: {error}") from error


@dataclass(frozen=True, slots=True)
class RejectedPath:
    """A path that holds nothing to read, and why."""

    name: str
    why: str


def find_report_files(
    paths: Sequence[str], *, workdir: Path
) -> Iterator[ReportFile | RejectedPath]:
    """Find the files below the given paths, in a stable order.

    Parameters
    ----------
    paths : sequence of str
        Files (read whatever their name), folders (their reports, all levels), globs,
        ``.zip``, ``.tar``, ``.tar.gz`` and the like (their reports), ``-`` (standard input:
        XML or an archive).
    workdir : Path
        Folder for what has to be unpacked; the caller removes it.

    Yields
    ------
    ReportFile or RejectedPath
        One for each file; a refusal for each path that cannot be used.
    """
    for path in paths:
        yield from _from_stdin(workdir) if path == STDIN else _from_path(path, workdir)


def _from_path(text: str, workdir: Path) -> Iterator[ReportFile | RejectedPath]:
    path = Path(text)
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        is_glob = glob.has_magic(text)
        # pathlib would not keep the name as typed
        names = sorted(glob.glob(text, recursive=True)) if is_glob else []  # noqa: PTH207
        for name in names:
            yield from _from_path(name, workdir)
        if not names:
            why = "matches no file" if is_glob else _reason(error)
            yield RejectedPath(text, why)
        return
    if stat.S_ISDIR(mode):
        yield from _from_folder(path)
    else:
        yield from _from_file(path, text, workdir)


def _reason(error: Exception) -> str:
    message = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return f"cannot be read: {message}"


def _from_folder(folder: Path) -> Iterator[ReportFile | RejectedPath]:
    rejected: list[RejectedPath] = []
    empty = True

    def refuse(error: OSError) -> None:
        rejected.append(RejectedPath(str(error.filename), _reason(error)))

    for parent, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = sorted(f for f in folders if f not in _SKIPPED_FOLDERS)
        for file in sorted(files):
            if file.lower().endswith(_REPORTS):
                path, empty = Path(parent, file), False
                yield _from_disk(path, str(path))
    yield from rejected
    if empty and not rejected:  # a run that crashed leaves no file: that is not nothing
        yield RejectedPath(str(folder), "holds no test reports (.xml, .trx, .jsonl)")


def _from_disk(path: Path, name: str) -> ReportFile | RejectedPath:
    try:
        status = path.stat()
    except OSError as error:
        return RejectedPath(name, _reason(error))
    if not stat.S_ISREG(status.st_mode):  # opening a pipe waits for whoever writes to it
        return RejectedPath(name, "is not a file but a pipe, a socket, a device or a folder")
    folder = str(path.parent)
    return ReportFile(name, path, folder=folder, mtime=status.st_mtime, size=status.st_size)


def _from_file(path: Path, name: str, workdir: Path) -> Iterator[ReportFile | RejectedPath]:
    try:
        if path.is_file() and zipfile.is_zipfile(path):
            yield from _from_zip(path, name)
        elif path.is_file() and tarfile.is_tarfile(path):
            yield from _from_tar(path, name, workdir)
        else:
            # Pipes and devices (process substitution) can be read once only.
            readable = path if path.is_file() else _spool(path, workdir)
            yield _from_disk(readable, name)
    except (*_DAMAGED_LIST, InputFileError) as error:
        yield RejectedPath(
            name, error.message if isinstance(error, InputFileError) else _reason(error)
        )


def _spool(path: Path, workdir: Path) -> Path:
    if path.is_block_device() or (path.is_char_device() and not _has_end(path)):
        raise InputFileError("is a device that never ends")
    target = _new_file(workdir)
    with path.open("rb") as source, target.open("wb") as copy:
        shutil.copyfileobj(source, copy, 1 << 20)
    return target


def _has_end(device: Path) -> bool:
    """Tell whether a device of characters ends: the one of nothing, and a terminal."""
    with device.open("rb", buffering=0) as stream:
        return stream.isatty() or device.samefile(os.devnull)


def _from_stdin(workdir: Path) -> Iterator[ReportFile | RejectedPath]:
    target = _new_file(workdir)
    with target.open("wb") as copy:
        shutil.copyfileobj(sys.stdin.buffer, copy, 1 << 20)
    for report in _from_file(target, STDIN, workdir):
        if isinstance(report, ReportFile) and report.name == STDIN:
            yield ReportFile(STDIN, report.path, folder=STDIN, size=report.size)
        else:
            yield report


def _new_file(workdir: Path) -> Path:
    return workdir / f"{uuid.uuid4().hex}.data"


def _from_zip(path: Path, name: str) -> Iterator[ReportFile | RejectedPath]:
    with zipfile.ZipFile(path) as archive:
        members = sorted(archive.infolist(), key=lambda m: m.filename)
        reports = [m for m in members if m.filename.lower().endswith(_ARCHIVED)]
        if sum(m.file_size for m in reports) > _MAX_UNPACKED:
            raise InputFileError(f"unpacks to more than {_MAX_UNPACKED >> 30} GB")
    if not reports:
        yield RejectedPath(name, "holds no test reports (.xml, .trx, .jsonl)")
    zips = ZipReader()
    for member in reports:
        label = f"{name}!{member.filename}"
        folder = f"{name}!{member.filename.rpartition('/')[0]}"
        size = member.file_size
        yield ReportFile(label, path, member.filename, folder=folder, size=size, zips=zips)


def _from_tar(path: Path, name: str, workdir: Path) -> Iterator[ReportFile | RejectedPath]:
    """Unpack the XML files of a tar archive in one pass: it can only be read from the front."""
    unpacked, has_reports = 0, False
    with tarfile.open(path, "r|*") as archive:
        for member in archive:
            stream = None
            if member.isfile() and member.name.lower().endswith(_ARCHIVED):
                stream = archive.extractfile(member)
            if stream is None:
                continue
            has_reports = True
            unpacked += member.size
            if unpacked > _MAX_UNPACKED:
                raise InputFileError(f"unpacks to more than {_MAX_UNPACKED >> 30} GB")
            target = _new_file(workdir)
            with target.open("wb") as copy:
                shutil.copyfileobj(stream, copy, 1 << 20)
            label, folder = f"{name}!{member.name}", f"{name}!{member.name.rpartition('/')[0]}"
            yield ReportFile(label, target, folder=folder, mtime=member.mtime, size=member.size)
    if not has_reports:
        yield RejectedPath(name, "holds no test reports (.xml, .trx, .jsonl)")
