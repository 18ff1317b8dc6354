"""Risks as Markdown for a comment or a job summary; nothing in a path becomes markup."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from testopt.report.words import part_text, percentile_text

if TYPE_CHECKING:
    from testopt.schema import Risk, RiskReport

_SPECIAL: Final = re.compile(r"([\\`*_{}\[\]()#+\-.!|~>@:/])")
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
    return _SPECIAL.sub(r"\\\1", plain).replace("&", "&amp;").replace("<", "&lt;")


def risk_markdown(report: RiskReport) -> str:
    """Return a report of risks as Markdown, the riskiest change first."""
    lines = ["## Change risk", ""]
    for risk in report.risks[:_CHANGES]:
        lines += _section(risk, report.compared)
    if len(report.risks) > _CHANGES:
        lines += [f"and {len(report.risks) - _CHANGES} less risky changes", ""]
    return "\n".join([*lines, escape(basis_text(report)), ""])


def basis_text(report: RiskReport) -> str:
    """Return one line on what the risks rest on."""
    text = f"Learnt from {report.changes} changes, {report.defects} of which introduced a defect"
    if report.auc is not None and report.auc_lines is not None:
        text += (
            f"; on the youngest {report.checked}, not seen in training: AUC {report.auc:.2f} "
            f"(lines added alone: {report.auc_lines:.2f})"
        )
    if report.latency_days:
        text += f"; defects are found after {report.latency_days:.0f} days on average"
    return text + "."


def _section(risk: Risk, compared: int) -> list[str]:
    beside = percentile_text(risk, compared)
    lines = [
        f"### {escape(risk.name)}: {risk.probability:.0%}",
        "",
        *([f"{beside[0].upper()}{beside[1:]}.", ""] if beside else []),
        "| log-odds | why |",
        "| ---: | --- |",
    ]
    lines += [f"| {p.log_odds:+.2f} | {escape(part_text(p))} |" for p in risk.parts[: _SHOWN + 1]]
    rest = sum(p.log_odds for p in risk.parts[_SHOWN + 1 :])
    if len(risk.parts) > _SHOWN + 1:
        lines.append(f"| {rest:+.2f} | all else |")
    if risk.files:
        lines += ["", "| file | alone | lines |", "| --- | ---: | ---: |"]
        lines += [
            f"| {escape(f.path)} | {f.probability:.0%} | +{f.added or 0} -{f.deleted or 0} |"
            for f in risk.files[:_SHOWN]
        ]
    return [*lines, ""]
