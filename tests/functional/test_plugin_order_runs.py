"""pytest obeys the order, alone and under xdist, and keeps what other options ask for."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.integration

SUITE = """
import pytest

def test_1(): pass
def test_2(): assert 0
@pytest.mark.parametrize("x", ["a::b", "back\\\\slash", "\\u00e9", "\\ud800", "line\\nbreak", ""])
def test_3(x): pass
def test_4(): pytest.skip("no")
"""


def order_of(result) -> list[str]:
    """Short names of the cases in the order in which they ran."""
    lines = [line for line in result.outlines if "::" in line and "%]" in line]
    return [line.split(".py::")[1].rsplit(" ", 4)[0].split(" ")[0] for line in lines]


@pytest.fixture
def run(pytester, with_plugin, fake_engine):
    def go(*args: str, engine: str = "reverse", at: str = ""):
        log = fake_engine(engine, at)
        result = pytester.runpytest_inprocess(*with_plugin, "-v", *args)
        result.requests = [json.loads(line) for line in log.read_text().splitlines()]
        return result

    return go


def test_rank_applies_the_order_and_sends_the_results(pytester, run):
    pytester.makepyfile(test_it=SUITE)
    plain = run("--testopt=off")
    ranked = run("--testopt=rank")
    assert plain.requests == []
    assert order_of(ranked) == order_of(plain)[::-1]
    assert ranked.ret == plain.ret == 1
    assert [r["op"] for r in ranked.requests] == ["start", "plan", "results", "end"]
    rows = {row[0]: row[1] for row in ranked.requests[2]["rows"]}
    assert sorted(rows.values()) == ["failed"] + ["passed"] * 7 + ["skipped"]
    assert set(rows) == set(ranked.requests[1]["ids"])
    assert "test_it.py::test_3[\\ud800]" in rows or "test_it.py::test_3[\ud800]" in rows
    ranked.stdout.fnmatch_lines(["testopt: fake order; fake record"])


def test_record_and_shadow_leave_the_order(pytester, run):
    pytester.makepyfile(test_it=SUITE)
    plain = order_of(run("--testopt=off"))
    for mode, ops in (("record", ["start"]), ("shadow", ["start", "plan"])):
        result = run(f"--testopt={mode}")
        assert order_of(result) == plain
        assert [r["op"] for r in result.requests] == [*ops, "results", "end"]


@pytest.mark.parametrize("args", [("--fixtures",), ("--markers",), ("--help",), ("--setup-plan",)])
def test_no_engine_where_nothing_runs(pytester, run, args):
    pytester.makepyfile(test_it=SUITE)
    assert run("--testopt=rank", *args).requests == []


def test_asked_for_by_environment_ini_or_project(pytester, run, monkeypatch):
    pytester.makepyfile("def test_1(): pass")
    monkeypatch.delenv("PYTEST_CURRENT_TEST", raising=False)
    monkeypatch.setenv("TESTOPT_MODE", "rank")
    assert run().requests[0]["mode"] == "rank"
    assert run("--testopt=record").requests[0]["mode"] == "record"
    monkeypatch.setenv("PYTEST_CURRENT_TEST", "an outer test")
    assert run().requests == []
    monkeypatch.delenv("TESTOPT_MODE")
    pytester.makepyprojecttoml('[tool.testopt]\nmode = "shadow"')
    assert run().requests[0]["mode"] == "shadow"
    pytester.makeini("[pytest]\ntestopt = record\ntestopt_base = main~3")
    assert run().requests[0] | {"mode": "record", "base": "main~3"} == run().requests[0]


def test_an_unknown_mode_runs_everything_and_says_so(pytester, run):
    pytester.makepyfile("def test_1(): pass")
    pytester.makeini("[pytest]\ntestopt = sideways")
    result = run("-q", "-q")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["testopt: inactive: unknown mode 'sideways'*"])


@pytest.mark.parametrize("name", ["TESTOPT_MODE", "TESTOPT"])
def test_a_variable_that_holds_no_mode_is_said_and_moves_nothing(pytester, run, monkeypatch, name):
    pytester.makepyfile("def test_1(): pass\ndef test_2(): pass")
    monkeypatch.delenv("PYTEST_CURRENT_TEST", raising=False)
    monkeypatch.setenv(name, "1")
    why = f"{name} is '1'; it takes off, record, rank, select or shadow"
    off = run("-qq")
    assert (off.ret, off.requests) == (0, [])
    off.stdout.fnmatch_lines([f"testopt: off: {why}"])
    pytester.makepyprojecttoml('[tool.testopt]\nmode = "select"')
    recorded = run("-qq")
    recorded.stdout.fnmatch_lines([f"testopt: recorded only: {why}"])
    assert [r["op"] for r in recorded.requests] == ["start", "results", "end"]
    assert recorded.requests[0]["mode"] == "record"
    assert recorded.requests[-1]["fell_back"] == ""
    # what is typed counts
    typed = run("--testopt=rank")
    assert typed.requests[0]["mode"] == "rank"
    typed.stdout.no_fnmatch_line(f"*{name}*")


def test_the_short_variable_asks_for_a_mode_and_may_hold_a_path(pytester, run, monkeypatch):
    pytester.makepyfile("def test_1(): pass")
    monkeypatch.delenv("PYTEST_CURRENT_TEST", raising=False)
    monkeypatch.setenv("TESTOPT", " Rank\n")
    assert run().requests[0]["mode"] == "rank"
    monkeypatch.setenv("TESTOPT_MODE", "record")
    assert run().requests[0]["mode"] == "record"
    monkeypatch.delenv("TESTOPT_MODE")
    monkeypatch.setenv("TESTOPT", "/usr/bin/testopt")
    result = run()
    assert result.requests == []
    result.stdout.no_fnmatch_line("testopt:*")


def test_the_first_cases_and_why_stand_in_the_summary(pytester, run):
    pytester.makepyfile(test_it="".join(f"def test_{n}(): pass\n" for n in range(1, 6)))

    def said(*args, **options):
        result = run("-p", "no:cacheprovider", *args, **options)
        return [line for line in result.outlines if line.startswith("testopt: ")]

    whole = [
        "testopt: fake order; fake record",
        "testopt: first: test_it.py::test_5 - because of test_5; and more",
        "testopt:        test_it.py::test_4 - because of test_4; and more",
        "testopt:        test_it.py::test_3 - because of test_3; and more",
    ]
    assert said("--testopt=rank") == said("--testopt=rank", "-q") == whole  # beside -v
    assert said("--testopt=rank", "-qq") == []
    assert said("--testopt=rank", "-x", "-k", "test_1 or test_2") == [
        whole[0],
        *(line.replace("5", "2").replace("4", "1") for line in whole[1:3]),
    ]
    # where the order is not the plan's there is nothing to say
    assert said("--testopt=shadow", "-q")[1:] == []
    assert said("--testopt=record")[1:] == []
    assert said("--testopt=rank", engine="null")[1:] == []


def test_with_workers_the_controller_says_why(pytester, run, monkeypatch):
    pytest.importorskip("xdist")
    pytester.makepyfile(test_it="def test_1(): pass\ndef test_2(): pass\n")
    monkeypatch.setenv("FAKE_KNOWN", json.dumps(["test_it.py::test_2", "test_it.py::test_1"]))
    result = run("--testopt=rank", "-n", "2")
    assert [line for line in result.outlines if line.startswith("testopt: ")] == [
        "testopt: fake order; fake record",
        "testopt: first: test_it.py::test_2 - because of test_2; and more",
        "testopt:        test_it.py::test_1 - because of test_1; and more",
    ]


def test_quiet_runs_say_only_what_went_wrong(pytester, run):
    pytester.makepyfile("def test_1(): pass")
    assert "testopt:" not in run("-qq", "--testopt=rank").stdout.str()
    assert "testopt: original order" in run("-qq", "--testopt=rank", engine="null").stdout.str()


def test_the_same_file_twice(pytester, run):
    path = pytester.makepyfile("def test_1(): pass\ndef test_2(): pass")
    result = run("--testopt=rank", "--keep-duplicates", str(path), str(path))
    result.assert_outcomes(passed=4)
    ids = [i.split("::")[1] for i in result.requests[1]["ids"]]
    assert order_of(result) == ids[::-1]
    assert len(result.requests[2]["rows"]) == 4


def test_users_of_a_wide_fixture_stay_together(pytester, run):
    pytester.makepyfile(
        test_a="""
        import pytest
        @pytest.fixture(scope="module")
        def wide(): pass
        def test_1(wide): pass
        def test_2(): pass
        def test_3(wide): pass
        """,
        test_b="def test_4(): pass",
    )
    assert order_of(run("--testopt=rank")) == ["test_4", "test_3", "test_1", "test_2"]
    free = run("--testopt=rank", "--testopt-granularity=case")
    assert order_of(free) == ["test_4", "test_3", "test_2", "test_1"]
    whole = run("--testopt=rank", "--testopt-granularity=module")
    assert order_of(whole) == ["test_4", "test_3", "test_1", "test_2"]


def test_run_time_requests_bind_to_the_module(pytester, run):
    pytester.makepyfile(
        test_a="""
        import pytest
        @pytest.fixture(scope="module")
        def wide(): pass
        def test_1(request): request.getfixturevalue("wide")
        def test_2(request): request.getfixturevalue("wide")
        """,
        test_b="def test_3(): pass",
    )
    result = run("--testopt=rank", engine="shuffle", at="0")
    names = order_of(result)
    assert abs(names.index("test_1") - names.index("test_2")) == 1


def test_marks_that_order_hold(pytester, run):
    pytester.makeini("[pytest]\nmarkers =\n  dependency: x\n  incremental: x")
    pytester.makepyfile(
        """
        import pytest
        def test_1(): pass
        def test_2(): pass
        @pytest.mark.dependency
        def test_3(): pass
        def test_4(): pass
        def test_5(): pass
        @pytest.mark.incremental
        class TestSteps:
            def test_6(self): pass
            def test_7(self): pass
        """
    )
    names = ["test_2", "test_1", "test_3", "test_5", "test_4"]
    assert order_of(run("--testopt=rank"))[:5] == names
    assert [n[-6:] for n in order_of(run("--testopt=rank"))[5:]] == ["test_6", "test_7"]


def test_failed_first_goes_on_top(pytester, run):
    pytester.makepyfile("def test_1(): pass\ndef test_2(): assert 0\ndef test_3(): pass")
    run("--testopt=off")
    assert order_of(run("--testopt=rank", "--ff")) == ["test_2", "test_3", "test_1"]
    assert order_of(run("--testopt=rank", "--lf")) == ["test_2"]


def test_stepwise_keeps_its_order(pytester, run):
    pytester.makepyfile("def test_1(): pass\ndef test_2(): pass")
    result = run("--testopt=rank", "--stepwise")
    assert order_of(result) == ["test_1", "test_2"]
    result.stdout.fnmatch_lines(["testopt: original order: --stepwise*"])


def test_nothing_collected_stays_exit_code_5(pytester, run):
    pytester.makepyfile("def helper(): pass")
    result = run("--testopt=rank")
    assert result.ret == 5
    assert {r["op"] for r in result.requests} <= {"start"}


SLOW_DISTS = [
    pytest.param(d, marks=pytest.mark.slow) for d in ("loadfile", "loadgroup", "worksteal")
]


@pytest.mark.parametrize("dist", ["load", "loadscope", *SLOW_DISTS])
def test_xdist_workers_apply_the_known_order(pytester, with_plugin, fake_engine, monkeypatch, dist):
    pytest.importorskip("xdist")
    names = [f"test_{i}" for i in range(8)]
    pytester.makepyfile(test_it="\n".join(f"def {name}(): pass" for name in names))
    pytester.makeconftest(
        """
        def pytest_xdist_make_scheduler(config, log):
            pass
        def pytest_xdist_node_collection_finished(node, ids):
            print("ORDER", *[i.split("::")[1] for i in ids])
        """
    )
    log = fake_engine("known")
    known = [f"test_it.py::{name}" for name in reversed(names[1:])]
    monkeypatch.setenv("FAKE_KNOWN", json.dumps([*known, "test_gone.py::test_x"]))
    args = ("-n", "2", "--dist", dist, "--testopt=rank", "-s")
    result = pytester.runpytest_inprocess(*with_plugin, *args)
    result.assert_outcomes(passed=8)
    order = "ORDER " + " ".join(["test_0", *reversed(names[1:])])
    assert result.outlines.count(order) == 2
    requests = [json.loads(line) for line in log.read_text().splitlines()]
    assert [r["op"] for r in requests] == ["start", "known", "results", "end"]
    assert len(requests[2]["rows"]) == 8


def test_xdist_each_only_records(pytester, run):
    pytest.importorskip("xdist")
    pytester.makepyfile("def test_1(): pass\ndef test_2(): pass")
    result = run("--testopt=rank", "--dist", "each", "--tx", "2*popen")
    result.assert_outcomes(passed=4)
    assert [r["op"] for r in result.requests] == ["start", "results", "end"]
    assert result.requests[0]["each"] is True
    result.stdout.fnmatch_lines(["testopt: original order: --dist each*"])


def test_a_crashed_worker_is_an_error_of_its_case(pytester, run):
    pytest.importorskip("xdist")
    pytester.makepyfile("import os\ndef test_1(): os._exit(1)\ndef test_2(): pass")
    result = run("--testopt=rank", "-n", "1")
    rows = [row for r in result.requests if r["op"] == "results" for row in r["rows"]]
    outcome = {row[0].split("::")[1]: row[1] for row in rows}
    assert outcome == {"test_1": "error", "test_2": "passed"}
