"""Risks in the formats of others: true to the report, and safe whatever a path holds."""

import html
import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from testopt.risk.explanations import explain
from testopt.risk.markdown import basis_text, escape, risk_markdown
from testopt.risk.metric_words import uncaught_text
from testopt.risk.sarif import risk_sarif
from testopt.risk.text import risk_lines
from testopt.risk.values import (
    CatchingTest,
    FileRisk,
    HunkRisk,
    LineRisk,
    MetricContribution,
    Risk,
    RiskReport,
    SimilarCulprit,
)

SCHEMA = Path(__file__).parents[2] / "data" / "sarif" / "sarif-schema-2.1.0.json"

EVIL = "a|b](http://x) <script>@team\n# `x`.py"


def report(path="core/a b.py", percentile=0.93):
    risk = Risk(
        name="f" * 40,
        probability=0.42,
        percentile=percentile,
        parts=(
            MetricContribution("base", None, -1.0),
            MetricContribution("la", 420.0, 0.9, 14.0),
            MetricContribution("fix", 0.0, -0.2, 0.0),
        ),
        files=(FileRisk(path, 0.3, 420, 3),),
        n_files=1,
    )
    return RiskReport((risk,), 1000, 200, 30.0, 500, checked=200, auc=0.71, auc_lines=0.66)


def test_markdown_says_what_the_report_says():
    text = risk_markdown(report())
    assert "42%" in text
    assert "Riskier than 93% of the last 500 changes." in text
    assert "- +0.90 **size**: it adds 420 lines (typical: 14); split it" in text
    assert "it is no fix" in text
    assert "an average change here has 26.9%" in text
    assert "AUC 0.71 (lines added alone: 0.66)" in basis_text(report())


def test_markdown_of_an_evil_path_is_one_harmless_cell():
    text = risk_markdown(report(EVIL))
    (row,) = [line for line in text.splitlines() if "script" in line]
    assert row.replace("\\|", "").count("|") == 5
    assert "<script" not in row
    assert "](" not in row.replace("\\]", "")
    assert "\\@team" in row
    assert escape("a\x1b[2Jb") == "a\\\\x1b\\[2Jb"


@pytest.mark.parametrize("path", ["src/a-b (x)!.py", "a_b.py", "v1.2+3/{x}: y.c", "1. a"])
def test_markdown_leaves_alone_what_is_no_markup(path):
    assert escape(path) == path


@given(
    st.text(st.sampled_from(list("ab _*`[]()<>|~@#$&!\\:/.\"'-+1\x1b")) | st.just("é"), max_size=20)
)
@example("__init__.py")
@example("http://x.y/z www.evil.com x@y.com ftp://a.b")
@example("![a](b) [a][b] <b> &lt; ~~x~~ **x** `a` \\*")
def test_a_renderer_shows_what_was_escaped(text):
    renderer = MarkdownIt("gfm-like")
    renderer.linkify.set({"fuzzy_link": False})  # "a.b" is no link on code hosts
    row = renderer.render(f"| a |\n| --- |\n| x{escape(text)}x |\n")
    cell = row.partition("<td>")[2].partition("</td>")[0]
    plain = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    assert html.unescape(cell) == f"x{plain}x"


def detailed(path="core/a.py"):
    """A report with places, tests, and a file that no test catches."""
    (risk,) = report().risks
    hunks = (HunkRisk(120, 134, "Parser.read", 0.25, 12, 3), HunkRisk(9, 9, "", 0.1, 1, 0))
    tests = (
        CatchingTest("tests/test_a.py::test_x", covers=True, failed=3, changes=5),
        CatchingTest("tests/test_a.py::test_y", covers=True, failed=0, changes=5),
    )
    known = FileRisk(path, 0.3, 13, 3, hunks, tests, 14)
    bare = FileRisk("core/b.py", 0.2, 1, 0, n_tests=0)
    lines = (LineRisk(path, 121, "Parser.read", "    if x is None:", 1.5),)
    similar = (SimilarCulprit("a" * 40, "Read faster", "b" * 40, "Fix reading", ("core/a.py",)),)
    found = replace(
        risk, files=(known, bare), n_files=2, uncaught=("core/b.py",), lines=lines, similar=similar
    )
    return replace(report(), risks=(found,))


