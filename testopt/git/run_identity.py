"""Finds commit, branch, job and change of a run: from options, the CI system, git, the store."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from testopt.errors import TestoptError
from testopt.git.change import find_change
from testopt.git.checkout import Checkout, branch_of, read_checkout
from testopt.git.process import is_bare, resolve, run_git
from testopt.schema import Change, FileChange

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from testopt.git.ci_job import CiJob
    from testopt.store import Store

# Times without a zone may be local ones: no zone is further from UTC.
_ZONES: Final = timedelta(hours=14)


@dataclass(slots=True, kw_only=True)
class RunIdentity:
    """What the user and the CI system say of runs; git, asked once, answers for the rest.

    Attributes
    ----------
    repo : Path or None
        Top folder of the repository.
    run_id, commit, base, branch, job, time
        As the user named them; None where it is to be found.
    ci : CiJob or None
        What the CI system says, where the runs took place in it.
    changes : mapping of str to sequence of FileChange
        Changed files by run, where the user has a table of them.
    no_repository : str
        Why there is no repository, in git's words.
    warnings : list of str
        What the user should know of the answers.
    """

    repo: Path | None = None
    run_id: str | None = None
    commit: str | None = None
    base: str | None = None
    branch: str | None = None
    job: str | None = None
    time: datetime | None = None
    ci: CiJob | None = None
    changes: Mapping[str, Sequence[FileChange]] = field(default_factory=dict)
    no_repository: str = ""
    warnings: list[str] = field(default_factory=list)
    _head: Checkout | None = None
    _head_was_read: bool = False
    _is_explained: bool = False

    @property
    def job_name(self) -> str:
        """Name of the job; empty where nobody says."""
        return self.job or (self.ci.job if self.ci else "")

    def key(self) -> str:
        """Return what tells files of equal content apart: what the user and the CI system say."""
        ci = self.ci
        parts = [self.commit, self.base, self.branch, self.job, ci and ci.commit, ci and ci.job]
        when = self.time.isoformat() if self.time else ""
        return "\0".join([*(part or "" for part in parts), when])

    def commit_at(self, time: datetime) -> tuple[str | None, str | None]:
        """Return commit and branch of results of a time.

        The commit is the one that the user names, or that the CI system names where it tells of
        results that were made elsewhere; else what is checked out, unless that is younger than
        the results: then they are of an older commit.
        """
        ci = self.ci
        if self.commit is None and ci is not None and ci.is_elsewhere and ci.commit is not None:
            return self._full_hash(ci.commit), self.branch or ci.branch
        commit, branch = self.commit_at_hand()
        head = self._checked_out()
        is_given = self.commit is not None or (ci is not None and ci.commit == commit)
        if is_given or head is None or commit != head.sha or head.time <= time + _ZONES:
            return commit, branch
        self._is_explained = True
        self.warnings.append(
            f"the results of {time:%Y-%m-%d} are older than the commit that is checked out; "
            "name their commit with --commit"
        )
        return None, self.branch or (ci.branch if ci is not None else None)

    def commit_at_hand(self) -> tuple[str | None, str | None]:
        """Return commit and branch of a run that takes place now.

        The commit is the one that the user names, else what is checked out, whatever a CI system
        names; else what that names.
        """
        ci = self.ci
        if self.commit is not None:
            return self._full_hash(self.commit), self.branch or (
                ci.branch if ci is not None else None
            )
        head = self._checked_out()
        named = ci.commit if ci is not None and not ci.is_elsewhere else None
        if head is None or (named not in {None, head.sha} and self._is_bare()):
            branch = ci.branch if ci is not None and not ci.is_elsewhere else None
            return self._full_hash(named) if named else None, self.branch or branch
        return head.sha, self.branch or branch_of(head, ci, self.repo)

    def warn_unknown(self, why: str) -> None:
        """Warn, once, that neither commit nor change of results are known."""
        if not self._is_explained:
            self._is_explained = True
            self.warnings.append(
                f"commit and change of these results are unknown: {why}; name the commit with "
                "--commit, so that they teach what a change breaks"
            )

    def _is_bare(self) -> bool:
        return self.repo is not None and is_bare(self.repo)

    def _full_hash(self, commit: str) -> str:
        """Return the full hash of a commit, or the commit as given where git has none."""
        if self.repo is None:
            return commit
        try:
            return resolve(self.repo, commit)
        except TestoptError:
            self.warnings.append(f"commit {commit} is not in the repository: its change is unknown")
            return commit

    def _checked_out(self) -> Checkout | None:
        if self.repo is not None and not self._head_was_read:
            self._head_was_read = True
            self._head = read_checkout(self.repo)
        return self._head

    def change_of(
        self,
        run_id: str,
        *,
        commit: str | None,
        base: str | None = None,
        previous: str | None = None,
    ) -> Change:
        """Return the change of a run: from the user's table, else from git.

        ``base`` is what the user says; `previous` the commit of the run before it.
        """
        base = base or self.base
        if run_id in self.changes:
            return Change(files=tuple(self.changes[run_id]), head=commit, base=base)
        if self.repo is None or commit is None:
            why = self.no_repository or "no repository, or no commit"
            return Change(head=commit, base=base, known=False, why=why)
        try:
            if self.ci is not None and self.commit is None:
                return find_change(
                    self.repo, base=base, ci=self.ci, previous=previous, commit=commit
                )
            since = base or _ancestor(self.repo, previous, commit)
            return find_change(self.repo, base=since, head=commit)
        except TestoptError as error:
            return Change(head=commit, base=base, known=False, why=error.message)


def _ancestor(repo: Path, previous: str | None, commit: str) -> str | None:
    """Return `previous` if `commit` was made on top of it."""
    if previous is None or previous == commit:
        return None
    try:
        run_git(repo, "merge-base", "--is-ancestor", resolve(repo, previous), commit)
    except TestoptError:
        return None
    return previous


def previous_commit(store: Store, *, branch: str | None, job: str, before: datetime) -> str | None:
    """Return the commit of the last run of a branch and job before a time."""
    import pyarrow.compute as pc

    if branch is None:
        return None
    runs = store.read(
        "runs",
        columns=["commit", "time"],
        where=[
            ("branch", "=", branch),
            ("job", "=", job),
            ("kind", "=", "real"),
            ("time", "<", before),
        ],
    )
    runs = runs.filter(pc.is_valid(runs["commit"]))
    if not runs.num_rows:
        return None
    latest = pc.index(runs["time"], pc.max(runs["time"])).as_py()
    commit: str | None = runs["commit"][latest].as_py()
    return commit
