"""pytest leaves out what a plan leaves out, and nothing else, alone and under xdist."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatch

import pytest
from builders import make_record

from testopt.schema import FileChange, RunRecord
from testopt.selection.policy import Policy
from testopt.store import Store

pytestmark = pytest.mark.integration

SUITE = """
import pytest

def test_1(): pass
def test_2(): assert 0
def test_3(): pass
@pytest.mark.testopt_always
def test_4(): pass
"""
ALL = ["test_1", "test_2", "test_3", "test_4"]


def ran(result) -> list[str]:
    """Names of the cases that ran, in order."""
    lines = [line for line in result.outlines if "::" in line and "%]" in line]
    return [line.split("::")[1][:6] for line in lines]


@pytest.fixture
def run(pytester, with_plugin, fake_engine):
    def go(*args: str, runs: str = "test_2", mode: str = "select", how: str = "select"):
        log = fake_engine(how, runs)
        result = pytester.runpytest_inprocess(*with_plugin, "-v", f"--testopt={mode}", *args)
        result.requests = [json.loads(line) for line in log.read_text().splitlines()]
        return result

    return go


def test_what_the_plan_leaves_out_is_deselected(pytester, run):
    pytester.makepyfile(test_it=SUITE)
    result = run("--strict-markers")
    assert ran(result) == ["test_4", "test_2"]
    result.assert_outcomes(passed=1, failed=1, deselected=2)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["testopt: fake order; fake record", "testopt: promise: as asked"])
    assert result.requests[1]["required"] == [3]
    assert [row[0].split("::")[1] for row in result.requests[2]["rows"]] == ["test_4", "test_2"]
    # the run did all that it was to do
    assert result.requests[3]["complete"] is True


def test_what_is_asked_arrives_as_it_was_written(pytester, run):
    pytester.makepyfile(test_it=SUITE)
    pytester.makeini("[pytest]\ntestopt_recall = 0.9\ntestopt_fraction = 0.5\n")
    asked = run("--testopt-budget=10m", "--testopt-shard=1/2", "--testopt-fraction=0.2")
    assert asked.requests[0]["selection"] == {
        "recall": "0.9", "fraction": "0.2", "budget": "10m", "shard": "1/2",
    }  # fmt: skip


def test_in_shadow_nothing_is_applied(pytester, run):
    pytester.makepyfile(test_it=SUITE)
    result = run(mode="shadow")
    assert ran(result) == ALL
    result.stdout.fnmatch_lines(["testopt: promise: as asked"])


@pytest.mark.parametrize("odd", ["[1]", "[1, 0, 2, 0]", '"all"', "[true, false, true, true]", "{}"])
def test_a_selection_of_another_form_runs_everything(pytester, run, odd):
    pytester.makepyfile(test_it=SUITE)
    result = run(runs=odd, how="select-odd")
    assert ran(result) == ALL
    why = "the engine's selection is not one of the cases"
    result.stdout.fnmatch_lines([f"testopt: *original order: {why}*"])
    assert result.requests[-1]["fell_back"] == why


def test_nothing_to_run_is_no_failure_where_there_were_cases(pytester, run):
    pytester.makepyfile("def test_1(): pass\ndef test_2(): pass")
    result = run(runs="none")
    assert result.ret == 0
    result.assert_outcomes(deselected=2)


@pytest.mark.parametrize("args", [("-k", "nothing"), ("--deselect=test_it.py",)])
def test_nothing_to_run_stays_exit_code_5_where_there_were_none(pytester, run, args):
    pytester.makepyfile(test_it="def test_1(): pass")
    assert run(*args, runs="none").ret == 5


def test_what_would_run_is_listed_and_not_recorded(pytester, run):
    pytester.makepyfile(test_it=SUITE)
    result = run("--collect-only", "-qq")
    listed = [line for line in result.outlines if "::" in line]
    assert listed == ["test_it.py::test_4", "test_it.py::test_2"]
    assert [r["op"] for r in result.requests] == ["start", "plan"]
    with_workers = run("--collect-only", "-qq", "-n", "2")
    assert [line for line in with_workers.outlines if "::" in line] == listed


@pytest.mark.parametrize("args", [(), ("-n", "2")])
def test_the_order_that_would_be_run_is_listed_and_not_recorded(pytester, run, args):
    pytester.makepyfile(test_it=SUITE)

    def listed(mode):
        result = run("--collect-only", "-qq", *args, mode=mode, how="reverse")
        ops = [r["op"] for r in result.requests]
        return [line[-6:] for line in result.outlines if "::" in line], ops

    assert listed("rank") == (ALL[::-1], ["start", "plan"])
    assert listed("shadow") == (ALL, [])
    assert listed("record") == (ALL, [])


@pytest.mark.parametrize("mode", ["rank", "select"])
def test_a_file_that_cannot_be_collected_is_listed_and_not_recorded(pytester, run, mode):
    pytester.makepyfile(test_it=SUITE, test_bad="import nothing_of_this_name")
    result = run("--collect-only", mode=mode)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert "end" not in [r["op"] for r in result.requests]


def test_other_ways_to_choose_go_before_and_after(pytester, run):
    pytester.makepyfile(test_it=SUITE)
    named = run("-k", "test_1 or test_2")
    assert ran(named) == ["test_2"]
    assert [i[-6:] for i in named.requests[1]["ids"]] == ["test_1", "test_2"]
    assert ran(run("--lf")) == ["test_2"]
    assert ran(run("--maxfail=1", runs="test_2,test_1")) == ["test_4", "test_2"]


def test_a_fixture_is_set_up_as_in_a_run_of_the_kept_cases(pytester, run):
    """Blocks are built of what runs, so that a case that is left out binds nothing."""
    pytester.makepyfile(
        """
        import pytest
        @pytest.fixture(scope="module", params=[1, 2])
        def wide(request): print("SETUP", request.param)
        def test_1(wide): pass
        def test_2(wide): pass
        def test_3(): pass
        """
    )
    result = run("-s", runs="test_1[1],test_2[1],test_3")
    assert result.stdout.str().count("SETUP") == 1
    result.assert_outcomes(passed=3, deselected=2)


def test_workers_leave_out_the_same(pytester, run, monkeypatch):
    pytest.importorskip("xdist")
    pytester.makepyfile(test_it=SUITE + "def test_new(): pass\n")
    monkeypatch.setenv("FAKE_KNOWN", json.dumps([f"test_it.py::{name}" for name in ALL]))
    result = run("-n", "2")
    result.assert_outcomes(passed=2, failed=1)
    rows = [row for r in result.requests if r["op"] == "results" for row in r["rows"]]
    # what is marked runs, and what nobody knew
    assert {row[0].split("::")[1] for row in rows} == {"test_2", "test_4", "test_new"}
    assert result.requests[-1]["complete"] is True


def test_workers_without_anything_to_run_are_no_failure(pytester, run, monkeypatch):
    pytest.importorskip("xdist")
    pytester.makepyfile(test_it="def test_1(): pass")
    monkeypatch.setenv("FAKE_KNOWN", json.dumps(["test_it.py::test_1"]))
    assert run("-n", "1", runs="none").ret == 0
    assert run("-n", "1", "-k", "nothing", runs="none").ret == 5


CASES = [f"test_it.py::test_{n}" for n in range(20)]


OLD_RUNS = [f"run-{hour:03}" for hour in range(120)]


def past_run(hour: int) -> RunRecord:
    """Every second run changes a source and breaks the case of that number."""
    bad = hour // 2 % len(CASES) if hour % 2 else -1
    start = datetime.now(UTC).replace(minute=0) - timedelta(days=60)
    files = (FileChange(f"source_{bad}.py", 3, 1),) if hour % 2 else ()
    return make_record(
        f"run-{hour:03}", CASES, CASES[bad : bad + 1] if hour % 2 else (), seconds=0.01,
        change=files, time=start + timedelta(hours=hour), commit=f"{hour:040x}",
    )  # fmt: skip


@pytest.fixture(scope="session")
def learnt(tmp_path_factory, testopt):
    """Return a store in which case n fails when source n changes, with a bundle trained on it."""
    folder = tmp_path_factory.mktemp("learnt")
    store = Store.open(str(folder / "store"), create=True)
    store.append_runs(past_run(hour) for hour in range(120))
    at = ("--repo", folder, "--store", folder / "store")
    assert testopt(*at, "train").code == 0
    return folder / "store"


@pytest.fixture
def project(real, learnt, git_here):
    """Twenty cases in a repository with a history of their failures; one source has changed."""
    (real.path / "test_it.py").write_text("".join(f"def test_{n}(): pass\n" for n in range(20)))
    for n in range(20):
        (real.path / f"source_{n}.py").write_text(f"value_{n} = 1\n")
    git_here(real.path, "sources")
    shutil.copytree(learnt, real.path / ".testopt")
    (real.path / ".testopt" / ".gitignore").write_text("*\n")
    (real.path / "source_7.py").write_text("value_7 = 2\n")
    return real


def rows_of(project) -> list[dict]:
    rows = Store.open(str(project.path / ".testopt")).read("predictions").to_pylist()
    return sorted(rows, key=lambda row: row["rank"])


EARNED = {"TESTOPT_PROMOTE": "always", "TESTOPT_EXPLORE": "0.000001", "TESTOPT_REFRESH": "0"}


def test_the_real_engine_leaves_out_and_says_why(project):
    done = project.run("--testopt=select", "--testopt-fraction=0.3", **EARNED)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = rows_of(project)
    assert Policy.parse(rows[0]["policy"]).mode == "select"
    runs = {row["case_id"] for row in rows if row["executed"]}
    assert "test_it.py::test_7" in runs
    assert 0 < len(runs) <= 6
    assert f"{len(runs)} passed, {20 - len(runs)} deselected" in done.stdout
    assert [row["selected"] for row in rows] == [row["executed"] for row in rows]
    assert f"testopt: {len(runs)} of 20 cases run: " in done.stdout
    assert "testopt: left out:" in done.stdout


def test_a_promise_is_said_and_recorded(project):
    done = project.run("--testopt=select", "--testopt-recall=0.8", **EARNED)
    assert "testopt: promise: recall of 0.8 promised by " in done.stdout
    rows = rows_of(project)
    policy = Policy.parse(rows[0]["policy"])
    assert (policy.mode, policy.kind, policy.recall) == ("select", "promise", 0.8)
    runs = {row["case_id"] for row in rows if row["executed"]}
    assert "test_it.py::test_7" in runs
    assert len(runs) < 10
    assert f"{len(runs)} passed, {20 - len(runs)} deselected" in done.stdout


def test_workers_of_the_real_engine_leave_out_the_same(project):
    pytest.importorskip("xdist")
    executed = []
    for way in ((), ("-n", "2")):
        store = shutil.copytree(project.path / ".testopt", project.path.parent / f"store{len(way)}")
        args = ("--testopt=select", "--testopt-fraction=0.3", f"--testopt-store={store}", *way)
        done = project.run(*args, **EARNED)
        assert done.returncode == 0, done.stdout + done.stderr
        rows = Store.open(str(store)).read("predictions").to_pylist()
        executed.append({row["case_id"] for row in rows if row["executed"]})
    assert executed[0] == executed[1]
    assert 0 < len(executed[0]) <= 6


def test_select_leaves_out_nothing_before_it_has_earned_it(project):
    done = project.run("--testopt=select", "--testopt-fraction=0.3", TESTOPT_PROMOTE="auto")
    assert "20 passed" in done.stdout
    assert "deselected" not in done.stdout
    assert "all cases run: in shadow: " in done.stdout, done.stdout
    rows = rows_of(project)
    assert Policy.parse(rows[0]["policy"]).mode == "shadow"
    assert all(row["executed"] for row in rows)
    # what it would have left out is on record
    assert not all(row["selected"] for row in rows)


def test_shadow_logs_the_plan_that_selects(project):
    done = project.run("--testopt=shadow", "--testopt-fraction=0.3", **EARNED)
    assert "20 passed" in done.stdout
    names = [x.split("::")[1].split(" ")[0] for x in done.stdout.splitlines() if "%]" in x]
    assert names == [f"test_{n}" for n in range(20)]
    rows = rows_of(project)
    assert Policy.parse(rows[0]["policy"]).mode == "shadow"
    assert not all(row["selected"] for row in rows)


def test_parts_that_record_into_one_store_one_after_another_are_the_whole(project):
    """Each part knows what those before it have recorded: other durations, another last run."""
    found: list[str] = []
    for part in (1, 2, 3):
        done = project.run("--testopt=rank", f"--testopt-shard={part}/3")
        assert f"testopt: part {part} of 3: " in done.stdout, done.stdout + done.stderr
        found += [x.split(" ")[0] for x in done.stdout.splitlines() if "%]" in x]
    assert sorted(found) == sorted(CASES)
    rows = Store.open(str(project.path / ".testopt")).read("predictions").to_pylist()
    part_of = {row["case_id"]: row["shard"] for row in rows}
    assert all(part_of[row["case_id"]] == row["shard"] for row in rows)
    assert [sum(r["executed"] for r in rows if r["shard"] == f"{i}/3") for i in (1, 2, 3)] == [
        list(part_of.values()).count(f"{i}/3") for i in (1, 2, 3)
    ]


def test_parts_with_workers_and_stores_of_their_own_are_the_whole(project):
    """One machine knows some of the cases, the other has no store at all."""
    pytest.importorskip("xdist")
    more = "".join(f"def test_new_{n}(): pass\n" for n in range(12))
    (project.path / "test_more.py").write_text(more)
    found: list[str] = []
    said = {1: "12 new cases, run first", 2: "original order"}
    for part in (1, 2):
        copy = project.path.parent / f"part-{part}"
        if part == 1:
            shutil.copytree(project.path / ".testopt", copy)
        args = ("--testopt=rank", f"--testopt-shard={part}/2", f"--testopt-store={copy}")
        done = project.run(*args, "-n", "2")
        assert said[part] in done.stdout, done.stdout + done.stderr
        rows = Store.open(str(copy)).read("results", where=[("run_id", "not in", OLD_RUNS)])
        assert 0 < rows.num_rows < 32
        found += rows["case_id"].to_pylist()
    assert sorted(found) == sorted([*CASES, *(f"test_more.py::test_new_{n}" for n in range(12))])


def test_what_is_left_out_is_said_in_a_quiet_run_too(pytester, run):
    pytester.makepyfile(test_it=SUITE)
    assert "testopt: fake order" in run("-qq").stdout.str()
    assert "testopt: " not in run("-qq", mode="rank", how="reverse").stdout.str()


@pytest.mark.parametrize(
    ("option", "why"),
    [
        ("--testopt-recall=95", "Invalid share '95': did you mean 0.95?"),
        ("--testopt-fraction=0", "Invalid share '0'"),
        ("--testopt-recall=much", "Invalid share 'much'"),
        ("--testopt-budget=10", "Invalid duration '10': add a unit"),
        ("--testopt-engine-timeout-s=-1", "Invalid time '-1': write it in seconds, like 10."),
        ("--testopt-engine-timeout-s=nan", "Invalid time 'nan'"),
        ("--testopt-shard=3/2", "Invalid part '3/2' (example: 2/5)"),
    ],
)
@pytest.mark.parametrize("mode", ["select", "off"])
def test_what_is_typed_wrong_stops_before_anything_runs(pytester, with_plugin, option, why, mode):
    pytester.makepyfile(test_it="raise SystemExit('it runs')")
    result = pytester.runpytest_inprocess(*with_plugin, f"--testopt={mode}", option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    said = f"error: argument {option.partition('=')[0]}: {why}"
    assert any(said in line for line in result.errlines), result.errlines


def test_a_share_may_be_typed_in_percent(pytester, run):
    pytester.makepyfile(test_it=SUITE)
    assert run("--testopt-recall=95%").requests[0]["selection"] == {"recall": "95%"}


@pytest.mark.parametrize(
    ("ini", "env", "why"),
    [
        ("testopt_recall = 95", {}, "testopt_recall: Invalid share '95': did you mean 0.95?"),
        ("", {"TESTOPT_RECALL": "x"}, "setting 'recall' in environment: Invalid share 'x': *"),
        (
            "testopt_engine_timeout_s = soon",
            {"TESTOPT_ENGINE_TIMEOUT_S": ""},
            "engine_timeout_s: Invalid time 'soon': write it in seconds, like 10",
        ),
    ],
)
def test_what_is_set_wrong_runs_everything_and_is_recorded(project, ini, env, why):
    (project.path / "pytest.ini").write_text(f"[pytest]\n{ini}\n")
    done = project.run("--testopt=select", "-q", "-q", **(EARNED | env))
    assert "failed" not in done.stdout
    line = next(line for line in done.stdout.splitlines() if line.startswith("testopt: "))
    assert fnmatch(line, f"testopt: original order: {why}"), line
    store = Store.open(str(project.path / ".testopt"))
    new = [("run_id", "not in", OLD_RUNS)]
    assert store.read("results", where=new).num_rows == 20
    policies = store.read("predictions", where=new)["policy"].to_pylist()
    assert len(policies) == 20
    assert all(fnmatch(Policy.parse(p).fell_back.removesuffix("."), why) for p in policies)
