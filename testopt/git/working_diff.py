"""The text of what is edited in the working tree, files that git does not track yet included."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from testopt.code.paths import path_bytes
from testopt.errors import RepositoryError
from testopt.git.changed_lines import OPTIONS
from testopt.git.process import run_git
from testopt.git.tested_tree import MAX_FILES, MAX_PATCH, is_tested
from testopt.workspace import workspace

if TYPE_CHECKING:
    from collections.abc import Iterable


def working_diff(repo: Path, base: str, *, untracked: Iterable[str], timeout: float) -> bytes:
    """Return the diff between a commit and the working tree, as `read_changed_lines` takes it.

    It says the same as the text that is kept with a run (`testopt.git.tested_tree`), so that a
    backtest reads what the plan has read; a file that was moved is one that was moved here, too.

    Parameters
    ----------
    repo : Path
        Top folder of the working tree.
    base : str
        Full hash.
    untracked : iterable of str
        Paths of files that git does not track; outputs of tools and long files are left out.
    timeout : float
        Seconds that git may take.

    Raises
    ------
    RepositoryError
        When git fails or takes too long.
    """
    new = [path for path in untracked if is_tested(path) and _is_short(repo, path)][:MAX_FILES]
    command = ("diff", *OPTIONS, base, "--")
    if not new:
        return run_git(repo, *command, timeout=timeout)
    with workspace() as folder:
        index = folder / "index"
        try:
            _write_index(repo, index, new, digits=len(base))
        except (RepositoryError, OSError):  # the files that git knows tell most
            return run_git(repo, *command, timeout=timeout)
        return run_git(repo, *command, timeout=timeout, env={"GIT_INDEX_FILE": str(index)})


def _is_short(repo: Path, path: str) -> bool:
    """Tell whether the text of a file would be kept with a run."""
    try:
        status = os.lstat(os.path.join(os.fsencode(repo), path_bytes(path)))  # noqa: PTH118 - bytes
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size <= MAX_PATCH


def _write_index(repo: Path, target: Path, untracked: Iterable[str], *, digits: int) -> None:
    """Copy what git knows of the files, and add others to it as empty ones."""
    name = run_git(repo, "rev-parse", "--git-path", "index").rstrip(b"\n")
    own = Path(os.fsdecode(os.path.join(os.fsencode(repo), name)))  # noqa: PTH118 - bytes
    if own.exists():
        shutil.copyfile(own, target)
    empty = _empty_blob(digits)
    rows = b"".join(b"100644 %b\t%b\0" % (empty, path_bytes(path)) for path in untracked)
    # a folder may stand where a file was
    add = ("update-index", "-z", "--add", "--replace", "--index-info")
    run_git(repo, *add, stdin=rows, env={"GIT_INDEX_FILE": str(target)})


def _empty_blob(digits: int) -> bytes:
    """Return the name of a file without content, of the kind of hash that has so many digits."""
    made = hashlib.sha1 if digits == 40 else hashlib.sha256  # noqa: PLR2004
    return made(b"blob 0\0").hexdigest().encode()
