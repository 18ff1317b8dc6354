"""Reads a change from a diff file, as git, ``diff -u`` or a review system writes it."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Final

from testopt.code.paths import path_text
from testopt.code.words import identifiers
from testopt.errors import InputFileError
from testopt.git.diff import read_patch
from testopt.git.diff_listing import FILE_TOKENS, join_tokens
from testopt.git.diff_prefixes import names_of, same_paths
from testopt.input_files import open_input
from testopt.schema import Change, FileChange

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from testopt.git.diff import FilePatch

_MAX_LINE: Final = 64 * 1024  # of a longer line only the beginning matters
_COLOR: Final = re.compile(rb"\x1b\[[0-9;]*[mK]")
_MAX_TEXT: Final = 4 * FILE_TOKENS  # bytes of changed text looked at per file


def diff_file(path: Path) -> Change:
    """Read a change from a unified diff.

    Parameters
    ----------
    path : Path
        File with a diff; mail headers and other text before and between are skipped.

    Returns
    -------
    Change
        Without revisions, author and time. An empty file is an empty change.

    Raises
    ------
    InputFileError
        When the file cannot be read, holds no diff, or ends within a hunk.
    """
    try:
        with open_input(path) as file:
            lines = _Lines(iter(lambda: _line(file), b""))
            read = [(_change(path, part, lines), names_of(part)) for part in read_patch(lines)]
    except OSError as error:
        raise InputFileError(f"{path} cannot be read: {error.strerror}") from error
    paths = same_paths([names for _, names in read])
    files = [
        file if same is None else replace(file, path=path_text(same), old_path=None)
        for (file, _), same in zip(read, paths, strict=True)
    ]
    named = [each for each in files if each.path]
    if not named and lines.read:
        raise InputFileError(f"{path} is not a unified diff", "make one with: git diff A B > FILE")
    return Change(files=tuple(_unique(named)))


def _unique(files: list[FileChange]) -> Iterable[FileChange]:
    """Join what stands under one path twice, as the two halves of a type change do."""
    by_path: dict[str, FileChange] = {}
    for file in files:
        first = by_path.get(file.path)
        by_path[file.path] = file if first is None else _merge_halves(first, file)
    return by_path.values()


def _merge_halves(first: FileChange, second: FileChange) -> FileChange:
    return replace(
        first,
        added=_sum(first.added, second.added),
        deleted=_sum(first.deleted, second.deleted),
        status="T" if {first.status, second.status} == {"A", "D"} else first.status,
        tokens=join_tokens(filter(None, (first.tokens, second.tokens))),
    )


def _sum(first: int | None, second: int | None) -> int | None:
    return None if first is None or second is None else first + second


def _line(file: object) -> bytes:
    """Return the next line, a very long one cut."""
    line: bytes = file.readline(_MAX_LINE)  # type: ignore[attr-defined]
    rest = line
    while len(rest) == _MAX_LINE and not rest.endswith(b"\n"):
        rest = file.readline(_MAX_LINE)  # type: ignore[attr-defined]
    return line


class _Lines:
    """Lines of a file, counted as they are read."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._lines, self.read = lines, 0

    def __iter__(self) -> Iterator[bytes]:
        for line in self._lines:
            self.read += 1
            yield _COLOR.sub(b"", line) if b"\x1b" in line else line


def _change(path: Path, file: FilePatch, lines: _Lines) -> FileChange:
    """Return what a file's part of the diff says, without a path where it names none."""
    counts = {b"+": 0, b"-": 0}
    text: list[bytes] = []
    size = 0
    for hunk in file.hunks:
        for line in chain([b" " + hunk.heading], hunk.lines):
            sign = line[:1]
            if sign in counts:
                counts[sign] += 1
            if size < _MAX_TEXT:
                text.append(line[1:])
                size += len(line)  # with the sign, so that empty lines fill the room, too
        if not hunk.is_complete:
            raise InputFileError(f"{path}:{lines.read}: the diff ends within a hunk")
    moved = file.status in "RC" and file.old is not None
    words = identifiers(b"\n".join(text).decode("utf-8", "replace"))
    return FileChange(
        path=path_text((file.old if file.new is None else file.new) or b""),
        added=None if file.is_binary else counts[b"+"],
        deleted=None if file.is_binary else counts[b"-"],
        status=file.status,
        old_path=path_text(file.old) if moved and file.old is not None else None,
        tokens=None if file.is_binary else join_tokens(words),
    )
