"""Metrics of a change in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from testopt.schema import Risk, RiskPart

_WORDS: Final = {
    "base": "an average change of this project",
    "ns": "subsystems changed",
    "nd": "folders changed",
    "nf": "files changed",
    "entropy": "spread of the lines over the files, in bits",
    "la": "lines added",
    "ld": "lines deleted",
    "lt": "lines the files had before",
    "fix": "is a fix",
    "ndev": "people who changed these files before",
    "age": "days since these files changed last",
    "nuc": "earlier changes of these files",
    "exp": "earlier changes of the author",
    "rexp": "recent changes of the author",
    "sexp": "earlier changes of the author in these subsystems",
    "date": "time of the change",
    "new_files": "new files",
    "test_share": "share of files that are tests",
    "fixes": "earlier fixes in these files",
    "ownership": "author's share of the earlier changes of these files",
}


def part_text(part: RiskPart) -> str:
    """Return one part of a risk, such as ``lines added: 420 (typical: 14)``."""
    words = _WORDS.get(part.metric, part.metric)
    if part.value is None:
        return words
    if part.metric == "fix":
        return words if part.value else "is no fix"
    typical = "" if part.typical is None else f" (typical: {_number(part.typical)})"
    return f"{words}: {_number(part.value)}{typical}"


def percentile_text(risk: Risk, compared: int) -> str:
    """Return ``riskier than 93% of the last 500 changes``, or an empty text."""
    if risk.percentile is None:
        return ""
    return f"riskier than {risk.percentile:.0%} of the last {compared} changes"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.1f}"  # noqa: PLR2004 - three digits
