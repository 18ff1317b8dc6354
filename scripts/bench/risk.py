"""Change risk by time: published data, and repositories that were mined and traced.

    TESTOPT_BENCH_DATA=DIR python scripts/bench/risk.py [REPOSITORY ...]

With data: per project (first 80 % of the changes train, the rest test) AUC, calibration error,
effort-aware recall at 20 % of the changed lines beside "smallest first", the interval of the gain
over lines added, seconds; then what the date and the author's metrics add. With repositories
(each holds a store made by `testopt mine` and `testopt szz`): the same split, with and without
the metrics beyond the 14, with and without the author's, and the share of later-fixed files that
hotspots put into the top 20 % of lines.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from testopt import ChangeRiskClassifier
from testopt.assess import defects, frame_of
from testopt.errors import TestoptError
from testopt.features.jit import METRICS
from testopt.features.kamei import AUTHOR_METRICS, RICHER, ChangeHistory
from testopt.features.replay import COMMIT_COLUMNS, FILE_COLUMNS, entries, replay
from testopt.hotspots import hotspots
from testopt.store import Store

TRAIN = 0.8
REPEATS = 1000


def calibration_error(y: np.ndarray, p: np.ndarray, bins: int = 10) -> float:
    parts = np.array_split(np.argsort(p, kind="stable"), bins)
    return float(sum(len(i) * abs(y[i].mean() - p[i].mean()) for i in parts if len(i)) / len(y))


def recall_at_20(y: np.ndarray, order: np.ndarray, effort: np.ndarray) -> float:
    inside = np.cumsum(effort[order]) <= 0.2 * effort.sum()
    return float(y[order][inside].sum() / max(y.sum(), 1))


def gain(y: np.ndarray, p: np.ndarray, rival: np.ndarray) -> tuple[float, float]:
    """Bootstrap interval (95 %) of the gain in AUC."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(REPEATS):
        i = rng.integers(0, len(y), len(y))
        if 0 < y[i].sum() < len(i):
            found.append(roc_auc_score(y[i], p[i]) - roc_auc_score(y[i], rival[i]))
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def split(frame: pd.DataFrame, y: np.ndarray) -> dict[str, float] | None:
    cut = int(len(y) * TRAIN)
    test, truth = frame.iloc[cut:], y[cut:]
    if not 0 < truth.sum() < len(truth):
        return None
    since = time.perf_counter()
    model = ChangeRiskClassifier().fit(frame.iloc[:cut], y[:cut])
    seconds = time.perf_counter() - since
    p = model.predict_proba(test)[:, 1]
    added = test["la"].to_numpy()
    effort = (test["la"] + test["ld"]).to_numpy()
    low, high = gain(truth, p, added)
    # likely defective first, the smallest of each class first (Huang et al. 2017)
    likely = np.lexsort((effort, p < y[:cut].mean()))
    return {
        "n": len(truth),
        "auc": roc_auc_score(truth, p),
        "lines": roc_auc_score(truth, added),
        "low": low,
        "high": high,
        "ece": calibration_error(truth, p),
        "recall20": recall_at_20(truth, likely, effort),
        "small20": recall_at_20(truth, np.argsort(effort, kind="stable"), effort),
        "fit_s": seconds,
    }


def show(name: str, row: dict[str, float] | None) -> None:
    if row is None:
        print(f"{name:44} one class only in the test part")
        return
    print(f"{name:44}" + "".join(f"{k}={v:<8.4g}" for k, v in row.items()))


def published(folder: Path) -> None:
    data = pd.read_parquet(folder / "jit" / "issta21.parquet")
    rows: dict[str, list[float]] = {}
    for project, d in data.groupby("project", sort=True):
        changes = d.sort_values("date", kind="stable")
        y = changes["buggy"].to_numpy(bool)
        everything = changes[[*METRICS, "date"]]
        for variant, frame in (
            ("all", everything),
            ("without date", everything.drop(columns="date")),
            ("without author", everything.drop(columns=sorted(AUTHOR_METRICS & set(METRICS)))),
        ):
            row = split(frame, y)
            show(f"{project}, {variant}", row)
            rows.setdefault(variant, []).append(row["auc"] if row else np.nan)
    for variant, values in rows.items():
        print(f"mean AUC {variant:16}{np.mean(values):.4f}")


def repository(path: Path) -> None:
    store = Store.open(str(path / ".testopt"))
    history = entries(
        store.read("commits", columns=COMMIT_COLUMNS),
        store.read("file_changes", columns=FILE_COLUMNS),
    )
    since = time.perf_counter()
    shas, facts, rows = zip(*replay(history, ChangeHistory(), wanted={}), strict=True)
    print(f"{path.name}: metrics of {len(shas)} changes in {time.perf_counter() - since:.1f} s")
    guilty = defects(store.read("labels"))
    y = np.array([sha in guilty for sha in shas])
    frame = frame_of(facts, rows)
    authors = sorted(AUTHOR_METRICS)
    show(f"{path.name}, all", split(frame, y))
    show(f"{path.name}, the 14 alone", split(frame.drop(columns=list(RICHER)), y))
    show(f"{path.name}, without author", split(frame.drop(columns=authors), y))
    for days in (90.0, 365.0):
        try:
            report = hotspots(store=store, days=days)
        except TestoptError as error:
            print(f"hotspots, {days:g} days: {error.message}")
            continue
        print(f"hotspots, {days:g} days: {report.fixed} of {report.files} files fixed")
        for name, share in (report.validation or {}).items():
            print(f"  {share:5.1%}  {name}")


def main() -> None:
    folder = os.environ.get("TESTOPT_BENCH_DATA")
    if folder:
        published(Path(folder))
    else:
        print("TESTOPT_BENCH_DATA is not set: no published data")
    for name in sys.argv[1:]:
        repository(Path(name))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory {peak:.0f} MiB")


if __name__ == "__main__":
    main()
