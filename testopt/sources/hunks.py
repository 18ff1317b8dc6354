"""Which lines a diff touches, and what they say: the reader of ``git diff -U0 --full-index``."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from testopt.features.paths import path_bytes, path_text
from testopt.sources.git import empty_tree, run_git
from testopt.sources.patch import unquote

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

OPTIONS: Final = (
    "-p", "-U0", "-M", "--full-index", "--no-color", "--no-ext-diff", "--no-textconv",
    "--no-relative", "--inter-hunk-context=0", "--submodule=short", "--src-prefix=a/",
    "--dst-prefix=b/",
)  # fmt: skip
DIFF_S: Final = 20.0
MAX_LINES: Final = 20_000  # changed lines kept per file
_HUNK: Final = re.compile(rb"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_INDEX: Final = re.compile(rb"index ([0-9a-f]+)\.\.([0-9a-f]+)")


@dataclass(slots=True)
class Patch:
    """The changed lines of one file: paths, objects and line ranges of both sides."""

    old: str | None = None
    new: str | None = None
    old_object: str = ""
    new_object: str = ""
    old_lines: list[range] = field(default_factory=list)
    new_lines: list[range] = field(default_factory=list)
    text: list[bytes] = field(default_factory=list)

    @property
    def path(self) -> str:
        """The path after the change, else the one before."""
        return self.new or self.old or ""

    def words_text(self) -> str:
        """Return the changed lines, without the marks."""
        return b"\n".join(self.text).decode("utf-8", "replace")


def patches(diff: bytes) -> Iterator[Patch]:
    """Yield the files of a diff that have changed lines.

    Parameters
    ----------
    diff : bytes
        Output of git with `OPTIONS`.

    Yields
    ------
    Patch
        Ranges of lines count from 1; an empty one starts at the line before which nothing is.
    """
    for section in re.split(rb"^diff --git ", diff, flags=re.MULTILINE)[1:]:
        patch = _patch(section.split(b"\n"))
        if patch.old_lines:
            yield patch


def _patch(lines: list[bytes]) -> Patch:
    patch = Patch()
    left = 0  # lines of the present hunk still to come
    for line in lines[1:]:
        if left > 0 and line[:1] in (b"+", b"-"):
            left -= 1
            if len(patch.text) < MAX_LINES:
                patch.text.append(line[1:])
        elif line.startswith(b"@@"):
            left = _hunk(patch, line)
        elif line.startswith(b"--- "):
            patch.old = _side(line)
        elif line.startswith(b"+++ "):
            patch.new = _side(line)
        elif found := _INDEX.match(line):
            patch.old_object, patch.new_object = found[1].decode(), found[2].decode()
    return patch


def _hunk(patch: Patch, line: bytes) -> int:
    """Note the ranges of a hunk and return how many changed lines it has."""
    found = _HUNK.match(line)
    if found is None:
        return 0
    old, new = int(found[1]), int(found[3])
    deleted = 1 if found[2] is None else int(found[2])
    added = 1 if found[4] is None else int(found[4])
    patch.old_lines.append(range(max(old, 1), max(old, 1) + deleted))
    patch.new_lines.append(range(max(new, 1), max(new, 1) + added))
    return deleted + added


def _side(line: bytes) -> str | None:
    """Return the path of a ``---`` or ``+++`` line; None for a side that does not exist."""
    path = line[4:].rstrip(b"\t")
    return None if path == b"/dev/null" else path_text(unquote(path)[2:])


def read_patches(repo: Path, *, base: str | None, head: str | None, paths: Iterable[str]) -> bytes:
    """Return the diff of some files, as `patches` takes it.

    Parameters
    ----------
    repo : Path
        Top folder of the repository, or a bare one.
    base : str or None
        Full hash; None: nothing, as before a first commit.
    head : str or None
        Full hash; None: the working tree.
    paths : iterable of str
        Paths as `path_text` spells them; of a renamed file both.

    Raises
    ------
    RepositoryError
        When git fails or takes too long.
    """
    ends = [base or empty_tree(head or ""), *([head] if head else [])]
    names = [os.fsdecode(path_bytes(path)) for path in paths]
    if not names:
        return b""
    env = {"GIT_LITERAL_PATHSPECS": "1"}
    return run_git(repo, "diff", *OPTIONS, *ends, "--", *names, timeout=DIFF_S, env=env)
