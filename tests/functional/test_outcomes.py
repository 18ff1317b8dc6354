"""Which execution of a case counts: attempts, devices, files that could not be collected."""

import json
import subprocess
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner

from testopt import Store
from testopt.cli import cli

DATA = "2026-01-05T10:00:00"


@pytest.fixture
def ingest(tmp_path):
    """Write files, read them into one run, and return its row and the outcomes of each case."""

    def go(files, *args, run_id="r", repo=None):
        folder = tmp_path / run_id
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        head = ["--repo", str(repo or tmp_path), "--store", str(tmp_path / "store"), "ingest"]
        named = ["--format", "auto", "--run-id", run_id, "--json"]
        done = CliRunner().invoke(cli, [*head, *named, *args, str(folder)])
        assert done.exit_code == 0, (done.output, done.exception)
        store = Store.open(str(tmp_path / "store"))
        where = [("run_id", "=", run_id)]
        (run,) = store.read("runs", where=where).to_pylist()
        rows = sorted(store.read("results", where=where).to_pylist(), key=lambda r: r["attempt"])
        outcomes = {}
        for row in rows:
            outcomes.setdefault(row["case_id"], []).append(row["outcome"])
            assert row["attempt"] == len(outcomes[row["case_id"]])
        unknown = "commit and change of these results"  # there is no repository
        warnings = [w for w in json.loads(done.stdout)["warnings"] if not w.startswith(unknown)]
        return run, outcomes, warnings

    return go


def case(outcome="passed", name="opens", owner="app.LoginTest", body=""):
    child = {"passed": "", "failed": "<failure message='m'/>", "skipped": "<skipped/>"}
    child |= {"error": "<error message='e'/>"}
    return f"<testcase classname='{owner}' name='{name}'>{child[outcome]}{body}</testcase>"


def suite(*cases, **attributes):
    head = " ".join(f'{name}="{value}"' for name, value in attributes.items())
    return f"<testsuite {head}>{''.join(cases)}</testsuite>"


def document(*suites):
    return f"<testsuites>{''.join(suites)}</testsuites>"


def both(first, second):
    return [("failed", first), ("passed", second)]


DEVICE = "<properties><property name='device' value='{}'/></properties>"


@pytest.mark.parametrize(
    "suites",
    [
        # Kokoro, Flank and karma name the suite after the device or browser.
        [suite(case(o), name=n) for o, n in both("Pixel 7", "Pixel 8")],
        [suite(case(o), name="s", hostname=n) for o, n in both("e-5554", "e-5556")],
        # Maestro has an attribute, the Android Gradle plugin a property.
        [suite(case(o), name="s", device=n) for o, n in both("iPhone", "iPad")],
        [suite(DEVICE.format(n), case(o), name="s") for o, n in both("a", "b")],
        [suite(suite(case(o), name="login"), name=n) for o, n in both("a", "b")],
    ],
)
def test_any_failing_environment_counts(ingest, suites):
    for number, order in enumerate((suites, suites[::-1])):
        run, outcomes, _ = ingest({"r.xml": document(*order)}, run_id=f"r{number}")
        assert (run["cases"], run["failed"]) == (1, 1)
        assert outcomes == {"app.LoginTest::opens": ["passed", "failed"]}


def test_attempts_within_an_environment_stay_attempts(ingest):
    again = "<flakyFailure message='m'/>"
    run, outcomes, _ = ingest(
        {
            "r.xml": document(
                suite(case(body=again), name="Pixel 7"),
                suite(case("failed"), case(), name="Pixel 8"),
                suite(case("skipped"), name="Pixel 9"),
            )
        }
    )
    assert (run["failed"], run["skipped"]) == (0, 0)
    assert outcomes["app.LoginTest::opens"] == ["skipped", "failed", "passed", "failed", "passed"]


