"""What a notebook calls: frames of pandas in, frames of pandas out.

All functions take the same three tables, as `Store.read` returns them, or as somebody has them
from elsewhere: ``runs`` (``run_id, time``, and where known ``job, branch, commit, base, …``),
``results`` (``run_id, case_id, outcome``, and ``duration_s``, ``attempt``) and ``changes``
(``run_id, path``, and ``added``, ``deleted``). A run is predicted from earlier runs alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from testopt.errors import EmptyStoreError, UsageError
from testopt.features.table_history import TableHistory
from testopt.ranking.orderings import FIRST_FAILING
from testopt.schema import digest

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Sequence

    import pandas as pd

    from testopt.backtesting import Backtest
    from testopt.features.frames import RunFrame
    from testopt.features.pipeline import FeatureState
    from testopt.features.training_set import TrainingSet
    from testopt.ranking.ranker import FailureRanker
    from testopt.schema import FileChange, Plan
    from testopt.selection.bundle import Bundle


def run_features(
    runs: Any, results: Any, changes: Any = None, *, repo: str | os.PathLike[str] | None = None
) -> tuple[pd.DataFrame, pd.Series[bool]]:
    """Return what was known of each case before each run, and whether it failed.

    Parameters
    ----------
    runs, results : DataFrame or pyarrow.Table
        Rows of the tables ``runs`` and ``results``.
    changes : DataFrame or pyarrow.Table, optional
        Rows of the table ``run_changes``: the changed files of each run.
    repo : path, optional
        Repository that holds the commits of the runs: its sources are read.

    Returns
    -------
    X : DataFrame, shape (n, n_features)
        One row for each case that a run executed, oldest run first, with the index
        ``run_id, case_id``; NaN where unknown. Cases that were skipped, and runs that their
        environment failed, have no rows.
    y : Series of bool, shape (n,)
        Whether the case failed.

    Raises
    ------
    UsageError
        Where a column is missing, or holds something else.

    Examples
    --------
    >>> import pandas as pd
    >>> from testopt import FailureRanker, run_features
    >>> results = pd.DataFrame(
    ...     [
    ...         (f"run {n:03}", f"test_{case}", "failed" if case == 3 and n % 4 else "passed")
    ...         for n in range(60)
    ...         for case in range(10)
    ...     ],
    ...     columns=["run_id", "case_id", "outcome"],
    ... )
    >>> runs = pd.DataFrame({"run_id": results["run_id"].unique()})
    >>> runs["time"] = pd.date_range("2026-01-01", periods=len(runs), freq="h")
    >>> X, y = run_features(runs, results)
    >>> len(X), int(y.sum())
    (600, 45)
    >>> ranker = FailureRanker(n_estimators=20)
    >>> ranker = ranker.fit(X, y, groups=X.index.get_level_values("run_id"))
    >>> p = pd.Series(ranker.predict_proba(X)[:, 1], index=X.index)
    >>> p["run 059"].idxmax()
    'test_3'
    """
    import pandas as pd

    from testopt.features.run_features import NAMES

    past = _past(runs, results, changes, repo)
    index = pd.MultiIndex.from_arrays(past.names, names=["run_id", "case_id"])
    matrix = past.rows.features.matrix
    return (
        pd.DataFrame(matrix, index=index, columns=list(NAMES)),
        pd.Series(past.rows.y, index=index, name="failed"),
    )


def backtest(
    runs: Any,
    results: Any,
    changes: Any = None,
    *,
    repo: str | os.PathLike[str] | None = None,
    warm_up: float = 0.1,
    retrain_every: int | None = None,
    recalls: Sequence[float] = (),
    random_state: int = 0,
) -> Backtest:
    """Predict every run from what was known before it, as ``testopt backtest`` does.

    Parameters
    ----------
    runs, results, changes, repo
        As for `run_features`.
    warm_up : float
        Share of the runs, the first, that the report leaves out.
    retrain_every : int, optional
        Runs between two trainings; default: when there are 15 % more runs.
    recalls : sequence of float
        Shares of regressions, in 0..1, 1 excluded, that a selection is to catch; each is tried.
    random_state : int
        Seed of models and ties.

    Returns
    -------
    Backtest
        ``to_pandas()`` has a row for every case of every run, ``report.to_pandas()`` one for
        every way of ordering them.

    Raises
    ------
    UsageError
        Where a column is missing, or holds something else.
    EmptyStoreError
        Where there is no run.

    Examples
    --------
    >>> import pandas as pd
    >>> from testopt import backtest
    >>> results = pd.DataFrame(
    ...     [
    ...         (f"run {n:03}", f"test_{case}", "failed" if case == 3 and n % 4 else "passed")
    ...         for n in range(40)
    ...         for case in range(10)
    ...     ],
    ...     columns=["run_id", "case_id", "outcome"],
    ... )
    >>> runs = pd.DataFrame({"run_id": results["run_id"].unique()})
    >>> runs["time"] = pd.date_range("2026-01-01", periods=len(runs), freq="h")
    >>> done = backtest(runs, results)
    >>> list(done.to_pandas().columns)
    ['run_id', 'case_id', 'probability', 'rank', 'selected', 'duration_s']
    >>> bool(done.report.to_pandas()["apfd"]["testopt"] > 0.9)
    True
    """
    from testopt.backtesting import BacktestSettings, SelectionTrials, backtest_tables

    history = TableHistory.of(runs, results, changes, _folder(repo))
    trials = SelectionTrials(recalls=tuple(recalls)) if recalls else None
    options = BacktestSettings(
        retrain_every=retrain_every, warm_up=warm_up, seed=random_state, trials=trials
    )
    return backtest_tables(history, options)


def rank(
    runs: Any,
    results: Any,
    changes: Any = None,
    *,
    files: Any = None,
    cases: Iterable[str] | None = None,
    ranker: FailureRanker | None = None,
    job: str = "",
    time: datetime | None = None,
) -> Plan:
    """Order the cases of a run that has not begun yet, as ``testopt rank`` does.

    Parameters
    ----------
    runs, results, changes
        As for `run_features`: what is known of earlier runs. Sources are not read.
    files : DataFrame or iterable of str, optional
        Changed files of the run: paths, or a table with ``path``, and ``added`` and ``deleted``;
        None: the change is unknown.
    cases : iterable of str, optional
        Its cases; default: those of the last run.
    ranker : FailureRanker, optional
        Fitted on `run_features`; default: one is fitted on these runs, where enough have failed.
    job : str
        Where the run takes place: "failed in the last run" means there.
    time : datetime, optional
        When it begins; later runs are left out. Default: now.

    Returns
    -------
    Plan
        ``to_pandas()`` has a row for each case, what runs first first.

    Raises
    ------
    UsageError
        Where a column is missing, or holds something else.
    EmptyStoreError
        Where no cases are given, and there is no run to take them from.

    Examples
    --------
    >>> import pandas as pd
    >>> from testopt import rank
    >>> results = pd.DataFrame(
    ...     [
    ...         (f"run {n:03}", f"test_{case}", "failed" if case == 3 and n % 4 else "passed")
    ...         for n in range(60)
    ...         for case in range(10)
    ...     ],
    ...     columns=["run_id", "case_id", "outcome"],
    ... )
    >>> runs = pd.DataFrame({"run_id": results["run_id"].unique()})
    >>> runs["time"] = pd.date_range("2026-01-01", periods=len(runs), freq="h")
    >>> rank(runs, results).to_pandas()[["case_id", "rank"]].head(1)
      case_id  rank
    0  test_3     1
    """
    from testopt.plan.planner import ordered_plan
    from testopt.plan.predictor import Predictor
    from testopt.schema import Change, Run
    from testopt.similarity.query import Query

    began = _utc(time)
    past = _past(runs, results, changes, None, until=began)
    given = past.last_cases if cases is None else list(dict.fromkeys(cases))
    if not given:
        raise EmptyStoreError("there is no run to take the cases from", "name them: cases=[…]")
    model = past.bundle(ranker)
    change = Change(_files(files), known=files is not None, why="no files are given")
    query = Query(Run("", began, job), given, change.files)
    return ordered_plan(Predictor(past.state, model), query, change)


def _folder(repo: str | os.PathLike[str] | None) -> Path | None:
    if repo is None:
        return None
    from testopt.git.process import find_root

    return find_root(Path(repo))


def _utc(time: datetime | None) -> datetime:
    if time is None:
        return datetime.now(UTC)
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time


def _files(files: Any) -> tuple[FileChange, ...]:
    """Return changed files that are given as paths, or as a table."""
    import pandas as pd

    from testopt.schema import FileChange

    if files is None:
        return ()
    if not hasattr(files, "columns"):
        files = pd.DataFrame({"path": list(files)})
    if "path" not in files.columns:
        raise UsageError("files has no column 'path'")
    rows = files.reindex(columns=["path", "added", "deleted"]).astype(object)
    rows = rows.where(rows.notna(), None)
    return tuple(FileChange(path, added, deleted) for path, added, deleted in rows.to_numpy())


@dataclass(frozen=True, slots=True)
class _Past:
    """Runs that are over: their rows, run and case of each row, and the state after them.

    ``last_cases`` are those of the last run that really happened.
    """

    rows: TrainingSet
    names: tuple[list[str], list[str]]
    state: FeatureState
    last_cases: list[str]

    def bundle(self, ranker: FailureRanker | None) -> Bundle | None:
        """Return a model that is ready to predict; None where there is nothing to learn."""
        from testopt.features.run_features import NAMES
        from testopt.selection.bundle import Bundle

        facts = {"failing_runs": FIRST_FAILING}
        if ranker is None:
            if not self.rows.y.any() or self.rows.y.all():
                return None
            ranker = _fitted(self.rows)
            facts["failing_runs"] = len(np.unique(self.rows.run[self.rows.y]))
        elif getattr(ranker, "n_features_in_", None) != len(NAMES):
            raise UsageError("the ranker was not fitted on run_features", "fit it on X and y first")
        text = ranker.booster_.model_to_string()
        manifest = {**facts, "ranker": digest(text)}
        return Bundle(manifest, ranker.forest_, ranker.linear_, ranker.calibration_, {})


def _fitted(rows: TrainingSet) -> FailureRanker:
    from testopt.ranking.ranker import FailureRanker
    from testopt.ranking.rolling import FIT_ROWS

    part = rows.thinned(FIT_ROWS)
    return FailureRanker().fit(
        part.features.matrix,
        part.y,
        sample_weight=part.weight,
        groups=part.run,
        calibrates=~part.is_seeded,
    )


def _past(
    runs: Any,
    results: Any,
    changes: Any,
    repo: str | os.PathLike[str] | None,
    *,
    until: datetime | None = None,
) -> _Past:
    """Read the features of all runs, and keep the state after them."""
    from testopt.features.pipeline import FeatureState
    from testopt.features.training_set import read_training_set

    history = TableHistory.of(runs, results, changes, _folder(repo))
    ids: list[str] = []
    cases: list[str] = []
    last: list[str] = []

    def watched() -> Iterator[RunFrame]:
        for frame in history.frames():
            query = frame.query
            if until is not None and query.run.time >= until:
                return
            kept = np.flatnonzero(frame.learnt).tolist()
            ids.extend([query.run.run_id] * len(kept))
            cases.extend(query.cases[i] for i in kept)
            if not frame.is_variant:
                last[:] = query.cases
            yield frame

    state = FeatureState()
    rows = read_training_set(watched(), state)
    return _Past(rows, (ids, cases), state, last)
