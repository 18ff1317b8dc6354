"""How well testopt would have ordered and selected past runs, beside simple baselines."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from testopt.durations import is_measured
from testopt.errors import EmptyStoreError
from testopt.features.replay import History, replay
from testopt.features.training_set import TrainingSet
from testopt.learning.metrics import first_failure
from testopt.pool import THIS_PROCESS
from testopt.ranking.baselines import BASELINES, baseline_orders, untrained_score
from testopt.ranking.cost_order import COST_FLOOR_S, run_order
from testopt.ranking.detection_curve import DetectionCurve, detection_curve
from testopt.ranking.orderings import cost_exponent, priority
from testopt.ranking.rolling import rolling_probabilities
from testopt.ranking.validation import Quality, mean_quality, quality
from testopt.selection.must_run_rules import beside_data, why_everything
from testopt.selection.score import must_run, selection_score
from testopt.selection.simulation import (
    FRACTIONS,
    CurvePoint,
    FinishedRun,
    PromiseReport,
    promise_report,
    recall_curve,
    regressing,
    rolling_promises,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from pathlib import Path

    import pandas as pd
    import pyarrow as pa
    from numpy.typing import NDArray

    from testopt.features.frames import RunFrame
    from testopt.features.pipeline import FeatureState
    from testopt.features.replay import AnyHistory
    from testopt.features.run_features import RunFeatures
    from testopt.features.table_history import TableHistory
    from testopt.pool import Pool
    from testopt.store import Store

METHODS: Final = (*BASELINES, "testopt", "optimal")


@dataclass(frozen=True, slots=True)
class BacktestReport:
    """Quality by method over the failing runs after the warm-up.

    Attributes
    ----------
    runs, failing_runs, cases : int
        What was replayed.
    unread_runs : int
        Failing runs of uncommitted edits whose text was not kept: the order that they had can not
        be made again from the sources, so they are not judged.
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
    courses : dict of str to DetectionCurve
        What each share of the time shows, by method.
    judged_runs, fresh_runs : int
        Failing runs that were judged, and those of them in which a case fails that passed when it
        last ran, or is new.
    promises : tuple of PromiseReport
        How each promise that was asked for was kept, after the warm-up.
    curve : tuple of CurvePoint
        What each share of the time would have caught, after the warm-up.
    cases_to_first : dict of str to float
        Mean share of the cases until the first failing one, that one included.
    timed : float
        Share of the executions in the judged runs whose duration is known and not 0; of few, a
        share of the time tells nothing.
    """

    runs: int
    failing_runs: int
    modelled_runs: int
    cases: int
    methods: dict[str, Quality]
    seconds_to_first: dict[str, float]
    suite_seconds: float
    disturbed_runs: int = 0
    unread_runs: int = 0
    courses: dict[str, DetectionCurve] = field(default_factory=dict)
    fresh_runs: int = 0
    judged_runs: int = 0
    promises: tuple[PromiseReport, ...] = ()
    curve: tuple[CurvePoint, ...] = ()
    cases_to_first: dict[str, float] = field(default_factory=dict)
    timed: float = 0.0

    def to_pandas(self) -> pd.DataFrame:
        """Return a row for each way of ordering, with its means over the judged runs.

        Returns
        -------
        DataFrame, shape (n_methods, 6)
            Indexed by method: ``apfd, apfdc, first, napfd`` (`testopt.ranking.validation.Quality`),
            ``seconds_to_first`` and ``cases_to_first``; the best APFDc is last.
        """
        import pandas as pd

        rows = {name: asdict(quality) for name, quality in self.methods.items()}
        frame = pd.DataFrame.from_dict(rows, orient="index")
        frame["seconds_to_first"] = pd.Series(self.seconds_to_first, dtype=float)
        frame["cases_to_first"] = pd.Series(self.cases_to_first, dtype=float)
        return frame.sort_values("apfdc") if len(frame) else frame


@dataclass(frozen=True, slots=True)
class SelectionTrials:
    """Selections to try: promises to compare, and points of the curve of budgets.

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
class BacktestSettings:
    """How a history is replayed.

    Attributes
    ----------
    retrain_every : int, optional
        Runs between two trainings; default: when there are 15 % more runs.
    warm_up : float
        Share of the runs, the first, that the report leaves out.
    seed : int
        Seed of models and ties.
    trials : SelectionTrials, optional
        Selections to try; default: none, every case is selected.
    """

    retrain_every: int | None = None
    warm_up: float = 0.1
    seed: int = 0
    trials: SelectionTrials | None = None


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

    def to_pandas(self) -> pd.DataFrame:
        """Return the predictions, shape (n, 6); see the class for the columns."""
        frame: pd.DataFrame = self.predictions.to_pandas()
        return frame


