"""Checks the runs and results that models learn from: errors refuse a training, doubts warn."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from testopt.errors import EmptyStoreError
from testopt.quality.findings import Finding, QualityReport
from testopt.quality.results import check_results
from testopt.quality.runs import RunTable, check_runs
from testopt.quality.schemas import check_schemas

if TYPE_CHECKING:
    from testopt.store import Store

__all__ = ["QualityReport", "check_data"]

# Results that a training looks at row by row; `train --check` looks at all. 229,000 take .07 s CPU.
MOST_RESULTS: Final = 2_000_000


def check_data(
    store: Store, *, until: datetime | None = None, whole: bool = False, now: datetime | None = None
) -> QualityReport:
    """Look for what would spoil a training.

    Parameters
    ----------
    store : Store
    until : datetime, optional
        Leave out later runs.
    whole : bool
        Look at all results, however many, and at whole schemas where pandera is installed.
    now : datetime, optional
        The present.

    Returns
    -------
    QualityReport

    Raises
    ------
    EmptyStoreError
        When the store holds no run.
    StoreError
        When a table cannot be read.
    """
    runs = RunTable.read(store, until)
    if not len(runs):
        raise EmptyStoreError("the store holds no runs", "read some first: testopt ingest PATH")
    findings = list(check_runs(runs, now or datetime.now(UTC)))
    results = int(runs.cases.sum())
    if whole or results <= MOST_RESULTS:
        looked, found = check_results(store, runs)
        findings += found
    else:
        looked = 0
        text = f"its {results:,} results were not looked at row by row"
        findings.append(Finding("large", "note", text, results, fix="testopt train --check"))
    if whole:
        findings += check_schemas(store)
    return QualityReport.of(
        findings, runs=len(runs), results=looked, first=runs.day(0), last=runs.day(-1)
    )
