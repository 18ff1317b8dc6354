"""Reads files of a revision, and of the working tree, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from testopt.code.paths import path_text
from testopt.git.process import run_git

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

READ_S: Final = 20.0
MAX_BYTES: Final = 4_000_000  # of a longer file only the beginning is read


def read_tree(repo: Path, commit: str | None) -> dict[str, str]:
    """Return the git object of each file.

    Parameters
    ----------
    repo : Path
        Top folder of the repository, or a bare one.
    commit : str or None
        Full hash; None: what git has staged.

    Returns
    -------
    dict of str to str
        Path -> object name, without submodules and symbolic links.
    """
    if commit is None:
        out = run_git(repo, "ls-files", "-s", "-z", timeout=READ_S)
        rows = (line.partition(b"\t") for line in out.split(b"\0") if line)
        objects = ((head.split(b" ")[:2], path) for head, _, path in rows)
    else:
        out = run_git(repo, "ls-tree", "-r", "-z", "--full-tree", commit, timeout=READ_S)
        rows = (line.partition(b"\t") for line in out.split(b"\0") if line)
        objects = ((head.split(b" ")[0:3:2], path) for head, _, path in rows)
    return {
        path_text(path): mode_sha[1].decode()
        for mode_sha, path in objects
        if mode_sha[0].startswith(b"100")
    }


def read_blobs(repo: Path, objects: Iterable[str]) -> dict[str, str]:
    """Return the text of git objects; those that are missing or binary are left out.

    Parameters
    ----------
    repo : Path
        Repository that has them.
    objects : iterable of str
        Object names.
    """
    names = list(dict.fromkeys(objects))
    if not names:
        return {}
    out = run_git(
        repo, "cat-file", "--batch", timeout=READ_S, stdin="\n".join(names).encode() + b"\n"
    )
    texts: dict[str, str] = {}
    at = 0
    for name in names:
        end = out.find(b"\n", at)
        head = out[at:end].split(b" ")
        at = end + 1
        if len(head) != 3 or not head[2].isdigit():  # noqa: PLR2004 - "name missing"
            continue
        data = out[at : at + int(head[2])]
        at += int(head[2]) + 1
        if b"\0" not in data[:8000]:
            texts[name] = data[:MAX_BYTES].decode("utf-8", "replace")
    return texts


def read_working_file(repo: Path, path: str) -> str | None:
    """Return the text of a file of the working tree; None where it cannot be read.

    A path that leads out of `repo`, through a link too, is not read.
    """
    target = (repo / path).resolve()
    try:
        if not target.is_relative_to(repo.resolve()) or not target.is_file():
            return None
        with target.open("rb") as file:
            return file.read(MAX_BYTES).decode("utf-8", "replace")
    except OSError:
        return None
