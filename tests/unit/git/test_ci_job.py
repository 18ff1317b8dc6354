import json

import pytest

from testopt.git.ci_job import ci_job

SHA, BASE = "a" * 40, "b" * 40


def test_outside_ci_there_is_nothing():
    assert ci_job({}) is None
    assert ci_job({"GITHUB_ACTIONS": ""}) is None


@pytest.mark.parametrize(
    ("head_repo", "fork"), [({"id": 1}, False), ({"id": 2}, True), (None, True)]
)
def test_github_pull_request(tmp_path, head_repo, fork):
    event = tmp_path / "event.json"
    pull = {"head": {"repo": head_repo}, "base": {"sha": BASE, "repo": {"id": 1}}}
    event.write_text(json.dumps({"pull_request": pull}))
    ci = ci_job(
        {
            "GITHUB_ACTIONS": "true",
            "GITHUB_EVENT_NAME": "pull_request",
            "GITHUB_EVENT_PATH": str(event),
            "GITHUB_SHA": SHA,
            "GITHUB_REF": "refs/pull/7/merge",
            "GITHUB_HEAD_REF": "topic",
            "GITHUB_BASE_REF": "main",
            "GITHUB_JOB": "unit",
            "GITHUB_RUN_ID": "12",
            "GITHUB_RUN_ATTEMPT": "2",
        }
    )
    assert (ci.commit, ci.base, ci.branch, ci.target) == (
        SHA,
        BASE,
        "topic",
        "main",
    )
    assert (ci.job, ci.run, ci.is_fork) == ("unit", "12-2", fork)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"\xff\xfe", b'{"pull_request": 3}', b"[" * 99_999]
)
def test_an_unreadable_github_event_is_left_alone(tmp_path, content):
    event = tmp_path / "event.json"
    event.write_bytes(content)
    ci = ci_job(
        {
            "GITHUB_ACTIONS": "true",
            "GITHUB_EVENT_PATH": str(event),
            "GITHUB_SHA": SHA,
            "GITHUB_REF": "refs/heads/main",
        }
    )
    assert (ci.branch, ci.base, ci.is_fork) == ("main", None, False)


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        (
            {
                "GITLAB_CI": "true",
                "CI_COMMIT_SHA": SHA,
                "CI_MERGE_REQUEST_IID": "3",
                "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": "topic",
                "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main",
                "CI_MERGE_REQUEST_DIFF_BASE_SHA": BASE,
                "CI_MERGE_REQUEST_PROJECT_ID": "1",
                "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "2",
                "CI_JOB_NAME": "test 2/5",
                "CI_PIPELINE_ID": "9",
            },
            ("topic", "main", BASE, "test", "9", True),
        ),
        (
            {
                "JENKINS_URL": "https://ci",
                "GIT_COMMIT": SHA,
                "BRANCH_NAME": "feature/x",
                "JOB_NAME": "team/app/feature%2Fx",
                "BUILD_TAG": "jenkins-4",
            },
            ("feature/x", None, None, "team/app", "jenkins-4", False),
        ),
        (
            {
                "CIRCLECI": "true",
                "CIRCLE_SHA1": SHA,
                "CIRCLE_BRANCH": "pull/4",
                "CIRCLE_PR_NUMBER": "4",
                "CIRCLE_JOB": "build",
                "CIRCLE_WORKFLOW_ID": "w",
            },
            ("pull/4", None, None, "build", "w", True),
        ),
        (
            {
                "BUILDKITE": "true",
                "BUILDKITE_COMMIT": SHA,
                "BUILDKITE_BRANCH": "topic",
                "BUILDKITE_PULL_REQUEST": "5",
                "BUILDKITE_PULL_REQUEST_BASE_BRANCH": "main",
                "BUILDKITE_REPO": "git@github.com:o/r.git",
                "BUILDKITE_PULL_REQUEST_REPO": "https://github.com/o/r",
                "BUILDKITE_LABEL": "tests",
                "BUILDKITE_BUILD_ID": "b",
            },
            ("topic", "main", None, "tests", "b", False),
        ),
        (
            {
                "TF_BUILD": "True",
                "BUILD_SOURCEVERSION": SHA,
                "SYSTEM_PULLREQUEST_SOURCEBRANCH": "refs/heads/topic",
                "SYSTEM_PULLREQUEST_TARGETBRANCH": "refs/heads/main",
                "SYSTEM_PULLREQUEST_ISFORK": "True",
                "SYSTEM_JOBNAME": "linux",
                "BUILD_BUILDID": "8",
                "SYSTEM_JOBATTEMPT": "1",
            },
            ("topic", "main", None, "linux", "8-1", True),
        ),
    ],
    ids=("gitlab", "jenkins", "circleci", "buildkite", "azure"),
)
def test_other_providers(env, expected):
    ci = ci_job(env)
    assert ci.commit == SHA
    assert expected == (
        ci.branch,
        ci.target,
        ci.base,
        ci.job,
        ci.run,
        ci.is_fork,
    )


def test_what_is_no_commit_hash_is_no_commit():
    assert ci_job({"BUILDKITE": "true", "BUILDKITE_COMMIT": "HEAD"}).commit is None
    env = {"GITLAB_CI": "true", "CI_COMMIT_SHA": "--output=x", "CI_COMMIT_BEFORE_SHA": "0" * 40}
    assert (ci_job(env).commit, ci_job(env).base) == (None, None)
