"""What is checked out: its commit, and the branch that it stands for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from testopt.errors import RepositoryError
from testopt.git.process import run_git

if TYPE_CHECKING:
    from pathlib import Path

    from testopt.git.ci_job import CiJob


@dataclass(frozen=True, slots=True)
class Checkout:
    """The commit that is checked out, its branch (None: detached) and when it was committed."""

    sha: str
    parents: tuple[str, ...]
    branch: str | None
    time: datetime


def read_checkout(repo: Path) -> Checkout | None:
    """Return what is checked out; None where there is no commit yet, or git fails."""
    try:
        out = run_git(repo, "show", "-s", "--format=%H%x00%P%x00%ct", "HEAD", "--")
    except RepositoryError:
        return None
    sha, parents, when = out.decode("ascii").strip().split("\0")
    time = datetime.fromtimestamp(int(when), UTC)
    return Checkout(sha, tuple(parents.split()), branch_checked_out(repo), time)


def branch_checked_out(repo: Path) -> str | None:
    """Return the branch that is checked out; None: a commit of its own."""
    try:
        ref = run_git(repo, "symbolic-ref", "-q", "HEAD")
    except RepositoryError:
        return None
    return ref.decode("utf-8", "replace").strip().removeprefix("refs/heads/")


def branch_of(head: Checkout, ci: CiJob | None, repo: Path | None) -> str | None:
    """Return the branch that a checkout stands for; None where nothing tells.

    Parameters
    ----------
    head : Checkout
    ci : CiJob, optional
        What the CI system says of its event, which may be about another commit.
    repo : Path, optional
        Where branches are looked for.
    """
    if ci is None:
        return head.branch
    if not ci.is_elsewhere:
        if ci.commit in {None, head.sha}:
            return ci.own_branch or ci.branch
        if ci.target is not None:
            return ci.branch
    branch = head.branch or (_only_branch(repo, head.sha) if repo is not None else None)
    if branch is None and not ci.is_elsewhere and ci.commit in head.parents[:1]:
        return ci.branch  # the job has committed something
    return branch


def _only_branch(repo: Path, sha: str) -> str | None:
    """Return the branch of the remote that ends at a commit, where there is one only."""
    listing = ("for-each-ref", f"--points-at={sha}", "--format=%(refname)", "refs/remotes/origin")
    try:
        out = run_git(repo, *listing)
    except RepositoryError:
        return None
    names = {name.removeprefix("refs/remotes/origin/") for name in out.decode().split()}
    names.discard("HEAD")
    return names.pop() if len(names) == 1 else None
