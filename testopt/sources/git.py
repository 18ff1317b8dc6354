"""Asks git short questions, safely: no shell, no option injection, no prompt, a time limit."""

from __future__ import annotations

import os
import re
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Self, cast

from testopt.errors import RepositoryError, RevisionError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from io import BufferedReader

TIMEOUT_S = 60.0
_HASH = re.compile(r"[0-9a-f]{7,64}")
# Keeps git from asking, paging, taking locks it does not need, and from the user's diff setup.
_QUIET = {"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "GIT_PAGER": "cat", "LC_ALL": "C"}
_EMPTY_TREES = {
    40: "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
    64: "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321",
}
_CONFIG = ("-c", "core.quotepath=off", "-c", "diff.external=", "-c", "core.fsmonitor=false")


def git_command(repo: Path, *args: str) -> list[str]:
    """Return the argument vector of a git command in `repo`."""
    return ["git", "-C", str(repo), *_CONFIG, *args]


def git_env(changes: Mapping[str, str | None] | None = None) -> dict[str, str]:
    """Return the environment in which git asks, pages and locks nothing.

    `changes` sets further variables; None takes one away.
    """
    merged = {**os.environ, **_QUIET, **(changes or {})}
    return {name: value for name, value in merged.items() if value is not None}


def run_git(
    repo: Path,
    *args: str,
    timeout: float = TIMEOUT_S,
    stdin: bytes | None = None,
    env: Mapping[str, str | None] | None = None,
) -> bytes:
    """Run a git command in `repo` and return its standard output.

    Parameters
    ----------
    repo : Path
        Working tree or bare repository.
    *args : str
        Subcommand and arguments; revisions must come from `resolve`.
    timeout : float
        Seconds before git is stopped.
    stdin : bytes, optional
        Standard input.
    env : mapping, optional
        Variables to set; None takes one away.

    Raises
    ------
    RepositoryError
        When git is missing, hangs, or fails; the message carries git's own words.
    """
    try:
        done = subprocess.run(
            git_command(repo, *args),
            input=stdin if stdin is not None else b"",
            capture_output=True,
            timeout=timeout,
            env=git_env(env),
            check=False,
        )
    except FileNotFoundError:
        raise RepositoryError("git was not found", "install git, or put it on the PATH") from None
    except subprocess.TimeoutExpired:
        raise RepositoryError(f"git {args[0]} did not answer in {timeout:g} s") from None
    if done.returncode != 0:
        words = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise RepositoryError(
            f"git {args[0]} failed in {repo}: {words[-1] if words else 'no words'}"
        )
    return done.stdout


class GitStream:
    """The output of a git command as it comes; past its time limit it just ends.

    Parameters
    ----------
    repo : Path
        Working tree or bare repository.
    *args : str
        Subcommand and arguments.

    Raises
    ------
    RepositoryError
        On leaving the context, when git failed by itself.
    """

    def __init__(self, repo: Path, *args: str) -> None:
        self.stopped = False
        self._where = f"git {args[0]} failed in {repo}"
        self._git = subprocess.Popen(
            git_command(repo, *args),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=git_env(),
        )
        self._out = cast("BufferedReader", self._git.stdout)
        self._timer: threading.Timer | None = None

    def limit(self, seconds: float) -> None:
        """Stop git `seconds` from now; replaces an earlier limit."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = threading.Timer(seconds, self._stop)
        self._timer.daemon = True
        self._timer.start()

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes as soon as there are some; empty at the end."""
        return self._out.read1(size)

    def _stop(self) -> None:
        self.stopped = True
        self._git.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        ended = self.read(1) == b"" if kind is None and not self.stopped else False
        if not ended:
            self._git.kill()
        self._out.close()
        code = self._git.wait()
        if ended and code != 0:
            raise RepositoryError(self._where)


def find_root(path: Path, *, timeout: float = TIMEOUT_S) -> Path:
    """Return the top folder of the repository around `path` (a bare one: its git folder).

    Parameters
    ----------
    path : Path
        A folder.
    timeout : float
        Seconds before git is stopped.

    Raises
    ------
    RepositoryError
        When there is no repository there, or git does not answer.
    """
    hint = "run inside a git repository, or name one with --repo"
    if not path.is_dir():
        raise RepositoryError(f"there is no folder {path}", hint)
    try:
        out = run_git(
            path, "rev-parse", "--is-bare-repository", "--absolute-git-dir", timeout=timeout
        )
        bare, git_dir = out.decode("utf-8", "surrogateescape").splitlines()[:2]
        if bare == "true":
            return Path(git_dir)
        top = run_git(path, "rev-parse", "--show-toplevel", timeout=timeout)
    except RepositoryError as error:
        if " failed in " not in error.message:  # git is missing, or hangs
            raise
        raise RepositoryError(f"{path} is not in a git repository", hint) from error
    return Path(os.fsdecode(top.rstrip(b"\n")))


def resolve(repo: Path, revision: str) -> str:
    """Return the full hash of the commit that `revision` names.

    A revision that begins with ``-`` is never passed as an option.

    Raises
    ------
    RevisionError
        When it names no commit of this repository.
    """
    hint = "see `git log --oneline`; in a shallow clone fetch the history (git fetch --unshallow)"
    if not revision or revision.startswith("-") or "\0" in revision:
        raise RevisionError(f"{revision!r} is not a revision", hint)
    try:
        out = run_git(
            repo, "rev-parse", "--verify", "--quiet", "--end-of-options", revision + "^{commit}"
        )
    except RepositoryError as error:
        find_root(repo)
        raise RevisionError(f"unknown revision {revision!r} in {repo}", hint) from error
    return out.decode().strip()


def empty_tree(commit: str) -> str:
    """Return the hash of the tree without files, of the kind of hash that `commit` is."""
    return _EMPTY_TREES.get(len(commit), _EMPTY_TREES[40])


def is_shallow(repo: Path) -> bool:
    """Tell whether the clone lacks part of its history."""
    return run_git(repo, "rev-parse", "--is-shallow-repository").strip() == b"true"


def missing_commits(repo: Path, shas: Collection[str]) -> set[str]:
    """Return those of some commits, named by their hashes, that the clone does not have.

    Raises
    ------
    RepositoryError
        When git is missing or fails.
    """
    asked = [sha for sha in shas if _HASH.fullmatch(sha)]
    env = {"GIT_NO_LAZY_FETCH": "1"}
    names = "".join(f"{sha}^{{commit}}\n" for sha in asked).encode()
    out = run_git(repo, "cat-file", "--batch-check=%(objecttype)", stdin=names, env=env)
    known = {sha for sha, line in zip(asked, out.splitlines(), strict=True) if line == b"commit"}
    return set(shas) - known
