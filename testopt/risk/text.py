"""Formats risks as lines of text for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from testopt.risk.explanations import explain
from testopt.risk.metric_words import (
    average_text,
    basis_text,
    gap_texts,
    hunk_text,
    percentile_text,
    short_name,
    similar_text,
    tests_text,
    uncaught_text,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from testopt.risk.values import FileRisk, Risk, RiskReport

_FILES: Final = 8
_LINES: Final = 5
_WIDTH: Final = 90  # characters of a line of code


def risk_lines(
    report: RiskReport,
    *,
    most: int,
    subjects: Mapping[str, str] | None = None,
    reviewers: Mapping[str, tuple[str, ...]] | None = None,
) -> Iterator[str]:
    """Yield a report of risks line by line; one change alone with its reasons and files.

    Parameters
    ----------
    report : RiskReport
    most : int
        Changes that are shown.
    subjects : mapping of str to str, optional
        Of commits, by hash.
    reviewers : mapping of str to tuple of str, optional
        Who is likely to review a change, by its name.
    """
    if len(report.risks) > 1:
        yield "  risk  over  change (over: the share of the changes before it that are less risky)"
    for risk in report.risks[:most]:
        subject = (subjects or {}).get(risk.name, "")
        title = f"{short_name(risk)}{f'  {subject}' if subject else ''}"
        if len(report.risks) == 1:
            yield from _one(risk, report, title, (reviewers or {}).get(risk.name, ()))
        else:
            place = "" if risk.percentile is None else f"{risk.percentile:.0%}"
            yield f"{risk.probability:6.1%}  {place:>4}  {title}"
    if len(report.risks) > most:
        yield f"and {len(report.risks) - most} less risky changes (--json lists all)"
    if len(report.risks) > 1:
        yield ""
    yield from gap_texts(report)
    yield basis_text(report)


def _one(risk: Risk, report: RiskReport, title: str, people: tuple[str, ...]) -> Iterator[str]:
    yield f"{risk.probability:.1%} risk of a defect: {title}"
    beside = percentile_text(risk, report.compared)
    if beside:
        yield beside
    yield ""
    yield from _reasons(risk)
    yield from _lines(risk)
    yield from _files(risk)
    if risk.uncaught:
        yield ""
        yield uncaught_text(risk)
    if people:
        yield ""
        yield f"who may review it: {', '.join(people)}"
    if risk.similar:
        yield ""
        yield "earlier changes like it that introduced a defect"
        yield from (f"  {similar_text(similar)}" for similar in risk.similar)
    yield ""


def _reasons(risk: Risk) -> Iterator[str]:
    yield f"why, in log-odds (+0.69 doubles the odds, -0.69 halves them; {average_text(risk)})"
    told = explain(risk.parts)
    for reason in told:
        yield f"  {reason.log_odds:+.2f}  {reason.subject}: {reason.text}"
    if not told:
        yield "         nothing sets it apart from an average change"


def _lines(risk: Risk) -> Iterator[str]:
    if risk.lines:
        yield ""
        yield "look at these lines first"
    for line in risk.lines[:_LINES]:
        where = f"  in {line.name}" if line.name else ""
        yield f"  {line.path}:{line.line}{where}"
        yield f"      {line.text.strip()[:_WIDTH]}"


def _files(risk: Risk) -> Iterator[str]:
    if risk.files:
        yield ""
        yield "files, each as if it had changed alone"
    for file in risk.files[:_FILES]:
        yield from _file(file)
    if risk.n_files > _FILES:
        yield f"          and {risk.n_files - _FILES} more files"


def _file(file: FileRisk) -> Iterator[str]:
    size = f"+{file.added or 0} -{file.deleted or 0}"
    told = "layout and comments only" if file.inert else size
    place = f"  riskiest: {hunk_text(file.hunks[0])}" if len(file.hunks) > 1 else ""
    yield f"  {file.probability:6.1%}  {file.path}  {told}{place}"
    if file.tests:
        yield f"          tests: {tests_text(file, 3)}"
