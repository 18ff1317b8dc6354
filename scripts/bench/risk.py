"""Change risk by time: published data, and whole repositories from git to hotspots.

    TESTOPT_BENCH_DATA=DIR python scripts/bench/risk.py [REPOSITORY ...] [--candidates]

With data, per project (first 80 % of the changes train, the rest test): ROC-AUC, that of lines
added, the interval of the gain, calibration error, seconds; and without the date, and without
metrics of the author.

Of each repository (a clone, or a bare one): time and memory of mine, szz, risk and hotspots, each
in a process of its own, then the same split with groups of metrics, then the share of the later
fixes that hotspots find. Effort-aware figures stand beside "smallest first": Popt (Mende and
Koschke 2010) and recall at 20 % of the changed lines, both of changes ranked by probability per
line. `--candidates` adds metrics that were tried and did not earn a place.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from measuring import measure
from risk_candidates import from_patches, from_store
from sklearn.metrics import roc_auc_score

from testopt import ChangeRiskClassifier
from testopt.errors import TestoptError
from testopt.learning.metrics import expected_calibration_error
from testopt.risk.change_metrics import AUTHOR_METRICS, WORDS
from testopt.risk.derived_metrics import METRICS
from testopt.risk.hotspots import hotspots
from testopt.risk.measured_history import DefectLabels, defective_commits, measure_history
from testopt.risk.model import metrics_frame
from testopt.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

TRAIN = 0.8
REPEATS = 1000


def area(hit: np.ndarray, effort: np.ndarray, order: np.ndarray) -> float:
    """Return the area under the share of hits found over the share of effort spent."""
    found = np.concatenate([[0.0], np.cumsum(hit[order]) / hit.sum()])
    spent = np.concatenate([[0.0], np.cumsum(effort[order]) / effort.sum()])
    return float(np.sum(np.diff(spent) * (found[1:] + found[:-1]) / 2))


def popt(y: np.ndarray, score: np.ndarray, effort: np.ndarray) -> float:
    """Return 1 for the best possible order, 0 for the worst."""
    best, worst = y / effort, -(y / effort)
    areas = [area(y, effort, np.argsort(-s, kind="stable")) for s in (score, best, worst)]
    return (areas[0] - areas[2]) / (areas[1] - areas[2])


def recall_at_20(y: np.ndarray, score: np.ndarray, effort: np.ndarray) -> float:
    order = np.argsort(-score, kind="stable")
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


def split(
    frame: pd.DataFrame, y: np.ndarray, known: np.ndarray | None = None
) -> dict[str, float] | None:
    """Return the figures of the youngest fifth by a model of the rest; None for one class.

    `known` are the labels to learn from, where they are not those to judge by.
    """
    cut = int(len(y) * TRAIN)
    test, truth = frame.iloc[cut:], y[cut:]
    if not 0 < truth.sum() < len(truth):
        return None
    since = time.perf_counter()
    model = ChangeRiskClassifier().fit(frame.iloc[:cut], (y if known is None else known)[:cut])
    seconds = time.perf_counter() - since
    p = model.predict_proba(test)[:, 1]
    added = test["la"].to_numpy()
    effort = (test["la"] + test["ld"]).to_numpy() + 1.0
    low, high = gain(truth, p, added)
    return {
        "n": len(truth),
        "auc": roc_auc_score(truth, p),
        "lines": roc_auc_score(truth, added),
        "low": low,
        "high": high,
        "ece": expected_calibration_error(truth, p),
        "popt": popt(truth, p / effort, effort),
        "small_popt": popt(truth, -effort, effort),
        "r20": recall_at_20(truth, p / effort, effort),
        "small_r20": recall_at_20(truth, -effort, effort),
        "fit_s": seconds,
    }


def rows(title: str, tables: Iterator[tuple[str, dict[str, float] | None]]) -> None:
    head = ""
    for name, row in tables:
        if row is None:
            print(f"{name:34} one class only in the test part")
            continue
        if not head:
            head = "".join(f"{key:>11}" for key in row)
            print(f"\n{title:34}{head}")
        print(f"{name:34}" + "".join(f"{value:11.4g}" for value in row.values()), flush=True)


def published(folder: Path) -> None:
    data = pd.read_parquet(folder / "jit" / "issta21.parquet")
    variants = {"all": [], "without date": ["date"]}
    variants["without author"] = sorted(AUTHOR_METRICS & set(METRICS))
    for variant, dropped in variants.items():
        found: list[dict[str, float]] = []

        def tables(
            dropped: list[str] = dropped, found: list[dict[str, float]] = found
        ) -> Iterator[tuple[str, dict[str, float] | None]]:
            for project, changes in data.groupby("project", sort=True):
                ordered = changes.sort_values("date", kind="stable")
                frame = ordered[[*METRICS, "date"]].drop(columns=dropped)
                row = split(frame, ordered["buggy"].to_numpy(bool))
                found.extend([] if row is None else [row])
                yield str(project), row
            yield "mean", {key: float(np.mean([r[key] for r in found])) for key in found[0]}

        rows(f"published, {variant}", tables())


def full_run(repo: Path, store: Path) -> None:
    """Run the commands one after the other on an empty store."""
    print(f"\n{repo}\n{'command':34}{'seconds':>11}{'cpu_s':>11}{'peak_MiB':>11}")
    call = [sys.executable, "-m", "testopt", "-q", "--repo", str(repo), "--store", str(store)]
    for name, *command in (
        ("mine", "mine"),
        ("szz", "szz"),
        ("risk HEAD, which trains", "risk", "HEAD"),
        ("risk HEAD again", "risk", "HEAD"),
        ("hotspots", "hotspots"),
    ):
        values = measure([*call, *command])
        print(f"{name:34}" + "".join(f"{v:11.1f}" for v in values), flush=True)


def known_then(store: Store, shas: list[str], when: float) -> np.ndarray:
    """Return the labels that rest on fixes made until a time, in seconds since 1970."""
    labels = store.read("labels")
    early = (labels.to_pandas()["time"] <= pd.Timestamp(when, unit="s", tz="UTC")).to_numpy()
    guilty = defective_commits(labels.filter(early))
    return np.array([sha in guilty for sha in shas])


def repository(repo: Path, store: Store, *, candidates: bool) -> None:
    measured = measure_history(store, {})
    y = DefectLabels(store, measured).known(np.inf)
    frame = metrics_frame(measured.facts, measured.rows)
    print(f"\n{len(y)} changes, {int(y.sum())} of which introduced a defect")

    def tables() -> Iterator[tuple[str, dict[str, float] | None]]:
        yield "all", split(frame, y)
        then = measured.facts[int(len(y) * TRAIN) - 1].time
        yield "labels known at the split", split(frame, y, known_then(store, measured.shas, then))
        yield "the 14 and the date", split(frame.drop(columns=[WORDS]), y)
        yield "without the date", split(frame.drop(columns=["date"]), y)
        yield "without author", split(frame.drop(columns=sorted(AUTHOR_METRICS)), y)
        if candidates:
            more = {**from_store(store, measured.shas), **from_patches(repo, measured.shas)}
            for name, columns in more.items():
                yield f"with {name}", split(pd.concat([frame, columns], axis=1), y)

    rows("by time", tables())
    for windows, per_line in ((12, False), (12, True), (40, False), (40, True)):
        try:
            report = hotspots(store=store, windows=windows, per_line=per_line)
        except TestoptError as error:
            print(f"hotspots: {error.message}")
            continue
        shares = sorted((report.validation or {}).items(), key=lambda kv: -kv[1])
        told = ", ".join(f"{name} {share:.1%}" for name, share in shares)
        part = "lines" if per_line else "files"
        print(f"hotspots, first 20 % of the {part}, {report.windows} windows: {told}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("repositories", nargs="*", type=Path)
    parser.add_argument("--candidates", action="store_true")
    parser.add_argument("--keep", type=Path, help="keep the stores in this folder, and use them")
    options = parser.parse_args()
    folder = os.environ.get("TESTOPT_BENCH_DATA")
    if folder:
        published(Path(folder))
    else:
        print("TESTOPT_BENCH_DATA is not set: no published data")
    with tempfile.TemporaryDirectory() as scratch:
        for repo in options.repositories:
            name = "+".join(repo.resolve().parts[-2:])
            store = (options.keep or Path(scratch)) / name
            if not store.exists():
                full_run(repo, store)
            repository(repo, Store.open(str(store)), candidates=options.candidates)


if __name__ == "__main__":
    main()
