"""Finds the change of a run: which files differ between its base and its head, and how.

What is the base? ``base`` and ``head`` given by the user win. In a pull request it is the merge
base with the target branch; after a push the commit of the previous run of the same branch and
job, else what CI names, else the first parent. Without CI, uncommitted changes are the change
where there are any (head is then None: no commit holds them), else it is as after a push.

Untracked files count when git does not ignore them and they are not caches; when nothing else is
uncommitted they must be program text, so that a result file left behind hides no commit.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol

from testopt.code.paths import is_code
from testopt.errors import RepositoryError, RevisionError, TestoptError
from testopt.git import diff_listing
from testopt.git.process import GitStream, empty_tree, is_shallow, resolve, run_git
from testopt.git.pseudonyms import author_key, pseudonym
from testopt.git.saved_diff import diff_file
from testopt.git.subjects import is_fix
from testopt.git.untracked import untracked_files
from testopt.schema import Change

if TYPE_CHECKING:
    from pathlib import Path

    from testopt.schema import FileChange

__all__ = ["CiRevisions", "diff_file", "find_change"]

LISTING_S: Final = 6.0  # a change that takes longer to list is unknown
TOKENS_S: Final = 1.5  # further time for the identifiers
_DIFF: Final = (
    "diff", "--raw", "--numstat", "-p", "-U0", "-z", "-M", "--no-abbrev", "--no-color",
    "--no-ext-diff", "--no-textconv", "--no-relative", "--submodule=short",
    "--ignore-submodules=dirty", "--inter-hunk-context=0", "--src-prefix=a/", "--dst-prefix=b/",
)  # fmt: skip
_LOG_HEAD: Final = (
    "log", "-1", "--no-show-signature", "--encoding=UTF-8",
    "--format=%H%x00%P%x00%at%x00%aE%x00%aN%x00%s",
)  # fmt: skip
_FETCH: Final = "fetch the history (git fetch --unshallow; in CI: fetch depth 0)"


class CiRevisions(Protocol):
    """What is used of a CI system's word on the run; None or empty: not known."""

    @property
    def commit(self) -> str | None:
        """Commit that was checked out."""

    @property
    def base(self) -> str | None:
        """Commit of the target branch, or the one before the push."""

    @property
    def target(self) -> str | None:
        """Branch that a pull request goes into."""


@dataclass(frozen=True, slots=True)
class _Head:
    sha: str
    parents: tuple[str, ...]
    author: str | None
    time: datetime | None
    subject: str


class _UnknownChangeError(Exception):
    """The base cannot be reached; the text says why."""


def find_change(
    repo: Path,
    *,
    base: str | None = None,
    head: str | None = None,
    ci: CiRevisions | None = None,
    previous: str | None = None,
) -> Change:
    """Find what changed for a run.

    Parameters
    ----------
    repo : Path
        Top folder of the repository, or a bare one.
    base, head : str, optional
        Revisions given by the user; they win over everything else. A base alone is compared with
        the working tree, or in CI with the commit; a head alone with its first parent.
    ci : CiRevisions, optional
        What the CI system says of the run; None outside CI.
    previous : str, optional
        Commit of the previous run of the same branch and job.

    Returns
    -------
    Change
        With ``known=False`` and the reason in ``why`` where the base cannot be reached, git fails
        or the diff takes too long. ``base`` and ``head`` are full hashes; ``head`` is None for
        uncommitted changes. Line counts are None for binary files and submodules.

    Raises
    ------
    RevisionError
        When `base` or `head` names no commit.
    """
    if base is not None:
        base = resolve(repo, base)
    if head is not None:
        head = resolve(repo, head)
    try:
        return _find(repo, base=base, head=head, ci=ci, previous=previous)
    except _UnknownChangeError as unknown:
        return Change(base=base, head=head, known=False, why=str(unknown))
    except TestoptError as error:
        return Change(base=base, head=head, known=False, why=error.message)


def _find(
    repo: Path, *, base: str | None, head: str | None, ci: CiRevisions | None, previous: str | None
) -> Change:
    tip = _read_head(repo, head or _ci_commit(repo, ci) or "HEAD")
    if head is None and ci is None:
        change = _uncommitted(repo, tip, base)
        if change is not None:
            return change
    if base is None:
        base = _first_parent(repo, tip) if head is not None else _base(repo, tip, ci, previous)
    files = _diff(repo, base or empty_tree(tip.sha), tip.sha)
    return Change(
        files=tuple(files),
        base=base,
        head=tip.sha,
        author=tip.author,
        time=tip.time,
        is_fix=is_fix(tip.subject),
        is_merge=len(tip.parents) > 1,
    )


