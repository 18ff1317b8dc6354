"""Finds commit, branch, job and change of a run: from options, the CI system, git, the store."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from testopt.errors import TestoptError
from testopt.git.change import find_change
from testopt.git.process import resolve, run_git
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
    warnings: list[str] = field(default_factory=list)
    _head: tuple[str, str | None, datetime] | None = None
    _head_was_read: bool = False

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
        """Return commit and branch of a run that took place at a time.

        The commit that is checked out is taken where neither the user nor the CI system names
        one, unless it is younger than the run: then the results are of an older commit.
        """
        commit, branch = self.commit, self.branch
        if self.ci is not None:
            commit, branch = commit or self.ci.commit, branch or self.ci.branch
        if commit is not None:
            return self._full_hash(commit), branch
        head = self._checked_out()
        if head is None or head[2] > time + _ZONES:
            if head is not None:
                self.warnings.append(
                    f"results of {time:%Y-%m-%d} are older than the commit that is checked out; "
                    "name theirs with --commit"
                )
            return None, branch
        return head[0], branch or head[1]

    def _full_hash(self, commit: str) -> str:
        """Return the full hash of a commit, or the commit as given where git has none."""
        if self.repo is None:
            return commit
        try:
            return resolve(self.repo, commit)
        except TestoptError:
            self.warnings.append(f"commit {commit} is not in the repository: its change is unknown")
            return commit

    def _checked_out(self) -> tuple[str, str | None, datetime] | None:
        if self.repo is not None and not self._head_was_read:
            self._head_was_read = True
            try:
                sha = resolve(self.repo, "HEAD")
                when = run_git(self.repo, "show", "-s", "--format=%ct", sha)
                ref = run_git(self.repo, "rev-parse", "--abbrev-ref", "HEAD").decode().strip()
            except TestoptError:
                return None  # no commit yet
            branch = ref if ref != "HEAD" else None
            self._head = (sha, branch, datetime.fromtimestamp(int(when), UTC))
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
            return Change(head=commit, base=base, known=False, why="no repository, or no commit")
        try:
            if self.ci is not None and self.commit is None:
                return find_change(self.repo, base=base, ci=self.ci, previous=previous)
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
