"""What is known of the runs at hand: from the command line, the CI system, git and the store.

`RunContext` answers for runs whose results are read; `find_here` for the one about to start.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from testopt.errors import TestoptError
from testopt.schema import Change, FileChange
from testopt.sources.change import find_change
from testopt.sources.ci import ci_context
from testopt.sources.git import resolve, run_git

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from testopt.sources.ci import CiContext
    from testopt.store import Store

# Times without a zone may be local ones: no zone is further from UTC.
_ZONES: Final = timedelta(hours=14)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What the user says of the runs; None: not said, it is found."""

    run_id: str | None = None
    commit: str | None = None
    base: str | None = None
    branch: str | None = None
    job: str | None = None
    time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Here:
    """The run about to start: where it takes place, and what it is for.

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
    is_fork: bool = False
    began: datetime = field(default_factory=lambda: datetime.now(UTC))


def find_here(
    repo: Path | None,
    *,
    store: Store | None = None,
    options: RunOptions | None = None,
    change: Change | None = None,
) -> Here:
    """Find commit, branch, job and change of the run about to start.

    Parameters
    ----------
    repo : Path, optional
        Top folder of the repository.
    store : Store, optional
        Knows the commit of the run before.
    options : RunOptions, optional
        What the user says; ``commit`` is the head of the change.
    change : Change, optional
        Where it is known already, or known to be unknown.

    Returns
    -------
    Here

    Raises
    ------
    RevisionError
        When the base or the commit that the user names does not exist.
    """
    said, ci = options or RunOptions(), ci_context()
    began = said.time or datetime.now(UTC)
    context = RunContext(repo=repo, options=said, ci=ci)
    commit, branch = context.commit_at(began)
    if change is None and repo is not None:
        previous = None
        if store is not None and said.base is None and said.commit is None:
            previous = previous_commit(store, branch=branch, job=context.job, before=began)
        change = find_change(repo, base=said.base, head=said.commit, ci=ci, previous=previous)
    return Here(
        change or Change(known=False, why="there is no repository"),
        repo=repo,
        job=context.job,
        commit=commit,
        branch=branch,
        ci_run=ci.run if ci else None,
        is_fork=bool(ci and ci.is_fork),
        began=began,
    )


@dataclass(slots=True)
class RunContext:
    """Finds commit, branch, job and change of runs; git and the store are asked once."""

    repo: Path | None
    options: RunOptions
    ci: CiContext | None = None
    changes: Mapping[str, Sequence[FileChange]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    _head: tuple[str, str | None, datetime] | None = None
    _asked: bool = False

    @property
    def job(self) -> str:
        """Name of the job; empty where nobody says."""
        return self.options.job or (self.ci.job if self.ci else "") or ""

    def key(self) -> str:
        """Return what tells files of equal content apart: what the user and the CI system say."""
        said, ci = self.options, self.ci
        parts = [said.commit, said.base, said.branch, said.job, ci and ci.commit, ci and ci.job]
        when = said.time.isoformat() if said.time else ""
        return "\0".join([*(part or "" for part in parts), when])

    def commit_at(self, time: datetime) -> tuple[str | None, str | None]:
        """Return commit and branch of a run that took place at a time.

        The commit that is checked out is taken where neither the user nor the CI system names
        one, unless it is younger than the run: then the results are of an older commit.
        """
        commit, branch = self.options.commit, self.options.branch
        if self.ci is not None:
            commit, branch = commit or self.ci.commit, branch or self.ci.branch
        if commit is not None:
            return self._full(commit), branch
        head = self._checked_out()
        if head is None or head[2] > time + _ZONES:
            if head is not None:
                self.warnings.append(
                    f"results of {time:%Y-%m-%d} are older than the commit that is checked out; "
                    "name theirs with --commit"
                )
            return None, branch
        return head[0], branch or head[1]

    def _full(self, commit: str) -> str:
        """Return the full hash of a commit, or the commit as given where git has none."""
        if self.repo is None:
            return commit
        try:
            return resolve(self.repo, commit)
        except TestoptError:
            self.warnings.append(f"commit {commit} is not in the repository: its change is unknown")
            return commit

    def _checked_out(self) -> tuple[str, str | None, datetime] | None:
        if self.repo is not None and not self._asked:
            self._asked = True
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
        base = base or self.options.base
        if run_id in self.changes:
            return Change(files=tuple(self.changes[run_id]), head=commit, base=base)
        if self.repo is None or commit is None:
            return Change(head=commit, base=base, known=False, why="no repository, or no commit")
        try:
            if self.ci is not None and self.options.commit is None:
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
    found: str | None = runs["commit"][latest].as_py()
    return found
