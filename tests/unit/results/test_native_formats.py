"""TRX, NUnit 3, xUnit.net, CTest, go test -json, pytest-reportlog, CTRF: hand-made documents."""

from pathlib import Path

import pytest

from testopt.results.archives import ReportFile
from testopt.results.case_resolver import CaseResolver
from testopt.results.formats import format_of
from testopt.results.junit_rows import read_report_file

DATA = Path(__file__).parents[2] / "data" / "junit"
START = "2026-01-05T10:00:00"


def read(path, tmp_path, files=()):
    found = read_report_file(
        ReportFile(str(path), path), CaseResolver(files), spill=tmp_path / "spill", native=True
    )
    return found, [row for batch in found.batches() for row in batch.to_pylist()]


def outcomes(rows):
    return [(r["case_id"], r["outcome"]) for r in rows]


CASES = {
    "trx.trx": [
        ("Shop.CartTests::Adds", "passed"),
        ("Shop.CartTests::Pays(sum: 3)", "failed"),
        ("Shop.CartTests::Hangs", "error"),
        ("Shop.CartTests::Later", "skipped"),
        ("Shop.CartTests::Rows (1)", "passed"),
        ("Shop.CartTests::Rows (2)", "failed"),
        ("Broken", "error"),
    ],
    "nunit3.xml": [
        ("Shop.CartTests::Adds(1,2)", "passed"),
        ("Shop.CartTests::Pays", "failed"),
        ("Shop.CartTests::Throws", "error"),
        ("Shop.CartTests::Later", "skipped"),
    ],
    "xunit2.xml": [
        ("Shop.CartTests::Adds(a: 1)", "passed"),
        ("Shop.CartTests::Pays", "failed"),
        ("Shop.CartTests::Later on", "skipped"),
    ],
    "ctest.xml": [
        ("unit", "passed"),
        ("system", "failed"),
        ("slow", "error"),
        ("absent", "skipped"),
    ],
    "robot.xml": [
        ("Tests.Login::Plain", "passed"),
        ("Tests.Login::Pays", "failed"),
        ("Tests::Later", "skipped"),
    ],
    "go-test.jsonl": [
        ("example.org/shop::TestAdds", "passed"),
        ("example.org/shop::TestPays/cash", "failed"),
        ("example.org/shop::TestPays", "failed"),
        ("example.org/shop::TestLater", "skipped"),
        ("example.org/shop::TestPanics", "error"),
        ("example.org/broken", "error"),
    ],
    "reportlog.jsonl": [
        ("tests/test_broken.py", "error"),
        ("tests/test_a.py::test_one[a/b]", "passed"),
        ("tests/test_a.py::test_two", "failed"),
        ("tests/test_a.py::test_two", "failed"),
        ("tests/test_a.py::test_later", "skipped"),
    ],
    "ctrf-report.json": [
        ("cart::adds", "passed"),
        ("shop > cart::pays", "failed"),
        ("web/cart.spec.ts::later", "skipped"),
        ("flickers", "failed"),
        ("flickers", "failed"),
        ("flickers", "passed"),
    ],
}


@pytest.mark.parametrize("name", CASES)
def test_cases_and_outcomes(name, tmp_path):
    found, rows = read(DATA / name, tmp_path)
    assert found.rejected is None
    assert outcomes(rows) == CASES[name]
    assert found.time.strftime("%Y-%m-%dT%H:%M:%S") == START
    assert found.summary.attempts == len(rows)


RSPEC = """{"version": "3.12.0", "examples": [
{"id": "./spec/a.b_spec.rb[1:1]", "full_description": "Cart adds", "status": "passed",
 "file_path": "./spec/a.b_spec.rb", "line_number": 2, "run_time": 0.25, "pending_message": null},
{"id": "./spec/a.b_spec.rb[1:2:1]", "full_description": "Cart counts", "status": "failed",
 "file_path": "./spec/support/counted.rb", "run_time": 0.5,
 "exception": {"class": "RSpec::Expectations::ExpectationNotMetError", "message": "no"}},
{"id": "./spec/c_spec.rb[1:1]", "full_description": "C waits", "status": "pending"}, 3],
"summary": {"example_count": 3, "errors_outside_of_examples_count": 1},
"summary_line": "3 examples, 1 failure, 1 pending"}
"""


