"""The commands that come next, as a shell would take them."""

from __future__ import annotations

import shlex

import pytest

from testopt.init.next_commands import _RUNNERS, next_commands
from testopt.runners.detect.found_runner import FoundRunner
from testopt.runners.registry import RUNNERS


def runner(name, form=None, folder="", **more):
    return FoundRunner(name=name, form=form or name, folder=folder, evidence="x", **more)


@pytest.mark.parametrize("name", _RUNNERS)
def test_every_runner_has_three_commands_of_formats_that_exist(name):
    form = {"django": "unittest"}.get(name, name)
    steps = next_commands(runner(name, form, launcher="start"))
    assert len(steps.commands) == 3
    for line in (*steps.once, *steps.commands):
        words = shlex.split(line)
        if "--format" in words:
            assert words[words.index("--format") + 1] in {*RUNNERS, "auto"}


def test_a_folder_is_quoted_and_is_no_option():
    steps = next_commands(runner("pytest", folder="-a b;c"))
    assert shlex.split(steps.commands[0]) == [
        "(cd", "./-a b;c", "&&", "pytest", "--testopt=record)",
    ]  # fmt: skip


def test_without_a_runner_the_report_is_read_that_ci_names():
    assert next_commands(None, ["out/junit.xml"]).commands[0] == "testopt ingest out/junit.xml"
