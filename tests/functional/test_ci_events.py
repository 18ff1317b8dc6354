"""What a run in CI is of: event, checkout and the right commit, branch and change.

The events are as the providers document them: variables and payloads of GitHub Actions, GitLab,
Jenkins (multibranch), Buildkite, Azure Pipelines and CircleCI. In the history

    one ── two ── three                      main
      └─ f1 ── f2 ── f3                      topic

`test` merges f3 into three, as providers do to test a pull request, and `queue` puts f2 (of another
pull request) and f3 on top of three, as a merge queue that rebases.
"""

from __future__ import annotations

import json
from typing import NamedTuple

import pytest

from testopt.git.ci_job import ci_job
from testopt.git.pending_run import find_pending_run
from testopt.git.run_identity import RunIdentity
from testopt.schema import Run, RunRecord
from testopt.store import Store

pytestmark = pytest.mark.usefixtures("no_ci")

ZERO = "0" * 40
UNKNOWN = None
TOPIC = ("f1.py", "f2.py", "f3.py")


class Case(NamedTuple):
    """An event, what is checked out, and what is right.

    In values `{name}` is the hash of a commit. ``remotes`` are the branches that the clone has
    of the remote; ``job`` where that is not the provider's whole answer.
    """

    provider: str
    env: dict[str, str]
    checkout: str
    change: tuple[str, ...] | None
    branch: str | None = "topic"
    event: dict | None = None
    commit: str | None = None
    remotes: tuple[str, ...] = ("main", "topic")
    local: str | None = None
    is_fork: bool = False


def github(name, sha, ref, checkout, change, *, event=None, **rest):
    env = {"GITHUB_EVENT_NAME": name, "GITHUB_SHA": sha, "GITHUB_REF": ref, "GITHUB_JOB": "t"}
    env |= {k: rest.pop(k) for k in list(rest) if k.startswith("GITHUB_")}
    event = {"repository": {"id": 1, "default_branch": "main"}, **(event or {})}
    return Case("GITHUB_ACTIONS", env, checkout, change, event=event, **rest)


def pull(base="{two}", head="{f3}", owner=1):
    return {
        "pull_request": {
            "number": 7,
            "head": {"sha": head, "ref": "topic", "repo": {"id": owner}},
            "base": {"sha": base, "ref": "main", "repo": {"id": 1}},
        }
    }


PULL_VARIABLES = {"GITHUB_HEAD_REF": "topic", "GITHUB_BASE_REF": "main"}
MAIN = "refs/heads/main"
GITLAB_MR = {
    "CI_COMMIT_SHA": "{f3}", "CI_COMMIT_BEFORE_SHA": ZERO, "CI_DEFAULT_BRANCH": "main",
    "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": "topic", "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main",
    "CI_MERGE_REQUEST_DIFF_BASE_SHA": "{one}", "CI_JOB_NAME": "t",
}  # fmt: skip
GITLAB_MERGED = {
    **GITLAB_MR, "CI_COMMIT_SHA": "{test}", "CI_MERGE_REQUEST_SOURCE_BRANCH_SHA": "{f3}",
    "CI_MERGE_REQUEST_TARGET_BRANCH_SHA": "{three}",
}  # fmt: skip
AZURE_PULL = {
    "BUILD_SOURCEVERSION": "{test}", "BUILD_SOURCEBRANCH": "refs/pull/7/merge",
    "SYSTEM_PULLREQUEST_SOURCEBRANCH": "refs/heads/topic",
    "SYSTEM_PULLREQUEST_TARGETBRANCH": MAIN, "SYSTEM_PULLREQUEST_SOURCECOMMITID": "{f3}",
}  # fmt: skip
JENKINS_PULL = {
    "BRANCH_NAME": "PR-7", "CHANGE_ID": "7", "CHANGE_BRANCH": "topic", "CHANGE_TARGET": "main",
    "GIT_PREVIOUS_COMMIT": "{f2}", "JOB_NAME": "app/PR-7",
}  # fmt: skip
BUILDKITE_PULL = {
    "BUILDKITE_COMMIT": "{f3}", "BUILDKITE_BRANCH": "topic", "BUILDKITE_PULL_REQUEST": "7",
    "BUILDKITE_PULL_REQUEST_BASE_BRANCH": "main", "BUILDKITE_LABEL": "t",
}  # fmt: skip

