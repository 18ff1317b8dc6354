"""The plugin says which of the cases that were to run have no result, and pytest ends as ever."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.integration

SUITE = "def test_1(): pass\ndef test_2(): {}\ndef test_3(): pass\ndef test_4(): pass\n"
THIEF = """
import pytest
class Thief:
    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(self, items, config):
        yield
        gone, items[:] = items[:{count}], items[{count}:]
        if {tells}: config.hook.pytest_deselected(items=gone)
def pytest_configure(config): config.pluginmanager.register(Thief())
"""


@pytest.fixture
def run(pytester, with_plugin, fake_engine):
    def go(*args, body="pass", mode="rank", how="reverse", runs="-", process=False):
        pytester.makepyfile(test_it=SUITE.format(body))
        log = fake_engine(how, runs)
        start = pytester.runpytest_subprocess if process else pytester.runpytest_inprocess
        result = start(*with_plugin, f"--testopt={mode}", *args)
        requests = [json.loads(line) for line in log.read_text().splitlines()]
        result.end = next((r for r in requests if r["op"] == "end"), None)
        result.rows = [row for r in requests if r["op"] == "results" for row in r["rows"]]
        result.line = "\n".join(x for x in result.outlines if x.startswith("testopt: "))
        return result

    return go


@pytest.mark.parametrize("mode", ["record", "rank", "shadow"])
def test_a_whole_run_says_nothing(run, mode):
    result = run(mode=mode)
    assert "result:" not in result.line
    assert result.end["complete"] is True


@pytest.mark.parametrize(
    "args", [("-k", "test_1 or test_2"), ("--deselect", "test_it.py::test_3"), ("--ff",)]
)
def test_what_the_user_leaves_out_is_not_missing(run, args):
    result = run(*args)
    assert "result:" not in result.line
    assert result.end["complete"] is True


def test_the_last_failures_alone(run):
    run(body="assert 0")
    result = run("--lf", body="assert 0")
    result.assert_outcomes(failed=1)
    assert "result:" not in result.line
    assert result.end["complete"] is True


def test_a_stop_at_the_first_failure(run):
    result = run("-x", "-q", "-q", body="assert 0")
    assert (result.ret, result.line) == (1, "")  # pytest says so itself
    result = run("-x", body="assert 0")
    assert "1 of 4 cases without a result: stopping after 1 failures" in result.line
    assert result.end["complete"] is False


@pytest.mark.parametrize("body", ["raise KeyboardInterrupt", "__import__('pytest').exit('no')"])
def test_an_interruption(run, body):
    result = run(body=body, process=True)
    assert result.ret == 2
    assert "2 of 4 cases without a result: interrupted" in result.line
    # what was interrupted has not passed
    assert [row[0] for row in result.rows] == ["test_it.py::test_4", "test_it.py::test_3"]
    assert result.end["complete"] is False


@pytest.mark.parametrize("tells", [True, False])
def test_cases_that_another_plugin_takes_away(run, pytester, tells):
    pytester.makeconftest(THIEF.format(count=3, tells=tells))
    result = run()
    assert result.ret == 0
    said = "3 of 4 cases without a result: another plugin took them away" in result.line
    assert (said, result.end["complete"]) == (not tells, tells)


@pytest.mark.parametrize("tells", [True, False])
def test_a_run_of_nothing_is_never_fine(run, pytester, tells):
    pytester.makeconftest(THIEF.format(count=9, tells=tells))
    result = run("-q", "-q", mode="select", how="select", runs="test_2")
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED  # the plan kept a case
    assert result.line.endswith(
        "nothing ran: what the plan kept was deselected after it"
        if tells
        else "no case has a result: another plugin took them away"
    )
    assert result.end is None


def test_an_empty_selection_is_fine(run):
    result = run(mode="select", how="select", runs="none")
    assert (result.ret, "result:" in result.line) == (0, False)


def test_a_worker_that_crashes(run, monkeypatch):
    pytest.importorskip("xdist")
    kill = "__import__('os').kill(__import__('os').getpid(), 9)"
    known = [f"test_it.py::test_{n}" for n in range(1, 5)]
    monkeypatch.setenv("FAKE_KNOWN", json.dumps(known))
    result = run("-n1", "--max-worker-restart=0", body=kill)
    assert result.ret == 1
    assert "2 of 4 cases without a result: worker gw0 crashed" in result.line
    assert result.end["complete"] is False
