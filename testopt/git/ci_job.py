"""Reads what a CI provider says of the current job from its environment variables."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_MAX_EVENT_BYTES = 16 << 20  # GitHub's event payloads stay below 25 MB, usual ones below 100 kB
_SHA = re.compile(r"[0-9a-fA-F]{7,64}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class CiJob:
    """One job of a CI provider.

    Attributes
    ----------
    commit : str or None
        What the event is about (on GitHub a merge commit for pull requests); the job may have
        checked out something else.
    branch : str or None
        Branch of the change.
    target : str or None
        Branch that a pull request goes into.
    base : str or None
        Commit of the target, or the one before a push, where the provider gives it.
    head : str or None
        Commit of a pull request's own branch.
    begin : str or None
        Commit that the change is compared with for certain, as a merge queue names it.
    default_branch : str or None
    own_branch : str or None
        Branch that ``commit`` belongs to, where that is not ``branch``.
    job : str
        The job's name without shard or attempt.
    run : str or None
        Identifier of the pipeline with its attempt.
    pipeline : str or None
        Identifier that all attempts of the pipeline, and of single jobs of it, have in common.
    attempt : int
        Which attempt this is, from 1; 1 too where the provider does not say.
    is_fork : bool
        Whether the change comes from a fork.
    is_elsewhere : bool
        Whether ``commit`` is what another pipeline tested, whose results this job reads.
    """

    commit: str | None = None
    branch: str | None = None
    target: str | None = None
    base: str | None = None
    head: str | None = None
    begin: str | None = None
    default_branch: str | None = None
    own_branch: str | None = None
    job: str = ""
    run: str | None = None
    pipeline: str | None = None
    attempt: int = 1
    is_fork: bool = False
    is_elsewhere: bool = False

    def without_event(self) -> CiJob:
        """Return what holds of the job whatever it has checked out."""
        return CiJob(
            default_branch=self.default_branch,
            job=self.job,
            run=self.run,
            pipeline=self.pipeline,
            attempt=self.attempt,
            is_fork=self.is_fork,
        )


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

    def number(self, name: str) -> int:
        """Return a small number; 0 where there is none."""
        text = self._env.get(name, "").strip()
        return int(text) if re.fullmatch(r"\d{1,3}", text, re.ASCII) else 0

    def sha(self, *names: str) -> str | None:
        """Return the first variable that holds a commit hash."""
        return next((v for n in names if (v := _sha(self._env.get(n)))), None)


def _sha(value: object) -> str | None:
    text = value.strip() if isinstance(value, str) else ""
    return text.lower() if _SHA.match(text) and text.strip("0") else None


def _branch(ref: str | None) -> str | None:
    """Return the short name of a branch; None for a tag, or a ref that a provider made."""
    name = re.sub(r"\A(refs/heads/|refs/remotes/origin/|origin/)", "", ref or "")
    return None if name.startswith("refs/") else name or None


def _joined(*parts: str | None) -> str | None:
    return "-".join(p for p in parts if p) or None


def _github(env: _Env) -> CiJob:
    event = _github_event(env.get("GITHUB_EVENT_PATH"))
    repository = _dict(event.get("repository"))
    job = CiJob(
        commit=env.sha("GITHUB_SHA"),
        branch=_branch(env.get("GITHUB_REF")),
        base=_sha(event.get("before")),
        default_branch=_text(repository.get("default_branch")),
        job=env.get("GITHUB_JOB") or "",
        run=_joined(env.get("GITHUB_RUN_ID"), env.get("GITHUB_RUN_ATTEMPT")),
        pipeline=env.get("GITHUB_RUN_ID"),
        attempt=max(env.number("GITHUB_RUN_ATTEMPT"), 1),
    )
    name = env.get("GITHUB_EVENT_NAME")
    if name == "workflow_run":
        return _github_workflow_run(job, _dict(event.get("workflow_run")), repository)
    if name == "merge_group":
        return replace(job, begin=_sha(_dict(event.get("merge_group")).get("base_sha")))
    return _github_pull_request(job, env, _dict(event.get("pull_request")))


def _github_pull_request(job: CiJob, env: _Env, pull: dict[str, Any]) -> CiJob:
    """Return what the event of a pull request says; only some name its branches by variables."""
    head, base = _dict(pull.get("head")), _dict(pull.get("base"))
    target = env.get("GITHUB_BASE_REF") or _text(base.get("ref"))
    if target is None:
        return job
    return replace(
        job,
        branch=env.get("GITHUB_HEAD_REF") or _text(head.get("ref")),
        own_branch=job.branch,  # of pull_request_target: the target
        target=target,
        base=_sha(base.get("sha")),
        head=_sha(head.get("sha")),
        is_fork=bool(pull) and _repository_id(head) != _repository_id(base),
    )


def _github_workflow_run(job: CiJob, run: dict[str, Any], repository: dict[str, Any]) -> CiJob:
    """Return what is said of the workflow that has ended; its results are read here."""
    if not (commit := _sha(run.get("head_sha"))):
        return job
    pulls = run.get("pull_requests")
    pull = _dict(pulls[0]) if isinstance(pulls, list) and len(pulls) == 1 else {}
    base = _dict(pull.get("base"))
    owner = _dict(run.get("head_repository")).get("id")
    return replace(
        job,
        commit=commit,
        branch=_text(run.get("head_branch")),
        target=_text(base.get("ref")),
        base=_sha(base.get("sha")),
        head=commit,
        is_fork=owner is not None and owner != repository.get("id"),
        is_elsewhere=True,
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


def _text(value: Any) -> str | None:
    return (value.strip() or None) if isinstance(value, str) else None


def _repository_id(side: dict[str, Any]) -> object:
    """Identify the repository of one side of a pull request; a deleted fork has none."""
    return _dict(side.get("repo")).get("id")


def _gitlab(env: _Env) -> CiJob:
    source = env.get(
        "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", "CI_EXTERNAL_PULL_REQUEST_SOURCE_BRANCH_NAME"
    )
    target = env.get(
        "CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "CI_EXTERNAL_PULL_REQUEST_TARGET_BRANCH_NAME"
    )
    projects = (
        env.get("CI_MERGE_REQUEST_SOURCE_PROJECT_ID"),
        env.get("CI_MERGE_REQUEST_PROJECT_ID"),
    )
    # With `parallel: N` the name of a job carries its shard: "test 1/4".
    job = re.sub(r" \d+/\d+\Z", "", env.get("CI_JOB_NAME") or "")
    return CiJob(
        commit=env.sha("CI_COMMIT_SHA"),
        branch=source or env.get("CI_COMMIT_BRANCH"),
        target=target,
        base=env.sha(
            "CI_MERGE_REQUEST_DIFF_BASE_SHA",
            "CI_EXTERNAL_PULL_REQUEST_TARGET_BRANCH_SHA",
            *(() if target else ("CI_COMMIT_BEFORE_SHA",)),
        ),
        # only where the pipeline tests the merged result, alone or in a merge train
        head=env.sha(
            "CI_MERGE_REQUEST_SOURCE_BRANCH_SHA", "CI_EXTERNAL_PULL_REQUEST_SOURCE_BRANCH_SHA"
        ),
        default_branch=env.get("CI_DEFAULT_BRANCH"),
        job=job,
        run=env.get("CI_PIPELINE_ID"),
        pipeline=env.get("CI_PIPELINE_ID"),
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
        branch=None if env.get("TAG_NAME") else _branch(branch),
        target=env.get("CHANGE_TARGET"),
        base=None if change else env.sha("GIT_PREVIOUS_COMMIT"),  # else of the target
        default_branch=name if env.get("BRANCH_IS_PRIMARY") == "true" else None,
        job=job,
        run=env.get("BUILD_TAG", "BUILD_NUMBER"),
        pipeline=env.get("BUILD_TAG", "BUILD_NUMBER"),
        is_fork=env.get("CHANGE_FORK") is not None,
    )


def _circleci(env: _Env) -> CiJob:
    return CiJob(
        commit=env.sha("CIRCLE_SHA1"),
        branch=env.get("CIRCLE_BRANCH"),
        job=env.get("CIRCLE_JOB") or "",
        run=env.get("CIRCLE_WORKFLOW_ID", "CIRCLE_BUILD_NUM"),  # another one in each attempt
        is_fork=env.get("CIRCLE_PR_NUMBER") is not None,  # set for forked pull requests only
    )


def _buildkite(env: _Env) -> CiJob:
    pull = env.get("BUILDKITE_PULL_REQUEST")
    is_pull = pull is not None and pull != "false"
    repos = env.get("BUILDKITE_REPO"), env.get("BUILDKITE_PULL_REQUEST_REPO")
    return CiJob(
        commit=env.sha("BUILDKITE_COMMIT"),  # may say HEAD
        # of a tag the branch is the tag's name
        branch=None if env.get("BUILDKITE_TAG") else env.get("BUILDKITE_BRANCH"),
        target=env.get("BUILDKITE_PULL_REQUEST_BASE_BRANCH") if is_pull else None,
        begin=env.sha("BUILDKITE_MERGE_QUEUE_BASE_COMMIT"),
        default_branch=env.get("BUILDKITE_PIPELINE_DEFAULT_BRANCH"),
        job=env.get("BUILDKITE_STEP_KEY", "BUILDKITE_LABEL", "BUILDKITE_PIPELINE_SLUG") or "",
        run=env.get("BUILDKITE_BUILD_ID"),
        pipeline=env.get("BUILDKITE_BUILD_ID"),
        attempt=env.number("BUILDKITE_RETRY_COUNT") + 1,
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
        head=env.sha("SYSTEM_PULLREQUEST_SOURCECOMMITID"),
        job=env.get("SYSTEM_JOBNAME", "AGENT_JOBNAME") or "",
        run=_joined(env.get("BUILD_BUILDID"), env.get("SYSTEM_JOBATTEMPT")),
        pipeline=env.get("BUILD_BUILDID"),
        attempt=max(env.number("SYSTEM_JOBATTEMPT"), 1),
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
