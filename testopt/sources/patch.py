"""A change read from a file: a unified diff as git, ``diff -u`` or a review system make it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from testopt.errors import InputFileError
from testopt.features.paths import path_text
from testopt.features.words import identifiers
from testopt.schema import Change, FileChange
from testopt.sources.difftext import FILE_TOKENS, join_tokens

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_HUNK: Final = re.compile(rb"@@ -\d+(?:,(\d{1,12}))? \+\d+(?:,(\d{1,12}))? @@(.*)", re.DOTALL)
_MAX_LINE: Final = 64 * 1024  # of a longer line only the beginning matters
_OCTAL: Final = re.compile(rb'\\([0-7]{3}|[abtnvfr"\\])')
_ESCAPES: Final = {
    b"a": b"\a", b"b": b"\b", b"t": b"\t", b"n": b"\n", b"v": b"\v", b"f": b"\f", b"r": b"\r",
    b'"': b'"', b"\\": b"\\",
}  # fmt: skip


@dataclass(slots=True)
class _File:
    """One file of the diff while it is read."""

    old: bytes | None = None
    new: bytes | None = None
    status: str = "M"
    added: int = 0
    deleted: int = 0
    binary: bool = False
    text: list[bytes] = field(default_factory=list)
    size: int = 0

    @property
    def seen(self) -> bool:
        """Tell whether a hunk was read, after which ``---`` begins another file."""
        return self.added + self.deleted > 0

    def keep(self, text: bytes) -> None:
        """Keep changed text for its identifiers, up to a limit."""
        if self.size < 4 * FILE_TOKENS:
            self.text.append(text)
            self.size += len(text)

    def change(self) -> FileChange:
        path = self.old if self.new is None else self.new
        moved = self.status in "RC" and self.old is not None
        words = identifiers(b"\n".join(self.text).decode("utf-8", "replace"))
        return FileChange(
            path=path_text(path or b""),
            added=None if self.binary else self.added,
            deleted=None if self.binary else self.deleted,
            status=self.status,
            old_path=path_text(self.old) if moved and self.old is not None else None,
            tokens=None if self.binary else join_tokens(words),
        )


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
        with path.open("rb") as file:
            reader = _Reader(path, iter(lambda: _line(file), b""))
            files = [item.change() for item in reader.files() if item.old or item.new]
            blank = reader.number == 0
    except OSError as error:
        raise InputFileError(f"{path} cannot be read: {error.strerror}") from error
    if not files and not blank:
        raise InputFileError(f"{path} holds no unified diff", "make one with: git diff A B > FILE")
    return Change(files=tuple(_unique(files)))


def _unique(files: list[FileChange]) -> Iterable[FileChange]:
    """Join what stands under one path twice, as the two halves of a type change do."""
    by_path: dict[str, FileChange] = {}
    for file in files:
        first = by_path.get(file.path)
        by_path[file.path] = file if first is None else _joined(first, file)
    return by_path.values()


def _joined(first: FileChange, second: FileChange) -> FileChange:
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


class _Reader:
    """Reads line by line; a hunk's own counts say where it ends, so content is never a header."""

    def __init__(self, path: Path, lines: Iterator[bytes]) -> None:
        self._path, self._lines, self.number = path, lines, 0
        self._file = _File()

    def files(self) -> Iterator[_File]:
        """Yield each file when it is complete."""
        for line in self._next():
            text = line.rstrip(b"\r\n")
            if text.startswith(b"diff --git ") or (text.startswith(b"--- ") and self._file.seen):
                yield self._file
                self._file = _File()
            if text.startswith(b"diff --git "):
                self._file.old, self._file.new = _git_paths(text[11:])
            elif hunk := _HUNK.match(text):
                self._hunk(hunk)
            else:
                self._header(text)
        yield self._file

    def _next(self) -> Iterator[bytes]:
        for line in self._lines:
            self.number += 1
            yield line

    def _hunk(self, hunk: re.Match[bytes]) -> None:
        old, new = (1 if count is None else int(count) for count in hunk.groups()[:2])
        self._file.keep(hunk[3])
        lines = self._next()
        while old > 0 or new > 0:
            line = next(lines, None)
            if line is None:
                raise InputFileError(f"{self._path}:{self.number}: the diff ends within a hunk")
            sign = line[:1]
            if sign == b"+":
                new, self._file.added = new - 1, self._file.added + 1
            elif sign == b"-":
                old, self._file.deleted = old - 1, self._file.deleted + 1
            else:
                if sign != b"\\":  # context; some tools strip the blank of an empty line
                    old, new = old - 1, new - 1
                continue
            self._file.keep(line[1:].rstrip(b"\r\n"))

    def _header(self, text: bytes) -> None:
        file = self._file
        if text.startswith(b"--- "):
            file.old = _path(text[4:], b"a")
            file.status = "A" if file.old is None else file.status
        elif text.startswith(b"+++ "):
            file.new = _path(text[4:], b"b")
            file.status = "D" if file.new is None else file.status
        elif text.startswith((b"rename from ", b"copy from ")):
            file.old, file.status = unquote(text.split(b" from ", 1)[1]), text[:1].decode().upper()
        elif text.startswith((b"rename to ", b"copy to ")):
            file.new = unquote(text.split(b" to ", 1)[1])
        elif text.startswith((b"Binary files ", b"GIT binary patch")):
            file.binary = True
        elif text.startswith((b"new file mode", b"deleted file mode")):
            file.status = "A" if text.startswith(b"new") else "D"


def _git_paths(text: bytes) -> tuple[bytes, bytes] | tuple[None, None]:
    """Return the paths of a ``diff --git`` line, which counts where no other header names them."""
    if text.startswith(b'"'):
        left, _, right = text.rpartition(b' "')
        left, right = unquote(left), unquote(b'"' + right)
    else:  # both paths are the same unless a rename header follows: cut in the middle
        half = len(text) // 2
        left, right = text[:half], text[half + 1 :]
    if left == right:  # made with --no-prefix
        return left, right
    return (left[2:], right[2:]) if left[2:] == right[2:] else (None, None)


def _path(text: bytes, letter: bytes) -> bytes | None:
    """Return the path of a ``---`` or ``+++`` line; None for /dev/null."""
    name = unquote(text) if text.startswith(b'"') else text.partition(b"\t")[0]
    if name == b"/dev/null":
        return None
    # git's own prefix, or one of its mnemonic ones (index, work tree, commit, object)
    return name[2:] if name[:2] in {letter + b"/", b"i/", b"w/", b"c/", b"o/"} else name


def unquote(text: bytes) -> bytes:
    """Undo git's C-style quoting of a path."""
    if not (text.startswith(b'"') and text.endswith(b'"')):
        return text
    return _OCTAL.sub(lambda m: _ESCAPES.get(m[1]) or bytes([int(m[1], 8) & 0xFF]), text[1:-1])
