"""Finds commits by what their messages say, and counts the words that explain them."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from testopt.git.process import run_git

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

_MARK: Final = b"\x01\x02commit\x02"  # no editor writes this into a message
_FORMAT: Final = "--format=%x01%x02commit%x02%H%x02%B"
_BODIES: Final = "--format=%x01%x02commit%x02%H%x02%b"
_TRAILER: Final = re.compile(r"^[A-Z][\w-]*:.*$|^(?:git-svn-id|PR)\b.*$", re.MULTILINE)
# two signs of a script that sets no spaces are about a word
_SIGNS: Final = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_WORD: Final = re.compile(f"[{_SIGNS}]{{1,2}}|[^\\s{_SIGNS}]+")


def explanation_words(repo: Path, shas: Collection[str]) -> dict[str, int]:
    """Return how many words the message of each commit has below its subject.

    Parameters
    ----------
    repo : Path
        Working tree or bare repository.
    shas : collection of str
        Full hashes.

    Returns
    -------
    dict of str to int
        By hash, without those that the repository lacks; trailers count no words.

    Raises
    ------
    RepositoryError
        When git fails or takes too long.
    """
    bodies = _texts_of(repo, shas, _BODIES)
    return {sha: len(_WORD.findall(_TRAILER.sub("", body))) for sha, body in bodies.items()}


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


def messages_of(repo: Path, shas: Sequence[str]) -> dict[str, str]:
    """Return the messages of some commits; those that the repository lacks are left out.

    Parameters
    ----------
    repo : Path
        Working tree or bare repository.
    shas : sequence of str
        Full hashes.

    Raises
    ------
    RepositoryError
        When git fails or takes too long.
    """
    return _texts_of(repo, shas, _FORMAT)


def _texts_of(repo: Path, shas: Collection[str], form: str) -> dict[str, str]:
    """Return what a format of git says of some commits, without those that the repository lacks."""
    if not shas:
        return {}
    options = ("--no-walk=unsorted", "--ignore-missing", "--stdin", "--no-color", "--no-notes")
    names = ("\n".join(shas) + "\n").encode("ascii")
    env = {"GIT_NO_REPLACE_OBJECTS": "1", "GIT_GRAFT_FILE": os.devnull}
    out = run_git(
        repo, "log", "-s", *options, "--no-show-signature", "--encoding=UTF-8", form,
        stdin=names, env=env,
    )  # fmt: skip
    wanted, found = set(shas), {}
    for record in out.split(_MARK)[1:]:
        sha, _, text = record.partition(b"\x02")
        if (name := sha.decode("ascii", "replace")) in wanted:  # HEAD, where git knows none of them
            found[name] = text.decode("utf-8", "replace")
    return found