def test_text_says_why_where_and_who():
    people = {"f" * 40: ("Ann", "Bob")}
    lines = [line.strip() for line in risk_lines(detailed(), most=20, reviewers=people)]
    assert lines[0] == "42.0% risk of a defect: ffffffffffff"
    assert "core/a.py:121  in Parser.read" in lines
    assert "if x is None:" in lines
    assert any(x.endswith("+13 -3  riskiest: lines 120-134 in Parser.read  +12 -3") for x in lines)
    assert (
        "tests: tests/test_a.py::test_x (failed in 3 of 5 runs that changed it), "
        "tests/test_a.py::test_y, and 12 more"
    ) in lines
    assert "who may review it: Ann, Bob" in lines
    assert "no test is known to catch a defect in: core/b.py" in lines
    assert "aaaaaaaaaaaa Read faster, in core/a.py; fixed by bbbbbbbbbbbb Fix reading" in lines


@pytest.mark.parametrize(
    ("auc_lines", "by_lines", "words"),
    [
        (0.66, False, "(lines added alone: 0.66)."),
        (0.74, False, "(lines added alone: 0.74, which chance explains)."),
        (0.79, True, "(lines added alone: 0.79); lines added alone decide"),
    ],
)
def test_lines_added_are_told_beside_the_model(auc_lines, by_lines, words):
    told = list(risk_lines(replace(report(), auc_lines=auc_lines, by_lines=by_lines), most=20))
    assert words in told[-1]


def test_what_is_not_known_of_the_past_is_said():
    (risk,) = report().risks
    cut = replace(
        report(), risks=(replace(risk, unknown=("a.py",)),), compared=36, commits=37,
        begins="2026-01-02", shallow=True,
    )  # fmt: skip
    for text in ("\n".join(risk_lines(cut, most=20)), risk_markdown(cut)):
        assert "36 changes (no more are known to compare with)" in text
        assert "nly 37 commits since 2026-01-02 are known (the clone is shallow)" in text
        assert "git fetch --unshallow" in text
        assert "past of a.py is not known" in text
    assert "is not known" not in risk_markdown(report())


def test_many_changes_take_a_line_each():
    many = replace(detailed(), risks=detailed().risks * 25)
    lines = list(risk_lines(many, most=20, subjects={"f" * 40: "Read faster"}))
    assert lines[1] == " 42.0%   93%  ffffffffffff  Read faster"
    assert len(lines) == 24
    assert lines[-3] == "and 5 less risky changes (--json lists all)"


def test_markdown_has_at_most_60_lines():
    (risk,) = detailed().risks
    parts = tuple(
        MetricContribution(metric, 9.0, 1.0, 3.0) for metric in ("la", "nuc", "exp", "fix", "words")
    )
    vast = replace(
        risk, parts=parts, files=risk.files * 10, lines=risk.lines * 10, similar=risk.similar * 2
    )
    text = risk_markdown(
        replace(report(), risks=(vast,) * 99, begins="2026-01-02"), reviewers={"f" * 40: ("Ann",)}
    )
    assert text.count("\n") <= 60
    assert "and 88 less risky ones" in text


def test_a_subject_without_weight_is_not_told():
    parts = [
        MetricContribution("nf", 3.0, 0.2, 1.0),
        MetricContribution("la", 5.0, 0.2, 2.0),
        MetricContribution("exp", 5.0, 0.01, 2.0),
        MetricContribution("words", 5.0, -0.9, 2.0),
        MetricContribution("nuc", 0.0, -0.3, 2.0),
    ]
    told = explain(parts)
    assert [(x.subject, round(x.log_odds, 2)) for x in told] == [
        ("content", -0.9), ("size", 0.4), ("history", -0.3),
    ]  # fmt: skip
    assert told[1].text.startswith("it adds 5 lines (typical: 2) in 3 files (typical: 1); split it")
    assert told[2].text == "nothing is known of the past of its files"
    (turned,) = explain([MetricContribution("turned", 1.0, 0.5)])
    assert turned.text == "a condition was turned, of which both ways need a test"