CASES = {
    # GitHub Actions
    "pull_request: the test merge": github(
        "pull_request", "{test}", "refs/pull/7/merge", "test", TOPIC, event=pull(), **PULL_VARIABLES
    ),
    "pull_request: the test merge, target not fetched": github(
        "pull_request", "{test}", "refs/pull/7/merge", "test", TOPIC, event=pull(), remotes=(),
        **PULL_VARIABLES,
    ),
    "pull_request: head.sha": github(
        "pull_request", "{test}", "refs/pull/7/merge", "f3", TOPIC, event=pull(), **PULL_VARIABLES
    ),
    "pull_request: head.sha, nothing else fetched": github(
        "pull_request", "{test}", "refs/pull/7/merge", "f3", TOPIC, event=pull(), remotes=(),
        **PULL_VARIABLES,
    ),
    "pull_request: head.sha, base unknown": github(
        "pull_request", "{test}", "refs/pull/7/merge", "f3", UNKNOWN, event=pull(base="e" * 40),
        remotes=(), **PULL_VARIABLES,
    ),
    "pull_request from a fork": github(
        "pull_request", "{test}", "refs/pull/7/merge", "test", TOPIC, event=pull(owner=2),
        is_fork=True, **PULL_VARIABLES,
    ),
    "pull_request: the branch moved on since the event": github(
        "pull_request", "{test}", "refs/pull/7/merge", "f3", TOPIC, event=pull(head="{f2}"),
        **PULL_VARIABLES,
    ),
    "pull_request: merged meanwhile": github(
        "pull_request", "{test}", "refs/pull/7/merge", "f3", TOPIC, event=pull(base="{one}"),
        remotes=("main=f3",), **PULL_VARIABLES,
    ),
    "pull_request: merged meanwhile, base not fetched": github(
        "pull_request", "{test}", "refs/pull/7/merge", "f3", UNKNOWN, event=pull(base="e" * 40),
        remotes=("main=f3",), **PULL_VARIABLES,
    ),
    "pull_request_target: head.sha": github(
        "pull_request_target", "{three}", MAIN, "f3", TOPIC, event=pull(), **PULL_VARIABLES
    ),
    "pull_request_target: the test merge": github(
        "pull_request_target", "{three}", MAIN, "test", TOPIC, event=pull(), **PULL_VARIABLES
    ),
    "pull_request_target: the target, as by default": github(
        "pull_request_target", "{three}", MAIN, "three", ("three.py",), event=pull(base="{three}"),
        branch="main", **PULL_VARIABLES,
    ),
    "pull_request_review names its branches in the event": github(
        "pull_request_review", "{test}", "refs/pull/7/merge", "test", TOPIC, event=pull()
    ),
    "issue_comment: the head of the pull request": github(
        "issue_comment", "{three}", MAIN, "f3", TOPIC,
        event={"issue": {"number": 7, "pull_request": {"url": "u"}}},
    ),
    "issue_comment: head, default branch not fetched": github(
        "issue_comment", "e" * 40, MAIN, "f3", UNKNOWN, remotes=("topic",),
    ),
    "workflow_dispatch: another branch": github(
        "workflow_dispatch", "{three}", MAIN, "f3", TOPIC, event={"inputs": {"ref": "topic"}},
        local="topic",
    ),
    "workflow_dispatch: on the branch itself": github(
        "workflow_dispatch", "{f3}", "refs/heads/topic", "f3", TOPIC
    ),
    "workflow_dispatch: main": github(
        "workflow_dispatch", "{three}", MAIN, "three", ("three.py",), branch="main"
    ),
    "schedule": github("schedule", "{three}", MAIN, "three", ("three.py",), branch="main"),
    "push": github(
        "push", "{f3}", "refs/heads/topic", "f3", ("f2.py", "f3.py"), event={"before": "{f1}"}
    ),
    "push: forced, the commit before is gone": github(
        "push", "{f3}", "refs/heads/topic", "f3", UNKNOWN, event={"before": "e" * 40}
    ),
    "push: first of a branch": github(
        "push", "{f3}", "refs/heads/topic", "f3", TOPIC, event={"before": ZERO, "created": True}
    ),
    "push: first of a branch, default branch not fetched": github(
        "push", "{f3}", "refs/heads/topic", "f3", UNKNOWN, event={"before": ZERO},
        remotes=("topic",),
    ),
    "push: first of a repository": github(
        "push", "{three}", MAIN, "three", ("three.py",), event={"before": ZERO}, branch="main"
    ),
    "push: to main": github(
        "push", "{three}", MAIN, "three", ("three.py", "two.py"), event={"before": "{one}"},
        branch="main",
    ),
    "push: another ref checked out": github(
        "push", "{three}", MAIN, "f3", TOPIC, event={"before": "{two}"}
    ),
    "push: the job has committed something": github(
        "push", "{three}", MAIN, "bump", ("bump.txt", "three.py"), event={"before": "{two}"},
        branch="main", local="main",
    ),
    "dispatch: the job has committed something": github(
        "workflow_dispatch", "{three}", MAIN, "bump", ("bump.txt", "three.py"),
        branch="main", local="main",
    ),
    "push of a tag": github(
        "push", "{three}", "refs/tags/v1", "three", ("three.py",), event={"before": ZERO},
        branch=None,
    ),
    "merge_group: rebased": github(
        "merge_group", "{queue}", "refs/heads/gh-readonly-queue/main/pr-7-{three}", "queue",
        ("f2.py", "f3.py"), branch="gh-readonly-queue/main/pr-7-{three}",
        event={"merge_group": {"head_sha": "{queue}", "base_sha": "{three}", "base_ref": MAIN}},
    ),
    "merge_group: the base is not here": github(
        "merge_group", "{queue}", "refs/heads/gh-readonly-queue/main/pr-7-{three}", "queue",
        UNKNOWN, branch="gh-readonly-queue/main/pr-7-{three}",
        event={"merge_group": {"head_sha": "{queue}", "base_sha": "e" * 40}},
    ),
    # GitLab
    "gitlab: merge request": Case("GITLAB_CI", GITLAB_MR, "f3", TOPIC),
    "gitlab: merge request, target not fetched": Case(
        "GITLAB_CI", GITLAB_MR, "f3", TOPIC, remotes=()
    ),
    "gitlab: merged result": Case("GITLAB_CI", GITLAB_MERGED, "test", TOPIC, remotes=()),
    "gitlab: merge train": Case(
        "GITLAB_CI", {**GITLAB_MERGED, "CI_MERGE_REQUEST_EVENT_TYPE": "merge_train"}, "test", TOPIC
    ),
    "gitlab: first push of a branch": Case(
        "GITLAB_CI",
        {"CI_COMMIT_SHA": "{f3}", "CI_COMMIT_BRANCH": "topic", "CI_COMMIT_BEFORE_SHA": ZERO,
         "CI_DEFAULT_BRANCH": "main"},
        "f3", TOPIC,
    ),
    "gitlab: first push, default branch not fetched": Case(
        "GITLAB_CI",
        {"CI_COMMIT_SHA": "{f3}", "CI_COMMIT_BRANCH": "topic", "CI_DEFAULT_BRANCH": "main"},
        "f3", UNKNOWN, remotes=("topic",),
    ),
    "gitlab: push": Case(
        "GITLAB_CI",
        {"CI_COMMIT_SHA": "{f3}", "CI_COMMIT_BRANCH": "topic", "CI_COMMIT_BEFORE_SHA": "{f2}"},
        "f3", ("f3.py",),
    ),
    "gitlab: schedule on main": Case(
        "GITLAB_CI",
        {"CI_COMMIT_SHA": "{three}", "CI_COMMIT_BRANCH": "main", "CI_COMMIT_BEFORE_SHA": ZERO,
         "CI_DEFAULT_BRANCH": "main"},
        "three", ("three.py",), branch="main",
    ),
    "gitlab: pull request of GitHub": Case(
        "GITLAB_CI",
        {"CI_COMMIT_SHA": "{f3}", "CI_EXTERNAL_PULL_REQUEST_SOURCE_BRANCH_NAME": "topic",
         "CI_EXTERNAL_PULL_REQUEST_TARGET_BRANCH_NAME": "main",
         "CI_EXTERNAL_PULL_REQUEST_TARGET_BRANCH_SHA": "{three}",
         "CI_EXTERNAL_PULL_REQUEST_SOURCE_BRANCH_SHA": "{f3}"},
        "f3", TOPIC, remotes=(),
    ),
    # Jenkins, multibranch
    "jenkins: pull request, merged with its target": Case(
        "JENKINS_URL", {**JENKINS_PULL, "GIT_COMMIT": "{f3}"}, "test", TOPIC
    ),
    "jenkins: pull request, its head": Case(
        "JENKINS_URL", {**JENKINS_PULL, "GIT_COMMIT": "{f3}"}, "f3", TOPIC
    ),
    "jenkins: pull request, target not fetched": Case(
        "JENKINS_URL", {**JENKINS_PULL, "GIT_COMMIT": "{f3}"}, "f3", UNKNOWN, remotes=()
    ),
    "jenkins: branch built before": Case(
        "JENKINS_URL",
        {"BRANCH_NAME": "topic", "GIT_COMMIT": "{f3}", "GIT_PREVIOUS_COMMIT": "{f2}"},
        "f3", ("f3.py",),
    ),
    "jenkins: first build of a branch": Case(
        "JENKINS_URL", {"BRANCH_NAME": "topic", "GIT_COMMIT": "{f3}"}, "f3", TOPIC
    ),
    "jenkins: first build, nothing else fetched": Case(
        "JENKINS_URL", {"BRANCH_NAME": "topic"}, "f3", UNKNOWN, remotes=("topic",)
    ),
    # Buildkite
    "buildkite: pull request": Case("BUILDKITE", BUILDKITE_PULL, "f3", TOPIC),
    "buildkite: pull request, merge refspec": Case(
        "BUILDKITE", {**BUILDKITE_PULL, "BUILDKITE_PULL_REQUEST_USING_MERGE_REFSPEC": "true"},
        "test", TOPIC, remotes=(),
    ),
    "buildkite: branch": Case(
        "BUILDKITE",
        {"BUILDKITE_COMMIT": "HEAD", "BUILDKITE_BRANCH": "topic", "BUILDKITE_PULL_REQUEST": "false",
         "BUILDKITE_PIPELINE_DEFAULT_BRANCH": "main"},
        "f3", TOPIC,
    ),
    "buildkite: merge queue": Case(
        "BUILDKITE",
        {"BUILDKITE_COMMIT": "{queue}", "BUILDKITE_BRANCH": "gh-readonly-queue/main/pr-7",
         "BUILDKITE_MERGE_QUEUE_BASE_COMMIT": "{three}"},
        "queue", ("f2.py", "f3.py"), branch="gh-readonly-queue/main/pr-7",
    ),
    # Azure Pipelines
    "azure: pull request": Case("TF_BUILD", AZURE_PULL, "test", TOPIC, remotes=()),
    "azure: pull request, its head": Case("TF_BUILD", AZURE_PULL, "f3", TOPIC),
    "azure: branch": Case(
        "TF_BUILD", {"BUILD_SOURCEVERSION": "{f3}", "BUILD_SOURCEBRANCH": "refs/heads/topic"},
        "f3", TOPIC,
    ),
    "azure: tag": Case(
        "TF_BUILD", {"BUILD_SOURCEVERSION": "{three}", "BUILD_SOURCEBRANCH": "refs/tags/v1"},
        "three", ("three.py",), branch=None,
    ),
    # CircleCI
    "circleci: first push of a branch": Case(
        "CIRCLECI", {"CIRCLE_SHA1": "{f3}", "CIRCLE_BRANCH": "topic", "CIRCLE_JOB": "t"},
        "f3", TOPIC,
    ),
    "circleci: main": Case(
        "CIRCLECI", {"CIRCLE_SHA1": "{three}", "CIRCLE_BRANCH": "main", "CIRCLE_JOB": "t"},
        "three", ("three.py",), branch="main",
    ),
}  # fmt: skip


