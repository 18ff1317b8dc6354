"""Regressions found by a test budget that grows with risk, and by the same time spread evenly.

    python scripts/bench/risk_budget.py STORE PREDICTIONS.parquet TRUTH.parquet

STORE holds mined commits, traced labels and the runs of a project; PREDICTIONS is that of
`testopt backtest --predictions`; TRUTH names the failing cases to find (run_id, case_id). Each
run's cases run in the predicted order until its budget is spent, which is a share of the time of
its suite: the same for all runs, or times `budget_factor` of the percentile of its risk among the
earlier runs, scaled so that both spend the same time in all. Risk is learnt from the commits and
fixes before the first run. Prints the share of regressions with a failing case inside the budget,
and that of factors dealt out at random (mean of 200, and how many of them are as good).
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from testopt import ChangeRiskClassifier
from testopt.assess.model import defects, frame_of
from testopt.estimators.budget import budget_factor
from testopt.features.kamei import ChangeHistory, CommitFacts, TouchedFile
from testopt.features.paths import is_test_path, subsystem_of
from testopt.features.replay import COMMIT_COLUMNS, FILE_COLUMNS, entries
from testopt.store import Store

BUDGETS = (0.05, 0.1, 0.2, 0.3, 0.5)
SHUFFLES = 200


def run_risks(store: Store, run_ids: set[str]) -> pd.Series:
    """Return the log-odds of a defect of each run's change, in the order of time."""
    runs = store.read("runs", columns=["run_id", "time", "commit"]).to_pandas()
    runs = runs[runs["run_id"].isin(run_ids)].sort_values("time", kind="stable")
    changes: dict[str, list[TouchedFile]] = {}
    for row in store.read("run_changes").to_pylist():
        file = TouchedFile(
            row["path"], subsystem_of(row["path"]), row["added"], row["deleted"], None,
            row["old_path"], row["status"] or "M", is_test_path(row["path"]),
        )  # fmt: skip
        changes.setdefault(row["run_id"], []).append(file)
    start = runs["time"].iloc[0]
    labels = store.read("labels")
    guilty = defects(labels.filter((labels.to_pandas()["time"] < start).to_numpy()))
    state, model, taught, out = ChangeHistory(), None, [], {}
    history = list(
        entries(
            store.read("commits", columns=COMMIT_COLUMNS),
            store.read("file_changes", columns=FILE_COLUMNS),
        )
    )
    at = 0
    for run in runs.itertuples():
        while at < len(history) and history[at][1].time < run.time.timestamp():
            sha, facts, files = history[at]
            if files and not facts.is_merge:
                taught.append((sha, facts, state.measure(facts, files)))
            state.update(facts, files)
            at += 1
        if model is None:
            shas, facts, rows = zip(*taught, strict=True)
            y = np.array([sha in guilty for sha in shas])
            model = ChangeRiskClassifier().fit(frame_of(facts, rows, author_features=False), y)
            print(f"{len(y)} commits teach, {int(y.sum())} of which introduced a defect")
        of = CommitFacts("", run.time.timestamp())
        row = state.measure(of, changes.get(run.run_id, []))
        out[run.run_id] = float(model.decision_function(frame_of([of], [row]))[0])
    return pd.Series(out)


def percentiles(risks: pd.Series) -> np.ndarray:
    """Return the share of the earlier runs that are less risky; a half at the beginning."""
    values = risks.to_numpy()
    return np.array(
        [np.mean(values[:i] < v) + np.mean(values[:i] == v) / 2 if i else 0.5
         for i, v in enumerate(values)]
    )  # fmt: skip


def found(first: np.ndarray, totals: np.ndarray, shares: np.ndarray) -> float:
    """Return the share of regressions whose first failing case ends inside the budget."""
    inside = first <= np.minimum(shares, 1.0) * totals + 1e-9
    return float(inside[np.isfinite(first)].mean())


def scaled(factors: np.ndarray, totals: np.ndarray, budget: float) -> np.ndarray:
    """Return shares that spend as much time in all as the same share for every run."""
    low, high = 0.0, 20.0
    for _ in range(60):
        scale = (low + high) / 2
        spent = float(np.minimum(scale * budget * factors, 1.0) @ totals)
        low, high = (scale, high) if spent < budget * totals.sum() else (low, scale)
    return low * budget * factors


def main() -> None:
    store = Store.open(sys.argv[1])
    predictions = pd.read_parquet(Path(sys.argv[2]))
    truth = pd.read_parquet(Path(sys.argv[3]))
    if "recall" in predictions:
        predictions = predictions[predictions["recall"] == predictions["recall"].min()]
    failing = set(zip(truth["run_id"], truth["case_id"], strict=True))
    risks = run_risks(store, set(predictions["run_id"]))
    first, totals = [], []
    for run in risks.index:
        cases = predictions[predictions["run_id"] == run].sort_values("rank")
        done = cases["duration_s"].fillna(0.0).to_numpy().cumsum()
        bad = np.array([(run, case) in failing for case in cases["case_id"]])
        first.append(done[bad].min() if bad.any() else np.inf)
        totals.append(done[-1])
    first, totals = np.array(first), np.array(totals)
    regressing = np.isfinite(first)
    factors = np.array([budget_factor(p) for p in percentiles(risks)])
    means = [f"{factors[which].mean():.3f}" for which in (regressing, ~regressing)]
    print(f"{len(risks)} runs, {int(regressing.sum())} of which regress")
    print(f"mean factor of those {means[0]}, of the others {means[1]}")
    rng = np.random.default_rng(0)
    print(f"{'budget':>8}{'the same':>10}{'by risk':>10}{'at random':>11}{'as good':>9}")
    for budget in BUDGETS:
        same = found(first, totals, np.full(len(totals), budget))
        risky = found(first, totals, scaled(factors, totals, budget))
        dealt = [found(first, totals, scaled(rng.permutation(factors), totals, budget))
                 for _ in range(SHUFFLES)]  # fmt: skip
        good = np.mean(np.array(dealt) >= risky)
        print(f"{budget:8.0%}{same:10.3f}{risky:10.3f}{np.mean(dealt):11.3f}{good:9.0%}")


if __name__ == "__main__":
    main()
