"""Reads the diffs of many commits from one git process."""

from __future__ import annotations

import os
from io import BytesIO
from typing import TYPE_CHECKING, Final

from testopt.git.changed_lines import OPTIONS
from testopt.git.diff import read_patch
from testopt.git.process import run_git

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from testopt.git.diff import FilePatch

_BATCH: Final = 64  # commits held at once
_MARK: Final = b"\0commit "
# what was recorded, whatever a clone replaces
_ENV: Final = {"GIT_NO_REPLACE_OBJECTS": "1", "GIT_GRAFT_FILE": os.devnull}


def read_commit_patches(
    repo: Path, shas: Sequence[str]
) -> Iterator[tuple[str, Iterator[FilePatch]]]:
    """Yield commits with the files of their diff against the first parent; merges have none.

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
    options = ("--no-walk=unsorted", "--stdin", "--root", "--no-diff-merges", *OPTIONS)
    known = set(shas)
    for start in range(0, len(shas), _BATCH):
        names = ("\n".join(shas[start : start + _BATCH]) + "\n").encode("ascii")
        out = run_git(repo, "log", "--format=%x00commit %H", *options, stdin=names, env=_ENV)
        for part in out.split(_MARK)[1:]:
            head, _, patch = part.partition(b"\n")
            if (sha := head.decode("ascii", "replace")) in known:
                yield sha, read_patch(BytesIO(patch))
