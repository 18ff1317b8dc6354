"""Paths of a saved diff, whatever stands before them.

git writes ``a/`` and ``b/`` before a path, or what ``diff.mnemonicPrefix``, ``diff.noprefix`` and
``--src-prefix`` say; ``-R`` swaps them. One diff has one pair of prefixes. Headers of renames have
none, which tells the pair for certain; else it follows from paths that are the same on both sides.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from testopt.git.diff import split_quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from testopt.git.diff import FilePatch

_SIGNS: Final = re.compile(rb"[^\w./]*")
_MOST_SPLITS: Final = 1_000


class Names(NamedTuple):
    """What a diff says of the paths of one file; None where it does not.

    ``line`` stands behind ``diff --git``, `left` and `right` behind ``---`` and ``+++``, ``old``
    and ``new`` in the headers of a rename or copy.
    """

    line: bytes | None
    left: bytes | None
    right: bytes | None
    old: bytes | None
    new: bytes | None


class _Prefixes(NamedTuple):
    left: bytes
    right: bytes


def names_of(file: FilePatch) -> Names:
    """Return what a file's part of a diff says of its paths."""
    moved = file.status in "RC"
    old, new = (file.old, file.new) if moved else (None, None)
    return Names(file.line, file.left, file.right, old, new)


def same_paths(files: Sequence[Names]) -> list[bytes | None]:
    """Return the path of each file that git says was not renamed; None for others.

    Parameters
    ----------
    files : sequence of Names
        All files of one diff.
    """
    prefixes = _certain(files) or _likely(files)
    return [_path(file, prefixes) if file.line is not None else None for file in files]


def _path(file: Names, prefixes: _Prefixes | None) -> bytes | None:
    if file.old is not None or file.new is not None:
        return None
    for known in filter(None, (prefixes, _likely([file]))):
        for left, right in _pairs(file):
            path = left.removeprefix(known.left)
            if left == known.left + path and right == known.right + path and path:
                return path
    return None


def _certain(files: Iterable[Names]) -> _Prefixes | None:
    """Return the prefixes that the headers of renames prove."""
    votes: Counter[_Prefixes] = Counter()
    for file in files:
        if file.line is None or not file.old or not file.new:
            continue
        votes.update(
            _Prefixes(left.removesuffix(file.old), right.removesuffix(file.new))
            for left, right in _pairs(file)
            if left.endswith(file.old) and right.endswith(file.new)
        )
    return votes.most_common(1)[0][0] if votes else None


def _likely(files: Iterable[Names]) -> _Prefixes | None:
    """Return the prefixes that leave the same path on both sides."""
    pairs = [pair for file in files if (pair := _best_pair(file))]
    if not pairs:
        return None
    if all(left == right for left, right in pairs):
        return _Prefixes(b"", b"")
    left, right = next((one, other) for one, other in pairs if one != other)
    same = len(_common([left[::-1], right[::-1]]))
    shortest = _Prefixes(left[: len(left) - same], right[: len(right) - same])
    tails = [
        one.removeprefix(shortest.left)
        for one, other in pairs
        if one.startswith(shortest.left) and other.startswith(shortest.right)
    ]
    # one side without a prefix: the other's ends where they part
    more = b"" if b"/" in {shortest.left[-1:], shortest.right[-1:]} else _common_start(tails)
    return _Prefixes(shortest.left + more, shortest.right + more)


def _common_start(tails: Sequence[bytes]) -> bytes:
    """Return what belongs to the prefix still: up to the first slash, else signs."""
    starts = {tail[: tail.find(b"/") + 1] for tail in tails}
    if len(starts) == 1:
        return starts.pop()
    found = _SIGNS.match(_common(tails))
    return found[0] if found else b""


def _common(texts: Sequence[bytes]) -> bytes:
    """Return the bytes with which all of some texts begin."""
    low, high = min(texts), max(texts)
    size = next((at for at, byte in enumerate(low) if high[at : at + 1] != bytes([byte])), len(low))
    return low[:size]


def _best_pair(file: Names) -> tuple[bytes, bytes] | None:
    """Return both sides of a file that was not renamed, as they stand in the diff."""
    if file.line is None or file.old is not None or file.new is not None:
        return None
    pairs = list(_pairs(file))
    if len(pairs) <= 1:
        return pairs[0] if pairs else None
    same = [(left, right) for left, right in pairs if left == right]
    below = [p for p in pairs if p[0].partition(b"/")[2:] == p[1].partition(b"/")[2:]]
    return next(iter([*same, *below, *(p for p in pairs if len(p[0]) == len(p[1]))]), None)


def _pairs(file: Names) -> Iterator[tuple[bytes, bytes]]:
    """Yield how the line of a file may be cut in two: a blank may be part of a path."""
    line = file.line or b""
    if b'"' in line:
        left, rest = split_quoted(line)
        right, end = split_quoted(rest.removeprefix(b" "))
        if rest.startswith(b" ") and not end:
            yield left, right
            return
    if file.left is not None and file.right is not None:
        yield file.left, file.right
        return
    known = file.left if file.left is not None else file.right
    at = line.find(b" ")
    for _ in range(_MOST_SPLITS):
        if at < 0:
            return
        pair = line[:at], line[at + 1 :]
        if known is None or known in pair:
            yield pair
        at = line.find(b" ", at + 1)
