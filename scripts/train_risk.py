"""Learn the slopes at which change risk begins, from culprits that authors named.

    python scripts/train_risk.py FOLDER OWNER/NAME=CLONE ...

Of each clone the newest commits are mined into FOLDER, once. Culprits are commits that a later
message reverts or names as a cause. A logistic regression with a constant for each project and
tenth of its history learns from all of them; a project weighs as many culprits as it has, at most
150, and its other commits weigh as much. Prints the slopes for ``testopt/risk/base_models.py``, and
ROC-AUC on each project by what the others taught, beside that of lines added.
"""

from __future__ import annotations

import argparse
import runpy
from pathlib import Path

import numpy as np

from testopt.git.messages import explanation_words
from testopt.learning.calibration import sigmoid
from testopt.learning.metrics import roc_auc
from testopt.mine import mine
from testopt.risk.measured_history import measure_history
from testopt.risk.mined_metrics import metrics_by_name
from testopt.store import Store

culprits = runpy.run_path(str(Path(__file__).parent / "bench" / "risk_truth.py"))["culprits"]

COLUMNS = ("la", "words", "nuc")
NEWEST, ERAS, MOST = 9_000, 10, 150
LEAST = 2  # culprits of an era that teaches
RIDGE, ROUNDS = 3.0, 40
Table = tuple[np.ndarray, np.ndarray, np.ndarray]


def table(folder: Path, clone: Path) -> Table:
    """Return logs of the columns, which commits are culprits, and the era of each (-1: none)."""
    fresh = not folder.exists()
    store = Store.open(str(folder), create=True)
    if fresh:
        mine(repo=clone, store=store, newest=NEWEST)
    shas = store.read("commits", columns=["sha"])["sha"].to_pylist()
    history = measure_history(store, {}, words=explanation_words(clone, shas))
    named = [metrics_by_name(row) for row in history.rows]
    x = np.log1p(np.nan_to_num([[row[c] for c in COLUMNS] for row in named]))
    y = np.isin(history.shas, sorted(culprits(clone)))
    found = np.flatnonzero(y)
    first, last = found[max(2, len(found) // 50)], int(len(y) * 0.97)  # when culprits were named
    era = np.full(len(y), -1)
    era[first:last] = np.arange(last - first) * ERAS // (last - first)
    return x, y, era


def learnt(tables: list[Table]) -> np.ndarray:
    """Return a slope for each column."""
    xs, ys, weights, groups = [], [], [], []
    for x, y, era in tables:
        share = min(1.0, MOST / y[era >= 0].sum())
        for one in range(ERAS):
            rows = era == one
            bad, n = int((y & rows).sum()), int(rows.sum())
            if bad >= LEAST:
                xs.append(x[rows])
                ys.append(y[rows].astype(float))
                weights.append(share * np.where(y[rows], 0.5, 0.5 * bad / (n - bad)))
                groups.append(np.full(n, len(groups)))
    x, y, weight = np.concatenate(xs), np.concatenate(ys), np.concatenate(weights)
    mean = np.average(x, axis=0, weights=weight)
    scale = np.sqrt(np.average((x - mean) ** 2, axis=0, weights=weight))
    constants = np.eye(len(groups))[np.concatenate(groups)]
    design = np.column_stack([(x - mean) / scale, constants])
    ridge = np.r_[np.full(x.shape[1], RIDGE), np.full(len(groups), 1e-6)]
    beta = np.zeros(design.shape[1])
    for _ in range(ROUNDS):
        p = sigmoid(design @ beta)
        gradient = design.T @ (weight * (p - y)) + ridge * beta
        curvature = (design * (weight * p * (1.0 - p))[:, None]).T @ design + np.diag(ridge)
        beta -= np.linalg.solve(curvature, gradient)
    return beta[: x.shape[1]] / scale


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("clones", nargs="+", metavar="OWNER/NAME=CLONE")
    options = parser.parse_args()
    pairs = [pair.split("=", 1) for pair in options.clones]
    tables = {n: table(options.folder / n.replace("/", "+"), Path(c)) for n, c in pairs}
    slopes = learnt(list(tables.values()))
    print("slopes", dict(zip(COLUMNS, np.round(slopes, 3).tolist(), strict=True)))
    for name, (x, y, era) in tables.items():
        others = learnt([t for n, t in tables.items() if n != name]) if len(tables) > 1 else slopes
        rows = era >= 0
        aucs = roc_auc(y[rows], (x @ others)[rows]), roc_auc(y[rows], x[rows, 0])
        print(f"{name:32} {y.sum():4} culprits: AUC {aucs[0]:.3f}, lines added {aucs[1]:.3f}")


if __name__ == "__main__":
    main()
