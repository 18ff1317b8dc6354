"""What would have happened on the project's own history, beside the orders anyone could use."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from testopt.case_sources import PATIENCE, Sources
from testopt.errors import EmptyStoreError
from testopt.estimators.baselines import BASELINES, baseline_orders, untrained_score
from testopt.estimators.course import Course, course
from testopt.estimators.experts import Expert, evidence_of, rolling_speakers, worth
from testopt.estimators.metrics import first_failure
from testopt.estimators.ordering import COST_FLOOR_S, run_order
from testopt.estimators.rolling import rolling_probabilities
from testopt.estimators.selection import (
    FRACTIONS,
    CurvePoint,
    Judged,
    PromiseReport,
    promise_report,
    recall_curve,
    regressing,
    rolling_promises,
)
from testopt.estimators.threshold import must_run, selection_score
from testopt.estimators.validation import Quality, mean_quality, quality
from testopt.features.mustrun import beside_data, why_everything
from testopt.features.pipeline import NAMES, FeatureState, Matrix
from testopt.run_history import history

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    import pyarrow as pa
    from numpy.typing import NDArray

    from testopt.features.frames import RunFrame
    from testopt.store import Store

METHODS: Final = (*BASELINES, "testopt", "optimal")


@dataclass(frozen=True, slots=True)
class BacktestReport:
    """Quality by method over the failing runs after the warm-up.

    Attributes
    ----------
    runs, failing_runs, cases : int
        What was replayed.
    disturbed_runs : int
        Runs that their environment failed: predicted, but neither learnt from nor judged.
    modelled_runs : int
        Runs ordered by a trained model; those before it by recent failures per second.
    methods : dict of str to Quality
        Means over the failing runs that have a passing case as well.
    seconds_to_first : dict of str to float
        Mean seconds until the first failing case has finished.
    suite_seconds : float
        Mean seconds of these runs.
    courses : dict of str to Course
        What each share of the time shows, by method.
    judged_runs, fresh_runs : int
        Failing runs that were judged, and those of them in which a case fails that passed when it
        last ran, or is new.
    promises : tuple of PromiseReport
        How each promise that was asked for was kept, after the warm-up.
    curve : tuple of CurvePoint
        What each share of the time would have caught, after the warm-up.
    """

    runs: int
    failing_runs: int
    modelled_runs: int
    cases: int
    methods: dict[str, Quality]
    seconds_to_first: dict[str, float]
    suite_seconds: float
    disturbed_runs: int = 0
    courses: dict[str, Course] = field(default_factory=dict)
    fresh_runs: int = 0
    judged_runs: int = 0
    promises: tuple[PromiseReport, ...] = ()
    curve: tuple[CurvePoint, ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """What of a selection is tried: promises to compare, and shares of the time.

    Attributes
    ----------
    recalls, case_recalls : tuple of float
        Shares in 0..1, 1 excluded, of regressions and of regressing cases.
    fractions, budgets : tuple of float
        Points of the curve: shares of the expected time, and seconds.
    """

    recalls: tuple[float, ...] = ()
    case_recalls: tuple[float, ...] = ()
    fractions: tuple[float, ...] = FRACTIONS
    budgets: tuple[float, ...] = ()

    @property
    def promises(self) -> tuple[tuple[float, bool], ...]:
        """Return (recall, whether of cases) of each promise."""
        return (*((r, False) for r in self.recalls), *((r, True) for r in self.case_recalls))


@dataclass(frozen=True, slots=True)
class Backtest:
    """The report, and every prediction as a table.

    ``predictions`` has ``run_id, case_id, probability, rank, selected, duration_s``: one row for
    every case of every run, passing ones too; ``duration_s`` is what the case took in that run.
    Where several promises are compared, the rows of each stand one after the other, told apart
    by the column ``recall``.
    """

    report: BacktestReport
    predictions: pa.Table


def backtest(
    *,
    store: Store,
    repo: Path | None = None,
    every: int | None = None,
    warm_up: float = 0.1,
    seed: int = 0,
    asked: Asked | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Backtest:
    """Predict every run of the store from what was known before it.

    Parameters
    ----------
    store : Store
    repo : Path, optional
        Repository that holds the commits of the runs: its sources are read.
    every : int, optional
        Runs between two trainings; default: when there are 15 % more runs.
    warm_up : float
        Share of the runs, the first, that the report leaves out.
    seed : int
        Seed of models and ties.
    asked : Asked, optional
        Selections to try; default: none, every case is selected.
    progress : callable, optional
        Called with runs done and all runs.

    Returns
    -------
    Backtest

    Raises
    ------
    EmptyStoreError
        When the store holds no run.
    """
    sources = None if repo is None else Sources(repo, store, patience=PATIENCE)
    past = _replay(history(store, sources=sources))
    if sources is not None:
        sources.keep()
    if not past.runs:
        raise EmptyStoreError("the store holds no runs", "read some first: testopt ingest PATH")
    p = rolling_probabilities(
        past.matrix, len(past.runs), every=every, seed=seed, progress=progress
    )
    speakers, _ = rolling_speakers(past.matrix, p, NAMES, len(past.runs))
    first = int(len(past.runs) * warm_up)
    report, ranks, scores = _judge(past, p, speakers, first=first, seed=seed)
    table = _table(past, scores, ranks)
    done = Backtest(report, table)
    if asked is None:
        return done
    return _tried(done, _selectable(past, scores, speakers), asked, first=first)


def _tried(done: Backtest, runs: list[Judged], asked: Asked, *, first: int) -> Backtest:
    """Return the backtest with the selections that were asked for."""
    kept, chosen = [], []
    for recall, by_case in asked.promises:
        promises = rolling_promises(runs, recall, by_case=by_case)
        kept.append(promise_report(runs, promises, first=first, by_case=by_case))
        chosen.append([r.selected(q.threshold) for r, q in zip(runs, promises, strict=True)])
    curve = recall_curve(runs[first:], asked.fractions, asked.budgets)
    report = replace(done.report, promises=tuple(kept), curve=tuple(curve))
    return Backtest(report, _with_selections(done.predictions, asked, chosen))


def _selectable(
    past: _Past, scores: list[NDArray[np.float64]], speakers: list[Expert]
) -> list[Judged]:
    """Return what a selection may know of each run before it, and what came out."""
    runs = []
    for i, frame in enumerate(past.runs):
        x, expert = past.features[i], speakers[i]
        trusted = not frame.is_disturbed
        took = np.nan_to_num(frame.seconds, nan=0.0).clip(0.0) + COST_FLOOR_S
        runs.append(
            Judged(
                selection_score(x, NAMES, scores[i], past.seconds[i], expert=expert),
                must_run(x, NAMES) | _by_rule(frame),
                regressing(x, NAMES, frame.failed) & trusted,
                past.seconds[i].astype(np.float64),
                np.where(frame.skipped, 0.0, took),
                frame.is_variant,
            )
        )
    return runs


def _by_rule(frame: RunFrame) -> NDArray[np.bool_]:
    """Return which cases the changed files of a run force to run."""
    cases, files = frame.query.cases, frame.query.files
    if why_everything(files):
        return np.ones(len(cases), bool)
    forced = beside_data(cases, files)
    return np.fromiter((case in forced for case in cases), bool, len(cases))


def _with_selections(
    table: pa.Table, asked: Asked, chosen: list[list[NDArray[np.bool_]]]
) -> pa.Table:
    """Return the rows once for each promise, with what it selects."""
    import pyarrow as pa

    if not chosen:
        return table
    place = table.schema.get_field_index("selected")
    parts = []
    for (recall, _), selected in zip(asked.promises, chosen, strict=True):
        one = table.set_column(place, "selected", pa.array(np.concatenate(selected)))
        if len(chosen) > 1:
            one = one.append_column("recall", pa.array(np.full(len(one), recall)))
        parts.append(one)
    return pa.concat_tables(parts)


@dataclass(frozen=True, slots=True)
class _Past:
    """All runs as arrays: `rows[i]` are those of run i in the matrix; skipped cases have none."""

    runs: list[RunFrame]
    matrix: Matrix
    rows: list[slice]
    seconds: list[NDArray[np.float32]]
    features: list[NDArray[np.float32]]
    cases: int


def _replay(frames: Iterable[RunFrame]) -> _Past:
    state = FeatureState()
    runs, features, seconds = [], [], []
    for frame in frames:
        # what was read of its sources is large, and in the features now
        runs.append(replace(frame, query=replace(frame.query, text=None)))
        features.append(state.read(frame.query))
        seconds.append(state.history.seconds(frame.query))
        state.update(frame)
    state.finish()
    sizes = [int((~r.skipped).sum()) for r in runs]
    ends = np.cumsum([0, *sizes]).tolist()
    empty = np.zeros((0, len(NAMES)), np.float32)
    matrix = Matrix(
        np.concatenate([empty, *(x[~r.skipped] for r, x in zip(runs, features, strict=True))]),
        np.concatenate([np.zeros(0, bool), *(r.failed[~r.skipped] for r in runs)]),
        np.repeat(np.arange(len(runs), dtype=np.int32), sizes),
        np.repeat([0.0 if r.is_disturbed else 1.0 for r in runs], sizes).astype(np.float32),
        np.repeat(np.array([r.is_variant for r in runs], bool), sizes),
        np.repeat(np.array([r.is_cut for r in runs], bool), sizes),
    )
    rows = [slice(a, b) for a, b in pairwise(ends)]
    return _Past(runs, matrix, rows, seconds, features, len(state.history.table))


def _judge(
    past: _Past, p: NDArray[np.float64], speakers: list[Expert], *, first: int, seed: int
) -> tuple[BacktestReport, list[NDArray[np.int32]], list[NDArray[np.float64]]]:
    ranks, scores = [], []
    found: dict[str, list[tuple[NDArray[np.bool_], NDArray[Any]]]] = {k: [] for k in METHODS}
    modelled = fresh = 0
    for i, frame in enumerate(past.runs):
        score, known = _score(past, p, i)
        modelled += known
        expert = speakers[i]
        value = worth(expert, evidence_of(past.features[i], NAMES, score))
        order = run_order(value, past.seconds[i], frame.query.cases, exponent=expert.cost)
        rank = np.empty(len(order), np.int32)
        rank[order] = np.arange(1, len(order) + 1)
        ranks.append(rank)
        scores.append(score)
        ran = ~frame.skipped
        failed = frame.failed[ran]
        judged = i >= first and not (frame.is_disturbed or frame.is_cut)
        if not judged or not failed.any() or failed.all():
            continue
        last = past.features[i][ran, NAMES.index("failing_last")]
        fresh += bool((failed & (last != 1.0)).any())
        took = np.nan_to_num(frame.seconds[ran], nan=0.0).clip(0.0) + COST_FLOOR_S
        for name, o in _orders(past, i, rank[ran], failed, took, seed).items():
            found[name].append((failed[o], took[o]))
    failing = sum(bool(r.failed.any()) for r in past.runs)
    report = BacktestReport(
        len(past.runs), failing, modelled, past.cases,
        {k: mean_quality([quality(*run) for run in v]) for k, v in found.items() if v},
        {k: float(np.mean([first_failure(*run) for run in v])) for k, v in found.items() if v},
        float(np.mean([took.sum() for _, took in found["testopt"]] or [0.0])),
        sum(r.is_disturbed for r in past.runs),
        {k: course(v) for k, v in found.items() if v},
        fresh, len(found["testopt"]),
    )  # fmt: skip
    return report, ranks, scores


def _score(past: _Past, p: NDArray[np.float64], i: int) -> tuple[NDArray[np.float64], bool]:
    """Return a probability for every case of run i, and whether a model gave it."""
    frame = past.runs[i]
    fallback = untrained_score(past.features[i], NAMES)
    own = p[past.rows[i]]
    if not len(own) or np.isnan(own).any():
        return fallback, False
    score = np.full(len(fallback), float(own.min()))  # skipped cases are not modelled
    score[~frame.skipped] = own
    return score, True


def _orders(
    past: _Past,
    i: int,
    rank: NDArray[np.int32],
    failed: NDArray[np.bool_],
    took: NDArray[Any],
    seed: int,
) -> Mapping[str, NDArray[Any]]:
    ran = ~past.runs[i].skipped
    orders = baseline_orders(past.features[i][ran], NAMES, past.seconds[i][ran], seed=seed + i)
    ids = np.array(past.runs[i].query.cases, object)[ran]
    orders["by case id"] = np.argsort(ids, kind="stable")
    return {**orders, "testopt": np.argsort(rank), "optimal": np.lexsort((took, ~failed))}


def _table(
    past: _Past, scores: list[NDArray[np.float64]], ranks: list[NDArray[np.int32]]
) -> pa.Table:
    import pyarrow as pa

    sizes = [len(r) for r in ranks]
    ids = pa.array([r.query.run.run_id for r in past.runs], pa.string())
    at = pa.array(np.repeat(np.arange(len(sizes)), sizes))
    return pa.table(
        {
            "run_id": ids.take(at),
            "case_id": pa.array([c for r in past.runs for c in r.query.cases], pa.string()),
            "probability": np.concatenate(scores),
            "rank": np.concatenate(ranks),
            "selected": np.ones(sum(sizes), bool),
            "duration_s": np.concatenate([r.seconds for r in past.runs]),
        }
    )