def test_json_of_rspec_has_the_ids_of_its_junit_formatter(tmp_path):
    (tmp_path / "rspec.json").write_text(RSPEC)
    found, rows = read(tmp_path / "rspec.json", tmp_path, ["spec/a.b_spec.rb"])
    assert [(r["case_id"], r["outcome"], r["duration_s"]) for r in rows] == [
        ("spec.a::Cart adds", "passed", 0.25),
        ("spec.a::Cart counts", "failed", 0.5),
        ("spec.c_spec::C waits", "skipped", None),
    ]
    assert [r["file"] for r in rows][:2] == ["spec/a.b_spec.rb"] * 2
    assert rows[1]["message"]
    assert not rows[0]["message"]
    assert "errors outside of examples" in found.summary.missing


@pytest.mark.parametrize(
    ("name", "seconds"),
    [
        ("trx.trx", [1.5, 60.0]),
        ("nunit3.xml", [0.25, 0.5]),
        ("xunit2.xml", [0.25, 0.5]),
        ("ctest.xml", [0.25, 2.0]),
        ("robot.xml", [0.25, 0.5]),
        ("go-test.jsonl", [0.25, 0.5]),
        ("reportlog.jsonl", [0.0, 1.0]),
        ("ctrf-report.json", [0.25, 0.5]),
    ],
)
def test_durations_are_seconds(name, seconds, tmp_path):
    _, rows = read(DATA / name, tmp_path)
    assert [r["duration_s"] for r in rows[:2]] == pytest.approx(seconds)


@pytest.mark.parametrize("name", CASES)
def test_failures_have_messages_and_others_none(name, tmp_path):
    _, rows = read(DATA / name, tmp_path)
    assert any(r["message"] for r in rows if r["outcome"] == "failed")
    assert not any(r["message"] for r in rows if r["outcome"] in {"passed", "skipped"})


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_cut_document_is_rejected_and_loses_no_complete_case(name, share, tmp_path):
    whole = (DATA / name).read_bytes()
    cut = tmp_path / name
    cut.write_bytes(whole[: int(len(whole) * share)])
    found, rows = read(cut, tmp_path)
    if name == "go-test.jsonl":  # has no end of its own: what had begun is an error
        assert [r for r in rows if r["outcome"] == "error"] or found.rejected is None
    else:
        assert found.rejected
        assert not found.complete
    assert len(rows) <= len(CASES[name])


@pytest.mark.parametrize("root", ["TestRun", "test-run", "assemblies", "Site"])
def test_entities_are_refused(root, tmp_path):
    path = tmp_path / "x.xml"
    path.write_text(f'<!DOCTYPE x [<!ENTITY a "b">]><{root}>&a;</{root}>')
    found, rows = read(path, tmp_path)
    assert "entities" in found.rejected
    assert not rows


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (b"<?xml version='1.0'?><!-- <a> --><TestRun>", "TestRun"),
        (b"\xef\xbb\xbf<ns:Site>", "Site"),
        ("<test-run/>".encode("utf-16"), "test-run"),
        (b' {"results": {}}', "json"),
        (b'# building\n{"Time":"x","Action":"run"}', "json"),
        (b"<testsuites>", "testsuites"),
        (b"hello", ""),
    ],
)
def test_formats_are_told_apart(text, kind):
    assert format_of(text) == kind


@pytest.mark.parametrize("text", ['{"a": 1}', '{"results": 3}', "<Site><Build/></Site>"])
def test_documents_of_other_kinds_are_ignored(text, tmp_path):
    path = tmp_path / "x"
    path.write_text(text)
    found, rows = read(path, tmp_path)
    assert found.ignored
    assert found.rejected
    assert not rows


def test_reports_resolve_their_files(tmp_path):
    _, rows = read(DATA / "reportlog.jsonl", tmp_path, files=["tests/test_a.py"])
    assert {r["file"] for r in rows if "test_a" in r["case_id"]} == {"tests/test_a.py"}


def test_a_long_text_of_a_failure_is_cut_not_followed(tmp_path):
    found, rows = read(DATA / "long-failure-text.xml", tmp_path)
    assert found.rejected is None
    assert outcomes(rows) == [("s::a", "failed")]
