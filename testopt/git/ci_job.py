"""Reads what a CI provider says of the current job from its environment variables."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_MAX_EVENT_BYTES = 16 << 20  # GitHub's event payloads stay below 25 MB, usual ones below 100 kB
_SHA = re.compile(r"[0-9a-fA-F]{7,64}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class CiJob:
    """One job of a CI provider.

    ``commit`` is what was checked out (on GitHub a merge commit for pull requests), ``branch`` the
    branch of the change, ``target`` the branch that a pull request goes into, ``base`` the commit
    of the target, or the one before a push, where the provider gives it, ``job`` the job's name
    without shard or attempt, ``run`` an identifier of the pipeline with its attempt.
    """

    commit: str | None = None
    branch: str | None = None
    target: str | None = None
    base: str | None = None
    job: str = ""
    run: str | None = None
    is_fork: bool = False


def ci_job(env: Mapping[str, str] | None = None) -> CiJob | None:
    """Return what the CI provider says, or None outside the known ones.

    Parameters
    ----------
    env : mapping, optional
        Environment; default ``os.environ``. GitHub Actions, GitLab, Jenkins, CircleCI, Buildkite
        and Azure Pipelines are known.

    Returns
    -------
    CiJob or None
        Empty variables count as absent.
    """
    environ = os.environ if env is None else env
    for variable, read in _PROVIDERS.items():
        if environ.get(variable, "").strip():
            return read(_Env(environ))
    return None


class _Env:
    """Environment variables, empty ones and those that are no commits as None."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env

    def get(self, *names: str) -> str | None:
        """Return the first variable that is set to something."""
        return next((v for n in names if (v := self._env.get(n, "").strip())), None)

    def sha(self, *names: str) -> str | None:
        """Return the first variable that holds a commit hash."""
        return next((v for n in names if (v := _sha(self._env.get(n)))), None)


def _sha(value: object) -> str | None:
    text = value.strip() if isinstance(value, str) else ""
    return text.lower() if _SHA.match(text) and text.strip("0") else None


def _branch(ref: str | None) -> str | None:
    """Return the short name of a branch."""
    if ref is None:
        return None
    return re.sub(r"\A(refs/heads/|refs/remotes/origin/|origin/)", "", ref) or None


def _joined(*parts: str | None) -> str | None:
    return "-".join(p for p in parts if p) or None


def _github(env: _Env) -> CiJob:
    event = _github_event(env.get("GITHUB_EVENT_PATH"))
    pull = _dict(event.get("pull_request"))
    head, base = _dict(pull.get("head")), _dict(pull.get("base"))
    ref = env.get("GITHUB_REF") or ""
    pushed = ref if ref.startswith("refs/heads/") else None
    return CiJob(
        commit=env.sha("GITHUB_SHA"),
        branch=env.get("GITHUB_HEAD_REF") or _branch(pushed),
        target=env.get("GITHUB_BASE_REF"),
        base=_sha(base.get("sha")) or _sha(event.get("before")),
        job=env.get("GITHUB_JOB") or "",
        run=_joined(env.get("GITHUB_RUN_ID"), env.get("GITHUB_RUN_ATTEMPT")),
        is_fork=bool(pull) and _repository_id(head) != _repository_id(base),
    )


def _github_event(path: str | None) -> dict[str, Any]:
    """Return the payload of the event that started the workflow; empty when unreadable."""
    try:
        if path is None or Path(path).stat().st_size > _MAX_EVENT_BYTES:
            return {}
        return _dict(json.loads(Path(path).read_bytes()))
    except (OSError, ValueError, RecursionError):
        return {}


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _repository_id(side: dict[str, Any]) -> object:
    """Identify the repository of one side of a pull request; a deleted fork has none."""
    return _dict(side.get("repo")).get("id")


