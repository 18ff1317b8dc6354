"""Formats risks as Markdown for a comment or a job summary; no path becomes markup."""

from __future__ import annotations

import re
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
    from collections.abc import Mapping

    from testopt.risk.values import FileRisk, Risk, RiskReport

# Markup inside of a line, mentions and issue numbers of code hosts, and what looks like an address.
# What is markup at the beginning of a line alone stays, for nothing that is escaped stands there.
_SPECIAL: Final = re.compile(
    r"[\\`*\[\]<>|~@#$&]|(?<![^\W_])_|_(?![^\W_])|:(?=//)|\.(?<=www\.)", re.IGNORECASE
)
_ENTITIES: Final = {"&": "&amp;", "<": "&lt;"}
_SHOWN: Final = 6
_CHANGES: Final = 20


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


def risk_markdown(report: RiskReport, people: Mapping[str, tuple[str, ...]] | None = None) -> str:
    """Return a report of risks as Markdown, the riskiest change first.

    Parameters
    ----------
    report : RiskReport
    people : mapping of str to tuple of str, optional
        Who knows a file, by path.
    """
    lines = ["## Change risk", ""]
    for risk in report.risks[:_CHANGES]:
        lines += _section(risk, report.compared, people or {})
    if len(report.risks) > _CHANGES:
        lines += [f"and {len(report.risks) - _CHANGES} less risky changes", ""]
    return "\n".join([*lines, escape(basis_text(report)), ""])


def _section(risk: Risk, compared: int, people: Mapping[str, tuple[str, ...]]) -> list[str]:
    beside = percentile_text(risk, compared)
    lines = [
        f"### {escape(risk.name)}: {risk.probability:.0%}",
        "",
        *([f"{beside[0].upper()}{beside[1:]}.", ""] if beside else []),
        "| log-odds | why |",
        "| ---: | --- |",
    ]
    lines += [
        f"| {p.log_odds:+.2f} | {escape(contribution_text(p))} |" for p in risk.parts[: _SHOWN + 1]
    ]
    rest = sum(p.log_odds for p in risk.parts[_SHOWN + 1 :])
    if len(risk.parts) > _SHOWN + 1:
        lines.append(f"| {rest:+.2f} | all else |")
    if risk.files:
        lines += ["", "| file | alone | lines | riskiest place | tests | who knows it |"]
        lines += ["| --- | ---: | ---: | --- | --- | --- |"]
        lines += [_row(f, people.get(f.path, ())) for f in risk.files[:_SHOWN]]
    if risk.uncaught:
        text = uncaught_text(risk)
        lines += ["", f"{text[0].upper()}{escape(text[1:])}"]
    return [*lines, ""]


def _row(file: FileRisk, people: tuple[str, ...]) -> str:
    cells = (
        escape(file.path),
        f"{file.probability:.0%}",
        f"+{file.added or 0} -{file.deleted or 0}",
        escape(hunk_text(file.hunks[0])) if file.hunks else "",
        escape(tests_text(file, 3)),
        escape(", ".join(people)),
    )
    return f"| {' | '.join(cells)} |"