@pytest.mark.parametrize(
    ("executions", "final"),
    [
        (("failed", "passed"), "passed"),  # gotestsum and Gradle write attempts like that
        (("failed", "failed"), "failed"),
        (("skipped", "passed"), "passed"),
        (("failed", "passed", "passed"), "failed"),  # what passed is not tried again
        (("passed", "failed", "passed"), "failed"),
        (("failed", "skipped"), "failed"),
        (("failed", "error"), "error"),
    ],
)
def test_executions_in_one_suite(ingest, executions, final):
    _, outcomes, _ = ingest({"r.xml": suite(*map(case, executions), name="s")})
    assert outcomes["app.LoginTest::opens"][-1] == final
    assert sorted(outcomes["app.LoginTest::opens"]) == sorted(executions)


def timed(outcome, time="", **attributes):
    return suite(case(outcome), name="s", **({"timestamp": time} if time else {}), **attributes)


@pytest.mark.parametrize(
    ("files", "final"),
    [
        # By time, whatever the names say.
        ({"a.xml": ("passed", f"{DATA}Z"), "b.xml": ("failed", "2026-01-05T09:00:00Z")}, "passed"),
        ({"a.xml": ("failed", f"{DATA}Z"), "b.xml": ("passed", "2026-01-05T09:00:00Z")}, "failed"),
        # By the names of attempts, where no time is known of one of them or both are equal.
        ({"junit.xml": ("failed", DATA), "junit-attempt-2.xml": ("passed", DATA)}, "passed"),
        ({"a/junit.xml": ("passed",), "a-attempt-2/junit.xml": ("failed",)}, "failed"),
        ({"j.xml": ("failed",), "retry1/j.xml": ("failed", DATA), "retry2/j.xml": ("passed",)},
         "passed"),
        ({"t/test.xml": ("passed",), "t/test_attempts/attempt_1.xml": ("failed",)}, "passed"),
        ({"dev/t_1.xml": ("failed",), "dev-rerun_1/t_1.xml": ("passed",)}, "passed"),
        ({"res-1234567890-2/j.xml": ("passed",), "res-1234567890-1/j.xml": ("failed",)}, "passed"),
        # By name, 2 before 10.
        ({"report-2.xml": ("failed",), "report-10.xml": ("passed",)}, "passed"),
        ({"report-2.xml": ("passed",), "report-10.xml": ("failed",)}, "failed"),
        # Environments in the names are no attempts of each other.
        ({"chrome.xml": ("failed",), "firefox.xml": ("passed",)}, "failed"),
        ({"Pixel2-28-en-portrait/t.xml": ("failed",), "Pixel3-28-en-portrait/t.xml": ("passed",)},
         "failed"),
    ],
)  # fmt: skip
def test_attempts_in_several_files(ingest, files, final):
    run, outcomes, _ = ingest({name: timed(*words) for name, words in files.items()})
    assert outcomes["app.LoginTest::opens"][-1] == final
    assert run["failed"] == (final == "failed")


def test_another_attempt_may_run_on_another_machine(ingest):
    pair = [timed("failed", DATA, hostname="runner-1"), timed("passed", DATA, hostname="runner-2")]
    run, _, _ = ingest({"j.xml": pair[0], "j-attempt-2.xml": pair[1]})
    assert run["failed"] == 0
    run, _, _ = ingest({"a.xml": pair[0], "b.xml": pair[1]}, run_id="devices")
    assert run["failed"] == 1


def go(*events):
    return "\n".join(
        json.dumps({"Time": f"{DATA}Z", "Action": a, "Package": "m/a"} | ({"Test": t} if t else {}))
        for a, t in events
    )


def test_go_counts_within_a_package_run_and_attempts_across(ingest):
    once = [("start", ""), ("fail", "TestF"), ("pass", "TestF"), ("fail", "")]
    run, outcomes, _ = ingest({"count.jsonl": go(*once)})
    assert (run["failed"], outcomes) == (1, {"m/a::TestF": ["passed", "failed"]})
    twice = [("start", ""), ("fail", "TestF"), ("fail", ""), ("start", ""), ("pass", "TestF")]
    run, outcomes, _ = ingest({"rerun.jsonl": go(*twice, ("pass", ""))}, run_id="rerun")
    assert (run["failed"], outcomes) == (0, {"m/a::TestF": ["failed", "passed"]})


