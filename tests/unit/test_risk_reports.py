"""Risks in the formats of others: true to the report, and safe whatever a path holds."""

import json

import pytest

from testopt.report.markdown import basis_text, escape, risk_markdown
from testopt.report.sarif import risk_sarif
from testopt.schema import FileRisk, Risk, RiskPart, RiskReport

EVIL = "a|b](http://x) <script>@team\n# `x`.py"


def report(path="core/a b.py", percentile=0.93):
    risk = Risk(
        name="f" * 40,
        probability=0.42,
        percentile=percentile,
        parts=(
            RiskPart("base", None, -1.0),
            RiskPart("la", 420.0, 0.9, 14.0),
            RiskPart("fix", 0.0, -0.2, 0.0),
        ),
        files=(FileRisk(path, 0.3, 420, 3),),
        n_files=1,
    )
    return RiskReport((risk,), 1000, 200, 30.0, 500, checked=200, auc=0.71, auc_lines=0.66)


def test_markdown_says_what_the_report_says():
    text = risk_markdown(report())
    assert "42%" in text
    assert "Riskier than 93% of the last 500 changes." in text
    assert "| +0.90 | lines added\\: 420 \\(typical\\: 14\\) |" in text
    assert "is no fix" in text
    assert "AUC 0.71 (lines added alone: 0.66)" in basis_text(report())


def test_markdown_of_an_evil_path_is_one_harmless_cell():
    text = risk_markdown(report(EVIL))
    (row,) = [line for line in text.splitlines() if "script" in line]
    assert row.replace("\\|", "").count("|") == 4
    assert "<script" not in row
    assert "](" not in row
    assert "\\@team" in row
    assert escape("a\x1b[2Jb") == "a\\\\x1b\\[2Jb"


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
    assert "lines added: 420" in result["message"]["text"]


@pytest.mark.parametrize(
    ("percentile", "level"), [(0.95, "warning"), (0.5, "note"), (None, "note")]
)
def test_sarif_warns_of_the_riskiest_tenth(percentile, level):
    log = json.loads(risk_sarif(report(percentile=percentile), version="1"))
    assert log["runs"][0]["results"][0]["level"] == level


@pytest.mark.parametrize("path", [EVIL, "caf\\xe9.py", "ünï.py", "a%2e.py", "-x"])
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
