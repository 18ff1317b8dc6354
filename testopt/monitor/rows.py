"""Every planned case with its outcome, as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from testopt.schema import FAILING
from testopt.selection.plan_log_tables import positions

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from testopt.store import Store


@dataclass(frozen=True, slots=True)
class PlanRows:
    """Planned cases of some runs, each of shape (n,); `run` is a position in the list of runs.

    ``seconds`` is what the case took in this run; where it was not executed, what it took on
    average in the others, NaN where it never was.
    """

    run: NDArray[np.int64]
    probability: NDArray[np.float64]
    propensity: NDArray[np.float64]
    selected: NDArray[np.bool_]
    executed: NDArray[np.bool_]
    failed: NDArray[np.bool_]
    seconds: NDArray[np.float64]


def plan_rows(store: Store, run_ids: Sequence[str]) -> PlanRows:
    """Read the plans of some runs with their results.

    Parameters
    ----------
    store : Store
    run_ids : sequence of str

    Raises
    ------
    StoreError
        When a table cannot be read.
    """
    where, keys = [("run_id", "in", list(run_ids))], ["run_id", "case_id"]
    columns = [*keys, "probability", "propensity", "selected"]
    planned = store.read("predictions", columns=columns, where=where, dictionary=keys)
    columns = [*keys, "outcome", "duration_s", "attempt"]
    results = store.read("results", columns=columns, where=where, dictionary=[*keys, "outcome"])
    words = planned["case_id"].unique().to_pylist()
    run = positions(planned["run_id"], run_ids)
    case = positions(planned["case_id"], words)
    done = _Done.of(results, run_ids, words)
    at = done.find(run * len(words) + case)
    executed = at >= 0
    seconds = np.where(executed, done.seconds[at], done.typical(len(words))[case])
    return PlanRows(
        run,
        _numbers(planned["probability"]),
        _numbers(planned["propensity"], default=1.0),
        planned["selected"].to_numpy(),
        executed,
        executed & done.failed[at],
        seconds,
    )


@dataclass(frozen=True, slots=True)
class _Done:
    """Executed cases, attempts folded, sorted by ``key`` (run times number of cases plus case).

    The last entry stands for what is not found.
    """

    key: NDArray[np.int64]
    failed: NDArray[np.bool_]
    seconds: NDArray[np.float64]

    @classmethod
    def of(cls, results: pa.Table, run_ids: Sequence[str], words: Sequence[str]) -> _Done:
        case = positions(results["case_id"], words)
        key = positions(results["run_id"], run_ids) * len(words) + case
        outcome = positions(results["outcome"], [*sorted(FAILING), "passed"])
        attempt = results["attempt"].to_numpy()
        order = np.lexsort((attempt, key))
        order = order[(case >= 0)[order] & (outcome >= 0)[order]]  # skipped is not executed
        key, first = np.unique(key[order], return_index=True)
        last = np.append(first[1:], len(order))[: len(first)] - 1
        took = _numbers(results["duration_s"], default=0.0)[order]
        seconds = np.add.reduceat(took, first) if len(first) else np.zeros(0)
        failing = outcome[order][last] < len(FAILING)
        return cls(key, np.append(failing, False), np.append(seconds, np.nan))

    def find(self, key: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the place of each key; -1 where it is not there."""
        at = np.searchsorted(self.key, key)
        inside = at < len(self.key)
        inside[inside] = self.key[at[inside]] == key[inside]
        return np.where(inside, at, -1)

    def typical(self, cases: int) -> NDArray[np.float64]:
        """Return the mean seconds of each case."""
        case = self.key % max(cases, 1)
        count = np.bincount(case, minlength=cases)
        total = np.bincount(case, self.seconds[:-1], minlength=cases)
        mean: NDArray[np.float64] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
        return mean


def _numbers(column: pa.ChunkedArray, default: float = np.nan) -> NDArray[np.float64]:
    import pyarrow.compute as pc

    return np.asarray(pc.fill_null(column, default).to_numpy(), np.float64)
