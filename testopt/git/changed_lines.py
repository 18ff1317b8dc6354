"""Reads which lines a change touches, and their text, from ``git diff -U0 --full-index``."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from io import BytesIO
from itertools import islice
from typing import TYPE_CHECKING, Final

from testopt.code.paths import path_bytes, path_text
from testopt.git.diff import read_patch
from testopt.git.process import empty_tree, run_git

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

OPTIONS: Final = (
    "-p", "-U0", "-M", "--full-index", "--no-color", "--no-ext-diff", "--no-textconv",
    "--no-relative", "--inter-hunk-context=0", "--submodule=short", "--src-prefix=a/",
    "--dst-prefix=b/",
)  # fmt: skip
DIFF_S: Final = 20.0
MAX_LINES: Final = 20_000  # changed lines kept per file


@dataclass(slots=True)
class ChangedLines:
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


def read_changed_lines(diff: bytes) -> Iterator[ChangedLines]:
    """Yield the files of a diff that have changed lines.

    Parameters
    ----------
    diff : bytes
        Output of git with `OPTIONS`.

    Yields
    ------
    ChangedLines
        Ranges of lines count from 1; an empty one starts at the line before which nothing is.
    """
    for file in read_patch(BytesIO(diff)):
        patch = ChangedLines(_side(file.old), _side(file.new), file.old_object, file.new_object)
        for hunk in file.hunks:
            patch.old_lines.append(hunk.old_lines)
            patch.new_lines.append(hunk.new_lines)
            room = MAX_LINES - len(patch.text)
            patch.text.extend(line[1:] for line in islice(hunk.lines, room))
        if patch.old_lines:
            yield patch


def _side(path: bytes | None) -> str | None:
    return None if path is None else path_text(path)


def diff_of_files(repo: Path, *, base: str | None, head: str | None, paths: Iterable[str]) -> bytes:
    """Return the diff of some files, as `read_changed_lines` takes it.

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


def patched_texts(diff: bytes, before: Mapping[str, str]) -> dict[str, str]:
    """Return the files that a diff makes of others.

    Parameters
    ----------
    diff : bytes
        Output of git with `OPTIONS`: without context.
    before : mapping of str to str
        Texts by path; a file that is not there is empty.

    Returns
    -------
    dict of str to str
        Texts by new path, of the files that have changed lines and are there afterwards.
    """
    found: dict[str, str] = {}
    for file in read_patch(BytesIO(diff)):
        old = before.get(_side(file.old) or "", "").split("\n")
        new: list[str] = []
        at = 0
        for hunk in file.hunks:
            # of no lines, the header names the one behind which others come in
            start = min(hunk.old_start - bool(hunk.old_count), len(old))
            new += old[at:start]
            new += (_text(line[1:]) for line in hunk.lines if line.startswith(b"+"))
            at = start + hunk.old_count
        if file.new is not None and (new or at):
            found[path_text(file.new)] = "\n".join([*new, *old[at:]])
    return found


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace")
