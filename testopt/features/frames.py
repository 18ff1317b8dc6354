"""Runs as arrays: one entry per case, attempts folded, oldest run first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from testopt.schema import FAILING, VARIANT_KINDS, FileChange, Run
from testopt.similarity.query import Query

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa
    from numpy.typing import NDArray


_AT_ONCE = frozenset({"table", "backfill"})


@dataclass(frozen=True, slots=True)
class RunFrame:
    """One run with what came out of it.

    Attributes
    ----------
    query : Query
        What was known before.
    failed, skipped : ndarray of bool, shape (n,)
        Outcome of the last attempt; a case that is skipped did not fail.
    seconds : ndarray of float32, shape (n,)
        Duration summed over the attempts; NaN where unknown.
    """

    query: Query
    failed: NDArray[np.bool_]
    skipped: NDArray[np.bool_]
    seconds: NDArray[np.float32]

    @property
    def is_variant(self) -> bool:
        """Whether the run was made from another one: it teaches, but is not history."""
        return self.query.run.kind in VARIANT_KINDS

    @property
    def learnt(self) -> NDArray[np.bool_]:
        """Which cases are learnt from: those that were not skipped, in a run that teaches."""
        return ~self.skipped & (not self.is_disturbed)

    @property
    def known_at(self) -> float:
        """When its outcome was known, in seconds since 1970.

        The time of a table's run is taken to be that moment, and so is that of a replayed one:
        what it really was when the commit was young nobody knows.
        """
        run = self.query.run
        took = 0.0 if run.source in _AT_ONCE else max(run.duration_s or 0.0, 0.0)
        return run.time.timestamp() + took

    @property
    def stopped_early(self) -> bool:
        """Whether it stopped early."""
        return not self.query.run.complete

    @property
    def is_disturbed(self) -> bool:
        """Whether its environment failed it: such a run teaches nothing and is no history."""
        return self.query.run.environment_failure is True


def frames(
    runs: pa.Table, results: pa.Table, changes: pa.Table | None = None
) -> Iterator[RunFrame]:
    """Yield the runs of the tables in time order.

    Parameters
    ----------
    runs, results, changes : pyarrow.Table
        Rows of the tables ``runs``, ``results`` and ``run_changes``; ``run_id`` and ``case_id``
        of the results may be dictionary-encoded (and should be, for millions of rows).

    Yields
    ------
    RunFrame
        By time, then run id, its cases by their ids, in whatever order the rows are stored;
        results of runs that are not in `runs` are left out.
    """
    rows = sorted(runs.to_pylist(), key=lambda r: (r["time"], r["run_id"]))
    position = {row["run_id"]: i for i, row in enumerate(rows)}
    columns = _fold_attempts(_Columns.read(results, position))
    files = _files_by_run(changes, position)
    starts = np.searchsorted(columns.run, np.arange(len(rows) + 1))
    for i, row in enumerate(rows):
        part = slice(starts[i], starts[i + 1])
        cases = columns.names[columns.case[part]].tolist()
        yield RunFrame(
            Query(_run(row), cases, tuple(files.get(i, ()))),
            failed=columns.failed[part],
            skipped=columns.skipped[part],
            seconds=columns.seconds[part],
        )


def _run(row: dict[str, Any]) -> Run:
    names = ("run_id", "time", "job", "commit", "base", "branch", "kind", "parent_run", "source")
    optional = {"complete": row.get("complete", True)}
    optional |= {name: row.get(name) for name in ("environment_failure", "duration_s", "tree")}
    return Run(**{name: row[name] for name in names}, **optional)


@dataclass(frozen=True, slots=True)
class _Columns:
    """Results sorted by run and case: codes into the time order of runs and into `names`."""

    run: NDArray[np.int64]
    case: NDArray[np.int64]
    attempt: NDArray[np.int64]
    failed: NDArray[np.bool_]
    skipped: NDArray[np.bool_]
    seconds: NDArray[np.float32]
    names: NDArray[np.object_]

    @classmethod
    def read(cls, results: pa.Table, position: dict[str, int]) -> _Columns:
        run_codes, run_names = _codes(results.column("run_id"))
        case_codes, case_names = _in_order(*_codes(results.column("case_id")))
        outcome_codes, outcome_names = _codes(results.column("outcome"))
        order_of = np.array([position.get(name, -1) for name in run_names] or [0], np.int64)
        run = order_of[run_codes]
        fails = np.array([name in FAILING for name in outcome_names] or [False])
        skips = np.array([name == "skipped" for name in outcome_names] or [False])
        seconds = results.column("duration_s").to_numpy().astype(np.float32)
        attempt = results.column("attempt").to_numpy().astype(np.int64)
        columns = (run, case_codes, attempt, fails[outcome_codes], skips[outcome_codes], seconds)
        keep = np.flatnonzero(run >= 0)
        by_run_and_case = run[keep] * max(len(case_names), 1) + case_codes[keep]
        keep = keep[np.argsort(by_run_and_case, kind="stable")]
        names = np.asarray(case_names, object)
        parts: list[Any] = [*(column[keep] for column in columns), names]
        return cls(*parts)


def _codes(column: pa.ChunkedArray) -> tuple[NDArray[np.int64], list[str]]:
    import pyarrow as pa

    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    array = column.unify_dictionaries().combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0) if array.num_chunks else pa.array([], column.type)
    return array.indices.to_numpy(zero_copy_only=False).astype(
        np.int64
    ), array.dictionary.to_pylist()


def _in_order(codes: NDArray[np.int64], names: list[str]) -> tuple[NDArray[np.int64], list[str]]:
    """Return the names sorted, and the codes that belong to them."""
    order = sorted(range(len(names)), key=names.__getitem__)
    rank = np.empty(len(names) or 1, np.int64)
    rank[order] = np.arange(len(names))
    return rank[codes], [names[i] for i in order]


def _fold_attempts(columns: _Columns) -> _Columns:
    """Keep the last attempt of each case in each run, with the seconds of all attempts."""
    if len(columns.run) == 0 or columns.attempt.max() <= 1:
        return columns
    order = np.lexsort((columns.attempt, columns.case, columns.run))
    run, case = columns.run[order], columns.case[order]
    last = np.ones(len(order), bool)
    last[:-1] = (run[1:] != run[:-1]) | (case[1:] != case[:-1])
    ends = np.flatnonzero(last)
    begins = np.concatenate(([0], ends[:-1] + 1))
    known = np.nan_to_num(columns.seconds[order])
    total = np.add.reduceat(known, begins).astype(np.float32)
    total[np.isnan(columns.seconds[order][ends]) & (total == 0)] = np.nan
    at = order[ends]
    return _Columns(
        run[ends], case[ends], columns.attempt[at], columns.failed[at], columns.skipped[at],
        total, columns.names,
    )  # fmt: skip


def _files_by_run(
    changes: pa.Table | None, position: dict[str, int]
) -> dict[int, list[FileChange]]:
    found: dict[int, list[FileChange]] = {}
    for row in changes.to_pylist() if changes is not None else ():
        at = position.get(row.pop("run_id"))
        if at is not None:
            row["status"] = row.get("status") or "M"
            found.setdefault(at, []).append(FileChange(**row))
    for files in found.values():
        files.sort(key=lambda f: f.path)
    return found