def backtest(
    *,
    store: Store,
    repo: Path | None = None,
    options: BacktestSettings | None = None,
    pool: Pool = THIS_PROCESS,
    progress: Callable[[int, int], None] | None = None,
) -> Backtest:
    """Predict every run of the store from what was known before it.

    Parameters
    ----------
    store : Store
    repo : Path, optional
        Repository that holds the commits of the runs: its sources are read.
    options : BacktestSettings, optional
    pool : Pool
        Where runs are read and models are fitted; the report is the same.
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
    past = _replay(History(store, repo), pool)
    if not past.runs:
        raise EmptyStoreError("the store holds no runs", "read some first: testopt ingest PATH")
    return _backtest(past, options or BacktestSettings(), pool, progress, with_sources=bool(repo))


def backtest_tables(history: TableHistory, options: BacktestSettings) -> Backtest:
    """Predict every run of some tables, as `backtest` does for those of a store."""
    past = _replay(history)
    if not past.runs:
        raise EmptyStoreError("the table runs has no rows", "read some runs first")
    return _backtest(past, options, with_sources=history.repo is not None)


def _backtest(
    past: _Replayed,
    options: BacktestSettings,
    pool: Pool = THIS_PROCESS,
    progress: Callable[[int, int], None] | None = None,
    *,
    with_sources: bool,
) -> Backtest:
    predictions = _predict(past, options, pool, progress)
    first = int(len(past.runs) * options.warm_up)
    unread = _unread(past) if with_sources else frozenset()
    report = _report(past, predictions, first=first, seed=options.seed, unread=unread)
    done = Backtest(report, _table(past, predictions))
    if options.trials is None:
        return done
    return _with_trials(done, _finished_runs(past, predictions), options.trials, first=first)


@dataclass(frozen=True, slots=True)
class _ReplayedRun:
    """A run that is over, and what was known before it; arrays of shape (n_cases,).

    ``rows`` are its rows in the training set: skipped cases have none. ``seconds`` are expected;
    ``forced`` says which cases its changed files force to run.
    """

    frame: RunFrame
    features: RunFeatures
    seconds: NDArray[np.float32]
    forced: NDArray[np.bool_]
    rows: slice

    @property
    def took(self) -> NDArray[Any]:
        """Seconds that each case took, with what starting one costs."""
        return np.nan_to_num(self.frame.seconds, nan=0.0).clip(0.0) + COST_FLOOR_S


@dataclass(frozen=True, slots=True)
class _Replayed:
    """All runs, their rows as one training set, and how many cases there were."""

    runs: list[_ReplayedRun]
    rows: TrainingSet
    cases: int


def _replay(history: AnyHistory, pool: Pool = THIS_PROCESS) -> _Replayed:
    parts, state = replay(history, _read, pool)
    runs: list[_ReplayedRun] = []
    end = 0
    for frame, features, seconds, forced in chain.from_iterable(parts):
        start, end = end, end + int((~frame.skipped).sum())
        runs.append(_ReplayedRun(frame, features, seconds, forced, slice(start, end)))
    rows = TrainingSet.concatenate([_rows(i, run) for i, run in enumerate(runs)])
    return _Replayed(runs, rows, len(state.history.table))


def _read(
    _first: int, frames: Iterable[RunFrame], state: FeatureState
) -> list[tuple[RunFrame, RunFeatures, NDArray[np.float32], NDArray[np.bool_]]]:
    """Return the runs of a part, with features, expected seconds and what must run of each."""
    runs = []
    for frame in frames:
        # what was read of its sources is large, and in the features now
        light = replace(frame, query=replace(frame.query, text=None, closeness=None))
        features, seconds = state.read(frame.query), state.history.seconds(frame.query)
        runs.append((light, features, seconds, _by_rule(frame)))
        state.update(frame)
    return runs


def _rows(position: int, run: _ReplayedRun) -> TrainingSet:
    """Return the rows of a run; those of a disturbed one are predicted, and not learnt from."""
    rows = TrainingSet.of_run(position, run.frame, run.features, ~run.frame.skipped)
    return replace(rows, weight=rows.weight * 0.0) if run.frame.is_disturbed else rows


@dataclass(frozen=True, slots=True)
class _Prediction:
    """What was predicted of a run before it; arrays of shape (n_cases,).

    ``by_model`` says whether a trained model gave the probabilities; ``rank`` begins at 1.
    """

    probability: NDArray[np.float64]
    by_model: bool
    rank: NDArray[np.int32]


def _predict(
    past: _Replayed,
    options: BacktestSettings,
    pool: Pool,
    progress: Callable[[int, int], None] | None,
) -> list[_Prediction]:
    count, every = len(past.runs), options.retrain_every
    p = rolling_probabilities(
        past.rows, count, every=every, seed=options.seed, pool=pool, progress=progress
    )
    return [_prediction(run, p[run.rows]) for run in past.runs]


def _prediction(run: _ReplayedRun, p: NDArray[np.float64]) -> _Prediction:
    probability, by_model = _probability(run, p)
    own = probability if by_model else None
    value, exponent = priority(run.features, own), cost_exponent(run.features, own)
    order = run_order(value, run.seconds, run.frame.query.cases, exponent=exponent)
    rank = np.empty(len(order), np.int32)
    rank[order] = np.arange(1, len(order) + 1)
    return _Prediction(probability, by_model, rank)


def _probability(run: _ReplayedRun, p: NDArray[np.float64]) -> tuple[NDArray[np.float64], bool]:
    """Return a probability for every case of a run, and whether a model gave it."""
    fallback = untrained_score(run.features)
    if not len(p) or np.isnan(p).any():
        return fallback, False
    probability = np.full(len(fallback), float(p.min()))  # skipped cases are not modelled
    probability[~run.frame.skipped] = p
    return probability, True


def _report(
    past: _Replayed,
    predictions: list[_Prediction],
    *,
    first: int,
    seed: int,
    unread: Collection[int] = (),
) -> BacktestReport:
    found: dict[str, list[tuple[NDArray[np.bool_], NDArray[Any]]]] = {k: [] for k in METHODS}
    fresh, timed = 0, list[bool]()
    for i, (run, prediction) in enumerate(zip(past.runs, predictions, strict=True)):
        if i < first or i in unread or not _is_judged(run.frame):
            continue
        ran = ~run.frame.skipped
        failed, took = run.frame.failed[ran], run.took[ran]
        fresh += bool((failed & ~run.features.failing_last[ran]).any())
        timed += map(is_measured, run.frame.seconds[ran].tolist())
        for name, order in _orders(run, prediction.rank, seed=seed + i).items():
            found[name].append((failed[order], took[order]))
    methods = {name: runs for name, runs in found.items() if runs}
    return BacktestReport(
        runs=len(past.runs),
        failing_runs=sum(bool(run.frame.failed.any()) for run in past.runs),
        modelled_runs=sum(prediction.by_model for prediction in predictions),
        cases=past.cases,
        methods={k: mean_quality([quality(*run) for run in v]) for k, v in methods.items()},
        seconds_to_first={
            k: float(np.mean([first_failure(*run) for run in v])) for k, v in methods.items()
        },
        suite_seconds=float(np.mean([took.sum() for _, took in found["testopt"]] or [0.0])),
        disturbed_runs=sum(run.frame.is_disturbed for run in past.runs),
        unread_runs=len(unread),
        courses={k: detection_curve(v) for k, v in methods.items()},
        fresh_runs=fresh,
        judged_runs=len(found["testopt"]),
        cases_to_first={
            k: float(np.mean([(failed.argmax() + 1) / len(failed) for failed, _ in v]))
            for k, v in methods.items()
        },
        timed=sum(timed) / max(len(timed), 1),
    )


def _unread(past: _Replayed) -> frozenset[int]:
    """Return the runs that could be judged if the text of their change were known."""
    frames = enumerate(run.frame for run in past.runs)
    return frozenset(i for i, one in frames if one.query.lacks_its_change and _is_judged(one))


def _is_judged(frame: RunFrame) -> bool:
    """Return whether an order can be judged by a run: some of its cases fail, and some pass."""
    failed = frame.failed[~frame.skipped]
    return bool(failed.any()) and not (
        frame.is_disturbed or frame.stopped_early or bool(failed.all())
    )


def _orders(run: _ReplayedRun, rank: NDArray[np.int32], *, seed: int) -> dict[str, NDArray[Any]]:
    """Return the order of each of ``METHODS``, of the cases that ran."""
    ran = ~run.frame.skipped
    orders = baseline_orders(run.features.at(ran), run.seconds[ran], seed=seed)
    ids = np.array(run.frame.query.cases, object)[ran]
    orders["by case id"] = np.argsort(ids, kind="stable")
    orders["testopt"] = np.argsort(rank[ran])
    orders["optimal"] = np.lexsort((run.took[ran], ~run.frame.failed[ran]))
    return orders


def _table(past: _Replayed, predictions: list[_Prediction]) -> pa.Table:
    import pyarrow as pa

    frames = [run.frame for run in past.runs]
    sizes = [len(frame.failed) for frame in frames]
    ids = pa.array([frame.query.run.run_id for frame in frames], pa.string())
    at = pa.array(np.repeat(np.arange(len(sizes)), sizes))
    return pa.table(
        {
            "run_id": ids.take(at),
            "case_id": pa.array([c for frame in frames for c in frame.query.cases], pa.string()),
            "probability": np.concatenate([p.probability for p in predictions]),
            "rank": np.concatenate([p.rank for p in predictions]),
            "selected": np.ones(sum(sizes), bool),
            "duration_s": np.concatenate([frame.seconds for frame in frames]),
        }
    )


def _with_trials(
    done: Backtest, runs: list[FinishedRun], trials: SelectionTrials, *, first: int
) -> Backtest:
    """Return the backtest with the selections that were tried."""
    kept, chosen = [], []
    for recall, by_case in trials.promises:
        promises = rolling_promises(runs, recall, by_case=by_case)
        kept.append(promise_report(runs, promises, first=first, by_case=by_case))
        chosen.append([r.selected(q.threshold) for r, q in zip(runs, promises, strict=True)])
    curve = recall_curve(runs[first:], trials.fractions, trials.budgets)
    report = replace(done.report, promises=tuple(kept), curve=tuple(curve))
    return Backtest(report, _with_selections(done.predictions, trials, chosen))


def _finished_runs(past: _Replayed, predictions: list[_Prediction]) -> list[FinishedRun]:
    """Return what a selection may know of each run before it, and what came out."""
    return [_finished_run(run, p) for run, p in zip(past.runs, predictions, strict=True)]


def _finished_run(run: _ReplayedRun, prediction: _Prediction) -> FinishedRun:
    features, frame = run.features, run.frame
    own = prediction.probability if prediction.by_model else None
    return FinishedRun(
        scores=selection_score(features, own, run.seconds),
        must=must_run(features) | run.forced,
        regressing=regressing(features, frame.failed) & (not frame.is_disturbed),
        expected=run.seconds.astype(np.float64),
        seconds=np.where(frame.skipped, 0.0, run.took),
        seeded=frame.is_variant,
    )


def _by_rule(frame: RunFrame) -> NDArray[np.bool_]:
    """Return which cases the changed files of a run force to run."""
    cases, files = frame.query.cases, frame.query.files
    if why_everything(files):
        return np.ones(len(cases), bool)
    forced = beside_data(cases, files, frame.query.text)
    return np.fromiter((case in forced for case in cases), bool, len(cases))


def _with_selections(
    table: pa.Table, trials: SelectionTrials, chosen: list[list[NDArray[np.bool_]]]
) -> pa.Table:
    """Return the rows once for each promise, with what it selects."""
    import pyarrow as pa

    if not chosen:
        return table
    place = table.schema.get_field_index("selected")
    parts = []
    for (recall, _), selected in zip(trials.promises, chosen, strict=True):
        one = table.set_column(place, "selected", pa.array(np.concatenate(selected)))
        if len(chosen) > 1:
            one = one.append_column("recall", pa.array(np.full(len(one), recall)))
        parts.append(one)
    return pa.concat_tables(parts)
