"""``git blame``, also where git's configuration names a list of commits that is not there.

``blame.ignoreRevsFile`` names files of commits to pass over; many set it for all their
repositories, and few of these have the file. git then fails, and no option takes the name back:
so it is asked again from a repository of its own, which borrows the objects.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from testopt.errors import GitFailedError
from testopt.git.process import run_git
from testopt.workspace import workspace

_NO_LIST: Final = "could not open object name list"


def run_blame(repo: Path, *options: str, commit: str, path: str, timeout: float) -> bytes:
    """Return what ``git blame`` says of a file at a commit.

    Parameters
    ----------
    repo : Path
        Working tree or bare repository.
    *options : str
        Options of blame.
    commit : str
        Full hash.
    path : str
        Taken literally, relative to the top folder.
    timeout : float
        Seconds before git is stopped.

    Raises
    ------
    RepositoryError
        When git fails or takes too long.
    """
    command = ("--literal-pathspecs", "blame", *options, commit, "--", path)
    try:
        return run_git(repo, *command, timeout=timeout)
    except GitFailedError as error:
        if _NO_LIST not in error.message:
            raise
    with workspace() as bare:
        return run_git(bare, *command, timeout=timeout, env=_borrowing(repo, bare))


def _borrowing(repo: Path, bare: Path) -> dict[str, str | None]:
    """Make an empty repository; return the variables by which it has the objects of another."""
    ask = ("rev-parse", "--path-format=absolute", "--show-object-format")
    listing = run_git(repo, *ask, "--git-path", "objects", "--git-path", "shallow")
    kind, objects, shallow = os.fsdecode(listing).splitlines()[:3]
    alone = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    init = ("init", "-q", "--bare", "--template=", f"--object-format={kind}", str(bare))
    run_git(bare, *init, env=alone)
    borrowed = {"GIT_DIR": str(bare), "GIT_OBJECT_DIRECTORY": objects}
    if Path(shallow).is_file():
        borrowed["GIT_SHALLOW_FILE"] = shallow
    return {**alone, **borrowed}
