"""What the past says of a case: rates, recency, streaks, durations.

State is read before it is updated, run by run in time order, so that a feature cannot see its
own answer. A tick is one run of history; an execution is one run in which the case took part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from testopt.code.effort import relative_seconds
from testopt.features import similar_runs
from testopt.features.case_facts import CaseFacts
from testopt.features.cases import LEVELS, CaseTable
from testopt.features.cofailure import Lives
from testopt.features.parent_run import ParentRuns
from testopt.features.similar_runs import SimilarRuns

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from testopt.features.frames import RunFrame
    from testopt.features.parent_run import Parent
    from testopt.similarity.query import Query

ALPHAS: Final = (0.5, 0.2, 0.05)  # weights of the newest execution in the decayed failure rates
GROUP_ALPHA: Final = 0.2
COST_ALPHA: Final = 0.3
REACH: Final = 3  # neighbours to either side
NEVER: Final = -1
DURATION_FLOOR_S: Final = 1e-3

# Per-case state: name -> (dtype, value of a stranger).
_CASE_STATE: Final[dict[str, tuple[type, float]]] = {
    "runs": (np.int32, 0),
    "fails": (np.int32, 0),
    **{f"rate_{i}": (np.float32, 0.0) for i in range(len(ALPHAS))},
    "last_fail_tick": (np.int32, NEVER),
    "last_fail_run": (np.int32, NEVER),  # counted in executions of the case
    "last_tick": (np.int32, NEVER),
    "first_tick": (np.int32, NEVER),
    "failing": (np.bool_, False),
    "streak": (np.int32, 0),
    "flips": (np.int32, 0),
    "seconds": (np.float32, np.nan),  # decayed geometric mean duration
    "seconds_last": (np.float32, np.nan),
}
_GROUP_STATE: Final[dict[str, tuple[type, float]]] = {
    "rate": (np.float32, np.nan),
    "seconds": (np.float32, np.nan),
}

NAMES: Final = (
    "executions", "failure_rate", "failure_rate_fast", "failure_rate_mid", "failure_rate_slow",
    "failing_last", "streak", "runs_since_failure", "runs_since_flip", "flip_rate",
    "ticks_since_run", "age_ticks", "newness_rank", "failing_in_parent",
    "function_rate", "class_rate", "file_rate",
    "seconds_log", "seconds_rank", "seconds_trend", "rate_rank", "neighbours_rate",
    "run_failure_rate", "run_failing_share", "run_cases",
    *similar_runs.NAMES,
)  # fmt: skip


class _Columns:
    """Growing arrays of equal length, by name."""

    def __init__(self, layout: Mapping[str, tuple[type, float]]) -> None:
        self._layout = layout
        self.arrays: dict[str, NDArray[Any]] = {k: np.zeros(0, t) for k, (t, _) in layout.items()}

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.arrays[name]

    def grow(self, size: int) -> None:
        have = len(next(iter(self.arrays.values())))
        if size <= have:
            return
        more = max(size, 2 * have, 64) - have
        for name, (dtype, default) in self._layout.items():
            tail: NDArray[Any] = np.full(more, default, dtype)
            self.arrays[name] = np.concatenate([self.arrays[name], tail])

    def load(self, state: Mapping[str, NDArray[Any]], prefix: str, size: int) -> None:
        """Take the arrays of a file; ValueError where they are not as long and of the types."""
        arrays = {name: state[f"{prefix}.{name}"] for name in self._layout}
        sound = all(arrays[name].dtype == dtype for name, (dtype, _) in self._layout.items())
        shapes = {array.shape for array in arrays.values()}
        if not sound or len(shapes) != 1 or not all(len(s) == 1 and s[0] >= size for s in shapes):
            raise ValueError(f"the columns of {prefix} do not fit together")
        self.arrays = arrays


class HistoryState:
    """The past of every case, as of the last update.

    Examples
    --------
    >>> state = HistoryState()
    >>> for frame in frames:                      # oldest first
    ...     facts, x = state.read(frame.query)    # float32, shape (n_cases, len(NAMES))
    ...     state.update(frame)
    """

    def __init__(self) -> None:
        self.table = CaseTable()
        self.tick = 0
        self.last_time = float("nan")
        self.last_run = ""
        self._case = _Columns(_CASE_STATE)
        self._group = {level: _Columns(_GROUP_STATE) for level in LEVELS}
        self._parent_runs = ParentRuns()
        self._similar_runs = SimilarRuns()
        self._recent = np.zeros(2)  # decayed: share of failing runs, share of failing cases

    def read(self, query: Query) -> tuple[CaseFacts, NDArray[np.float32]]:
        """Return the features of a run's cases, from earlier runs only.

        Parameters
        ----------
        query : Query
            The run about to start.

        Returns
        -------
        tuple of CaseFacts and ndarray of float32, shape (n_cases, len(NAMES))
            The facts, and the columns made from them and more; NaN where nothing is known.
        """
        index = self._admit(query)
        case = {name: array[index] for name, array in self._case.arrays.items()}
        parent = self._parent_runs.parent(query.run)
        facts = self._facts(case, index, parent)
        columns = [
            *_rates(case, facts),
            *self._recency(case, facts),
            facts.failing_in_parent if parent is not None else np.full(len(index), np.nan),
            *self._groups(index),
            *self._durations(case, index),
            _rank(case["rate_1"]),
            _neighbours(case, index),
            *self._context(case),
            *self._similar_runs.read(index),
        ]
        out = np.empty((len(index), len(NAMES)), np.float32)
        for j, column in enumerate(columns):
            out[:, j] = column
        return facts, out

    def seconds(self, query: Query) -> NDArray[np.float32]:
        """Return the expected duration of each case, shape (n_cases,).

        A stranger costs what its function, class or file costs, else the median of the others,
        more where its text tells of long work.
        """
        index = self._admit(query)
        cost = self._case["seconds"][index].copy()
        for level in LEVELS:
            group = self._group[level]["seconds"][self.table.groups(level)[index]]
            cost = np.where(np.isnan(cost), group, cost)
        unmeasured = np.isnan(cost)
        # not np.median: it imports numpy.ma, which takes as long as the whole of this
        known = np.sort(cost[~unmeasured])
        cost[unmeasured] = known[len(known) // 2] if len(known) else 0.1
        effort = query.effort
        if effort is not None and unmeasured.any():
            cost[unmeasured] *= relative_seconds(effort)[unmeasured]
        return cost

    def lives(self, query: Query) -> Lives:
        """Return how long the cases of a run have lived."""
        index = self._admit(query)
        return Lives(self._case["first_tick"][index], self._case["runs"][index])

    def admit(self, query: Query) -> None:
        """Get to know the cases of a run about to start, as `read` does."""
        self._admit(query)

    def update(self, frame: RunFrame) -> None:
        """Take in the outcome of a run, in the order in which runs ended."""
        query = frame.query
        self.table.rename(query.files)
        index = self._admit(query)[~frame.skipped]
        failed = frame.failed[~frame.skipped]
        seconds = frame.seconds[~frame.skipped]
        now = query.run.time.timestamp()
        self._update_cases(index, failed)
        self._update_costs(index, seconds)
        self._update_groups(index, failed)
        self._parent_runs.update(query.run, self.tick, index, failed)
        self._similar_runs.update(index, failed, self.tick)
        share = float(failed.mean()) if len(failed) else 0.0
        self._recent += 0.1 * (np.array([share > 0, share]) - self._recent)
        self.tick += 1
        if not (self.last_time, self.last_run) > (now, query.run.run_id):
            self.last_time, self.last_run = now, query.run.run_id

    def dump(self) -> dict[str, NDArray[Any]]:
        """Return the whole state as arrays, for a file without pickle."""
        size = len(self.table)
        state: dict[str, NDArray[Any]] = {f"table.{k}": v for k, v in self.table.dump().items()}
        state |= {f"case.{k}": v[:size] for k, v in self._case.arrays.items()}
        for level, group in self._group.items():
            count = self.table.group_count(level)
            state |= {f"{level}.{k}": v[:count] for k, v in group.arrays.items()}
        state |= {f"lineage.{k}": v for k, v in self._parent_runs.dump().items()}
        state |= {f"siblings.{k}": v for k, v in self._similar_runs.dump().items()}
        state["recent"] = self._recent
        state["clock"] = np.array([self.tick, self.last_time])
        state["last_run"] = np.frombuffer(self.last_run.encode(), np.uint8)
        return state

    @classmethod
    def load(cls, state: Mapping[str, NDArray[Any]]) -> HistoryState:
        """Rebuild a state from what `dump` returned."""
        new = cls()
        renamed = state.get("table.renamed")
        new.table = CaseTable.load(state["table.ids"], state["table.ends"], renamed)
        new._case.load(state, "case", len(new.table))
        for level in LEVELS:
            new._group[level].load(state, level, new.table.group_count(level))
        new._parent_runs = ParentRuns.load(_family(state, "lineage"))
        new._similar_runs = SimilarRuns.load(_family(state, "siblings"), len(new.table))
        new._recent = state["recent"].astype(np.float64).reshape(2)
        new.tick, new.last_time = int(state["clock"][0]), float(state["clock"][1])
        new.last_run = state["last_run"].tobytes().decode()
        return new

    def _admit(self, query: Query) -> NDArray[np.int32]:
        index = self.table.add(query.cases, query.files)
        self._case.grow(len(self.table))
        for level, group in self._group.items():
            group.grow(self.table.group_count(level))
        return index

    def _facts(
        self, case: dict[str, NDArray[Any]], index: NDArray[np.int32], parent: Parent | None
    ) -> CaseFacts:
        runs, size = case["runs"], len(index)
        never = np.where(case["last_fail_tick"] == NEVER, np.nan, 1.0).astype(np.float32)
        seen = np.where(runs == 0, np.nan, 1.0).astype(np.float32)
        known = parent is not None
        tick, failing = parent if parent is not None else (0, np.zeros(0, np.int32))
        return CaseFacts(
            executions=runs,
            failures=case["fails"],
            runs_since_failure=(runs - case["last_fail_run"] - 1).astype(np.float32) * never,
            ticks_since_failure=(self.tick - case["last_fail_tick"]).astype(np.float32) * never,
            age_ticks=(self.tick - case["first_tick"]).astype(np.float32) * seen,
            seconds=case["seconds"],
            failing_last=case["failing"],
            has_parent=np.full(size, known),
            failing_in_parent=np.isin(index, failing) if known else np.zeros(size, bool),
            ran_before_parent=(runs > 0) & (case["last_tick"] < tick) & known,
        )

    def _recency(self, case: dict[str, NDArray[Any]], facts: CaseFacts) -> list[NDArray[Any]]:
        seen = np.where(facts.is_new, np.nan, 1.0)
        first = np.where(case["first_tick"] == NEVER, self.tick, case["first_tick"])
        return [
            _log_count(facts.runs_since_failure),
            _log_count(np.abs(case["streak"])) * np.where(case["flips"] > 0, 1.0, np.nan),
            case["flips"] / np.maximum(facts.executions, 1) * seen,
            _log_count(self.tick - case["last_tick"]) * seen,
            _log_count(facts.age_ticks),
            _rank(-first),
        ]

    def _groups(self, index: NDArray[np.int32]) -> list[NDArray[Any]]:
        return [self._group[level]["rate"][self.table.groups(level)[index]] for level in LEVELS]

    def _durations(
        self, case: dict[str, NDArray[Any]], index: NDArray[np.int32]
    ) -> list[NDArray[Any]]:
        mean = case["seconds"]
        trend = np.log2((case["seconds_last"] + DURATION_FLOOR_S) / (mean + DURATION_FLOOR_S))
        if not len(index):
            return [mean, mean, trend]
        return [np.log2(mean + DURATION_FLOOR_S), _rank(mean), trend]

    def _context(self, case: dict[str, NDArray[Any]]) -> list[NDArray[Any]]:
        size = len(case["runs"])
        values = (*self._recent.tolist(), float(np.log2(1.0 + size)))
        return [np.full(size, value) for value in values]

    def _update_cases(self, index: NDArray[np.int32], failed: NDArray[np.bool_]) -> None:
        state, case = self._case, index
        strangers = case[state["runs"][case] == 0]
        state["first_tick"][strangers] = self.tick
        flipped = (state["failing"][case] != failed) & (state["runs"][case] > 0)
        state["flips"][case] += flipped
        sign = np.where(failed, 1, -1)
        streak = state["streak"][case]
        state["streak"][case] = np.where(np.sign(streak) == sign, streak + sign, sign)
        for i, alpha in enumerate(ALPHAS):
            # A bias-corrected start: the first executions weigh as in a plain mean.
            weight = np.maximum(alpha, 1.0 / (state["runs"][case] + 1.0))
            state[f"rate_{i}"][case] += weight * (failed - state[f"rate_{i}"][case])
        state["runs"][case] += 1
        state["fails"][case] += failed
        state["failing"][case] = failed
        state["last_tick"][case] = self.tick
        bad = case[failed]
        state["last_fail_tick"][bad] = self.tick
        state["last_fail_run"][bad] = state["runs"][bad] - 1

    def _update_costs(self, index: NDArray[np.int32], seconds: NDArray[np.float32]) -> None:
        timed = ~np.isnan(seconds) & (seconds >= 0)
        case, value = index[timed], seconds[timed]
        mean = self._case["seconds"]
        old = np.log(mean[case] + DURATION_FLOOR_S)
        new = np.log(value + DURATION_FLOOR_S)
        # a geometric mean: one hanging execution does not make a case expensive for long
        step = np.where(np.isnan(old), new, old + COST_ALPHA * (new - old))
        mean[case] = np.maximum(np.exp(step) - DURATION_FLOOR_S, 0.0)
        self._case["seconds_last"][case] = value

    def _update_groups(self, index: NDArray[np.int32], failed: NDArray[np.bool_]) -> None:
        for level, group in self._group.items():
            member = self.table.groups(level)[index]
            count = np.bincount(member)
            touched = np.flatnonzero(count)
            share = np.bincount(member, failed)[touched] / count[touched]
            cost = self._case["seconds"][index]
            timed = ~np.isnan(cost)
            total = np.bincount(member[timed], cost[timed], len(count))[touched]
            many = np.bincount(member[timed], minlength=len(count))[touched]
            old = group["rate"][touched]
            step = old + GROUP_ALPHA * (share - old)
            group["rate"][touched] = np.where(np.isnan(old), share, step)
            group["seconds"][touched[many > 0]] = total[many > 0] / many[many > 0]


def _rates(case: dict[str, NDArray[Any]], facts: CaseFacts) -> list[NDArray[Any]]:
    unknown = np.where(facts.is_new, np.nan, 1.0)
    return [
        _log_count(facts.executions),
        facts.failure_rate,
        *(case[f"rate_{i}"] * unknown for i in range(len(ALPHAS))),
        facts.failing_last * unknown,
        np.sign(case["streak"]) * _log_count(np.abs(case["streak"])) * unknown,
    ]


def _family(state: Mapping[str, NDArray[Any]], name: str) -> dict[str, NDArray[Any]]:
    prefix = f"{name}."
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


def _log_count(count: NDArray[Any]) -> NDArray[Any]:
    """Return log2(1 + n), NaN where unknown."""
    return np.log2(1.0 + count.astype(np.float64))


def _rank(values: NDArray[Any]) -> NDArray[Any]:
    """Return the share of values that are smaller, ties sharing their mean; NaN stays NaN."""
    known = ~np.isnan(values)
    out = np.full(len(values), np.nan)
    _, inverse, count = np.unique(values[known], return_inverse=True, return_counts=True)
    below = np.concatenate(([0], np.cumsum(count)[:-1])) + (count - 1) / 2.0
    out[known] = below[inverse] / max(int(known.sum()) - 1, 1)
    return out


def _neighbours(case: dict[str, NDArray[Any]], index: NDArray[np.int32]) -> NDArray[np.float64]:
    """Return the mean failure rate of the cases beside each one, at most ``REACH`` on each side.

    Cases that were added together stand together: neighbours are those of the run in the order
    of their first appearance, which no later order of execution changes.
    """
    order = np.argsort(index, kind="stable")
    known = case["runs"][order] > 0
    rate = np.where(known, case["rate_1"][order], 0.0)
    sums, counts = (np.concatenate(([0.0], np.cumsum(v, dtype=np.float64))) for v in (rate, known))
    at = np.arange(len(order))
    first, last = np.maximum(at - REACH, 0), np.minimum(at + REACH + 1, len(at))
    others = counts[last] - counts[first] - known
    total = sums[last] - sums[first] - rate
    column = np.full(len(order), np.nan)
    column[order] = np.where(others > 0, total / np.maximum(others, 1.0), np.nan)
    return column