@pytest.fixture
def repo(make_repo):
    made = make_repo()
    made.commits = {"one": made.commit("one", {"one.py": "1\n"})}
    made.git("checkout", "-q", "-b", "topic")
    for name in ("f1", "f2", "f3"):
        made.commits[name] = made.commit(name, {f"{name}.py": "1\n"})
    made.git("checkout", "-q", "main")
    for name in ("two", "three"):
        made.commits[name] = made.commit(name, {f"{name}.py": "1\n"})
    made.git("checkout", "-q", "--detach")
    words = f"Merge {made.commits['f3']} into {made.commits['three']}"
    made.git("merge", "-q", "--no-ff", "-m", words, made.commits["f3"])
    made.commits["test"] = made.git("rev-parse", "HEAD")
    made.git("checkout", "-q", "--detach", made.commits["three"])
    made.commit("f2 again", {"f2.py": "1\n"})
    made.commits["queue"] = made.commit("f3 again", {"f3.py": "1\n"})
    made.git("checkout", "-q", "--detach", made.commits["three"])
    made.commits["bump"] = made.commit("version 2", {"bump.txt": "2\n"})
    made.git("branch", "-q", "-D", "main", "topic")
    return made


def put(case, repo, tmp_path, monkeypatch):
    """Make a clone as the provider does, and its variables."""
    for remote in case.remotes:
        name, _, commit = remote.partition("=")
        commit = commit or {"main": "three", "topic": "f3"}[name]
        repo.git("update-ref", f"refs/remotes/origin/{name}", repo.commits[commit])
    if case.local:
        repo.git("checkout", "-q", "-B", case.local, repo.commits[case.checkout])
    else:
        repo.git("checkout", "-q", "--detach", repo.commits[case.checkout])

    def filled(text):
        for name, sha in repo.commits.items():
            text = text.replace("{" + name + "}", sha)
        return text

    for name, value in {case.provider: "true", **case.env}.items():
        monkeypatch.setenv(name, filled(value))
    if case.event is not None:
        path = tmp_path / "event.json"
        path.write_text(filled(json.dumps(case.event)))
        monkeypatch.setenv("GITHUB_EVENT_PATH", str(path))
    return filled


