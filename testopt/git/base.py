"""Where the change of a run begins: the commit that it is compared with.

Of a pull request it is the merge base with the target branch; of a merge queue the commit that the
queue names; after a push the commit of the previous run of the same branch and job, else the one
that CI names, else (a branch is new, or was started by hand) the merge base with the default
branch; of a commit of the default branch its first parent. What a CI system says of an event counts
as far as the event is about the commit at hand: a workflow may check out another one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from testopt.errors import GitFailedError, RevisionError
from testopt.git.checkout import branch_checked_out
from testopt.git.default_branch import USUAL
from testopt.git.process import is_shallow, resolve, run_git

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from testopt.git.ci_job import CiJob

FETCH: Final = "fetch the history (git fetch --unshallow; in CI: fetch depth 0)"


@dataclass(frozen=True, slots=True)
class Head:
    """The commit at the end of a change."""

    sha: str
    parents: tuple[str, ...]
    author: str | None
    time: datetime | None
    subject: str
    message: str = ""


class UnknownChangeError(Exception):
    """The base cannot be reached; the text says why."""


def find_base(repo: Path, tip: Head, *, ci: CiJob | None, previous: str | None) -> str | None:
    """Return where the change of a run begins; None: before the first commit.

    Parameters
    ----------
    repo : Path
        Top folder of the repository, or a bare one.
    tip : Head
        The commit of the run.
    ci : CiJob, optional
        What the CI system says; None outside CI.
    previous : str, optional
        Commit of the previous run of the same branch and job.

    Raises
    ------
    UnknownChangeError
        When the base cannot be reached.
    RepositoryError
        When git fails.
    """
    is_event = ci is not None and _is_event_commit(repo, tip, ci)
    if ci is not None and ci.begin and is_event:
        return _named(repo, ci.begin, "that CI names as the base")
    if ci is not None and ci.target and (base := _of_pull_request(repo, tip, ci)):
        return base
    before = ci.base if ci is not None and is_event and not ci.target else None
    for commit, owner in ((previous, "of the previous run"), (before, "of the push before")):
        # a repeat of the same commit, or a new branch (all zeros), tells nothing
        if commit and commit.strip("0") and commit != tip.sha:
            return _named(repo, commit, owner)
    if ci is not None and (base := _since_default_branch(repo, tip, ci, is_event=is_event)):
        return base
    return first_parent(repo, tip)


def first_parent(repo: Path, tip: Head) -> str | None:
    """Return the first parent of a commit; None: it has none.

    Raises
    ------
    UnknownChangeError
        When a shallow clone ends at the commit.
    """
    if tip.parents:
        return tip.parents[0]
    if is_shallow(repo):
        raise UnknownChangeError(f"the clone is shallow and ends at {tip.sha[:12]}: {FETCH}")
    return None


def _is_event_commit(repo: Path, tip: Head, ci: CiJob) -> bool:
    """Tell whether an event is about a commit, or about one that it was made on top of."""
    if ci.commit is None or ci.commit in {tip.sha, *tip.parents}:
        return True
    try:
        run_git(repo, "merge-base", "--is-ancestor", resolve(repo, ci.commit), tip.sha)
    except (GitFailedError, RevisionError):
        return False
    return True


def _named(repo: Path, commit: str, owner: str) -> str:
    try:
        return resolve(repo, commit)
    except RevisionError as error:
        raise UnknownChangeError(
            f"the commit {owner} ({commit[:12]}) is not in this clone: {FETCH}"
        ) from error


def _of_pull_request(repo: Path, tip: Head, ci: CiJob) -> str | None:
    """Return where a pull request begins; None: the commit belongs to the target branch."""
    if _is_test_merge(tip, ci):
        return tip.parents[0]
    target = ci.target or ""
    names = (f"refs/remotes/origin/{target}", f"refs/heads/{target}", ci.base or "", target)
    is_there = False
    for found in filter(None, (_found(repo, name) for name in names)):
        is_there = True
        base = _merge_base(repo, found, tip.sha, f"the target branch {target!r}")
        if base != tip.sha:
            return base
    if not is_there:
        raise UnknownChangeError(f"the target branch {target!r} is not in this clone: {FETCH}")
    if ci.head == tip.sha and not (ci.base and _found(repo, ci.base)):
        raise UnknownChangeError(
            f"the pull request is merged into {target!r} already, and the commit that it began at "
            "is not in this clone"
        )
    return None


def _is_test_merge(tip: Head, ci: CiJob) -> bool:
    """Tell whether a commit merges the pull request into its target, to be tested only."""
    if len(tip.parents) != 2:  # noqa: PLR2004 - target and pull request
        return False
    # GitHub's says itself what was merged into what
    return tip.parents[1] in {ci.head, ci.commit} or tip.subject.endswith(f" into {tip.parents[0]}")


def _since_default_branch(repo: Path, tip: Head, ci: CiJob, *, is_event: bool) -> str | None:
    """Return where a branch left the default branch; None: the commit belongs to that."""
    name = ci.default_branch
    guesses = (name,) if name else ("HEAD", *USUAL)
    places = [f"refs/{kind}/{guess}" for kind in ("remotes/origin", "heads") for guess in guesses]
    found = next(filter(None, (_found(repo, place) for place in places)), None)
    if found is None:
        if is_event and (ci.branch or name) in {None, name, *USUAL}:
            return None
        shown = f"default branch {name!r}" if name else "default branch (git remote set-head)"
        raise UnknownChangeError(
            f"there is no earlier run of this branch, and the {shown} is not in this clone: {FETCH}"
        )
    base = _merge_base(repo, found, tip.sha, "the default branch")
    if base == ci.commit != tip.sha and branch_checked_out(repo) in {None, ci.branch}:
        return _found(repo, f"{base}^")  # commits that the job made itself are not all
    return None if base == tip.sha else base


def _found(repo: Path, revision: str) -> str | None:
    """Return the full hash of a revision; None where it names no commit of this clone."""
    try:
        return resolve(repo, revision)
    except RevisionError:
        return None


def _merge_base(repo: Path, one: str, other: str, what: str) -> str:
    try:
        return run_git(repo, "merge-base", one, other).decode().split()[0]
    except GitFailedError as error:
        raise UnknownChangeError(f"no common commit with {what}: {FETCH}") from error