def _base(repo: Path, tip: _Head, ci: CiRevisions | None, previous: str | None) -> str | None:
    """Return the base of a run that the user did not name; None: the empty tree."""
    if ci is not None and ci.target:
        return _merge_base(repo, tip, ci)
    before = (ci.base or "") if ci is not None else ""
    for commit, owner in ((previous or "", "the previous run"), (before, "the push before")):
        # a repeat of the same commit, or a new branch (all zeros), tells nothing
        if not commit.strip("0") or commit == tip.sha:
            continue
        try:
            return resolve(repo, commit)
        except RevisionError as error:
            raise _UnknownChangeError(
                f"the commit of {owner} ({commit[:12]}) is not in this clone: {_FETCH}"
            ) from error
    return _first_parent(repo, tip)


def _merge_base(repo: Path, tip: _Head, ci: CiRevisions) -> str:
    """Return the merge base of a pull request's head with its target branch."""
    target = ci.target or ""
    # GitHub's test merge says itself what was merged into what
    if len(tip.parents) == 2 and tip.subject.endswith(f" into {tip.parents[0]}"):  # noqa: PLR2004
        return tip.parents[0]
    names = (f"refs/remotes/origin/{target}", f"refs/heads/{target}", ci.base or "", target)
    for name in names:
        try:
            target_commit = resolve(repo, name)
        except RevisionError:
            continue
        try:
            out = run_git(repo, "merge-base", target_commit, tip.sha)
        except RepositoryError as error:
            raise _UnknownChangeError(
                f"no common commit with the target branch {target!r}: {_FETCH}"
            ) from error
        return out.decode().split()[0]
    raise _UnknownChangeError(f"the target branch {target!r} is not in this clone: {_FETCH}")


def _first_parent(repo: Path, tip: _Head) -> str | None:
    if tip.parents:
        return tip.parents[0]
    if is_shallow(repo):
        raise _UnknownChangeError(f"the clone is shallow and ends at {tip.sha[:12]}: {_FETCH}")
    return None


def _ci_commit(repo: Path, ci: CiRevisions | None) -> str | None:
    """Return the commit that CI names, if this repository has it (CI may test another one)."""
    if ci is None or not ci.commit:
        return None
    try:
        return resolve(repo, ci.commit)
    except RevisionError:
        return None


def _read_head(repo: Path, revision: str) -> _Head:
    try:
        out = run_git(repo, *_LOG_HEAD, revision, "--")
    except RepositoryError as error:
        raise _UnknownChangeError("there is no commit to look at") from error
    sha, parents, when, mail, name, subject = out.rstrip(b"\n").split(b"\0", 5)
    return _Head(
        sha=sha.decode(),
        parents=tuple(parents.decode().split()),
        author=_pseudonym(mail or name),
        time=_time(when),
        subject=subject.decode("utf-8", "replace"),
    )


def _pseudonym(author: bytes) -> str | None:
    """Return the author's pseudonym where a key exists; a plan never makes one."""
    try:
        key = author_key(create=False)
    except TestoptError:
        return None
    return pseudonym(author, key) if key and author else None


def _time(seconds: bytes) -> datetime | None:
    try:
        return datetime.fromtimestamp(int(seconds), UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _uncommitted(repo: Path, tip: _Head, base: str | None) -> Change | None:
    """Return the change of the working tree; None where HEAD has it all, or without one."""
    try:
        tracked = _diff(repo, tip.sha)
        untracked = untracked_files(repo)
    except RepositoryError:  # a bare repository
        return None
    if not tracked and not any(is_code(file.path) for file in untracked):
        return None
    if base is not None and base != tip.sha:
        tracked = _diff(repo, base)
    return Change(
        files=(*tracked, *untracked), base=base or tip.sha, author=_pseudonym(_user(repo))
    )


def _user(repo: Path) -> bytes:
    """Return the e-mail address that the next commit would carry; empty where git knows none."""
    try:
        return run_git(repo, "var", "GIT_AUTHOR_IDENT").partition(b"<")[2].partition(b">")[0]
    except RepositoryError:
        return b""


def _diff(repo: Path, *trees: str) -> list[FileChange]:
    """Return the files that differ between two trees, or between a tree and the working tree."""
    with GitStream(repo, *_DIFF, *trees, "--") as git:
        git.limit(LISTING_S)
        listing, patch = diff_listing.read_listing(git.read)
        if git.stopped:
            raise _UnknownChangeError(f"git took more than {LISTING_S:g} s to list the change")
        git.limit(TOKENS_S)
        return diff_listing.with_tokens(diff_listing.file_changes(listing), patch, git.read)
