"""Describes the run about to start: where it takes place, and the change that it is for."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from testopt.git.change import find_change
from testopt.git.run_identity import previous_commit
from testopt.schema import Change, Run

if TYPE_CHECKING:
    from pathlib import Path

    from testopt.git.run_identity import RunIdentity
    from testopt.store import Store


@dataclass(frozen=True, slots=True)
class PendingRun:
    """The run about to start.

    Attributes
    ----------
    change : Change
    repo : Path or None
        Top folder of the repository.
    job : str
        Empty where nobody says.
    commit, branch : str or None
        What is checked out, or named by the user or the CI system.
    ci_run : str or None
        The CI system's name of the pipeline with its attempt.
    pipeline : str or None
        The same without the attempt; None where the CI system has no such name.
    attempt : int
        Which attempt of the job this is, from 1.
    is_fork : bool
        Whether a fork asks to be merged: its runs are not recorded.
    began : datetime
    """

    change: Change
    repo: Path | None = None
    job: str = ""
    commit: str | None = None
    branch: str | None = None
    ci_run: str | None = None
    pipeline: str | None = None
    attempt: int = 1
    is_fork: bool = False
    began: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def key(self) -> str:
        """What draws for the change follow from: the same for all its jobs and parts."""
        return self.commit or self.change.head or self.pipeline or ""

    def as_run(self) -> Run:
        """Return the run that features are made for; it has no name yet."""
        return Run("", self.began, self.job, self.change.head, self.change.base, self.branch)


def find_pending_run(
    identity: RunIdentity, *, store: Store | None = None, change: Change | None = None
) -> PendingRun:
    """Find commit, branch, job and change of the run about to start.

    Parameters
    ----------
    identity : RunIdentity
        The repository, and what the user and the CI system say; ``commit`` is the head of the
        change, where the user names it.
    store : Store, optional
        Knows the commit of the run before.
    change : Change, optional
        Where it is known already, or known to be unknown.

    Raises
    ------
    RevisionError
        When the base or the commit that the user names does not exist.
    """
    began = identity.time or datetime.now(UTC)
    commit, branch = identity.commit_at_hand()
    if change is None and identity.repo is not None:
        previous = None
        if store is not None and identity.base is None and identity.commit is None:
            previous = previous_commit(store, branch=branch, job=identity.job_name, before=began)
        change = find_change(
            identity.repo,
            base=identity.base,
            head=identity.commit,
            ci=identity.ci,
            previous=previous,
        )
    return PendingRun(
        change or Change(known=False, why=identity.no_repository or "there is no repository"),
        repo=identity.repo,
        job=identity.job_name,
        commit=commit,
        branch=branch,
        ci_run=identity.ci.run if identity.ci else None,
        pipeline=identity.ci.pipeline if identity.ci else None,
        attempt=identity.ci.attempt if identity.ci else 1,
        is_fork=bool(identity.ci and identity.ci.is_fork),
        began=began,
    )
