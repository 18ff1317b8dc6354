"""Formats risks as lines of text for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from testopt.risk.metric_words import (
    basis_text,
    contribution_text,
    hunk_text,
    percentile_text,
    tests_text,
    uncaught_text,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from testopt.risk.values import FileRisk, Risk, RiskReport

_REASONS: Final = 8
_FILES: Final = 8
_HUNKS: Final = 3


def risk_lines(
    report: RiskReport, people: Mapping[str, tuple[str, ...]], *, most: int
) -> Iterator[str]:
    """Yield a report of risks line by line; one change alone with its reasons and files.

    Parameters
    ----------
    report : RiskReport
    people : mapping of str to tuple of str
        Who knows a file, by path.
    most : int
        Changes that are shown.
    """
    for risk in report.risks[:most]:
        beside = percentile_text(risk, report.compared)
        yield f"{risk.probability:6.1%}  {risk.name}{f'  ({beside})' if beside else ''}"
        if len(report.risks) == 1:
            yield from _reasons(risk)
            yield from _files(risk, people)
            yield ""
    if len(report.risks) > most:
        yield f"and {len(report.risks) - most} less risky changes (--json lists all)"
    yield basis_text(report)


def _reasons(risk: Risk) -> Iterator[str]:
    yield ""
    yield "log-odds"
    for part in risk.parts[: _REASONS + 1]:
        yield f"   {part.log_odds:+.2f}  {contribution_text(part)}"
    rest = risk.parts[_REASONS + 1 :]
    if rest:
        yield f"   {sum(p.log_odds for p in rest):+.2f}  all else"


def _files(risk: Risk, people: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    if risk.files:
        yield ""
        yield "files, each as if it had changed alone"
    for file in risk.files[:_FILES]:
        yield from _file(file, people.get(file.path, ()))
    if risk.n_files > _FILES:
        yield f"          and {risk.n_files - _FILES} more files"
    if risk.uncaught:
        yield ""
        yield uncaught_text(risk)


def _file(file: FileRisk, people: tuple[str, ...]) -> Iterator[str]:
    size = f"+{file.added or 0} -{file.deleted or 0}"
    told = "layout and comments only" if file.inert else size
    yield f"  {file.probability:6.1%}  {file.path}  {told}"
    for hunk in file.hunks[:_HUNKS]:
        yield f"    {hunk.probability:6.1%}  {hunk_text(hunk)}"
    if len(file.hunks) > _HUNKS:
        yield "            and further places"
    if file.tests:
        yield f"          tests: {tests_text(file, 3)}"
    if people:
        yield f"          who knows it: {', '.join(people)}"
