"""Reads ``git diff --raw --numstat -p -U0 -z`` as a stream: files, line counts, identifiers.

The list of files comes first and is always read whole. The patch behind it only feeds the
identifiers, so it is read as far as time and size allow.
"""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from testopt.code.paths import path_text
from testopt.code.words import identifiers
from testopt.git.diff import read_patch, unquote
from testopt.schema import FileChange

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

FILE_TOKENS: Final = 20_000  # characters of identifiers kept per file
ALL_TOKENS: Final = 500_000  # and per change, shared out evenly
_SECTION: Final = 64 * 1024  # bytes of patch looked at per file
_BLOCK: Final = 256 * 1024
_MARK: Final = b"\ndiff --git "
_GITLINK: Final = b"160000"


class RawEntry(NamedTuple):
    """One file of git's ``--raw`` list: modes, object names, status letter, paths as bytes."""

    old_mode: bytes
    new_mode: bytes
    old_blob: bytes
    new_blob: bytes
    status: str
    path: bytes
    old_path: bytes | None

    @property
    def is_submodule(self) -> bool:
        """Tell whether either side is a submodule, whose line counts mean nothing."""
        return _GITLINK in (self.old_mode, self.new_mode)


def raw_entry(head: bytes, fields: Iterator[bytes]) -> RawEntry:
    """Read one ``--raw -z`` entry; `fields` stands behind `head`, its first field."""
    old_mode, new_mode, old_blob, new_blob, status = head[1:].split(b" ")
    letter = chr(status[0])
    first = next(fields)
    if letter in "RC":
        return RawEntry(old_mode, new_mode, old_blob, new_blob, letter, next(fields), first)
    return RawEntry(old_mode, new_mode, old_blob, new_blob, letter, first, None)


def raw_line(line: bytes) -> RawEntry:
    """Read one line of ``--raw`` without ``-z``."""
    head, *paths = line.rstrip(b"\n").split(b"\t")
    return raw_entry(head, iter([unquote(path) for path in paths]))


def numstat_entry(head: bytes, fields: Iterator[bytes]) -> tuple[bytes, int | None, int | None]:
    """Read one ``--numstat -z`` entry: path, lines added, deleted (None: binary)."""
    added, deleted, path = head.split(b"\t", 2)
    if not path:  # a rename: old and new path follow
        next(fields)
        path = next(fields)
    if added == b"-":
        return path, None, None
    return path, int(added), int(deleted)


def file_changes(listing: bytes) -> list[FileChange]:
    """Return the files of a ``--raw --numstat -z`` listing, in git's order, without identifiers."""
    entries: list[RawEntry] = []
    counts: dict[bytes, tuple[int | None, int | None]] = {}
    fields = iter(listing.split(b"\0"))
    for head in fields:
        if head.startswith(b":"):
            entries.append(raw_entry(head, fields))
        elif head:
            path, added, deleted = numstat_entry(head, fields)
            counts[path] = (added, deleted)
    return [_file_change(entry, counts.get(entry.path, (None, None))) for entry in entries]


def _file_change(entry: RawEntry, counts: tuple[int | None, int | None]) -> FileChange:
    added, deleted = (None, None) if entry.is_submodule else counts
    return FileChange(
        path=path_text(entry.path),
        added=added,
        deleted=deleted,
        status=entry.status,
        old_path=None if entry.old_path is None else path_text(entry.old_path),
        is_submodule=entry.is_submodule,
    )


def read_listing(read: Callable[[int], bytes]) -> tuple[bytes, bytes]:
    """Read up to the end of the listing; return it and the first bytes of the patch behind it."""
    buffer = bytearray()
    while block := read(_BLOCK):
        start = max(len(buffer) - 1, 0)
        buffer += block
        end = buffer.find(b"\0\0", start)
        if end >= 0:
            return bytes(buffer[:end]), bytes(buffer[end + 2 :])
    return bytes(buffer), b""


def with_tokens(
    files: Sequence[FileChange], patch: bytes, read: Callable[[int], bytes]
) -> list[FileChange]:
    """Add the identifiers of each file's changed lines.

    Parameters
    ----------
    files : sequence of FileChange
        In the order of the listing, which is that of the patch.
    patch : bytes
        First bytes of the patch.
    read : callable
        Reads on: bytes, empty at the end (also when git was stopped early).

    Returns
    -------
    list of FileChange
        Files that the patch did not reach keep ``tokens=None``.
    """
    sections = _sections(patch, read)
    limit = min(FILE_TOKENS, ALL_TOKENS // max(len(files), 1))
    result: list[FileChange] = []
    for file in files:
        count = {"U": 0, "T": 2}.get(file.status, 1)  # unmerged: none; type change: out and in
        own_sections = list(islice(sections, count))
        words = (word for section in own_sections for word in section_words(section))
        result.append(replace(file, tokens=join_tokens(words, limit)) if own_sections else file)
    return result


def _sections(patch: bytes, read: Callable[[int], bytes]) -> Iterator[bytes]:
    """Yield the patch of each file, cut to ``_SECTION`` bytes; memory stays flat.

    With ``-U0`` every line of content begins with a sign, and paths are quoted, so the mark
    cannot occur inside a section.
    """
    started, section, tail = False, bytearray(), b"\n"
    block = patch
    while block or (block := read(_BLOCK)):
        *ends, rest = (tail + block).split(_MARK)
        for end in ends:
            if started:
                yield bytes(section[:_SECTION]) + end[: max(_SECTION - len(section), 0)]
            started, section = True, bytearray()
        # what could be the beginning of a mark stays back
        cut = max(len(rest) - len(_MARK), 0)
        section += rest[: min(cut, max(_SECTION - len(section), 0))]
        tail, block = rest[cut:], b""
    if started:
        yield bytes(section[:_SECTION]) + tail


def section_words(section: bytes) -> list[str]:
    """Return the identifiers of one file's patch (``-U0``).

    Those of lines added and deleted, and of the function names behind ``@@``.
    """
    text: list[bytes] = []
    for file in read_patch(BytesIO(section)):
        for hunk in file.hunks:
            text.append(hunk.heading)
            text += hunk.lines  # a sign is no part of a word
    return identifiers(b"\n".join(text).decode("utf-8", "replace"))


def join_tokens(words: Iterable[str], limit: int = FILE_TOKENS) -> str:
    """Join identifiers up to `limit` characters, never cutting one in two."""
    joined = " ".join(words)
    if len(joined) <= limit:
        return joined
    return joined[: max(joined.rfind(" ", 0, limit + 1), 0)]
