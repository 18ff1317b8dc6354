"""A package of Go that does not build fails all its tests, whoever writes it down."""

import json

import pytest
from builders import make_record, new_store

from testopt.store import Store

M = "example.com/m"
KNOWN = [f"{M}::TestTop", f"{M}/b::TestB1", f"{M}/b::TestB2", f"{M}/b/deep::TestD", f"{M}/c::TestC"]


def events(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def failed(package, build):
    output = f"FAIL\t{package} [build failed]\n"
    return (
        {"Action": "start", "Package": package},
        {"Action": "output", "Package": package, "Output": output},
        {"Action": "fail", "Package": package, "Elapsed": 0, "FailedBuild": build},
    )


def suite(package, case):
    return f'<testsuites><testsuite name="{package}" tests="1">{case}</testsuite></testsuites>'


# as Go 1.27 writes it: the tests of b do not build, c needs a package that does not
GO = events(
    {"ImportPath": f"{M}/lib", "Action": "build-output", "Output": "lib.go:2:23: undefined: x\n"},
    {"ImportPath": f"{M}/lib", "Action": "build-fail"},
    *failed(f"{M}/b", f"{M}/lib"),
    *failed(f"{M}/c", f"{M}/lib"),
)
GOTESTSUM = suite(
    f"{M}/b",
    '<testcase classname="" name="TestMain" time="0">'
    f'<failure message="Failed" type="">FAIL {M}/b [build failed]</failure></testcase>',
)
JUNIT_REPORT = suite(
    f"{M}/b",
    f'<testcase name="[build failed]" classname="{M}/b" time="0.000">'
    '<error message="Build error">b_test.go:3:29: undefined: f</error></testcase>',
)
OLD_JUNIT_REPORT = JUNIT_REPORT.replace("error", "failure").replace("Build failure", "Failed")
BROKEN = suite(
    f"{M}/b",
    f'<testcase name="TestB1" classname="{M}/b"/><testcase name="Failure" classname="{M}/b">'
    '<error message="Runtime error">exit status 3</error></testcase>',
)
TOP = suite(M, '<testcase classname="" name="TestMain"><failure message="Failed"/></testcase>')


@pytest.fixture
def outcomes(tmp_path, testopt, no_ci):
    """Return a function that reads a report after a run in which all passed."""
    new_store(tmp_path, "s", [make_record("before", KNOWN)])

    def read(text):
        (tmp_path / "report").write_text(text)
        at = ("--repo", tmp_path, "--store", tmp_path / "s", "ingest", "--format", "auto")
        assert testopt(*at, tmp_path / "report", "--run-id", "1").code == 0
        rows = Store.open(str(tmp_path / "s")).read("results", where=[("run_id", "=", "1")])
        return {row["case_id"]: (row["outcome"], row["message"]) for row in rows.to_pylist()}

    return read


@pytest.mark.parametrize("text", [GOTESTSUM, JUNIT_REPORT, OLD_JUNIT_REPORT])
def test_the_tests_of_a_package_fail(outcomes, text):
    found = outcomes(text)
    assert {case: outcome for case, (outcome, _) in found.items()} == dict.fromkeys(
        KNOWN[1:3], "error"
    )


def test_of_go_itself(outcomes):
    found = outcomes(GO)
    assert {case: outcome for case, (outcome, _) in found.items()} == dict.fromkeys(
        [*KNOWN[1:3], KNOWN[4]], "error"
    )
    assert len({message for _, message in found.values()}) == 1  # what the compiler says


def test_what_ran_before_a_package_broke_has_passed(outcomes):
    found = outcomes(BROKEN)
    assert {case: outcome for case, (outcome, _) in found.items()} == {
        KNOWN[1]: "passed", KNOWN[2]: "error",
    }  # fmt: skip


def test_packages_below_are_others(outcomes):
    assert set(outcomes(TOP)) == {KNOWN[0]}
