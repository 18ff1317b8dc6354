"""Formats `testopt risk --fairness`."""

from __future__ import annotations

from dataclasses import asdict
from math import isnan
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testopt.risk.fairness import FairnessReport


def fairness_lines(report: FairnessReport) -> Iterator[str]:
    """Yield the figures of a model of risk by group."""
    yield f"on the youngest {report.checked} changes, not seen in training; flagged: riskiest 20%"
    yield ""
    heads = (("changes", 8), ("defects", 9), ("predicted", 11), ("false alarms", 14), ("missed", 8))
    yield f"{'':24}{''.join(head.rjust(width) for head, width in heads)}  AUC"
    by = ""
    for g in report.groups:
        if g.by != by:
            by = g.by
            yield f"by {by}"
        rates = f"{g.rate:9.1%}{g.predicted:11.1%}{_rate(g.false_alarms):>14}{_rate(g.missed):>8}"
        yield f"  {g.group:22}{g.changes:8}{rates}  {'-' if isnan(g.auc) else f'{g.auc:.2f}'}"
    if report.hidden:
        yield f"  {report.hidden} changes are in groups of fewer than 3 people or 20 changes"
    yield ""
    yield (
        f"AUC {report.auc:.3f}; without metrics of the author {report.auc_without_authors:.3f} "
        "(author_features = false)"
    )


def _rate(value: float) -> str:
    return "-" if isnan(value) else f"{value:.1%}"


def fairness_dict(report: FairnessReport) -> dict[str, Any]:
    """Return the report for JSON, which knows no NaN."""
    return {name: _plain(value) for name, value in asdict(report).items()}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(v) for name, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and isnan(value) else value
