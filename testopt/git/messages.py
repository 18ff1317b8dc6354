"""Reads commit messages and the paths that each commit changed, as a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from testopt.code.paths import path_text
from testopt.git.process import GitStream, run_git

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_BLOCK: Final = 256 * 1024
_MARK: Final = b"\x01\x02commit\x02"  # no editor writes this into a message
_FORMAT: Final = "--format=%x01%x02commit%x02%H%x02%P%x02%B%x03"


class Message(NamedTuple):
    """One commit: hash, number of parents, message, changed paths (none for merges)."""

    sha: str
    parents: int
    message: str
    paths: list[str]


def read_messages(repo: Path) -> Iterator[Message]:
    """Read the messages of all of HEAD, newest first.

    Parameters
    ----------
    repo : Path
        Working tree or bare repository.

    Yields
    ------
    Message
        One per commit; a renamed file stands with both its paths.

    Raises
    ------
    RepositoryError
        When there is no commit yet, or git fails.
    """
    command = (
        "log", "-z", "--name-only", "--no-renames", "--no-diff-merges", "--root", "--no-color",
        "--no-show-signature", "--no-notes", "--encoding=UTF-8", _FORMAT, "HEAD", "--",
    )  # fmt: skip
    with GitStream(repo, *command) as stream:
        rest = b""
        while block := stream.read(_BLOCK):
            *records, rest = (rest + block).split(_MARK)
            yield from map(_message, filter(None, records))
        if rest:
            yield _message(rest)


def _message(record: bytes) -> Message:
    head, _, names = record.partition(b"\x03")
    sha, parents, message = head.split(b"\x02", 2)
    paths = [path_text(name.lstrip(b"\n")) for name in names.split(b"\0") if name.strip(b"\n")]
    return Message(sha.decode(), len(parents.split()), message.decode("utf-8", "replace"), paths)


def find_commit_by_message(repo: Path, words: str, *, base: str, head: str | None) -> str:
    """Return the newest commit of a change whose message holds some words, in any case.

    Parameters
    ----------
    repo : Path
        Working tree or bare repository.
    words : str
        Taken literally.
    base, head : str
        Full hashes; None: what is checked out.

    Returns
    -------
    str
        Short hash; empty where no message holds them.

    Raises
    ------
    RepositoryError
        When git fails.
    """
    command = (
        "log", "-1", "--format=%h", "--no-show-signature", "--no-color", "-i", "--fixed-strings",
        f"--grep={words}", f"{base}..{head or 'HEAD'}", "--",
    )  # fmt: skip
    return run_git(repo, *command).decode().strip()