@pytest.mark.parametrize("name", CASES)
def test_event(repo, tmp_path, monkeypatch, testopt, name):
    case = CASES[name]
    filled = put(case, repo, tmp_path, monkeypatch)
    right = (repo.commits[case.checkout], case.branch and filled(case.branch), case.is_fork)
    run = find_pending_run(RunIdentity(repo=repo.path, ci=ci_job()))
    assert (run.commit, run.branch, run.is_fork) == right
    paths = tuple(sorted(f.path for f in run.change.files)) if run.change.known else UNKNOWN
    assert paths == case.change, run.change
    # and the same of its results
    results = tmp_path / "j.xml"
    results.write_text('<testsuite><testcase classname="C" name="a"/></testsuite>')
    store = tmp_path / "store"
    done = testopt("--repo", repo.path, "--store", store, "ingest", results)
    assert done.code == 0, done.err
    (row,) = Store.open(str(store)).read("runs").to_pylist()
    assert (row["commit"], row["branch"], row["base"]) == (*right[:2], run.change.base)
    found = Store.open(str(store)).read("run_changes").to_pylist()
    assert tuple(sorted(file["path"] for file in found)) == (case.change or ())


def test_the_run_before_comes_before_the_merge_base(repo, tmp_path, monkeypatch):
    put(CASES["workflow_dispatch: on the branch itself"], repo, tmp_path, monkeypatch)
    store = Store.open(str(tmp_path / "store"), create=True)
    from datetime import UTC, datetime

    earlier = Run(
        "r", datetime(2025, 1, 1, tzinfo=UTC), "t", commit=repo.commits["f2"], branch="topic"
    )
    store.append_runs([RunRecord(earlier, [])])
    run = find_pending_run(RunIdentity(repo=repo.path, ci=ci_job()), store=store)
    assert [f.path for f in run.change.files] == ["f3.py"]


