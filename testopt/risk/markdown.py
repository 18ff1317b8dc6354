"""Formats risks as Markdown for a comment or a job summary; no path becomes markup."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from testopt.risk.explanations import explain
from testopt.risk.metric_words import (
    average_text,
    basis_text,
    gap_texts,
    percentile_text,
    short_name,
    similar_text,
    tests_text,
    uncaught_text,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from testopt.risk.values import FileRisk, Risk, RiskReport

# Markup inside of a line, mentions and issue numbers of code hosts, and what looks like an address.
# What is markup at the beginning of a line alone stays, for nothing that is escaped stands there.
_SPECIAL: Final = re.compile(
    r"[\\`*\[\]<>|~@#$&]|(?<![^\W_])_|_(?![^\W_])|:(?=//)|\.(?<=www\.)", re.IGNORECASE
)
_ENTITIES: Final = {"&": "&amp;", "<": "&lt;"}
_SHOWN: Final = 6  # files
_LINES: Final = 5
_CHANGES: Final = 10  # beside the riskiest
_WIDTH: Final = 90  # characters of a line of code


def escape(text: str) -> str:
    """Return `text` as Markdown that shows it letter by letter, on one line.

    Parameters
    ----------
    text : str
        Anything, such as a path.

    Returns
    -------
    str
        Markup, mentions, links and HTML are disarmed; control characters are spelled out.
    """
    plain = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return _SPECIAL.sub(lambda m: _ENTITIES.get(m[0], f"\\{m[0]}"), plain)


def risk_markdown(
    report: RiskReport,
    *,
    subjects: Mapping[str, str] | None = None,
    reviewers: Mapping[str, tuple[str, ...]] | None = None,
) -> str:
    """Return a report of risks as Markdown of at most 60 lines: the riskiest change, then others.

    Parameters
    ----------
    report : RiskReport
    subjects : mapping of str to str, optional
        Of commits, by hash.
    reviewers : mapping of str to tuple of str, optional
        Who is likely to review a change, by its name.
    """
    names = subjects or {}
    riskiest, others = report.risks[0], report.risks[1:]
    lines = ["## Change risk", "", *_section(riskiest, report, _title(riskiest, names))]
    people = (reviewers or {}).get(riskiest.name, ())
    if people:
        lines += [f"Who may review it: {escape(', '.join(people))}", ""]
    if others:
        lines += ["| risk | other changes |", "| ---: | --- |"]
        lines += [f"| {r.probability:.0%} | {_title(r, names)} |" for r in others[:_CHANGES]]
        if len(others) > _CHANGES:
            lines.append(f"|  | and {len(others) - _CHANGES} less risky ones |")
        lines.append("")
    told = [*gap_texts(report), basis_text(report)]
    return "\n".join([*lines, *map(_sentence, told), ""])


def _sentence(text: str) -> str:
    return escape(f"{text[0].upper()}{text[1:]}")


def _title(risk: Risk, subjects: Mapping[str, str]) -> str:
    subject = subjects.get(risk.name, "")
    return escape(f"{short_name(risk)}{f' {subject}' if subject else ''}")


def _section(risk: Risk, report: RiskReport, title: str) -> list[str]:
    beside = percentile_text(risk, report.compared)
    lines = [f"### {risk.probability:.0%} risk of a defect: {title}", ""]
    lines += [_sentence(f"{beside or 'too few changes are known to compare with'}."), ""]
    lines += [f"In log-odds, which add up ({escape(average_text(risk))}):", ""]
    lines += [
        f"- {reason.log_odds:+.2f} **{reason.subject}**: {escape(reason.text)}"
        for reason in explain(risk.parts)
    ] or ["- nothing sets it apart"]
    if risk.lines:
        lines += ["", "| look here first | code |", "| --- | --- |"]
        lines += [
            f"| {escape(f'{x.path}:{x.line}')} | {escape(x.text.strip()[:_WIDTH])} |"
            for x in risk.lines[:_LINES]
        ]
    if risk.files:
        lines += ["", "| file | alone | lines | tests |", "| --- | ---: | ---: | --- |"]
        lines += [_row(f) for f in risk.files[:_SHOWN]]
    if risk.uncaught:
        lines += ["", _sentence(uncaught_text(risk))]
    if risk.similar:
        lines += ["", "Earlier changes like it that introduced a defect:", ""]
        lines += [f"- {escape(similar_text(similar))}" for similar in risk.similar]
    return [*lines, ""]


def _row(file: FileRisk) -> str:
    cells = (
        escape(file.path),
        f"{file.probability:.0%}",
        "layout" if file.inert else f"+{file.added or 0} -{file.deleted or 0}",
        escape(tests_text(file, 3)),
    )
    return f"| {' | '.join(cells)} |"
