"""Lists files of the working tree that git neither tracks nor ignores."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from testopt.code.paths import path_text
from testopt.code.words import identifiers
from testopt.git.diff_listing import FILE_TOKENS, join_tokens
from testopt.git.process import run_git
from testopt.schema import FileChange

if TYPE_CHECKING:
    from pathlib import Path

MAX_READ: Final = 500  # files looked into; more is a folder that should be ignored
_MAX_BYTES: Final = 8_000_000  # a larger file is listed without counts
_SNIFF: Final = 8_000  # bytes in which git looks for a NUL
# What tools leave behind; git does not ignore it unless told to.
_CACHES: Final = (
    "__pycache__/", "*.py[cod]", ".venv/", "venv/", ".tox/", ".nox/", "node_modules/",
    ".pytest_cache/", ".mypy_cache/", ".ruff_cache/", ".hypothesis/", ".testopt/",
    "*.egg-info/", ".eggs/", ".coverage", ".coverage.*", ".idea/", ".vscode/", ".DS_Store",
)  # fmt: skip


def untracked_files(repo: Path) -> list[FileChange]:
    """Return the untracked files of a working tree as added files.

    Parameters
    ----------
    repo : Path
        Top folder of the working tree.

    Returns
    -------
    list of FileChange
        In git's order; ignored files and caches of common tools are left out. Counts and
        identifiers are missing for binary and very large files and past the first 500 files.

    Raises
    ------
    RepositoryError
        When git fails, as it does in a bare repository.
    """
    return [
        _added(repo, path) if index < MAX_READ else FileChange(path_text(path), status="A")
        for index, path in enumerate(untracked_paths(repo))
    ]


def untracked_paths(repo: Path) -> list[bytes]:
    """Return the paths of the untracked files, as `untracked_files` has them.

    Raises
    ------
    RepositoryError
        When git fails, as it does in a bare repository.
    """
    exclude = [option for cache in _CACHES for option in ("-x", cache)]
    listing = ("ls-files", "--others", "--exclude-standard", *exclude, "--full-name", "-z")
    out = run_git(repo, *listing, "--", ":/")
    return [path for path in out.split(b"\0") if path and not path.endswith(b"/")]


def _added(repo: Path, path: bytes) -> FileChange:
    text = path_text(path)
    try:
        content = _content(os.path.join(os.fsencode(repo), path))  # noqa: PTH118 - bytes
    except OSError:
        content = None
    if content is None:
        return FileChange(text, status="A")
    lines = content.count(b"\n") + (not content.endswith(b"\n") and bool(content))
    head = content[: 4 * FILE_TOKENS].decode("utf-8", "replace")
    return FileChange(text, lines, 0, "A", tokens=join_tokens(identifiers(head)))


def _content(path: bytes) -> bytes | None:
    """Return the content of a text file as git would store it; None: binary, large, special."""
    if os.path.islink(path):  # noqa: PTH114 - bytes
        return os.fsencode(os.readlink(path))  # noqa: PTH115 - bytes
    if not os.path.isfile(path) or os.path.getsize(path) > _MAX_BYTES:  # noqa: PTH113, PTH202
        return None
    with open(path, "rb") as file:  # noqa: PTH123 - bytes
        content = file.read()
    return None if b"\0" in content[:_SNIFF] else content