WORKFLOW_RUN = {
    "head_sha": "{f3}", "head_branch": "topic", "event": "pull_request", "pull_requests": [],
    "head_repository": {"id": 1},
}  # fmt: skip


@pytest.mark.parametrize(
    ("event", "change", "is_fork"),
    [
        (WORKFLOW_RUN, TOPIC, False),
        ({**WORKFLOW_RUN, "head_repository": {"id": 2}}, TOPIC, True),
        (
            {**WORKFLOW_RUN, "pull_requests": [{"base": {"ref": "main", "sha": "{two}"}}]},
            TOPIC,
            False,
        ),
        ({**WORKFLOW_RUN, "head_sha": "e" * 40}, UNKNOWN, False),
    ],
)
def test_results_of_another_workflow(repo, tmp_path, monkeypatch, event, change, is_fork):
    case = github("workflow_run", "{three}", MAIN, "three", change, event={"workflow_run": event})
    filled = put(case, repo, tmp_path, monkeypatch)
    identity = RunIdentity(repo=repo.path, ci=ci_job())
    from datetime import UTC, datetime

    commit, branch = identity.commit_at(datetime.now(UTC))
    assert (commit, branch) == (filled(event["head_sha"]), "topic")
    assert identity.ci.is_fork == is_fork
    found = identity.change_of("r", commit=commit)
    assert found.known == (change is not UNKNOWN)
    assert tuple(sorted(f.path for f in found.files)) == (change or ())
    # what this workflow itself would test is what it has checked out
    run = find_pending_run(RunIdentity(repo=repo.path, ci=ci_job()))
    assert (run.commit, run.branch) == (repo.commits["three"], "main")
    assert [f.path for f in run.change.files] == ["three.py"]


def test_of_a_bare_repository_the_commit_of_ci_is_taken(repo, tmp_path, monkeypatch):
    import subprocess

    put(CASES["push"], repo, tmp_path, monkeypatch)
    bare = tmp_path / "bare.git"
    repo.git("branch", "main", repo.commits["three"])
    repo.git("branch", "topic", repo.commits["f3"])
    repo.git("checkout", "-q", "main")
    subprocess.run(["git", "clone", "-q", "--bare", str(repo.path), str(bare)], check=True)
    run = find_pending_run(RunIdentity(repo=bare, ci=ci_job()))
    assert (run.commit, run.change.head) == (repo.commits["f3"],) * 2
    assert [f.path for f in run.change.files] == ["f2.py", "f3.py"]
