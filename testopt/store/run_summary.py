"""Caches the last runs of a store, for plans that must not wait for a table."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from testopt.errors import StoreError
from testopt.pluralize import pluralize
from testopt.schema import VARIANT_KINDS

if TYPE_CHECKING:
    from testopt.store import Store

MAX_RUNS: Final = 256  # the doctor counts up to 250 since the last training
_NAME: Final = "state/recent.json"
_COLUMNS: Final = ("run_id", "commit", "time", "job", "cases", "kind")


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What can be known of the runs that really happened without reading a table.

    Attributes
    ----------
    runs, results : int
        How many there are.
    last : list of dict
        Columns of the last ``MAX_RUNS`` runs, the last one first.
    """

    runs: int
    results: int
    last: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class RunCounts:
    """How many runs a store holds, by one definition for all commands.

    Attributes
    ----------
    runs : int
        Executions in one job that really happened; each job of a pipeline is a run.
    unfinished, disturbed : int
        Those of them that were cut short, and that their environment failed.
    variants : int
        Runs of variants, which a backfill made from commits; they are in no other number.
    """

    runs: int = 0
    unfinished: int = 0
    disturbed: int = 0
    variants: int = 0

    @property
    def words(self) -> str:
        """The numbers in words; what is 0 is left out."""
        parts = [
            (self.unfinished, f"{self.unfinished:,} unfinished"),
            (self.disturbed, f"{self.disturbed:,} failed by the environment"),
        ]
        of_these = ", ".join(text for count, text in parts if count)
        runs = pluralize(self.runs, "run") + (f" ({of_these})" if of_these else "")
        made = pluralize(self.variants, "variant")
        return f"{runs}, and {made} of a backfill" if self.variants else runs


def count_runs(store: Store) -> RunCounts:
    """Count the runs of a store.

    Raises
    ------
    StoreError
        When the table is damaged.
    """
    rows = store.read("runs", columns=["kind", "complete", "environment_failure"]).to_pylist()
    real = [row for row in rows if row["kind"] not in VARIANT_KINDS]
    return RunCounts(
        len(real),
        sum(row["complete"] is False for row in real),
        sum(row["environment_failure"] is True for row in real),
        len(rows) - len(real),
    )


def real_runs(store: Store) -> list[dict[str, Any]]:
    """Read the runs that really happened, the last one first.

    Raises
    ------
    StoreError
        When the table is damaged.
    """
    rows = store.read("runs", columns=_COLUMNS).to_pylist()
    real = (row for row in rows if row["kind"] not in VARIANT_KINDS)
    return sorted(real, key=lambda row: (row["time"], row["run_id"]), reverse=True)


def read_run_summary(store: Store) -> RunSummary:
    """Return what is kept of the last runs, made anew where runs have come since.

    Raises
    ------
    StoreError
        When the table is damaged.
    """
    version = store.version("runs")
    summary = _cached(store, version)
    if summary is None:
        runs = real_runs(store)
        summary = RunSummary(len(runs), sum(run["cases"] for run in runs), runs[:MAX_RUNS])
        with suppress(StoreError):  # a cache: the next one reads the table again
            store.write_blob(_NAME, _dump(summary, version))
    return summary


def _dump(summary: RunSummary, version: int) -> bytes:
    last = [run | {"time": run["time"].timestamp()} for run in summary.last]
    document = {"version": version, "runs": summary.runs, "results": summary.results, "last": last}
    return json.dumps(document, separators=(",", ":")).encode()


def _cached(store: Store, version: int) -> RunSummary | None:
    data = store.read_blob(_NAME)
    if data is None:
        return None
    try:
        document = json.loads(data)
        if document["version"] != version:
            return None
        last = [
            {name: run[name] for name in _COLUMNS}
            | {"time": datetime.fromtimestamp(run["time"], UTC)}
            for run in document["last"]
        ]
        return RunSummary(int(document["runs"]), int(document["results"]), last)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
