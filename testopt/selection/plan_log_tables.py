"""Runs, their plans and what regressed, read from the tables of the store."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from testopt.learning.drift import log_odds_histogram
from testopt.schema import FAILING, VARIANT_KINDS
from testopt.selection.failure_level import shifted
from testopt.selection.misses import CasePrediction, PastRun, parents, regressions, with_ancestors
from testopt.selection.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from testopt.selection.misses import RegressedCase
    from testopt.store import Filter, Store

Row = dict[str, Any]
_OTHERS: Final = 50  # runs of a job, among which the largest shows how many cases it has
_WHOLE: Final = 0.8  # share of them from which on a run is one of the suite: cases come and go


@dataclass(frozen=True, slots=True)
class LoggedPlan:
    """A plan that could leave cases out.

    Attributes
    ----------
    run_id : str
    time : float
        Of the run, in seconds since 1970.
    policy : Policy
    cases, selected : int
    histogram : tuple of int
        P(case fails) of its cases as the bundle has it, counted by `log_odds_histogram`.
    """

    run_id: str
    time: float
    policy: Policy
    cases: int
    selected: int
    histogram: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PlanHistory:
    """What became of some runs.

    Attributes
    ----------
    runs : tuple of PastRun
        Those judged and their ancestors, oldest first.
    policies : dict of str to Policy
        What decided, by run_id; of the runs that had a plan.
    selecting : frozenset of str
        The runs whose plan left cases out, or had a threshold by which to do so, and was followed.
    regressed : tuple of RegressedCase
        Cases that regressed, by positions in `runs`.
    plans : tuple of LoggedPlan
        Plans of the runs judged that could leave cases out, oldest first.
    full : tuple of float
        Times of the runs judged in which everything ran, of jobs that have such plans.
    """

    runs: tuple[PastRun, ...]
    policies: Mapping[str, Policy]
    selecting: frozenset[str]
    regressed: tuple[RegressedCase, ...]
    plans: tuple[LoggedPlan, ...]
    full: tuple[float, ...] = ()

    def by_cause(self) -> dict[str, list[RegressedCase]]:
        """Return the regressed cases by the run_id that caused them, where it had a plan."""
        found: dict[str, list[RegressedCase]] = defaultdict(list)
        for case in self.regressed:
            cause = self.runs[case.cause]
            if case.case_id in cause.predictions:
                found[cause.run_id].append(case)
        return found


def logged_plans(store: Store) -> list[Row]:
    """Return the rows of ``runs`` whose outcome tells something of the code, oldest first."""
    columns = ["run_id", "time", "job", "branch", "commit", "base", "kind", "parent_run", "tree",
               "environment_failure", "complete", "cases"]  # fmt: skip
    rows: list[Row] = store.read("runs", columns=columns).to_pylist()
    usable = (r for r in rows if not r["environment_failure"])
    return sorted(usable, key=lambda r: (r["time"], r["run_id"]))


def is_real(row: Row) -> bool:
    """Tell whether a run happened, and was not made from another one."""
    return row["kind"] not in VARIANT_KINDS


def read_plan_history(store: Store, rows: Sequence[Row], new: Collection[str]) -> PlanHistory:
    """Find what regressed in some runs, and how their plans and those before had it.

    Parameters
    ----------
    store : Store
    rows : sequence of dict
        From `logged_plans`, or a part of it.
    new : collection of str
        Run ids of the runs to judge.

    Raises
    ------
    StoreError
        When a table cannot be read.
    """
    past = [_past_run(row) for row in rows]
    at = {i for i, run in enumerate(past) if run.run_id in new}
    needed = [past[i] for i in sorted(with_ancestors(parents(past), at))]
    policies = _policies(store, needed)
    selecting = _selecting(store, policies)
    plans = _plans(store, [r for r in needed if r.run_id in selecting & set(new)], policies)
    if not selecting:  # nobody to charge
        return PlanHistory(tuple(needed), policies, selecting, (), ())
    first = min(run.time for run in needed if run.run_id in selecting)
    judged = {run.run_id for run in needed if run.run_id in new and run.time >= first}
    runs = _filled(store, needed, judged, policies)
    found = regressions(runs, only={i for i, run in enumerate(runs) if run.run_id in judged})
    jobs = {run.job for run in needed if run.run_id in selecting}
    full = tuple(_full_runs((r for r in rows if r["job"] in jobs), judged, policies))
    return PlanHistory(tuple(runs), policies, selecting, tuple(found), tuple(plans), full)


def _full_runs(
    rows: Iterable[Row], judged: Collection[str], policies: Mapping[str, Policy]
) -> Iterator[float]:
    """Yield when runs ended in which every case of the suite was to be executed.

    Whoever names some of the tests runs to the end as well: such a run has fewer cases than others.
    """
    sizes: dict[str, deque[int]] = defaultdict(lambda: deque(maxlen=_OTHERS))
    for row in filter(is_real, rows):
        sizes[row["job"]].append(row["cases"])
        policy = policies.get(row["run_id"], Policy())
        left_out = policy.mode == "select" and not policy.explored and not policy.fell_back
        whole = row["complete"] and row["cases"] >= _WHOLE * max(sizes[row["job"]])
        if row["run_id"] in judged and whole and not left_out:
            yield row["time"].timestamp()


def _past_run(row: Row) -> PastRun:
    return PastRun(
        row["run_id"],
        row["time"].timestamp(),
        row["job"],
        row["branch"],
        row["commit"],
        row["base"],
        tree=row["tree"],
        made_from=None if is_real(row) else row["parent_run"] or "",
    )


def _filled(
    store: Store, runs: list[PastRun], new: Collection[str], policies: Mapping[str, Policy]
) -> list[PastRun]:
    """Return the runs with their changed files, and what they say of cases that failed."""
    ids = ("run_id", "in", [run.run_id for run in runs])
    failing = store.read(
        "results",
        columns=["case_id"],
        where=[("run_id", "in", sorted(new)), ("outcome", "in", sorted(FAILING))],
        dictionary=["case_id"],
    )
    if not failing.num_rows:
        return runs
    where = [ids, ("case_id", "in", failing["case_id"].unique().to_pylist())]
    outcomes = _last_outcomes(store, where)
    predictions = _case_predictions(store, where, policies)
    paths: dict[str, set[str]] = defaultdict(set)
    for change in store.read("run_changes", columns=["run_id", "path"], where=[ids]).to_pylist():
        paths[change["run_id"]].add(change["path"])
    return [
        replace(
            run,
            changed=frozenset(paths[run.run_id]),
            failed={c for c, outcome in outcomes[run.run_id].items() if outcome in FAILING},
            passed={c for c, outcome in outcomes[run.run_id].items() if outcome == "passed"},
            predictions=predictions[run.run_id],
        )
        for run in runs
    ]


def _last_outcomes(store: Store, where: Sequence[Filter]) -> dict[str, dict[str, str]]:
    words = ["run_id", "case_id", "outcome"]
    rows = store.read("results", columns=[*words, "attempt"], where=where, dictionary=words)
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for run_id, case_id, outcome in _texts(rows.sort_by("attempt"), words):
        found[run_id][case_id] = outcome
    return found


def _case_predictions(
    store: Store, where: Sequence[Filter], policies: Mapping[str, Policy]
) -> dict[str, dict[str, CasePrediction]]:
    """Return what was predicted by run and case, probabilities as the bundle had them.

    Those of several runs are compared with each other, and their level moves from run to run.
    """
    words, values = ["run_id", "case_id"], ["selected", "probability", "propensity", "score"]
    rows = store.read("predictions", columns=[*words, *values], where=where, dictionary=words)
    found: dict[str, dict[str, CasePrediction]] = defaultdict(dict)
    names = list(_texts(rows, words))
    levels = [policies[run].level if run in policies else 0.0 for run, _ in names]
    columns = {name: rows[name].to_pylist() for name in values}
    if any(levels):
        columns["probability"] = shifted(
            rows["probability"].to_numpy().astype(np.float64), -np.array(levels)
        ).tolist()
    for (run_id, case_id), *prediction in zip(names, *columns.values(), strict=True):
        found[run_id][case_id] = CasePrediction(*prediction)
    return found


def _texts(rows: pa.Table, names: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Yield the rows of dictionary-encoded columns, each word one object however often it comes."""
    columns = []
    for name in names:
        words = rows[name].unique().to_pylist()
        columns.append([words[i] for i in positions(rows[name], words).tolist()])
    return zip(*columns, strict=True)


