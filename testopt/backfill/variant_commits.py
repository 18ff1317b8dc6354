"""Commits variants of a commit beside the index, and keeps them under ``refs/testopt/``."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from testopt.code.paths import path_bytes
from testopt.errors import RepositoryError
from testopt.git.process import run_git
from testopt.workspace import workspace

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime
    from pathlib import Path

REFS: Final = "refs/testopt/backfill/"
_HUNK: Final = re.compile(rb"^@@ -\S+ \+(\d+)(?:,(\d+))? @@", re.MULTILINE)
_DIFF: Final = (
    "diff", "-U0", "--no-color", "--no-ext-diff", "--no-textconv", "--inter-hunk-context=0",
)  # fmt: skip


def read_at_commit(repo: Path, commit: str, path: str) -> bytes | None:
    """Return the content of a file at a commit; None where there is none."""
    try:
        return run_git(repo, "cat-file", "blob", f"{commit}:{_git_path(path)}")
    except RepositoryError:
        return None


def changed_lines(repo: Path, base: str, commit: str, path: str) -> list[int]:
    """Return the lines of a file that a commit added or changed, and those beside deleted ones.

    Parameters
    ----------
    repo : Path
        The repository.
    base, commit : str
        Full hashes.
    path : str
        As `testopt.code.paths.path_text` spells it.
    """
    diff = run_git(
        repo,
        *_DIFF,
        base,
        commit,
        "--",
        f":(top,literal){_git_path(path)}",
    )
    lines: list[int] = []
    for start, count in _HUNK.findall(diff):
        first, number = int(start), int(count or b"1")
        lines.extend(range(first, first + number) if number else (max(first, 1), first + 1))
    return lines


def restore_entries(repo: Path, commit: str, paths: Iterable[str]) -> bytes:
    """Return index entries that put files back to how they are at a commit.

    Parameters
    ----------
    repo : Path
        The repository.
    commit : str
        Full hash.
    paths : iterable of str
        Files; those that the commit does not have are removed.

    Returns
    -------
    bytes
        Input of ``git update-index -z --index-info``.
    """
    git_paths = [_git_path(path) for path in paths]
    listing = run_git(repo, "ls-tree", "-z", "--full-tree", commit, "--", *git_paths)
    present = {entry.partition(b"\t")[2]: entry for entry in listing.split(b"\0") if entry}
    removal = b"0 " + b"0" * len(commit) + b"\t"
    return b"".join(present.get(p, removal + p) + b"\0" for p in map(os.fsencode, git_paths))


def rewrite_entries(repo: Path, commit: str, files: Mapping[str, bytes]) -> bytes:
    """Return index entries that give files new content; see `restore_entries`."""
    entries = []
    for path, content in files.items():
        git_path = _git_path(path)
        blob = run_git(repo, "hash-object", "-w", "--stdin", stdin=content)
        old = run_git(repo, "ls-tree", "--full-tree", commit, "--", git_path)
        mode = old.partition(b" ")[0] or b"100644"
        entries.append(b"%s blob %s\t%s\0" % (mode, blob.strip(), os.fsencode(git_path)))
    return b"".join(entries)


def commit_variant(repo: Path, base: str, entries: bytes, *, when: datetime) -> str:
    """Commit a variant of a commit and return its hash; the same input gives the same hash.

    Author and subject are those of the commit before `base`, so that nothing but the content
    tells a variant from its neighbours. Neither the index nor any branch is touched.

    Parameters
    ----------
    repo : Path
        The repository; new objects are written to it.
    base : str
        Full hash of the commit that the variant is made from.
    entries : bytes
        From `restore_entries` or `rewrite_entries`.
    when : datetime
        Time of the commit, to the second.
    """
    with workspace() as folder:
        index = {"GIT_INDEX_FILE": str(folder / "index")}
        run_git(repo, "read-tree", base, env=index)
        run_git(repo, "update-index", "-z", "--index-info", stdin=entries, env=index)
        tree = run_git(repo, "write-tree", env=index).decode().strip()
    log = run_git(repo, "log", "-1", "--no-show-signature", "--format=%an%x00%ae%x00%s",
                  f"{base}^", "--")  # fmt: skip
    name, mail, subject = log.rstrip(b"\n").split(b"\0", 2)
    env: dict[str, str] = {}
    for role in ("AUTHOR", "COMMITTER"):
        env[f"GIT_{role}_NAME"] = os.fsdecode(name) or "unknown"
        env[f"GIT_{role}_EMAIL"] = os.fsdecode(mail) or "unknown"
        env[f"GIT_{role}_DATE"] = f"@{int(when.timestamp())} +0000"
    commit = run_git(repo, "commit-tree", "-p", base, tree, stdin=subject + b"\n", env=env)
    return commit.decode().strip()


def keep_variant(repo: Path, run_id: str, commit: str) -> None:
    """Point a ref at a variant, so that git's garbage collection spares it."""
    run_git(repo, "update-ref", REFS + run_id, commit)


def _git_path(path: str) -> str:
    """Return a path as a git argument."""
    return os.fsdecode(path_bytes(path))
