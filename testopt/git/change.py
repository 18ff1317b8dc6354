"""Finds the change of a run: which files differ between its base and its head, and how.

``base`` and ``head`` given by the user win. In CI the head is what is checked out, else what the
caller names, and the base is found by `testopt.git.base`. Without CI, uncommitted changes are the
change where there are any (head is then None: no commit holds them), else it is as after a push.
What git cannot tell is unknown, never "nothing changed".

Untracked files count when git does not ignore them and they are not caches; when nothing else is
uncommitted they must be program text, so that a result file left behind hides no commit.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from testopt.code.paths import is_code
from testopt.errors import GitFailedError, RepositoryError, RevisionError, TestoptError
from testopt.git import diff_listing
from testopt.git.base import (
    Head,
    UnknownChangeError,
    find_base,
    first_parent,
)
from testopt.git.filtered import filters_of, without_equal
from testopt.git.process import GitStream, empty_tree, is_bare, resolve, run_git
from testopt.git.pseudonyms import author_key, pseudonym
from testopt.git.saved_diff import diff_file
from testopt.git.untracked import untracked_files
from testopt.schema import Change

if TYPE_CHECKING:
    from pathlib import Path

    from testopt.git.ci_job import CiJob
    from testopt.git.subjects import FixJudge
    from testopt.schema import FileChange

__all__ = ["diff_file", "find_change"]

LISTING_S: Final = 6.0  # a change that takes longer to list is unknown
TOKENS_S: Final = 1.5  # further time for the identifiers
_RAW: Final = (
    "diff", "--raw", "-z", "--no-abbrev", "--no-color", "--no-relative", "--submodule=short",
    "--ignore-submodules=dirty",
)  # fmt: skip
_DIFF: Final = (
    *_RAW, "--numstat", "-p", "-U0", "-M", "--inter-hunk-context=0", "--src-prefix=a/",
    "--dst-prefix=b/",
)  # fmt: skip
_LOG_HEAD: Final = (
    "log", "-1", "--no-show-signature", "--encoding=UTF-8",
    "--format=%H%x00%P%x00%at%x00%aE%x00%aN%x00%s%x00%B",
)  # fmt: skip


def find_change(
    repo: Path,
    *,
    base: str | None = None,
    head: str | None = None,
    ci: CiJob | None = None,
    previous: str | None = None,
    commit: str | None = None,
    fix_pattern: str = "",
) -> Change:
    """Find what changed for a run.

    Parameters
    ----------
    repo : Path
        Top folder of the repository, or a bare one.
    base, head : str, optional
        Revisions given by the user; they win over everything else. A base alone is compared with
        the working tree, or in CI with the commit; a head alone with its first parent.
    ci : CiJob, optional
        What the CI system says of the run; None outside CI.
    previous : str, optional
        Commit of the previous run of the same branch and job.
    commit : str, optional
        Commit of a run in CI; default what is checked out.
    fix_pattern : str
        Regular expression of subjects of fixing commits; empty: built in.

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
    SettingsError
        When `fix_pattern` is no regular expression.
    """
    from testopt.git.subjects import FixJudge  # its expressions take 20 ms to compile

    judge = FixJudge(fix_pattern)
    if base is not None:
        base = resolve(repo, base)
    if head is not None:
        head = resolve(repo, head)
    try:
        if head is not None:
            tip = _read_head(repo, head)
            return _committed(repo, tip, base or first_parent(repo, tip), judge)
        if ci is None:
            return _at_hand(repo, base, previous, judge)
        tip, base = _in_ci(repo, ci, base=base, previous=previous, commit=commit)
        return _committed(repo, tip, base, judge)
    except UnknownChangeError as unknown:
        return Change(base=base, head=head, known=False, why=str(unknown))
    except TestoptError as error:
        return Change(base=base, head=head, known=False, why=error.message)


def _at_hand(repo: Path, base: str | None, previous: str | None, judge: FixJudge) -> Change:
    """Return the change of the working tree, else of what is checked out."""
    tip = _read_head(repo, "HEAD")
    change = _uncommitted(repo, tip, base)
    if change is not None:
        return change
    base = base or find_base(repo, tip, ci=None, previous=previous)
    return _committed(repo, tip, base, judge)


def _in_ci(
    repo: Path, ci: CiJob, *, base: str | None, previous: str | None, commit: str | None
) -> tuple[Head, str | None]:
    """Return the commit of a run in CI, and with what it is compared."""
    if commit is None and ci.is_elsewhere:
        ci = ci.without_event()
    tip = _read_head(repo, commit or "HEAD")
    if commit is None and ci.commit not in {None, tip.sha} and is_bare(repo):
        with suppress(RevisionError):  # nothing is checked out
            tip = _read_head(repo, resolve(repo, ci.commit or ""))
    return tip, base or find_base(repo, tip, ci=ci, previous=previous)


def _committed(repo: Path, tip: Head, base: str | None, judge: FixJudge) -> Change:
    files = tuple(_diff(repo, base or empty_tree(tip.sha), tip.sha))
    verdict = judge.judge(tip.message, files, parents=len(tip.parents))
    return Change(
        files=files,
        base=base,
        head=tip.sha,
        author=tip.author,
        time=tip.time,
        is_fix=verdict.is_fix,
        is_merge=len(tip.parents) > 1,
    )


def _read_head(repo: Path, revision: str) -> Head:
    try:
        out = run_git(repo, *_LOG_HEAD, revision, "--")
    except GitFailedError as error:
        raise UnknownChangeError(f"there is no commit to look at: {error.message}") from error
    sha, parents, when, mail, name, subject, message = out.split(b"\0", 6)
    return Head(
        sha=sha.decode(),
        parents=tuple(parents.decode().split()),
        author=_pseudonym(mail or name),
        time=_time(when),
        subject=subject.decode("utf-8", "replace"),
        message=message.decode("utf-8", "replace"),
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


def _uncommitted(repo: Path, tip: Head, base: str | None) -> Change | None:
    """Return the change of the working tree; None where HEAD has it all, or without one."""
    try:
        tracked = without_equal(repo, tip.sha, _diff(repo, tip.sha))
        untracked = untracked_files(repo)
    except GitFailedError:
        if is_bare(repo):
            return None
        raise
    if not any(is_code(file.path) for file in untracked):
        if not tracked:
            return None
        _check_filters(repo, tracked)
    if base is not None and base != tip.sha:
        tracked = _diff(repo, base)
    return Change(
        files=(*tracked, *untracked), base=base or tip.sha, author=_pseudonym(_user(repo))
    )


def _check_filters(repo: Path, files: list[FileChange]) -> None:
    """Raise where nothing tells whether any of some files was changed."""
    filters = filters_of(repo, files)
    if len(filters) == len(files):
        path, name = next(iter(filters.items()))
        raise UnknownChangeError(
            f"only the filter {name!r} can tell whether {path} was changed, and testopt runs no "
            "filters: commit it, or name the base (--base HEAD~1)"
        )


def _user(repo: Path) -> bytes:
    """Return the e-mail address that the next commit would carry; empty where git knows none."""
    try:
        return run_git(repo, "var", "GIT_AUTHOR_IDENT").partition(b"<")[2].partition(b">")[0]
    except RepositoryError:
        return b""


def _diff(repo: Path, *trees: str) -> list[FileChange]:
    """Return the files that differ between two trees, or between a tree and the working tree.

    Where content is missing, as in a partial clone, they have neither counts nor identifiers.
    """
    try:
        return _full_diff(repo, *trees)
    except GitFailedError:
        # trees are enough to tell what differs, and equal files that were moved
        listing = run_git(repo, *_RAW, "-M100%", *trees, "--", timeout=LISTING_S)
        return diff_listing.file_changes(listing)


def _full_diff(repo: Path, *trees: str) -> list[FileChange]:
    with GitStream(repo, *_DIFF, *trees, "--") as git:
        git.limit(LISTING_S)
        listing, patch = diff_listing.read_listing(git.read)
        if git.stopped:
            raise UnknownChangeError(f"git took more than {LISTING_S:g} s to list the change")
        git.limit(TOKENS_S)
        return diff_listing.with_tokens(diff_listing.file_changes(listing), patch, git.read)