def test_a_package_that_does_not_compile_fails_its_tests(ingest):
    whole = [("start", ""), ("pass", "TestA"), ("pass", "TestB"), ("pass", "")]
    ingest({"a.jsonl": go(*whole)}, "--time", "2026-01-01", run_id="a")
    broken = {"b.jsonl": go(("start", ""), ("fail", ""))}
    run, outcomes, _ = ingest(broken, "--time", "2026-01-02", run_id="b")
    assert outcomes == {"m/a::TestA": ["error"], "m/a::TestB": ["error"]}
    assert (run["cases"], run["error"], run["complete"]) == (2, 2, False)


def test_browsers_of_ctrf(ingest):
    tests = [
        {"name": "logs in", "status": o, "duration": 1, "suite": "a.spec.ts", "browser": b}
        for o, b in both("chromium", "firefox")
    ]
    run, _, _ = ingest({"ctrf-report.json": json.dumps({"results": {"tests": tests}})})
    assert run["failed"] == 1


PYTEST = {"name": "pytest", "timestamp": DATA}


def test_reruns_of_pytest_rerunfailures(ingest):
    """As 16.7 writes them, of a call, a set-up, and a tear-down that failed after the call."""
    torn = '<testcase classname="t" name="both"><error message="failed on teardown with x"/>'
    text = suite(
        case(name="always", owner="t"),
        case(name="flaky", owner="t"),
        case(name="always", owner="t"),
        case("failed", name="always", owner="t"),
        case(name="flaky", owner="t"),
        case(name="fine", owner="t"),
        case(name="both", owner="t"),
        case("failed", name="both", owner="t"),
        torn + "</testcase>",
        '<testcase time="0.000"/>',  # of a worker that crashed
        tests="4",
        **PYTEST,
    )
    run, outcomes, _ = ingest({"j.xml": text})
    assert outcomes == {
        "t::always": ["failed", "failed", "failed"],
        "t::both": ["failed", "failed"],
        "t::fine": ["passed"],
        "t::flaky": ["failed", "passed"],
    }
    assert (run["cases"], run["failed"]) == (4, 2)


def test_workers_that_run_every_case_are_no_reruns(ingest):
    twice = [case(name=n, owner="t") for n in ("a", "a", "b", "b")]
    _, outcomes, _ = ingest({"j.xml": suite(*twice, tests="4", **PYTEST)})
    assert outcomes == {"t::a": ["passed", "passed"], "t::b": ["passed", "passed"]}


def test_other_producers_write_passes_where_they_mean_them(ingest):
    twice = suite(case(), case(), name="s")
    assert ingest({"j.xml": twice})[1] == {"app.LoginTest::opens": ["passed", "passed"]}


def reportlog(*reports, status=1):
    start = {"pytest_version": "9.0.3", "$report_type": "SessionStart"}
    end = {"exitstatus": status, "$report_type": "SessionFinish"}
    return "\n".join(json.dumps(one) for one in (start, *reports, end))


def report(when, outcome="passed", worker="", kind="TestReport", node="t.py::test_1"):
    made = {"nodeid": node, "when": when, "outcome": outcome, "duration": 0.1}
    made |= {"longrepr": "assert 0"} if outcome in {"failed", "rerun"} else {}
    made |= {"worker_id": worker} if worker else {}
    return {**made, "$report_type": kind}


