"""Makes worktrees in a temporary folder, apart from the user's repository.

They belong to a bare repository of their own that borrows the user's objects (git alternates).
So nothing that a test does to the repository around it - a commit, a tag, a setting - reaches the
user's branches, stash, index, configuration or hooks, and a killed process leaves nothing in
them. What it does leave, a folder in the temporary directory, is removed at the next start.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from testopt.errors import BackfillError, RepositoryError
from testopt.git.process import run_git

if TYPE_CHECKING:
    from collections.abc import Iterator

PREFIX: Final = "testopt-backfill-"
_LOCK: Final = "lock"
_CHECKOUT_S: Final = 600.0


class WorktreeRepository:
    """A temporary folder with a repository that borrows another one's objects, for worktrees.

    Use it as a context manager; leaving it removes everything.

    Parameters
    ----------
    repo : Path
        The user's repository: working tree or bare. It is only read.

    Raises
    ------
    RepositoryError
        When git fails.
    BackfillError
        When there is no room or no permission for a temporary folder.
    """

    def __init__(self, repo: Path) -> None:
        self._repo = repo
        self._lock = -1
        self.folder = Path()

    def __enter__(self) -> Self:
        remove_leftovers()
        try:
            self.folder = Path(tempfile.mkdtemp(prefix=PREFIX)).resolve()
            self._lock = os.open(self.folder / _LOCK, os.O_CREAT | os.O_RDWR)
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        except OSError as error:
            raise BackfillError(
                f"no temporary folder for worktrees: {error}", "set TMPDIR to a folder with room"
            ) from error
        try:
            self._create()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        remove_tree(self.folder)
        os.close(self._lock)

    @property
    def git(self) -> Path:
        """Folder of the borrowing repository."""
        return self.folder / "git"

    def _create(self) -> None:
        def rev_parse(*args: str) -> str:
            out = run_git(self._repo, "rev-parse", *args)
            return os.fsdecode(out.rstrip(b"\n"))

        kind = rev_parse("--show-object-format")
        options = ("--bare", "-q", "--template=", f"--object-format={kind}")
        run_git(self.folder, "init", *options, str(self.git))
        objects = rev_parse("--path-format=absolute", "--git-path", "objects")
        (self.git / "objects" / "info").mkdir(parents=True, exist_ok=True)
        (self.git / "objects" / "info" / "alternates").write_bytes(os.fsencode(objects) + b"\n")
        shallow = Path(rev_parse("--path-format=absolute", "--git-path", "shallow"))
        if shallow.is_file():
            shutil.copyfile(shallow, self.git / "shallow")
        for name, value in (("core.hooksPath", os.devnull), ("gc.auto", "0")):
            run_git(self.git, "config", name, value)
        # packages find out their version from tags
        tags = run_git(
            self._repo, "for-each-ref", "--format=create %(refname) %(objectname)", "refs/tags",
        )  # fmt: skip
        run_git(self.git, "update-ref", "--stdin", stdin=tags)

    def worktree(self, index: int, commit: str) -> Worktree:
        """Return a new worktree.

        Parameters
        ----------
        index : int
            Number of the worktree; each may be made once.
        commit : str
            Full hash of the commit to check out.
        """
        folder = self.folder / str(index)
        folder.mkdir()
        # Named like the repository, as far as a search path allows: some tests look.
        name = re.sub(r"[^\w.-]", "_", self._repo.resolve().name.removesuffix(".git"))
        tree = folder / (name.strip(".-") or "tree")
        args = ("worktree", "add", "-q", "--detach", "--no-checkout", str(tree), commit)
        run_git(self.git, *args)
        worktree = Worktree(tree)
        worktree.checkout(commit)
        return worktree


class Worktree:
    """One worktree, used for one commit after the other; `path` is its top folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._untracked: list[str] = []

    def checkout(self, commit: str) -> None:
        """Make the folder hold exactly the files of a commit, and what `excludes` found.

        Raises
        ------
        RepositoryError
            When git fails, as where an object is missing in a partial clone.
        """
        # A test may have left a lock, or an unfinished merge, or folders without permissions.
        git_dir = run_git(self.path, "rev-parse", "--absolute-git-dir")
        (Path(os.fsdecode(git_dir.rstrip(b"\n"))) / "index.lock").unlink(missing_ok=True)
        args = ("checkout", "-q", "--force", "--detach", commit)
        run_git(self.path, *args, timeout=_CHECKOUT_S)
        excludes = [part for path in self._untracked for part in ("-e", path)]
        run_git(self.path, "clean", "-ffdxq", *excludes, timeout=_CHECKOUT_S)

    def keep(self) -> None:
        """Spare what now lies untracked in the folder (the work of a set-up) from `checkout`."""
        out = run_git(self.path, "ls-files", "--others", "--directory", "-z")
        names = [os.fsdecode(name) for name in out.split(b"\0") if name]
        self._untracked = ["/" + re.sub(r"([\\*?\[!#])", r"\\\1", name) for name in names]

    def import_roots(self, paths: list[str]) -> tuple[list[Path], list[str]]:
        """Return where Python finds some source files, and as what.

        Parameters
        ----------
        paths : list of str
            Python files relative to the worktree.

        Returns
        -------
        list of Path
            Folders for ``PYTHONPATH``, ``src`` before the top folder.
        list of str
            Names of the top-level packages and modules, sorted.
        """
        roots, names = {Path()}, set()
        if (self.path / "src").is_dir():
            roots.add(Path("src"))
        for path in map(Path, paths):
            if not (self.path / path).is_file():
                continue
            root, name = self._module(path)
            if name.isidentifier():
                roots.add(root)
                names.add(name)
        ordered = sorted(roots, key=lambda root: (root == Path(), root))
        return [self.path / root for root in ordered], sorted(names)

    def _module(self, path: Path) -> tuple[Path, str]:
        """Return the folder to import a file from, and its top-level name (empty: a script)."""
        if path.parts[0] == "src" and len(path.parts) > 1:
            return Path("src"), path.parts[1].removesuffix(".py")
        top = None
        for folder in path.parents:
            if folder == Path() or not (self.path / folder / "__init__.py").is_file():
                break
            top = folder
        if top is not None:
            return top.parent, top.name
        return (Path(), path.stem) if path.parent == Path() else (Path(), "")


def remove_leftovers() -> list[Path]:
    """Remove the folders of processes that were killed; return them."""
    return [folder for folder in _leftovers() if not _remove(folder)]


def _leftovers() -> Iterator[Path]:
    for folder in Path(tempfile.gettempdir()).glob(PREFIX + "*"):
        try:
            lock = os.open(folder / _LOCK, os.O_RDWR)
        except OSError:  # another user's, or one that is being made
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield folder
        except OSError:  # its process lives
            continue
        finally:
            os.close(lock)


def _remove(folder: Path) -> bool:
    """Remove a folder; return whether something is left of it."""
    remove_tree(folder)
    return folder.exists()


def remove_tree(folder: Path) -> None:
    """Remove a folder as far as possible, folders without permissions in it too."""
    for path, _, _ in os.walk(folder):
        with suppress(OSError):
            Path(path).chmod(stat.S_IRWXU)
    shutil.rmtree(folder, ignore_errors=True)


def default_branch(repo: Path) -> str | None:
    """Return the name of the branch that is checked out, or of the remote's default branch."""
    for name in ("HEAD", "refs/remotes/origin/HEAD"):
        try:
            out = run_git(repo, "symbolic-ref", "--short", "-q", name)
        except RepositoryError:
            continue
        return out.decode("utf-8", "replace").strip().removeprefix("origin/")
    return None
