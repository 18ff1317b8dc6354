"""Reads commits, blobs, changed paths and diffs through git processes that stay open."""

from __future__ import annotations

import re
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final, Self, cast

from testopt.code.paths import path_text
from testopt.errors import RepositoryError
from testopt.git.process import start_git

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

MAX_BLOB: Final = 8_000_000  # bytes; larger files are data, whatever their name says
MAX_PATHS: Final = 200  # changed paths that are kept of a commit
_CAT: Final = ("cat-file", "--batch")
_TREE: Final = ("diff-tree", "--stdin", "-r", "--root")
_NAMES: Final = ("--name-only", "--no-renames")
_BLOCK: Final = 1 << 20
_BATCH: Final = 100  # commits asked for at once
_SHA: Final = re.compile(rb"[0-9a-f]{40}|[0-9a-f]{64}")
_END: Final = b".\n"  # no object name: git diff-tree repeats it, which marks the end of an answer


@dataclass(frozen=True, slots=True)
class CommitObject:
    """What a commit says of itself; times in seconds since 1970, ``files`` changed by it."""

    sha: str
    parents: tuple[str, ...]
    authored: int
    committed: int
    author: bytes
    message: str
    files: int = 0
    paths: tuple[str, ...] = ()

    @property
    def subject(self) -> str:
        """First line of the message."""
        return self.message.strip().partition("\n")[0]


