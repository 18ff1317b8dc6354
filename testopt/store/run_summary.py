"""Caches the last runs of a store, for plans that must not wait for a table."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from testopt.errors import StoreError
from testopt.schema import VARIANT_KINDS

if TYPE_CHECKING:
    from testopt.store import Store

MAX_RUNS: Final = 200
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
