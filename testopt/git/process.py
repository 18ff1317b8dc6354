"""Runs git, safely: no shell, no option injection, no prompt, a time limit.

Everything that testopt asks git goes through `start_git`, which alone makes the command, its
configuration and its environment, so that neither the user's settings nor the repository change
what git says, and no program of the repository is run (`testopt.git.isolation`).

GitPython would do the same through its ``Git`` object; measured, it gains nothing and costs what a
plan has not got: on the 2-core machine ``import git.cmd`` takes 0.11 to 0.15 s and 11 MiB of a
plan's 0.6 s, and a call through it takes as long as one of ours (3.5 ms). It is a witness in the
tests instead, which compare what is mined with what it says.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Self, cast

from testopt.errors import GitFailedError, RepositoryError, RevisionError
from testopt.git.isolation import (
    filter_drivers,
    git_arguments,
    git_environment,
    may_filter,
    subcommand,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from io import BufferedReader

TIMEOUT_S = 60.0
_HASH = re.compile(r"[0-9a-f]{7,64}")
_MOST_WORDS = 64 * 1024
_FATAL = ("fatal: ", "error: ")
_OWNER = "if you trust it: git config --global --add safe.directory "
_EMPTY_TREES = {
    40: "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
    64: "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321",
}


def start_git(
    repo: Path,
    *args: str,
    stdin: int = subprocess.PIPE,
    stderr: int = subprocess.DEVNULL,
    env: Mapping[str, str | None] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a git command in `repo` that asks, pages and locks nothing, and runs no other program.

    Only changes in `env` reach git of its own variables. Files of the working tree are taken as
    they are: no filter (git-lfs, git-crypt, nbstripout) is run.

    Parameters
    ----------
    repo : Path
        Working tree or bare repository.
    *args : str
        Subcommand and arguments.
    stdin, stderr : int
        As `subprocess.Popen` has them; standard output is a pipe.
    env : mapping, optional
        Variables to set; None takes one away.

    Raises
    ------
    RepositoryError
        When git is missing, or does not tell its filters.
    """
    drivers = _filter_drivers(repo, env) if may_filter(args) else []
    try:
        return subprocess.Popen(
            ["git", "-C", str(repo), *git_arguments(args, drivers)],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=git_environment(os.environ, env),
        )
    except FileNotFoundError:
        raise RepositoryError("git was not found", "install git, or put it on the PATH") from None


def _filter_drivers(repo: Path, env: Mapping[str, str | None] | None) -> list[str]:
    listing = ("config", "-z", "--name-only", "--get-regexp", r"^filter\.")
    with start_git(repo, *listing, stdin=subprocess.DEVNULL, env=env) as git:
        out, _ = git.communicate(timeout=TIMEOUT_S)
    if git.returncode not in {0, 1}:  # 1: there is none
        raise GitFailedError(f"git config failed in {repo}", "see: git config --list")
    return filter_drivers(out)


def run_git(
    repo: Path,
    *args: str,
    timeout: float | None = TIMEOUT_S,
    stdin: bytes = b"",
    env: Mapping[str, str | None] | None = None,
) -> bytes:
    """Run a git command in `repo` and return its standard output.

    Parameters
    ----------
    repo : Path
        Working tree or bare repository.
    *args : str
        Subcommand and arguments; revisions must come from `resolve`.
    timeout : float or None
        Seconds before git is stopped; None: it may take as long as it likes.
    stdin : bytes
        Standard input.
    env : mapping, optional
        Variables to set; None takes one away.

    Raises
    ------
    GitFailedError
        When git fails; the message carries its own words.
    RepositoryError
        When git is missing or hangs.
    """
    with start_git(repo, *args, stderr=subprocess.PIPE, env=env) as git:
        try:
            out, err = git.communicate(stdin, timeout=timeout)
        except subprocess.TimeoutExpired:
            git.kill()
            raise RepositoryError(
                f"git {subcommand(args)} did not answer in {timeout:g} s"
            ) from None
        except BaseException:  # such as Ctrl-C: leave nothing running
            git.kill()
            raise
    if git.returncode != 0:
        raise _failure(repo, args, err)
    return out


def _failure(repo: Path, args: Sequence[str], err: bytes) -> GitFailedError:
    """Return the error of a git command, with git's own reason and what it advises."""
    lines = err.decode("utf-8", "replace").strip().splitlines()
    reason = next((line for line in lines if line.startswith(_FATAL)), (lines or ["no words"])[-1])
    hint = _OWNER + shlex.quote(str(repo)) if "dubious ownership" in reason else ""
    return GitFailedError(f"git {subcommand(args)} failed in {repo}: {reason}", hint)


class GitStream:
    """The output of a git command as it comes; past its time limit it just ends.

    Parameters
    ----------
    repo : Path
        Working tree or bare repository.
    *args : str
        Subcommand and arguments.
    stdin : bytes
        Standard input.

    Raises
    ------
    RepositoryError
        When git is missing; on leaving the context, when it failed by itself.
    """

    def __init__(self, repo: Path, *args: str, stdin: bytes = b"") -> None:
        self.stopped = False
        self._repo, self._args = repo, args
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the stream
        with tempfile.TemporaryFile() as question:
            question.write(stdin)
            question.seek(0)
            files = question.fileno(), self._errors.fileno()
            self._git = start_git(repo, *args, stdin=files[0], stderr=files[1])
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

    def lines(self) -> Iterator[bytes]:
        """Yield what is left line by line, with line ends."""
        return iter(self._out)

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
        with self._errors as errors:
            errors.seek(0)
            words = errors.read(_MOST_WORDS)
        if ended and code != 0:
            raise _failure(self._repo, self._args, words)


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
    except GitFailedError as error:
        if "not a git repository" in error.message:
            raise RepositoryError(f"{path} is not in a git repository", hint) from error
        raise  # there is one, and git says why it does not work with it
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


def is_bare(repo: Path) -> bool:
    """Tell whether the repository has no working tree."""
    return run_git(repo, "rev-parse", "--is-bare-repository").strip() == b"true"


def missing_commits(repo: Path, shas: Collection[str]) -> set[str]:
    """Return those of some commits, named by their hashes, that the clone does not have.

    Raises
    ------
    RepositoryError
        When git is missing or fails.
    """
    query = [sha for sha in shas if _HASH.fullmatch(sha)]
    names = "".join(f"{sha}^{{commit}}\n" for sha in query).encode()
    out = run_git(repo, "cat-file", "--batch-check=%(objecttype)", stdin=names)
    present = {sha for sha, line in zip(query, out.splitlines(), strict=True) if line == b"commit"}
    return set(shas) - present
