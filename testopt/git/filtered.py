"""Files that git stores filtered: no filter is run here, so such files are looked at otherwise.

git compares a file of the working tree as its filter (git-lfs, git-crypt, nbstripout) would store
it; unfiltered, a file seems changed as soon as git cannot tell by its time and size. For git-lfs
the pointer in the repository says what the file must hold. For other filters nothing tells.
"""

from __future__ import annotations

import hashlib
import os
import re
from typing import TYPE_CHECKING, Final

from testopt.code.paths import path_bytes
from testopt.git.blobs import read_blobs
from testopt.git.process import run_git

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from testopt.schema import FileChange

_POINTER: Final = re.compile(
    r"version https://git-lfs\.github\.com/spec/v1\n(?:ext-.*\n)*"
    r"oid sha256:([0-9a-f]{64})\nsize (\d{1,18})\n"
)
_BLOCK: Final = 1 << 20
_MOST: Final = 1 << 30  # bytes that are read to find out
_FILES: Final = 1_000


def without_equal(repo: Path, commit: str, files: Sequence[FileChange]) -> list[FileChange]:
    """Return changed files without those that hold what their git-lfs pointer says.

    Parameters
    ----------
    repo : Path
        Top folder of the working tree.
    commit : str
        Full hash of the commit that they are compared with.
    files : sequence of FileChange
    """
    may_be = [file.path for file in files if file.status == "M" and _may_be_pointer(file)]
    names = {f"{commit}:{path}": path for path in may_be[:_FILES]}
    room = _MOST
    equal: set[str] = set()
    for name, text in (read_blobs(repo, names) if names else {}).items():
        pointer = _POINTER.fullmatch(text)
        if pointer and int(pointer[2]) <= room:
            room -= int(pointer[2])
            if _holds(repo / names[name], int(pointer[2]), pointer[1]):
                equal.add(names[name])
    return [file for file in files if file.path not in equal]


def _may_be_pointer(file: FileChange) -> bool:
    """Tell whether the three lines of a pointer may have gone; odd names are not asked for."""
    return file.deleted in {None, 3} and file.path.isprintable() and "\\" not in file.path


def _holds(path: Path, size: int, sha256: str) -> bool:
    """Tell whether a file has a size and a content."""
    try:
        if path.is_symlink() or not path.is_file() or path.stat().st_size != size:
            return False
        content = hashlib.sha256()
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                content.update(block)
    except OSError:
        return False
    return content.hexdigest() == sha256


def filters_of(repo: Path, files: Sequence[FileChange]) -> dict[str, str]:
    """Return the filter of each file that has one.

    Parameters
    ----------
    repo : Path
        Top folder of the working tree.
    files : sequence of FileChange

    Raises
    ------
    RepositoryError
        When git fails.
    """
    asked = b"".join(path_bytes(file.path) + b"\0" for file in files)
    out = run_git(repo, "check-attr", "-z", "--stdin", "filter", stdin=asked)
    values = out.split(b"\0")[2::3]
    return {
        file.path: os.fsdecode(value)
        for file, value in zip(files, values, strict=False)
        if value not in {b"unspecified", b"unset", b"set"}
    }
