"""A job that is run again: what failed in it must run, also where nobody knows what that was."""

from __future__ import annotations

import pytest
from builders import make_record, new_store, prediction_row

from testopt.git.ci_job import ci_job
from testopt.git.pending_run import PendingRun
from testopt.schema import Change
from testopt.selection.repeated import why_again

GITHUB = {"GITHUB_ACTIONS": "true", "GITHUB_RUN_ID": "77", "GITHUB_JOB": "unit"}


def run_of(**env) -> PendingRun:
    ci = ci_job(env)
    return PendingRun(Change(), job=ci.job, ci_run=ci.run, pipeline=ci.pipeline, attempt=ci.attempt)


@pytest.fixture
def store(tmp_path):
    """The first part of the first attempt has come."""
    rows = [
        prediction_row("a", 1, executed=True, shard="1/2"),
        prediction_row("b", 2, executed=False, shard="2/2"),
    ]
    known = make_record("77-1/x", ["a"], predictions=rows, job="unit", pipeline_run="77-1")
    return new_store(tmp_path, records=[known])


def test_the_first_attempt_is_as_any(store):
    for env in ({}, {"GITHUB_RUN_ATTEMPT": "1"}, {"GITHUB_RUN_ATTEMPT": "soon"}):
        assert why_again(run_of(**GITHUB, **env), None) is None
    assert why_again(PendingRun(Change()), None) is None


@pytest.mark.parametrize(
    "env",
    [
        {**GITHUB, "GITHUB_RUN_ATTEMPT": "3"},
        {"BUILDKITE": "true", "BUILDKITE_BUILD_ID": "77", "BUILDKITE_RETRY_COUNT": "2"},
        {"TF_BUILD": "True", "BUILD_BUILDID": "77", "SYSTEM_JOBATTEMPT": "3"},
    ],
)
def test_a_later_attempt_of_which_the_store_knows_nothing_runs_everything(tmp_path, env):
    run = run_of(**env)
    assert (run.pipeline, run.attempt) == ("77", 3)
    assert why_again(run, None).values == (3,)
    assert why_again(run, new_store(tmp_path)).values == (3,)


def test_what_the_store_knows_need_not_all_run_again(store):
    run = run_of(**GITHUB, GITHUB_RUN_ATTEMPT="2")
    assert why_again(run, store) is None
    assert why_again(run, store, (1, 2)) is None
    assert why_again(run, store, (2, 2)) is not None
    assert why_again(run_of(**GITHUB | {"GITHUB_JOB": "lint"}, GITHUB_RUN_ATTEMPT="2"), store)
    assert why_again(run_of(**GITHUB | {"GITHUB_RUN_ID": "7"}, GITHUB_RUN_ATTEMPT="2"), store)


def test_the_draws_of_parts_are_those_of_the_pipeline():
    from testopt.schema import Selection
    from testopt.selection.request import complete_selection
    from testopt.settings import Settings

    def key(run, **given):
        return complete_selection(Selection(), settings=Settings(), run=run, **given).key

    first = run_of(**GITHUB, GITHUB_RUN_ATTEMPT="1")
    again = run_of(**GITHUB | {"GITHUB_JOB": "unit-2"}, GITHUB_RUN_ATTEMPT="2")
    assert key(first, part=(1, 2)) == key(again, part=(2, 2), run_id="x") == "77"
    assert key(first, run_id="x") == "x"
    at = PendingRun(Change(), job="a", commit="c1"), PendingRun(Change(), job="b", commit="c1")
    assert key(at[0], part=(1, 2)) == key(at[1], part=(2, 2)) == "c1"
    assert key(at[0]) != key(at[1])