def _gitlab(env: _Env) -> CiJob:
    source = env.get("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME")
    projects = (
        env.get("CI_MERGE_REQUEST_SOURCE_PROJECT_ID"),
        env.get("CI_MERGE_REQUEST_PROJECT_ID"),
    )
    # With `parallel: N` the name of a job carries its shard: "test 1/4".
    job = re.sub(r" \d+/\d+\Z", "", env.get("CI_JOB_NAME") or "")
    return CiJob(
        commit=env.sha("CI_COMMIT_SHA"),
        branch=source or env.get("CI_COMMIT_BRANCH"),
        target=env.get("CI_MERGE_REQUEST_TARGET_BRANCH_NAME"),
        base=env.sha("CI_MERGE_REQUEST_DIFF_BASE_SHA", "CI_COMMIT_BEFORE_SHA"),
        job=job,
        run=env.get("CI_PIPELINE_ID"),
        is_fork=None not in projects and projects[0] != projects[1],
    )


def _jenkins(env: _Env) -> CiJob:
    change = env.get("CHANGE_ID")
    branch = env.get("CHANGE_BRANCH") if change else env.get("BRANCH_NAME", "GIT_BRANCH")
    # A multibranch job is named after its branch too: folder/project/branch.
    job, name = env.get("JOB_NAME") or "", env.get("BRANCH_NAME")
    for suffix in (name, name and name.replace("/", "%2F")):
        if suffix and job.endswith("/" + suffix):
            job = job[: -len(suffix) - 1]
            break
    return CiJob(
        commit=env.sha("GIT_COMMIT"),
        branch=_branch(branch),
        target=env.get("CHANGE_TARGET"),
        base=env.sha("GIT_PREVIOUS_COMMIT"),
        job=job,
        run=env.get("BUILD_TAG", "BUILD_NUMBER"),
        is_fork=env.get("CHANGE_FORK") is not None,
    )


def _circleci(env: _Env) -> CiJob:
    return CiJob(
        commit=env.sha("CIRCLE_SHA1"),
        branch=env.get("CIRCLE_BRANCH"),
        job=env.get("CIRCLE_JOB") or "",
        run=env.get("CIRCLE_WORKFLOW_ID", "CIRCLE_BUILD_NUM"),
        is_fork=env.get("CIRCLE_PR_NUMBER") is not None,  # set for forked pull requests only
    )


def _buildkite(env: _Env) -> CiJob:
    pull = env.get("BUILDKITE_PULL_REQUEST")
    is_pull = pull is not None and pull != "false"
    repos = env.get("BUILDKITE_REPO"), env.get("BUILDKITE_PULL_REQUEST_REPO")
    return CiJob(
        commit=env.sha("BUILDKITE_COMMIT"),  # may say HEAD
        branch=env.get("BUILDKITE_BRANCH"),
        target=env.get("BUILDKITE_PULL_REQUEST_BASE_BRANCH") if is_pull else None,
        job=env.get("BUILDKITE_STEP_KEY", "BUILDKITE_LABEL", "BUILDKITE_PIPELINE_SLUG") or "",
        run=env.get("BUILDKITE_BUILD_ID"),
        is_fork=is_pull and None not in repos and _bare_url(repos[0]) != _bare_url(repos[1]),
    )


def _bare_url(url: str | None) -> str:
    """Return host and path of a repository address, without scheme, user and ending."""
    text = re.sub(r"\A(\w+://)?([^@/]*@)?", "", url or "").replace(":", "/").rstrip("/")
    return text.removesuffix(".git").lower()


def _azure(env: _Env) -> CiJob:
    target = env.get("SYSTEM_PULLREQUEST_TARGETBRANCH")
    source = env.get("SYSTEM_PULLREQUEST_SOURCEBRANCH", "BUILD_SOURCEBRANCH")
    return CiJob(
        commit=env.sha("BUILD_SOURCEVERSION"),
        branch=_branch(source),
        target=_branch(target),
        job=env.get("SYSTEM_JOBNAME", "AGENT_JOBNAME") or "",
        run=_joined(env.get("BUILD_BUILDID"), env.get("SYSTEM_JOBATTEMPT")),
        is_fork=(env.get("SYSTEM_PULLREQUEST_ISFORK") or "").lower() == "true",
    )


# The variable by which a provider is known, most specific first: others run inside Jenkins.
_PROVIDERS: dict[str, Callable[[_Env], CiJob]] = {
    "GITHUB_ACTIONS": _github,
    "GITLAB_CI": _gitlab,
    "CIRCLECI": _circleci,
    "BUILDKITE": _buildkite,
    "TF_BUILD": _azure,
    "JENKINS_URL": _jenkins,
}
