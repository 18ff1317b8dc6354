"""Commit, branch, job and change of the run about to start: from git, CI, user and store."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from testopt.context import RunOptions, find_here
from testopt.errors import RevisionError
from testopt.schema import Change, Run, RunRecord
from testopt.store import Store

pytestmark = pytest.mark.usefixtures("no_ci")


@pytest.fixture
def repo(make_repo):
    repo = make_repo()
    repo.shas = [repo.commit(f"c{n}", {f"m{n}.py": f"x = {n}\n"}) for n in range(4)]
    return repo


def store_with_run(folder, commit: str, **run) -> Store:
    store = Store.open(str(folder), create=True)
    values = {"branch": "main", **run}
    record = RunRecord(Run("r", datetime(2025, 1, 1, tzinfo=UTC), commit=commit, **values), [])
    store.append_runs([record])
    return store


def test_the_change_begins_at_the_run_before_of_the_same_branch_and_job(repo, tmp_path):
    store = store_with_run(tmp_path / "s", repo.shas[1])
    here = find_here(repo.path, store=store)
    assert (here.commit, here.branch, here.job) == (repo.shas[3], "main", "")
    assert (here.change.base, here.change.head) == (repo.shas[1], repo.shas[3])
    assert [f.path for f in here.change.files] == ["m2.py", "m3.py"]
    other = find_here(repo.path, store=store, options=RunOptions(job="windows"))
    assert (other.job, other.change.base) == ("windows", repo.shas[2])
    early = RunOptions(time=datetime(2024, 12, 1, tzinfo=UTC))
    assert find_here(repo.path, store=store, options=early).change.base == repo.shas[2]


def test_what_the_user_names_wins(repo, tmp_path):
    store = store_with_run(tmp_path / "s", repo.shas[1])
    named = find_here(repo.path, store=store, options=RunOptions(base=repo.shas[0]))
    assert named.change.base == repo.shas[0]
    head = find_here(repo.path, store=store, options=RunOptions(commit="HEAD~1"))
    assert (head.commit, head.change.base) == (repo.shas[2], repo.shas[1])
    for options in (RunOptions(base="nowhere"), RunOptions(commit="nowhere")):
        with pytest.raises(RevisionError):
            find_here(repo.path, options=options)


def test_a_change_that_is_given_is_kept_and_no_repository_has_none(repo):
    given = Change(base="b", head="h")
    assert find_here(repo.path, change=given).change is given
    nowhere = find_here(None)
    assert not nowhere.change.known
    assert nowhere.change.why == "there is no repository"


def test_ci_tells_job_run_and_forks(repo, monkeypatch):
    for name, value in {
        "BUILDKITE": "true", "BUILDKITE_LABEL": "tests", "BUILDKITE_BUILD_ID": "b7",
        "BUILDKITE_BRANCH": "feature", "BUILDKITE_COMMIT": repo.shas[2],
        "BUILDKITE_PULL_REQUEST": "5", "BUILDKITE_REPO": "git@host:me/it.git",
        "BUILDKITE_PULL_REQUEST_REPO": "git@host:you/it.git",
        "BUILDKITE_PULL_REQUEST_BASE_BRANCH": "main",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    here = find_here(repo.path)
    assert (here.commit, here.branch, here.is_fork) == (repo.shas[2], "feature", True)
    assert here.ci_run.startswith("b7")
