"""Counts the runs in which a case failed that had passed, in memory that history does not grow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from testopt.schema import FAILING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa
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
    number = {run["run_id"]: n for n, run in enumerate(ordered)}
    job = np.array([hash(run["job"]) for run in ordered], np.int64)
    cases = _ever_failed(store)
    # in several passes, so that memory does not grow with history
    passes = 1 + sum(run["cases"] for run in runs) // _MOST_RESULTS
    found: set[int] = set()
    for at in range(passes):
        some = {name: n for name, n in cases.items() if n % passes == at}
        found.update(_broken_runs(_outcome_keys(store, some, number), job).tolist())
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


def _outcome_keys(
    store: Store, cases: Mapping[str, int], runs: Mapping[str, int]
) -> NDArray[np.int64]:
    """Return a number for each result of some cases in some runs: 8 bytes are all it takes."""
    import pyarrow as pa

    words = {"passed": _PASSED} | dict.fromkeys(FAILING, _FAILED)
    found = [np.empty(0, np.int64)]
    for rows in store.scan("results", columns=["run_id", "case_id", "outcome", "attempt"]):
        case = _numbers(rows["case_id"], cases, default=-1)
        run = _numbers(rows["run_id"], runs, default=-1)
        outcome = _numbers(rows["outcome"], words, default=0)
        attempt = rows["attempt"].cast(pa.int64()).to_numpy()
        key = (((case << _RUN) + run) << _ATTEMPT) + (attempt << 2) + outcome
        found.append(key[(case >= 0) & (run >= 0)])
    return np.concatenate(found)


def _numbers(
    column: pa.ChunkedArray, known: Mapping[str, int], *, default: int
) -> NDArray[np.int64]:
    """Return the number of each text of a dictionary-encoded column."""
    parts = [np.empty(0, np.int64)]
    for chunk in column.chunks:
        words = [known.get(word, default) for word in chunk.dictionary.to_pylist()]
        parts.append(
            np.array([*words, default], np.int64)[chunk.indices.fill_null(len(words)).to_numpy()]
        )
    return np.concatenate(parts)
