"""Finds commits by what their messages say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testopt.git.process import run_git

if TYPE_CHECKING:
    from pathlib import Path


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