@pytest.mark.parametrize(
    ("reports", "attempts"),
    [
        (
            [("setup",), ("call", "failed", "", "SubTestReport"), ("call",), ("teardown",)],
            ["failed"],
        ),
        (
            [("setup",), ("call", "skipped", "", "SubtestReport"), ("call",), ("teardown",)],
            ["passed"],
        ),
        (
            [("setup",), ("call", "rerun"), ("teardown",), ("setup",), ("call",), ("teardown",)],
            ["failed", "passed"],
        ),
        (  # older ones do not report the tear-down of a rerun
            [("setup",), ("call", "rerun"), ("setup",), ("call",), ("teardown", "failed")],
            ["failed", "error"],
        ),
        (
            [("setup",), ("call",), ("teardown", "rerun"), ("setup",), ("call",), ("teardown",)],
            ["error", "passed"],
        ),
        (
            [("setup", "rerun"), ("teardown",), ("setup",), ("call",), ("teardown",)],
            ["error", "passed"],
        ),
        (  # pytest-retry
            [("setup",), ("call", "retried"), ("call",), ("teardown",)],
            ["failed", "passed"],
        ),
        ([("setup", "passed", "gw0"), ("???", "failed")], ["error"]),
        (
            [("???", "rerun"), *((w, "passed", "gw1") for w in ("setup", "call", "teardown"))],
            ["error", "passed"],
        ),
        (  # --dist each
            [
                ("setup", "passed", "gw0"), ("setup", "passed", "gw1"), ("call", "failed", "gw0"),
                ("call", "passed", "gw1"), ("teardown", "passed", "gw0"),
                ("teardown", "passed", "gw1"),
            ],
            ["passed", "failed"],
        ),
    ],
)  # fmt: skip
def test_reports_of_pytest_reportlog(ingest, reports, attempts):
    run, outcomes, _ = ingest({"r.jsonl": reportlog(*(report(*one) for one in reports))})
    assert outcomes == {"t.py::test_1": attempts}
    assert run["complete"]


@pytest.fixture
def repo(tmp_path):
    folder = tmp_path / "repo"
    (folder / "tests").mkdir(parents=True)
    (folder / "tests" / "test_x.py").write_text("def test_a(): pass")
    for words in ("init -q .", "add ."):
        subprocess.run(["git", *words.split()], cwd=folder, check=True)
    return folder


WHOLE = suite(
    case(name="test_a[1]", owner="tests.test_x"),
    case(name="test_b", owner="tests.test_x.TestK"),
    case(name="test_y", owner="tests.test_y"),
    **PYTEST,
)
UNCOLLECTED = '<testcase classname="" name="tests.test_x"><error message="collection failure"/>'
COLLECT = {"nodeid": "tests/test_x.py", "outcome": "failed", "longrepr": "ImportError"}
BROKEN = {
    "j.xml": suite(UNCOLLECTED + "</testcase>", case(name="test_y", owner="tests.test_y"), **PYTEST)
}
BROKEN_LOG = {
    "r.jsonl": reportlog(
        COLLECT | {"$report_type": "CollectReport"},
        *(report(when, node="tests/test_y.py::test_y") for when in ("setup", "call", "teardown")),
    )
}


@pytest.mark.parametrize("broken", [BROKEN, BROKEN_LOG])
def test_a_file_that_cannot_be_collected_fails_its_cases(ingest, repo, broken):
    ingest({"j.xml": WHOLE}, "--time", "2026-01-01", run_id="a", repo=repo)
    run, outcomes, warnings = ingest(broken, "--time", "2026-01-02", run_id="b", repo=repo)
    outcomes.pop("tests/test_y.py::test_y", None)
    outcomes.pop("tests.test_y::test_y", None)
    assert outcomes == {
        "tests/test_x.py::TestK::test_b": ["error"],
        "tests/test_x.py::test_a[1]": ["error"],
    }
    assert (run["cases"], run["error"], run["complete"]) == (3, 2, True)
    assert warnings == []
    run, outcomes, _ = ingest({"k.xml": WHOLE}, "--time", "2026-01-03", run_id="c", repo=repo)
    assert (len(outcomes), run["error"]) == (3, 0)


@pytest.mark.parametrize("broken", [BROKEN, BROKEN_LOG])
def test_a_file_of_no_known_case_that_cannot_be_collected(ingest, broken):
    run, outcomes, warnings = ingest(broken)
    assert not any("test_x" in case_id for case_id in outcomes)
    assert (run["error"], run["complete"]) == (1, False)
    assert "test_x" in warnings[0]
    assert "could not be collected" in warnings[0]


