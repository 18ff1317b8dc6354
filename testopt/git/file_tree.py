"""The files of a project: of a working tree, of the last commit of a bare repository, of a folder.

No link is followed, nothing outside is read, and both the number of files and what is read of each
are bounded: what stands in a repository was written by others.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from testopt.errors import RevisionError
from testopt.git.blobs import read_blobs, read_tree
from testopt.git.process import is_bare, resolve, run_git

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

MOST_FILES: Final = 300_000
MOST_BYTES: Final = 1_000_000  # of one file; a longer one is generated, and is left out
_BATCH: Final = 200
_VENDORED: Final = re.compile(
    r"(?:\A|/)(?:node_modules|bower_components|vendor|third_party|site-packages|\.?venv|\.tox|\.nox"
    r"|\.git|__pycache__|\.testopt)/"
)
_OPEN: Final = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


@dataclass(frozen=True)
class FileTree:
    """Files by their paths relative to the top, sorted, without those of others.

    Attributes
    ----------
    root : Path
        Top folder, or a bare repository.
    paths : tuple of str
    whole : bool
        False where there are more files than are looked at.
    blobs : mapping of str to str, or None
        The git object of each file, where there is no working tree to read from.
    """

    root: Path
    paths: tuple[str, ...]
    whole: bool = True
    blobs: Mapping[str, str] | None = None

    @cached_property
    def names(self) -> frozenset[str]:
        """The paths, to look one up."""
        return frozenset(self.paths)

    @cached_property
    def _top(self) -> Path:
        return self.root.resolve()

    def below(self, folder: str) -> Iterator[str]:
        """Yield the paths below a folder; the empty one is the top."""
        prefix = f"{folder}/" if folder else ""
        return (path for path in self.paths if path.startswith(prefix))

    def read(self, path: str) -> str | None:
        """Return the text of a file; None where it is none, is too long or cannot be read."""
        return dict(self.read_all([path])).get(path) if path in self.names else None

    def read_all(self, paths: Iterable[str]) -> Iterator[tuple[str, str]]:
        """Yield path and text of those files that can be read."""
        if self.blobs is None:
            for path in paths:
                text = self._text(path)
                if text is not None:
                    yield path, text
            return
        wanted = list(paths)
        for start in range(0, len(wanted), _BATCH):
            part = [path for path in wanted[start : start + _BATCH] if path in self.blobs]
            texts = read_blobs(self.root, (self.blobs[path] for path in part))
            for path in part:
                text = texts.get(self.blobs[path])
                if text is not None and len(text) <= MOST_BYTES:
                    yield path, text

    def _text(self, path: str) -> str | None:
        place = self._top / path
        try:
            if Path(os.path.realpath(place.parent)) != place.parent:
                return None  # a folder on the way is a link
            with os.fdopen(os.open(place, _OPEN), "rb") as file:
                status = os.fstat(file.fileno())
                if not stat.S_ISREG(status.st_mode) or status.st_size > MOST_BYTES:
                    return None
                data = file.read(MOST_BYTES)
        except (OSError, ValueError):
            return None
        return None if b"\0" in data[:8000] else data.decode("utf-8", "replace")


def read_file_tree(root: Path, *, in_git: bool = True) -> FileTree:
    """List the files of a project.

    Parameters
    ----------
    root : Path
        Top folder of a repository, or a bare one; any folder where it is in none.
    in_git : bool
        Whether it is a repository: what git ignores is left out then.

    Raises
    ------
    RepositoryError
        When git fails.
    """
    if not in_git:
        return _tree(root, _walk(root))
    if is_bare(root):
        try:
            blobs = read_tree(root, resolve(root, "HEAD"))
        except RevisionError:  # no commit yet
            blobs = {}
        tree = _tree(root, blobs)
        return FileTree(root, tree.paths, whole=tree.whole, blobs=blobs)
    out = run_git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    return _tree(root, (os.fsdecode(path) for path in out.split(b"\0") if path))


def _tree(root: Path, paths: Iterable[str]) -> FileTree:
    own = dict.fromkeys(p for p in paths if not _VENDORED.search(p) and p.isprintable())
    return FileTree(root, tuple(sorted(own)[:MOST_FILES]), whole=len(own) <= MOST_FILES)


def _walk(root: Path) -> Iterator[str]:
    count = 0
    for folder, folders, files in os.walk(root):
        inside = Path(folder).relative_to(root).as_posix()
        prefix = "" if inside == "." else f"{inside}/"
        folders[:] = sorted(name for name in folders if not _VENDORED.search(f"{prefix}{name}/"))
        for name in sorted(files):
            yield prefix + name
        count += len(files)
        if count > MOST_FILES:
            return
