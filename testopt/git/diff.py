"""Reads unified diffs, of git, ``diff -u`` or a review system: files, hunks, changed lines.

The counts in the header of a hunk say where it ends, so content is never taken for a header.
Files, hunks and lines come as they are read, and nothing is kept: whoever reads decides what to
keep of a diff that may be of any size, and from anywhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# twelve digits are more lines than any file has
_HUNK: Final = re.compile(
    rb"@@ -(\d{1,12})(?:,(\d{1,12}))? \+(\d{1,12})(?:,(\d{1,12}))? @@(.*)", re.DOTALL
)
_INDEX: Final = re.compile(rb"index ([0-9a-f]+)\.\.([0-9a-f]+)")
_GIT: Final = b"diff --git "
_ESCAPE: Final = re.compile(rb'\\([0-7]{3}|[abtnvfr"\\])')
_QUOTED: Final = re.compile(rb'"(?:[^"\\]|\\.)*"')
_ESCAPES: Final = {
    b"a": b"\a", b"b": b"\b", b"t": b"\t", b"n": b"\n", b"v": b"\v", b"f": b"\f", b"r": b"\r",
    b'"': b'"', b"\\": b"\\",
}  # fmt: skip


@dataclass(slots=True)
class Hunk:
    """Lines that changed together, as they are read.

    Attributes
    ----------
    old_start, old_count, new_start, new_count : int
        As the header says: numbers from 1; of no lines, the number of the one before them.
    heading : bytes
        What stands behind the numbers: the function around the hunk, as the differ sees it.
    lines : iterator of bytes
        The changed lines with their sign (``+`` or ``-``) and without line end. To be read before
        the next hunk, which passes over what is left.
    is_complete : bool
        Whether all lines came; tells only after they were read.
    """

    old_start: int
    old_count: int
    new_start: int
    new_count: int
    heading: bytes
    lines: Iterator[bytes]
    is_complete: bool = False

    @property
    def old_lines(self) -> range:
        """Numbers of the old lines; of none, the empty range where others come in."""
        start = max(self.old_start, 1)
        return range(start, start + self.old_count)

    @property
    def new_lines(self) -> range:
        """Numbers of the new lines; of none, the empty range where others were."""
        start = max(self.new_start, 1)
        return range(start, start + self.new_count)


@dataclass(slots=True)
class FilePatch:
    """What a diff says of one file.

    Attributes
    ----------
    old, new : bytes or None
        Paths before and after; None where the file does not exist, or the diff names none.
    status : str
        ``A``, ``D``, ``R``, ``C``, else ``M``.
    old_object, new_object : str
        Names of git's objects, as long as the diff has them; empty where it has none.
    is_binary : bool
    line, left, right : bytes or None
        What stands behind ``diff --git``, and, without quotes, behind ``---`` and ``+++``; None
        where there is no such line, or no such file.
    hunks : iterator of Hunk
        To be read before the next file, which passes over what is left.
    """

    hunks: Iterator[Hunk]
    old: bytes | None = None
    new: bytes | None = None
    status: str = "M"
    old_object: str = ""
    new_object: str = ""
    is_binary: bool = False
    line: bytes | None = None
    left: bytes | None = None
    right: bytes | None = None


def read_patch(lines: Iterable[bytes]) -> Iterator[FilePatch]:
    """Read a diff file by file.

    Parameters
    ----------
    lines : iterable of bytes
        With their line ends, as an open file yields them.

    Yields
    ------
    FilePatch
        In order. What stands before the first file, such as mail headers, is one without paths.
    """
    reader = _Reader(iter(lines))
    while reader.line:
        file = reader.file()
        yield file
        for _ in file.hunks:
            pass


class _Reader:
    """Reads with one line ahead; ``line`` is empty at the end."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._lines = lines
        self.line = next(lines, b"")

    def file(self) -> FilePatch:
        """Read on to the first hunk of a file, or to the next file."""
        file = FilePatch(self._hunks())
        begun = False
        while self.line and not _HUNK.match(self.line):
            if begun and self.line.startswith(_GIT):
                break
            _read_header(file, self.line.rstrip(b"\r\n"))
            self.line = next(self._lines, b"")
            begun = True
        return file

    def _hunks(self) -> Iterator[Hunk]:
        # outside of hunks `---` begins another file, also where no line of git's stands before
        while self.line and not self.line.startswith((_GIT, b"--- ")):
            if match := _HUNK.match(self.line):
                hunk = _hunk(match)
                hunk.lines = self._changed(hunk)
                yield hunk
                for _ in hunk.lines:
                    pass
            else:
                self.line = next(self._lines, b"")

    def _changed(self, hunk: Hunk) -> Iterator[bytes]:
        old, new = hunk.old_count, hunk.new_count
        while old > 0 or new > 0:
            line = next(self._lines, b"")
            sign = line[:1]
            if sign == b"+":
                new -= 1
            elif sign == b"-":
                old -= 1
            elif not line:
                self.line = b""
                return
            else:
                if sign != b"\\":  # context; some tools strip the blank of an empty line
                    old, new = old - 1, new - 1
                continue
            yield line.removesuffix(b"\n").removesuffix(b"\r")
        hunk.is_complete = True
        self.line = next(self._lines, b"")


