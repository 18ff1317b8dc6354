"""Formats risks as SARIF 2.1.0 (OASIS standard), for code hosts that show findings in code."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from testopt.code.paths import is_code, is_test_path, path_bytes
from testopt.risk.explanations import explain
from testopt.risk.metric_words import percentile_text
from testopt.schema import digest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testopt.risk.values import FileRisk, LineRisk, Risk, RiskReport

_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
_RULE: Final = "testopt/change-risk"
_REASONS: Final = 3
_HIGH: Final = 0.9  # percentile of a change above which its risky files are warnings
_OWN: Final = 0.5  # of the probability of its change: a file that has less alone is a note


def risk_sarif(report: RiskReport, *, version: str) -> str:
    """Return a report of risks as a SARIF log: one result for each risky file of each change.

    Files of the program alone are results: nobody reviews a document or a test for a defect.

    Parameters
    ----------
    report : RiskReport
    version : str
        Of testopt.
    """
    driver = {
        "name": "testopt",
        "version": version,
        "rules": [
            {
                "id": _RULE,
                "name": "ChangeRisk",
                "shortDescription": {"text": "Change that may introduce a defect"},
                "fullDescription": {
                    "text": "The change resembles earlier ones of this project that had to be "
                    "fixed later."
                },
                "defaultConfiguration": {"level": "note"},
            }
        ],
    }
    results = [r for risk in report.risks for r in _results(risk, report.compared)]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=1)


def _results(risk: Risk, compared: int) -> list[dict[str, Any]]:
    files = [f for f in risk.files if is_code(f.path) and not is_test_path(f.path)]
    return [
        {
            "ruleId": _RULE,
            "ruleIndex": 0,
            "level": _level(risk, file),
            "message": {"text": _message(risk, file, compared)},
            "locations": [_location(file, risk.lines)],
            "rank": round(100.0 * risk.probability, 2),
            "partialFingerprints": {"change/v1": digest(f"{risk.name}\0{file.path}")},
            "properties": {"change": risk.name, "probability": round(risk.probability, 6)},
        }
        for file in files
    ]


def _level(risk: Risk, file: FileRisk) -> str:
    high = risk.percentile is not None and risk.percentile >= _HIGH
    return "warning" if high and file.probability >= _OWN * risk.probability else "note"


def _location(file: FileRisk, lines: Sequence[LineRisk]) -> dict[str, Any]:
    """Return the riskiest line of a file in its place, else the riskiest place, else the file."""
    place: dict[str, Any] = {
        "artifactLocation": {"uri": quote(path_bytes(file.path)), "uriBaseId": "%SRCROOT%"}
    }
    if not file.hunks:
        return {"physicalLocation": place}
    hunk = file.hunks[0]
    around = {"startLine": hunk.first, "endLine": hunk.last}
    line = next((x.line for x in lines if x.path == file.path), None)
    if line is None or hunk.first == hunk.last or not hunk.first <= line <= hunk.last:
        place["region"] = around
    else:
        place |= {"region": {"startLine": line, "endLine": line}, "contextRegion": around}
    named = [{"fullyQualifiedName": hunk.name}] if hunk.name else []
    return {"physicalLocation": place, **({"logicalLocations": named} if named else {})}


def _message(risk: Risk, file: FileRisk, compared: int) -> str:
    reasons = [reason.text for reason in explain(risk.parts) if reason.log_odds > 0]
    beside = percentile_text(risk, compared)
    text = (
        f"The change has a probability of {risk.probability:.0%} to introduce a defect"
        f"{', ' + beside if beside else ''}; this file alone: {file.probability:.0%}."
    )
    if reasons:
        text += f" What raises it: {'; '.join(reasons[:_REASONS])}."
    if file.path in risk.uncaught:
        text += " No test is known to catch a defect in it."
    # In a SARIF message brackets make links, braces stand for arguments.
    return text.replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]")