class Objects:
    """Reads objects of one repository; a context manager, for one thread.

    Parameters
    ----------
    repo : Path
        Working tree or bare repository.
    """

    def __init__(self, repo: Path) -> None:
        self._repo = repo
        self._open: dict[tuple[str, ...], subprocess.Popen[bytes]] = {}
        self._commits: dict[str, CommitObject | None] = {}

    def _process(self, *args: str) -> subprocess.Popen[bytes]:
        """Return the process of a git command, started when it is first needed."""
        if args not in self._open:
            self._open[args] = start_git(self._repo, *args)
        return self._open[args]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the git processes."""
        for process in self._open.values():
            for pipe in (process.stdin, process.stdout):
                with suppress(OSError):
                    cast("IO[bytes]", pipe).close()
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _drop(self, command: tuple[str, ...]) -> None:
        """Forget a process that has ended, so that one bad object is not the end of all."""
        process = self._open.pop(command, None)
        if process is not None:
            process.kill()
            process.communicate()

    def read(self, name: str) -> tuple[bytes, bytes] | None:
        """Return type and content of an object.

        Parameters
        ----------
        name : str
            Object name, or ``commit:path``; no line breaks.

        Returns
        -------
        tuple of bytes, or None
            None when there is no such object here. Content past ``MAX_BLOB`` is left out.

        Raises
        ------
        RepositoryError
            When git stopped answering, as it does at a damaged object.
        """
        answer = self._answer(name)
        return None if answer is None else answer[1:]

    def resolve(self, revision: str) -> str | None:
        """Return the full hash of a commit, or None when there is no such one (or several)."""
        answer = self._answer(f"{revision}^{{commit}}")
        return None if answer is None else answer[0].decode("ascii")

    def _answer(self, name: str) -> tuple[bytes, bytes, bytes] | None:
        """Return hash, type and content of an object."""
        if "\n" in name:
            return None
        return self._next_object(self._ask(_CAT, name.encode("utf-8", "surrogateescape") + b"\n"))

    def _next_object(self, pipe: IO[bytes]) -> tuple[bytes, bytes, bytes] | None:
        head = pipe.readline().rstrip(b"\n")
        if not head:
            self._drop(_CAT)
            raise RepositoryError(f"git cat-file failed in {self._repo}", "see: git fsck")
        sha, kind, length = [*head.rsplit(b" ", 2), b"", b""][:3]
        if not length.isdigit() or not _SHA.fullmatch(sha):  # "… missing", "… ambiguous"
            return None
        size = int(length)
        if size <= MAX_BLOB:
            return sha, kind, pipe.read(size + 1)[:size]
        remaining = size + 1
        while remaining > 0 and (block := pipe.read(min(remaining, _BLOCK))):
            remaining -= len(block)
        return sha, kind, b""

    def _ask(self, command: tuple[str, ...], question: bytes) -> IO[bytes]:
        process = self._process(*command)
        try:
            pipe = cast("IO[bytes]", process.stdin)
            pipe.write(question)
            pipe.flush()
        except OSError as error:
            raise RepositoryError(f"git stopped in {self._repo}: {error}") from error
        return cast("IO[bytes]", process.stdout)

    def text(self, blob: str) -> list[str] | None:
        """Return the lines of a blob, without line ends; None when it is not here."""
        answer = self.read(blob)
        if answer is None or answer[0] != b"blob":
            return None
        lines = answer[1].decode("utf-8", "replace").split("\n")
        if lines and not lines[-1]:
            lines.pop()
        return [line.removesuffix("\r") for line in lines]

    def commit(self, sha: str) -> CommitObject | None:
        """Return what a commit says of itself; None when it is not here or no commit."""
        return self.commits([sha]).get(sha)

    def commits(self, shas: Iterable[str]) -> dict[str, CommitObject]:
        """Return what commits say of themselves, by hash, those that are here."""
        shas = list(shas)
        new = [sha for sha in dict.fromkeys(shas) if sha not in self._commits]
        for start in range(0, len(new), _BATCH):
            self._read_commits(new[start : start + _BATCH])
        return {sha: found for sha in shas if (found := self._commits[sha]) is not None}

    def _read_commits(self, shas: Sequence[str]) -> None:
        """Ask for all before the first answer is read; a pipe holds that many questions."""
        pipe = self._ask(_CAT, "".join(f"{sha}\n" for sha in shas).encode())
        answers = {sha: self._next_object(pipe) for sha in shas}
        commits = {sha: a[2] for sha, a in answers.items() if a is not None and a[1] == b"commit"}
        ends = "".join(f"{sha}\n{_END.decode()}" for sha in commits)
        pipe = self._ask((*_TREE, *_NAMES), ends.encode())
        paths = {sha: self._next_diff(pipe, _NAMES) for sha in commits}
        for sha in shas:
            self._commits[sha] = (
                parse_commit(sha, commits[sha], _texts(paths[sha])) if sha in commits else None
            )

    def paths(self, sha: str) -> list[str]:
        """Return the paths that a commit changed, as git quotes them; none for merges.

        Raises
        ------
        RepositoryError
            When git stopped answering, as it does at a missing tree.
        """
        return _texts(self._compare(sha, _NAMES))

    def diff(self, parent: str, sha: str, options: tuple[str, ...]) -> list[bytes]:
        """Return the lines of a diff between two commits.

        Parameters
        ----------
        parent, sha : str
            Full hashes: before and after.
        options : tuple of str
            Options of ``git diff-tree`` with which no line of content is a point alone, such as
            ``-U0`` has it.

        Raises
        ------
        RepositoryError
            When git stopped answering, as it does at a missing object.
        """
        return self._compare(f"{sha} {parent}", options)

    def _compare(self, question: str, options: tuple[str, ...]) -> list[bytes]:
        pipe = self._ask((*_TREE, *options), question.encode() + b"\n" + _END)
        return self._next_diff(pipe, options)

    def _next_diff(self, pipe: IO[bytes], options: tuple[str, ...]) -> list[bytes]:
        lines = []
        while (line := pipe.readline()) and line != _END:
            lines.append(line)
        if line != _END:
            self._drop((*_TREE, *options))
            raise RepositoryError(f"git diff-tree failed in {self._repo}", "see: git fsck")
        return lines[1:]  # the hash itself comes first, unless nothing was changed


def _texts(lines: Sequence[bytes]) -> list[str]:
    return [path_text(line.rstrip(b"\n")) for line in lines]


def parse_commit(sha: str, content: bytes, paths: Sequence[str] = ()) -> CommitObject:
    """Read a raw commit object.

    Parameters
    ----------
    sha : str
        Its name.
    content : bytes
        Headers, a blank line, the message. A missing or odd time counts as 0.
    paths : sequence of str
        Files that it changed; the first ``MAX_PATHS`` are kept.

    Returns
    -------
    CommitObject
        The author as bytes, for comparison only.
    """
    head, _, message = content.partition(b"\n\n")
    headers: dict[bytes, list[bytes]] = {}
    for line in head.split(b"\n"):
        key, _, value = line.partition(b" ")
        headers.setdefault(key, []).append(value)
    author, authored = _person(headers.get(b"author", [b""])[0])
    _, committed = _person(headers.get(b"committer", [b""])[0])
    encoding = headers.get(b"encoding", [b"utf-8"])[0].decode("ascii", "replace")
    try:
        text = message.decode(encoding, "replace")
    except LookupError:
        text = message.decode("utf-8", "replace")
    parents = tuple(p.decode("ascii", "replace") for p in headers.get(b"parent", []))
    return CommitObject(
        sha, parents, authored, committed, author, text, len(paths), tuple(paths[:MAX_PATHS])
    )


def _person(text: bytes) -> tuple[bytes, int]:
    """Return e-mail (else the name) and time of an ``author`` or ``committer`` header."""
    who, _, rest = text.rpartition(b">")
    name, _, mail = who.rpartition(b"<")
    time = rest.split()[0] if rest.split() else b""
    return mail.strip() or name.strip(), int(time) if time.lstrip(b"-").isdigit() else 0
