"""Reads the history of a repository: commits and the files that each of them changed.

``git log`` does the work: the list of commits is cut into ranges of a few hundred, a few processes
read them at once, and their output is split at C speed. No object is walked in Python.

What the numbers mean
---------------------
Lines added and deleted are those of ``git log --numstat -M`` against the first parent of a commit
that has one parent, or against nothing for a root. A merge has no rows: what it brings in stands
at the commits merged, and counting it again would bill it to who pressed the button (PyDriller
does the same). Renames carry ``old_path``. Replaced objects (``git replace``) and grafts are
ignored, for they differ from clone to clone.

Where content is missing (a partial clone, from which nothing is fetched) or damaged, the commit
keeps its list of files, without counts and with those renames only that left a file as it was.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from testopt.code.paths import path_text
from testopt.errors import GitFailedError, RepositoryError, RevisionError
from testopt.git.diff_listing import numstat_entry, raw_entry
from testopt.git.process import run_git

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from testopt.git.diff_listing import RawEntry

    _Counts = dict[tuple[str, bytes], tuple[int | None, int | None]]

# Commits that one git process reads: few share the work better, many make git unpack less twice.
CHUNK: Final = (256, 1024)
MAX_WORKERS: Final = 8
_HEADER: Final = "--format=%H%x00%P%x00%at%x00%ct%x00%aE%x00%aN%x00%s%x00%b"
_TEXT_ARGS: Final = ("--no-color", "--no-show-signature", "--no-notes", "--encoding=UTF-8", _HEADER)
_RAW_ARGS: Final = (
    "-z", "--raw", "--no-abbrev", "--root", "--no-diff-merges", "--no-ext-diff", "--no-textconv",
    "--no-relative", "--ignore-submodules=none", "--diff-algorithm=default", *_TEXT_ARGS,
)  # fmt: skip
LOG_ARGS: Final = ("--numstat", "-M", "-l1000", *_RAW_ARGS)
_TREES_ONLY: Final = ("-M100%", *_RAW_ARGS)  # what needs no content of files
# What was recorded, whatever a clone replaces.
_ENV: Final = {"GIT_NO_REPLACE_OBJECTS": "1", "GIT_GRAFT_FILE": os.devnull}
# Dates are what somebody's clock or script said; what no calendar holds is moved to its end.
_TIMES: Final = (-62_135_596_800, 253_402_214_400)  # years 1 to 9999


class Commit(NamedTuple):
    """One commit as git tells it; times in seconds since 1970, author the e-mail or the name."""

    sha: str
    parents: list[str]
    authored: int
    committed: int
    author: bytes
    subject: str
    body: str = ""

    @property
    def message(self) -> str:
        """Subject, and body after an empty line."""
        return f"{self.subject}\n\n{self.body}"


class FileRow(NamedTuple):
    """One file of a commit; counts are None for binary files and submodules."""

    sha: str
    path: str
    old_path: str | None
    status: str
    added: int | None
    deleted: int | None
    old_blob: bytes
    new_blob: bytes


@dataclass(frozen=True, slots=True)
class History:
    """Consecutive commits, parents first, with their file changes.

    ``unreadable`` counts the commits whose files have no counts, as content is missing.
    """

    commits: list[Commit] = field(default_factory=list)
    files: list[FileRow] = field(default_factory=list)
    unreadable: int = 0


def list_commits(
    repo: Path, rev_range: str | None = None, *, newest: int | None = None
) -> list[str]:
    """Return the hashes of the commits in a range, parents before children.

    Parameters
    ----------
    repo : Path
        Working tree or bare repository.
    rev_range : str, optional
        A revision or range such as ``v1.0..main``; default all of ``HEAD``.
    newest : int, optional
        At most so many, by the time of their commit.

    Returns
    -------
    list of str
        Full hashes. The commits at which a shallow clone ends are left out: their parents are
        missing, so every file would look new.

    Raises
    ------
    RevisionError
        When the range begins with ``-`` or names what the repository does not have.
    RepositoryError
        When there is no commit yet, or git fails.
    """
    revisions = "HEAD" if rev_range is None else rev_range
    hint = "see `git log --oneline`; a range looks like v1.0..main"
    if not revisions or revisions.startswith("-") or "\0" in revisions:
        raise RevisionError(f"{revisions!r} is not a revision or range", hint)
    arguments = ("--topo-order", "--reverse", "--end-of-options", revisions, "--")
    limit = () if newest is None else (f"--max-count={newest}",)
    try:
        out = run_git(repo, "rev-list", *limit, *arguments, env=_ENV, timeout=None)
    except GitFailedError as error:
        if rev_range is None:
            raise RepositoryError(
                f"{repo} has no commit at HEAD", "commit something, or name a branch to mine"
            ) from error
        raise RevisionError(f"unknown revision or range {rev_range!r} in {repo}", hint) from error
    edge = shallow_edge(repo)
    shas = out.decode("ascii").split()
    return [sha for sha in shas if sha not in edge] if edge else shas


def shallow_edge(repo: Path) -> frozenset[str]:
    """Return the commits at which a shallow clone ends; empty for a whole one."""
    path = run_git(repo, "rev-parse", "--git-path", "shallow").rstrip(b"\n")
    try:
        return frozenset((repo / os.fsdecode(path)).read_text(encoding="ascii").split())
    except FileNotFoundError:
        return frozenset()


def read_history(
    repo: Path, shas: Sequence[str], *, workers: int | None = None
) -> Iterator[History]:
    """Read commits in parallel, range by range.

    Parameters
    ----------
    repo : Path
        Working tree or bare repository.
    shas : sequence of str
        From `list_commits`.
    workers : int, optional
        git processes at once; default one per processor, at most 8.

    Yields
    ------
    History
        Of 256 to 1,024 commits each, in the order of `shas`.

    Raises
    ------
    RepositoryError
        When git fails, as it does on a damaged repository.
    """
    count = workers or min(os.cpu_count() or 1, MAX_WORKERS)
    # the same on every machine: whoever mines at the same time cuts the same ranges
    size = min(max(-(-len(shas) // 4), CHUNK[0]), CHUNK[1])
    ranges = iter([shas[i : i + size] for i in range(0, len(shas), size)])
    pool = ThreadPoolExecutor(count, thread_name_prefix="gitlog")
    try:
        # a few ahead of the reader, so that a slow store does not fill the memory
        waiting = [pool.submit(_read, repo, part) for part in islice(ranges, 2 * count)]
        while waiting:
            done = waiting.pop(0).result()
            waiting += [pool.submit(_read, repo, part) for part in islice(ranges, 1)]
            yield done
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def read_commits(repo: Path, shas: Sequence[str]) -> list[Commit]:
    """Read what commits say of themselves, without their files.

    Parameters
    ----------
    repo : Path
        Working tree or bare repository.
    shas : sequence of str
        Full hashes; those that this clone has not got are left out.

    Returns
    -------
    list of Commit

    Raises
    ------
    RepositoryError
        When git fails.
    """
    names = [sha.encode("ascii") for sha in shas]
    here = _present(repo, names, b"commit")
    known = [sha for sha, name in zip(shas, names, strict=True) if name in here]
    return _split(_log(repo, known, ("-s", "-z", *_TEXT_ARGS)))[0] if known else []


def _read(repo: Path, shas: Sequence[str]) -> History:
    try:
        return parse_log(_log(repo, shas, LOG_ARGS))
    except GitFailedError:
        return _read_around(repo, shas)


def _log(repo: Path, shas: Sequence[str], arguments: Sequence[str]) -> bytes:
    names = ("\n".join(shas) + "\n").encode("ascii")
    options = ("--no-walk=unsorted", "--stdin", *arguments)
    return run_git(repo, "log", *options, stdin=names, env=_ENV, timeout=None)


def _read_around(repo: Path, shas: Sequence[str]) -> History:
    """Read commits some of which have content that git cannot read."""
    try:
        listing = _log(repo, shas, _TREES_ONLY)
    except GitFailedError as error:
        raise RepositoryError(error.message, "`git fsck` tells what is damaged") from error
    commits, entries, _ = _split(listing)
    bad = _without_content(repo, entries)
    good = [sha for sha in shas if sha not in bad]
    if not bad and len(shas) > 1:  # damaged, which shows in reading only
        half = len(shas) // 2
        parts = [_read(repo, shas[:half]), _read(repo, shas[half:])]
    else:
        apart = set(good) if bad else set()
        rows = [_file_row(sha, entry, {}) for sha, entry in entries if sha not in apart]
        left = [commit for commit in commits if commit.sha not in apart]
        parts = [History(left, rows, len(left))]
        parts += [_read(repo, good)] if apart else []
    return _in_order(shas, parts)


def _without_content(repo: Path, entries: Sequence[tuple[str, RawEntry]]) -> set[str]:
    """Return the commits that changed a file of which this clone has not got both versions."""
    wanted = {
        blob for _, entry in entries if not entry.is_submodule
        for blob in (entry.old_blob, entry.new_blob) if blob.strip(b"0")
    }  # fmt: skip
    missing = wanted - _present(repo, sorted(wanted))
    return {sha for sha, entry in entries if missing & {entry.old_blob, entry.new_blob}}


def _present(repo: Path, names: Sequence[bytes], kind: bytes = b"blob") -> set[bytes]:
    """Return those of some objects that this clone has: contents of files, or commits."""
    check = ("cat-file", "--batch-check=%(objectname) %(objecttype)")
    question = b"".join(name + b"\n" for name in names)
    try:
        out = run_git(repo, *check, stdin=question, env=_ENV, timeout=None)
    except GitFailedError:  # in a partial clone it ends at the first one that is not there
        out = run_git(repo, *check, "--batch-all-objects", "--unordered", env=_ENV, timeout=None)
    lines = (line.partition(b" ") for line in out.splitlines())
    return set(names).intersection(name for name, _, what in lines if what == kind)


def _in_order(shas: Sequence[str], parts: Sequence[History]) -> History:
    """Join histories in the order of their commits."""
    commits = {commit.sha: commit for part in parts for commit in part.commits}
    files: dict[str, list[FileRow]] = {}
    for part in parts:
        for row in part.files:
            files.setdefault(row.sha, []).append(row)
    return History(
        [commits[sha] for sha in shas if sha in commits],
        [row for sha in shas for row in files.get(sha, ())],
        sum(part.unreadable for part in parts),
    )


def parse_log(output: bytes) -> History:
    """Take the output of ``git log`` with ``LOG_ARGS`` apart.

    Parameters
    ----------
    output : bytes
        Fields that end with NUL: eight of a commit, then its raw and its numstat entries.

    Returns
    -------
    History
        In the order of the output.
    """
    commits, entries, counts = _split(output)
    return History(commits, [_file_row(sha, entry, counts) for sha, entry in entries])


def _split(output: bytes) -> tuple[list[Commit], list[tuple[str, RawEntry]], _Counts]:
    """Return the commits, and of each the entries of its files and their counts by path."""
    commits: list[Commit] = []
    entries: list[tuple[str, RawEntry]] = []
    counts: _Counts = {}
    fields = iter(output.split(b"\0"))
    sha = ""
    for head in fields:
        # the first entry of a commit stands on a line of its own
        if head[:1] == b":" or head[:2] == b"\n:":
            entries.append((sha, raw_entry(head.lstrip(b"\n"), fields)))
        elif b"\t" in head:
            path, added, deleted = numstat_entry(head, fields)
            counts[sha, path] = (added, deleted)
        elif head:
            sha = head.decode("ascii")
            commits.append(_commit(sha, fields))
    return commits, entries, counts


def _commit(sha: str, fields: Iterator[bytes]) -> Commit:
    parents, authored, committed, mail, name, subject, body = islice(fields, 7)
    return Commit(
        sha,
        parents.decode("ascii").split(),
        _seconds(authored),
        _seconds(committed),
        mail or name,
        subject.decode("utf-8", "replace"),
        body.decode("utf-8", "replace"),
    )


def _seconds(text: bytes) -> int:
    try:
        return min(max(int(text), _TIMES[0]), _TIMES[1])
    except ValueError:
        return 0


def _file_row(sha: str, entry: RawEntry, counts: _Counts) -> FileRow:
    found = counts.get((sha, entry.path), (None, None))
    added, deleted = (None, None) if entry.is_submodule else found
    old_path = None if entry.old_path is None else path_text(entry.old_path)
    return FileRow(
        sha,
        path_text(entry.path),
        old_path,
        entry.status,
        added,
        deleted,
        entry.old_blob,
        entry.new_blob,
    )