@pytest.mark.parametrize(
    ("whole", "broken"),
    [
        (case(owner="com.X"), case("error", owner="com.X", name="")),
        (case(owner="com.X"), case("failed", owner="com.X", name="initializationError")),
        (case(owner="a/b.test.ts"), case("failed", owner="a/b.test.ts", name="a/b.test.ts")),
        (
            case(owner="pkg.test_m.T"),
            case("error", owner="unittest.loader._FailedTest", name="pkg.test_m"),
        ),
    ],
)
def test_what_other_runners_write_of_a_class_or_file(ingest, whole, broken):
    _, known, _ = ingest({"a.xml": suite(whole, name="s")}, "--time", "2026-01-01", run_id="a")
    _, outcomes, _ = ingest({"b.xml": suite(broken, name="s")}, "--time", "2026-01-02", run_id="b")
    assert outcomes == {key: ["error"] for key in known}


def trx(outcome="Completed", counters="", info=""):
    return (
        '<TestRun xmlns="http://microsoft.com/schemas/VisualStudio/TeamTest/2010"><Results>'
        '<UnitTestResult testId="t" testName="N.A.One" outcome="Passed"/></Results>'
        f'<ResultSummary outcome="{outcome}"><Counters total="1" {counters}/>'
        f"<RunInfos>{info}</RunInfos></ResultSummary></TestRun>"
    )


ASSEMBLY = '<test-suite type="Assembly" runstate="{}" label="{}">{}</test-suite>'
FINE = ASSEMBLY.format("Runnable", "", '<test-case name="a" classname="k" result="Passed"/>')
XUNIT = (
    '<assemblies><assembly><errors><error type="fatal"/></errors><collection>'
    '<test type="k" name="a" result="Pass"/></collection></assembly></assemblies>'
)


@pytest.mark.parametrize(
    ("name", "text", "complete"),
    [
        ("a.trx", trx(), True),
        ("a.trx", trx("Failed", info='<RunInfo outcome="Warning"/>'), True),
        ("a.trx", trx("Failed", info='<RunInfo outcome="Error"/>'), False),
        ("a.trx", trx("Aborted"), False),
        ("a.trx", trx(counters='aborted="1"'), False),
        ("n.xml", f"<test-run>{FINE}</test-run>", True),
        ("n.xml", f"<test-run>{ASSEMBLY.format('NotRunnable', 'Invalid', '')}{FINE}</test-run>",
         False),
        ("x.xml", XUNIT, False),
        ("j.xml", document(suite(case(), name="ok"), suite(name="b", errors="1")), False),
        ("j.xml", document(suite(case(), name="ok"), suite(name="b", failures="1")), False),
        ("j.xml", document(suite(case(), name="ok"), suite(name="b", errors="0")), True),
        ("j.xml", document(suite(suite(case("error"), name="in"), name="b", errors="1")), True),
        # Surefire counts the errors of attempts; karma a browser that has gone.
        ("j.xml", suite(case(body="<flakyError/>"), name="s", errors="1"), True),
        ("j.xml", suite(case(), name="Firefox", errors="1"), False),
        ("r.jsonl", reportlog(*(report(w) for w in ("setup", "call", "teardown"))), True),
        ("r.jsonl", reportlog(*(report(w) for w in ("setup", "call", "teardown")), status=2),
         False),
    ],
)  # fmt: skip
def test_runs_in_which_cases_are_missing(ingest, name, text, complete):
    run, _, _ = ingest({name: text})
    assert run["complete"] is complete


@pytest.mark.parametrize(
    ("time", "words"),
    [
        ("1970-01-01T00:00:00", "before the year 2000"),
        ("2999-01-01", "in the future"),
        ("0", "2000"),
    ],
)
def test_a_time_far_from_now_is_named(ingest, time, words):
    run, _, warnings = ingest({"j.xml": timed("passed", time)})
    assert words in warnings[0]
    assert repr(time) in warnings[0]
    assert abs((run["time"] - datetime.now(UTC)).total_seconds()) < 3600
    _, _, warnings = ingest({"j.xml": timed("failed", time)}, "--time", DATA, run_id="dated")
    assert warnings == []