def _policies(store: Store, runs: Sequence[PastRun]) -> dict[str, Policy]:
    where = [("run_id", "in", [run.run_id for run in runs]), ("rank", "==", 1)]
    rows = store.read("predictions", columns=["run_id", "policy"], where=where)
    return {r["run_id"]: Policy.parse(r["policy"]) for r in rows.to_pylist()}


def _selecting(store: Store, policies: Mapping[str, Policy]) -> frozenset[str]:
    followed = {run_id: policy for run_id, policy in policies.items() if not policy.fell_back}
    sure = {run_id for run_id, policy in followed.items() if policy.selects}
    doubtful = [run_id for run_id, p in followed.items() if p.kind and not p.selects]
    where = [("run_id", "in", doubtful), ("selected", "==", False)]
    rows = store.read("predictions", columns=["run_id"], where=where, dictionary=["run_id"])
    return frozenset(sure.union(rows["run_id"].unique().to_pylist()))


def _plans(
    store: Store, runs: Sequence[PastRun], policies: Mapping[str, Policy]
) -> list[LoggedPlan]:
    if not runs:
        return []
    rows = store.read(
        "predictions",
        columns=["run_id", "probability", "selected"],
        where=[("run_id", "in", [run.run_id for run in runs])],
        dictionary=["run_id"],
    )
    of_run = positions(rows["run_id"], [run.run_id for run in runs])
    p, selected = (rows[name].to_numpy() for name in ("probability", "selected"))
    order = np.argsort(of_run, kind="stable")
    parts = np.split(order, np.searchsorted(of_run[order], np.arange(1, len(runs))))
    return [
        LoggedPlan(
            run.run_id,
            run.time,
            policies[run.run_id],
            len(part),
            int(selected[part].sum()),
            tuple(log_odds_histogram(_as_predicted(p[part], policies[run.run_id])).tolist()),
        )
        for run, part in zip(runs, parts, strict=True)
    ]


def _as_predicted(p: NDArray[np.float64], policy: Policy) -> NDArray[np.float64]:
    """Return the probabilities as the bundle had them: what runs add later is no drift of it."""
    return shifted(p, -policy.level) if policy.level else p


def positions(column: pa.ChunkedArray, words: Sequence[str]) -> NDArray[np.int64]:
    """Return where each value of a dictionary-encoded column stands in a list; -1: nowhere."""
    import pyarrow as pa
    import pyarrow.compute as pc

    values = column.unify_dictionaries().combine_chunks()
    if isinstance(values, pa.ChunkedArray):  # of no chunk at all
        return np.zeros(0, np.int64)
    place = pc.index_in(values.dictionary, value_set=pa.array(list(words), pa.string()))
    found: NDArray[np.int32] = pc.fill_null(place, -1).take(values.indices).to_numpy()
    return found.astype(np.int64)  # it is multiplied by counts of cases