def _hunk(match: re.Match[bytes]) -> Hunk:
    old, old_count, new, new_count = (1 if n is None else int(n) for n in match.groups()[:4])
    return Hunk(old, old_count, new, new_count, match[5].rstrip(b"\r\n"), iter(()))


def _read_header(file: FilePatch, text: bytes) -> None:
    if text.startswith((b"--- ", b"+++ ")):
        _read_side(file, text)
    elif text.startswith(_GIT):
        file.line = text.removeprefix(_GIT)
        file.old, file.new = _git_paths(file.line)
    elif match := _INDEX.match(text):
        file.old_object, file.new_object = match[1].decode(), match[2].decode()
    elif text.startswith((b"rename from ", b"copy from ")):
        file.old, file.status = unquote(text.split(b" from ", 1)[1]), text[:1].decode().upper()
    elif text.startswith((b"rename to ", b"copy to ")):
        file.new = unquote(text.split(b" to ", 1)[1])
    elif text.startswith((b"Binary files ", b"GIT binary patch")):
        file.is_binary = True
    elif text.startswith((b"new file mode", b"deleted file mode")):
        file.status = "A" if text.startswith(b"new") else "D"


def _read_side(file: FilePatch, text: bytes) -> None:
    name = _name(text[4:])
    if text.startswith(b"--- "):
        file.left = name
        file.old = _stripped(name, b"a/")
        file.status = "A" if name is None else file.status
    else:
        file.right = name
        file.new = _stripped(name, b"b/")
        file.status = "D" if name is None else file.status
        if (file.old, file.new) == (file.left, file.right):  # as `-R` makes them
            file.old, file.new = _stripped(file.old, b"b/"), _stripped(file.new, b"a/")


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


def _name(text: bytes) -> bytes | None:
    """Return the path of a ``---`` or ``+++`` line as it stands there; None for /dev/null."""
    # behind the tab stands a time, or nothing where git marks the end of a path with blanks
    name = split_quoted(text)[0] if text.startswith(b'"') else text.partition(b"\t")[0]
    return None if name == b"/dev/null" else name


def _stripped(name: bytes | None, prefix: bytes) -> bytes | None:
    """Return a path without a prefix of git's, or one of its mnemonic ones."""
    if name is None:
        return None
    # index, work tree, commit, object
    return name[2:] if name[:2] in {prefix, b"i/", b"w/", b"c/", b"o/"} else name


def split_quoted(text: bytes) -> tuple[bytes, bytes]:
    """Return the path at the beginning, unquoted, and what stands behind it."""
    if found := _QUOTED.match(text):
        return unquote(found[0]), text[found.end() :]
    end = text.find(b" ") if b" " in text else len(text)
    return text[:end], text[end:]


def unquote(text: bytes) -> bytes:
    """Undo git's C-style quoting of a path."""
    if not (text.startswith(b'"') and text.endswith(b'"')):
        return text
    return _ESCAPE.sub(lambda m: _ESCAPES.get(m[1]) or bytes([int(m[1], 8) & 0xFF]), text[1:-1])
