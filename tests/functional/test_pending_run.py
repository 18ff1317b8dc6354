"""Commit, branch, job and change of the run about to start: from git, CI, user and store."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from builders import make_record, new_store

from testopt.errors import RevisionError
from testopt.git.ci_job import ci_job
from testopt.git.pending_run import PendingRun, find_pending_run
from testopt.git.run_identity import RunIdentity
from testopt.schema import Change

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("no_ci")]


@pytest.fixture
def repo(make_repo):
    repo = make_repo()
    repo.shas = [repo.commit(f"c{n}", {f"m{n}.py": f"x = {n}\n"}) for n in range(4)]
    return repo


def store_with_run(folder, commit: str, **run):
    earlier = datetime(2025, 1, 1, tzinfo=UTC)
    record = make_record(time=earlier, commit=commit, **{"branch": "main", **run})
    return new_store(folder, records=[record])


def find(repo, *, store=None, change=None, **named) -> PendingRun:
    identity = RunIdentity(repo=repo, ci=ci_job(), **named)
    return find_pending_run(identity, store=store, change=change)


def test_the_change_begins_at_the_run_before_of_the_same_branch_and_job(repo, tmp_path):
    store = store_with_run(tmp_path / "s", repo.shas[1])
    run = find(repo.path, store=store)
    assert (run.commit, run.branch, run.job) == (repo.shas[3], "main", "")
    assert (run.change.base, run.change.head) == (repo.shas[1], repo.shas[3])
    assert [f.path for f in run.change.files] == ["m2.py", "m3.py"]
    other = find(repo.path, store=store, job="windows")
    assert (other.job, other.change.base) == ("windows", repo.shas[2])
    early = find(repo.path, store=store, time=datetime(2024, 12, 1, tzinfo=UTC))
    assert early.change.base == repo.shas[2]


def test_what_the_user_names_wins(repo, tmp_path):
    store = store_with_run(tmp_path / "s", repo.shas[1])
    named = find(repo.path, store=store, base=repo.shas[0])
    assert named.change.base == repo.shas[0]
    head = find(repo.path, store=store, commit="HEAD~1")
    assert (head.commit, head.change.base) == (repo.shas[2], repo.shas[1])
    for name in ("base", "commit"):
        with pytest.raises(RevisionError):
            find(repo.path, **{name: "nowhere"})


def test_a_change_that_is_given_is_kept_and_no_repository_has_none(repo):
    given = Change(base="b", head="h")
    assert find(repo.path, change=given).change is given
    nowhere = find(None)
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
    repo.git("checkout", "-q", "--detach", repo.shas[2])
    run = find(repo.path)
    assert (run.commit, run.branch, run.is_fork) == (repo.shas[2], "feature", True)
    assert run.ci_run.startswith("b7")
