"""Describes metrics of a change in words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from testopt.pluralize import pluralize

if TYPE_CHECKING:
    from testopt.risk.values import (
        CatchingTest,
        FileRisk,
        HunkRisk,
        MetricContribution,
        Risk,
        RiskReport,
        SimilarCulprit,
    )

_SUBJECT: Final = 60  # letters of a subject
_FEW: Final = 100  # changes, below which a percentile says little

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
    "words": "words of explanation in the message",
    "turned": "a condition was turned",
    "version_bump": "version numbers alone",
    "dependency_update": "versions of dependencies alone",
}


def contribution_text(contribution: MetricContribution) -> str:
    """Return one part of a risk, such as ``lines added: 420 (typical: 14)``."""
    name = _WORDS.get(contribution.metric, contribution.metric)
    if contribution.value is None:
        return name
    if contribution.metric == "fix":
        return name if contribution.value else "is no fix"
    typical = "" if contribution.typical is None else f" (typical: {_number(contribution.typical)})"
    return f"{name}: {_number(contribution.value)}{typical}"


def percentile_text(risk: Risk, compared: int) -> str:
    """Return ``riskier than 93% of the last 500 changes``, or an empty text."""
    if risk.percentile is None:
        return ""
    few = " (no more are known to compare with)" if compared < _FEW else ""
    return f"riskier than {risk.percentile:.0%} of the last {compared} changes{few}"


def short_name(risk: Risk) -> str:
    """Return the first 12 letters of a hash, or what else a change is called."""
    is_hash = len(risk.name) in (40, 64) and not set(risk.name) - set("0123456789abcdef")
    return risk.name[:12] if is_hash else risk.name


def average_text(risk: Risk) -> str:
    """Return the risk of an average change, such as ``an average change here has 9.4%``."""
    base = next((part.log_odds for part in risk.parts if part.metric == "base"), 0.0)
    return f"an average change here has {1.0 / (1.0 + math.exp(-base)):.1%}"


def similar_text(similar: SimilarCulprit) -> str:
    """Return a past commit that introduced a defect, its fix, and the files it shares."""
    shared = f", in {', '.join(similar.paths[:2])}" if similar.paths else ""
    return (
        f"{similar.sha[:12]} {similar.subject[:_SUBJECT]}{shared}; "
        f"fixed by {similar.fix[:12]} {similar.fix_subject[:_SUBJECT]}"
    )


def gap_texts(report: RiskReport) -> list[str]:
    """Return what is not known of the past, a sentence each; nothing where all is known."""
    out = []
    if report.begins:
        why = "the clone is shallow" if report.shallow else "no more was mined"
        todo = (
            "`git fetch --unshallow`, then `testopt mine`" if report.shallow else "`testopt mine`"
        )
        out.append(
            f"only {report.commits:,} commits since {report.begins} are known ({why}): what came "
            f"before counts as nothing; {todo} reads it"
        )
    unknown = [path for risk in report.risks[:1] for path in risk.unknown]
    if unknown:
        more = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""  # noqa: PLR2004
        out.append(
            f"the past of {', '.join(unknown[:3])}{more} is not known (renamed or written in a "
            "commit that is not mined), and the reasons do without it"
        )
    return out


def basis_text(report: RiskReport) -> str:
    """Return one line on what the risks rest on."""
    days = pluralize(max(round(report.latency_days), 1), "day")
    found = f" (half are found within {days})" if report.latency_days else ""
    text = (
        f"Learnt from {report.changes:,} changes, {report.defects:,} of which introduced a defect"
        f"{found}"
    )
    if report.auc is not None and report.auc_lines is not None:
        is_chance = report.auc_lines > report.auc and not report.by_lines
        chance = ", which chance explains" if is_chance else ""
        text += (
            f"; on the youngest {report.checked}, not seen in training, AUC {report.auc:.2f} "
            f"(lines added alone: {report.auc_lines:.2f}{chance})"
        )
    if report.by_lines:
        text += (
            "; size, explanation and past changes decide, as elsewhere: too little to learn "
            "more from"
            if report.auc is None
            else "; lines added alone decide: they do better, beyond chance"
        )
    return f"{text}."


def hunk_text(hunk: HunkRisk) -> str:
    """Return ``lines 120-134 in Parser.read  +12 -3``."""
    lines = f"lines {hunk.first}-{hunk.last}" if hunk.last > hunk.first else f"line {hunk.first}"
    where = f" in {hunk.name}" if hunk.name else ""
    return f"{lines}{where}  +{hunk.added} -{hunk.deleted}"


def tests_text(file: FileRisk, most: int) -> str:
    """Return the tests that may catch a defect in a file, such as ``a (failed in 3 of 5 changes)``.

    Parameters
    ----------
    file : FileRisk
    most : int
        Tests that are named.
    """
    shown = [_test_text(test) for test in file.tests[:most]]
    further = (file.n_tests or 0) - len(shown)
    return ", ".join([*shown, *([f"and {further} more"] if further > 0 else [])])


def _test_text(test: CatchingTest) -> str:
    if not test.failed:
        return test.case_id
    return f"{test.case_id} (failed in {test.failed} of {test.changes} runs that changed it)"


def uncaught_text(risk: Risk, most: int = 8) -> str:
    """Return the files that no test is known to catch, in words."""
    further = len(risk.uncaught) - most
    tail = f" and {further} more" if further > 0 else ""
    return f"no test is known to catch a defect in: {', '.join(risk.uncaught[:most])}{tail}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.1f}"  # noqa: PLR2004 - three digits
