"""Counts how many lines each changed file had before the change.

A blob's count is the count of the blob before it, plus the lines added, minus those deleted; so one
pass over history in topological order knows nearly all of them, on every branch at once. What
merges made (they have no rows) and what lies before an incremental run is read from git.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from testopt.errors import GitFailedError
from testopt.git.process import run_git

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from testopt.git.log import FileRow

_MAX_BLOB: Final = 4_000_000  # bytes; nobody reviews a larger file by the line
_MAX_READ: Final = 32_000_000  # bytes held at once
_MAX_KNOWN: Final = 1_000_000  # blobs remembered
_TIMEOUT_S: Final = 600.0


class LineCounts:
    """Line counts of blobs, carried along history.

    Parameters
    ----------
    repo : Path
        Where unknown blobs are read.
    """

    def __init__(self, repo: Path) -> None:
        self._repo = repo
        self._known: dict[bytes, int | None] = {}

    def before(self, files: Sequence[FileRow]) -> list[int | None]:
        """Return the lines of each file before its change.

        Parameters
        ----------
        files : sequence of FileRow
            In topological order, parents first, call after call.

        Returns
        -------
        list of int or None
            0 for added files; None for binary, very large and missing ones.
        """
        if len(self._known) > _MAX_KNOWN:
            self._known.clear()
        self._known.update(read_counts(self._repo, sorted(self._unknown(files))))
        return [self._count_before(file) for file in files]

    def _unknown(self, files: Sequence[FileRow]) -> set[bytes]:
        """Return the blobs that neither earlier calls nor earlier rows tell the count of."""
        created: set[bytes] = set()
        unknown: set[bytes] = set()
        for file in files:
            if file.added is not None:
                before = file.old_blob
                if file.status != "A" and before not in created and before not in self._known:
                    unknown.add(before)
                created.add(file.new_blob)
        return unknown

    def _count_before(self, file: FileRow) -> int | None:
        if file.added is None or file.deleted is None:
            return None
        count = 0 if file.status == "A" else self._known.get(file.old_blob)
        if count is not None:
            self._known[file.new_blob] = count + file.added - file.deleted
        return count


def read_counts(repo: Path, blobs: Sequence[bytes]) -> Iterator[tuple[bytes, int | None]]:
    """Yield the line count of blobs; None for large ones and those that are not there.

    Parameters
    ----------
    repo : Path
        Working tree or bare repository.
    blobs : sequence of bytes
        Object names in hexadecimal.
    """
    if not blobs:
        return
    sizes = run_git(repo, "cat-file", "--batch-check", stdin=_lines(blobs), timeout=_TIMEOUT_S)
    small: list[tuple[bytes, int]] = []
    for line in sizes.splitlines():
        name, kind, *size = line.split()
        if kind == b"blob" and int(size[0]) <= _MAX_BLOB:
            small.append((name, int(size[0])))
        else:
            yield name, None
    for names in _batches(small):
        yield from _read(repo, names)


def _lines(names: Iterable[bytes]) -> bytes:
    return b"".join(name + b"\n" for name in names)


def _batches(blobs: Iterable[tuple[bytes, int]]) -> Iterator[list[bytes]]:
    """Group blobs so that a group's content fits in memory."""
    names: list[bytes] = []
    total = 0
    for name, size in blobs:
        if names and total + size > _MAX_READ:
            yield names
            names, total = [], 0
        names.append(name)
        total += size
    if names:
        yield names


def _read(repo: Path, names: Sequence[bytes]) -> Iterator[tuple[bytes, int | None]]:
    try:
        out = run_git(repo, "cat-file", "--batch", stdin=_lines(names), timeout=_TIMEOUT_S)
    except GitFailedError:  # one of them is damaged
        if len(names) == 1:
            yield names[0], None
            return
        half = len(names) // 2
        yield from _read(repo, names[:half])
        yield from _read(repo, names[half:])
        return
    at = 0
    for name in names:
        line = out.index(b"\n", at)
        start = line + 1
        end = start + int(out[at:line].split()[2])
        # a last line without its newline is a line, as in git's own counts
        unfinished = end > start and out[end - 1 : end] != b"\n"
        yield name, out.count(b"\n", start, end) + unfinished
        at = end + 1