def test_long_lists_of_uncaught_files_end():
    risk = replace(detailed().risks[0], uncaught=tuple(f"{i}.py" for i in range(12)))
    assert uncaught_text(risk).endswith("7.py and 4 more")


def test_markdown_says_why_where_and_who():
    text = risk_markdown(detailed(), reviewers={"f" * 40: ("Ann @all", "Bob")})
    assert "| core/a.py:121 | if x is None: |" in text
    assert "test_x" in text
    assert "Who may review it: Ann \\@all, Bob" in text
    assert "No test is known to catch a defect in: core/b.py" in text
    assert "fixed by bbbbbbbbbbbb Fix reading" in text


@pytest.mark.parametrize("path", ["core/a.py", EVIL, "caf\\xe9.py"])
@pytest.mark.parametrize("percentile", [None, 0.0, 1.0])
def test_sarif_is_valid_by_its_schema(path, percentile):
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    logs = [detailed(path), report(path, percentile), replace(report(), risks=())]
    for log in logs:
        jsonschema.Draft4Validator(schema).validate(json.loads(risk_sarif(log, version="1.2.3")))
    broken = json.loads(risk_sarif(detailed(), version="1"))
    broken["runs"][0]["results"][0]["level"] = "awful"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft4Validator(schema).validate(broken)


def test_sarif_points_at_the_riskiest_place():
    first, second = json.loads(risk_sarif(detailed(), version="1"))["runs"][0]["results"]
    place = first["locations"][0]
    assert place["physicalLocation"]["region"] == {"startLine": 121, "endLine": 121}
    assert place["physicalLocation"]["contextRegion"] == {"startLine": 120, "endLine": 134}
    assert place["logicalLocations"] == [{"fullyQualifiedName": "Parser.read"}]
    assert "No test is known to catch" not in first["message"]["text"]
    assert "No test is known to catch" in second["message"]["text"]
    assert "region" not in second["locations"][0]["physicalLocation"]


def test_sarif_is_what_the_standard_asks_for():
    log = json.loads(risk_sarif(report(), version="1.2.3"))
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    driver = run["tool"]["driver"]
    assert (driver["name"], driver["version"]) == ("testopt", "1.2.3")
    (result,) = run["results"]
    assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
    assert result["level"] == "warning"
    assert 0 <= result["rank"] <= 100
    location = result["locations"][0]["physicalLocation"]["artifactLocation"]
    assert location == {"uri": "core/a%20b.py", "uriBaseId": "%SRCROOT%"}
    assert "adds 420 lines" in result["message"]["text"]


@pytest.mark.parametrize(
    ("percentile", "level"), [(0.95, "warning"), (0.5, "note"), (None, "note")]
)
def test_sarif_warns_of_the_riskiest_tenth(percentile, level):
    log = json.loads(risk_sarif(report(percentile=percentile), version="1"))
    assert log["runs"][0]["results"][0]["level"] == level


@pytest.mark.parametrize("path", [EVIL, "caf\\xe9.py", "ünï.py", "a%2e.py", "-x.py"])
def test_sarif_locations_are_uris(path):
    log = json.loads(risk_sarif(report(path), version="1"))
    uri = log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"][
        "uri"
    ]
    assert uri.isascii()
    assert not set(uri) & set(' <>"|\\^`[]\n')


def test_the_same_finding_keeps_its_fingerprint():
    first, again, other = (
        json.loads(risk_sarif(r, version="1"))["runs"][0]["results"][0]["partialFingerprints"]
        for r in (report(), report(percentile=0.1), report("b.py"))
    )
    assert first == again != other


def test_sarif_levels_are_those_of_the_files():
    (risk,) = report().risks
    files = tuple(
        FileRisk(path, p) for path, p in (
            ("core/a.py", 0.3), ("core/b.py", 0.1), ("README.md", 0.4), ("tests/test_a.py", 0.4),
        )
    )  # fmt: skip
    log = json.loads(
        risk_sarif(replace(report(), risks=(replace(risk, files=files),)), version="1")
    )
    levels = {
        r["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]: r["level"]
        for r in log["runs"][0]["results"]
    }
    assert levels == {"core/a.py": "warning", "core/b.py": "note"}
