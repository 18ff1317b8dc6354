"""What a notebook gets of the tables of a store is what the command line says of that store."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import testopt as public
from testopt.errors import EmptyStoreError, UsageError


@pytest.fixture(scope="module")
def tables(trained):
    """Return the runs, results and changes of the store, as frames."""
    store = public.Store.open(trained / "store")
    return [store.read(name).to_pandas() for name in ("runs", "results", "run_changes")]


def test_a_plan_is_that_of_the_command_line(testopt, trained, tables, tmp_path, no_ci):
    (tmp_path / "no.diff").touch()
    at = ("--repo", trained, "--store", trained / "store")
    done = testopt(*at, "rank", "--diff", tmp_path / "no.diff", "--json")
    planned = pd.DataFrame(done.document["cases"])
    ours = public.rank(*tables, files=[]).to_pandas()
    pd.testing.assert_frame_equal(ours, planned)
    assert ours["probability"].notna().all()


def test_rows_are_those_that_were_executed_and_oldest_first(tables):
    runs, results, changes = tables
    x, y = public.run_features(runs.sample(frac=1, random_state=0), results, changes)
    executed = results[results["outcome"] != "skipped"].set_index(["run_id", "case_id"])
    assert sorted(x.index) == sorted(executed.index)
    assert (executed["outcome"].reindex(y.index).eq("failed") == y).all()
    order = runs.sort_values("time")["run_id"].tolist()
    assert list(x.index.get_level_values("run_id").unique()) == order


def bare():
    results = pd.DataFrame(
        [
            (f"r{n}", f"test_{c}", "failed" if c == n % 3 else "passed")
            for n in range(6)
            for c in range(4)
        ],
        columns=["run_id", "case_id", "outcome"],
    )
    runs = pd.DataFrame({"run_id": [f"r{n}" for n in range(6)]})
    return runs.assign(time=pd.date_range("2026-01-01", periods=6)), results


def test_of_several_executions_a_failing_one_counts_unless_attempts_are_numbered():
    runs, results = bare()
    twice = pd.concat([results, results.assign(outcome="passed")])
    _, y = public.run_features(runs, twice)
    assert (y.sum(), len(y)) == (6, 24)
    numbered = twice.assign(attempt=np.repeat([1, 2], 24))
    assert public.run_features(runs, numbered)[1].sum() == 0


def test_later_runs_are_not_known_and_too_few_failures_make_no_model():
    runs, results = bare()
    plan = public.rank(runs, results, time=runs["time"][3])
    assert [c.reasons[0].values[-1] for c in plan.cases if c.case_id == "test_3"] == [3]
    assert not plan.calibrated
    assert plan.to_pandas()["probability"].isna().all()
    early = public.rank(runs, results, time=runs["time"][0], cases=["b", "a", "b"])
    assert early.degraded
    assert [c.case_id for c in early.cases] == ["b", "a"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r, x: (r.drop(columns="time"), x), "runs has no column 'time'"),
        (lambda r, x: (r.assign(run_id=range(6)), x), r"runs\['run_id'\] holds int64, not string"),
        (lambda r, x: (r.assign(time="soon"), x), r"runs\['time'\] holds "),
        (lambda r, x: (pd.concat([r, r]), x), "runs has several rows of the run 'r0'"),
        (
            lambda r, x: (r, x.assign(outcome="green")),
            r"results\['outcome'\] has the value 'green'",
        ),
        (lambda r, x: (r, x.assign(case_id=None)), r"results\['case_id'\] has missing values"),
        (lambda r, x: (r, [1]), "results is a list, not a DataFrame or an Arrow table"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(change, message):
    with pytest.raises(UsageError, match=message):
        public.run_features(*change(*bare()))


def test_no_runs():
    runs, results = (table.iloc[:0] for table in bare())
    assert [len(part) for part in public.run_features(runs, results)] == [0, 0]
    with pytest.raises(EmptyStoreError, match="runs has no rows"):
        public.backtest(runs, results)
    with pytest.raises(EmptyStoreError, match="no run to take the cases from"):
        public.rank(runs, results)


def test_a_ranker_of_other_features_is_refused():
    x = np.arange(40.0).reshape(-1, 1)
    with pytest.raises(UsageError, match="not fitted on run_features"):
        public.rank(*bare(), ranker=public.FailureRanker(n_estimators=2).fit(x, x[:, 0] > 20))
