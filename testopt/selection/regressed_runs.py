"""Counts the runs in which a case failed that had passed, in memory that history does not grow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from testopt.schema import FAILING
from testopt.selection.plan_log_tables import positions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from testopt.store import Store


def count_regressed_runs(store: Store, runs: Sequence[dict[str, Any]]) -> int:
    """Count the runs in which a case failed that had passed in the last run of the same job.

    Parameters
    ----------
    store : Store
    runs : sequence of dict
        ``run_id``, ``job`` and ``time`` of the runs that count.
    """
    ordered = sorted(runs, key=lambda run: (run["job"], run["time"], run["run_id"]))
    run_ids = [run["run_id"] for run in ordered]
    job = np.array([hash(run["job"]) for run in ordered], np.int64)
    cases = _ever_failed(store)
    # in several passes, so that memory does not grow with history
    passes = 1 + sum(run["cases"] for run in runs) // _MOST_RESULTS
    found: set[int] = set()
    for at in range(passes):
        some = [name for name, n in cases.items() if n % passes == at]
        found.update(_broken_runs(_outcome_keys(store, some, run_ids), job).tolist())
    return len(found)


def _ever_failed(store: Store) -> dict[str, int]:
    """Return a number for each case that ever failed."""
    cases: dict[str, int] = {}
    for rows in store.scan("results", columns=["case_id"], where=[("outcome", "in", FAILING)]):
        for name in rows["case_id"].unique().to_pylist():
            cases.setdefault(name, len(cases))
    return cases


def _broken_runs(key: NDArray[np.int64], job: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the runs in which a case failed that had passed in the last run of its job."""
    key.sort()
    ends = np.append(key[1:] >> _ATTEMPT != key[:-1] >> _ATTEMPT, True)[: len(key)]
    last = key[ends]  # of each case in each run the last attempt
    outcome, pair = last & 3, last >> _ATTEMPT
    case, run = pair >> _RUN, pair & ((1 << _RUN) - 1)
    broke = (outcome[1:] == _FAILED) & (outcome[:-1] == _PASSED) & (case[1:] == case[:-1])
    broke &= job[run[1:]] == job[run[:-1]]
    return np.unique(run[1:][broke])


# How a case, a run, an attempt and its outcome are one number: bits of attempt and outcome, of run.
_ATTEMPT: Final = 18
_RUN: Final = 22
_PASSED, _FAILED = 1, 2
_MOST_RESULTS: Final = 1_000_000  # of one pass: 10 million took 11 passes, 7 s and 288 MiB


def _outcome_keys(store: Store, cases: Sequence[str], runs: Sequence[str]) -> NDArray[np.int64]:
    """Return a number for each result of some cases in some runs: 8 bytes are all it takes."""
    import pyarrow as pa

    code = np.array([_PASSED, *[_FAILED] * len(FAILING), 0])  # the last one: any other outcome
    found = [np.empty(0, np.int64)]
    for rows in store.scan("results", columns=["run_id", "case_id", "outcome", "attempt"]):
        case, run = positions(rows["case_id"], cases), positions(rows["run_id"], runs)
        outcome = code[positions(rows["outcome"], ["passed", *sorted(FAILING)])]
        attempt = rows["attempt"].cast(pa.int64()).to_numpy()
        key = (((case << _RUN) + run) << _ATTEMPT) + (attempt << 2) + outcome
        found.append(key[(case >= 0) & (run >= 0)])
    return np.concatenate(found)
