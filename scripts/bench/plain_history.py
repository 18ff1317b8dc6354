"""A plain model of an afternoon beside testopt, on CI histories: ours must never be worse.

    TESTOPT_BENCH_DATA=... python scripts/bench/plain_history.py [--more FOLDER] [SET ...]

Twenty features of a case's past and nothing else: failure rates with six decays, executions since
the last failure and transition, age, executions, failures, mean and last duration, and ranks of
seven of these within the run. LightGBM, 150 trees of 15 leaves with at least 20 rows each, fitted
on the failing runs so far and on twice as many of the latest passing ones; probability per second
orders. Every run is predicted by a model of earlier runs, fitted anew as often as `testopt
backtest` does it; before ten runs have failed the failure rate per second orders.

Sets are the tables of ``ranking/`` beneath the folder named by TESTOPT_BENCH_DATA, and those of
FOLDER: NAME.parquet, with NAME.changes.parquet where there is one. ``score.py`` of that folder
tells what failing runs are and what simple orders do. APFDc is the mean over failing runs after the
first tenth; *gap* is the share that testopt closes between the best simple order, chosen in
hindsight, and the optimum; *beside plain* is the mean difference over the same runs. Intervals are
95 % bootstrap over runs. The last line pools the sets in which fewer than 30 runs fail.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from ranking import Set, predict

from testopt.ranking.rolling import retraining_points

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

DECAYS = (0.5, 0.7, 0.8, 0.9, 0.95, 0.99)
RANKED = (0, 3, 5, 6, 7, 11, 12)  # columns whose rank within the run is a feature as well
PARAMETERS = {
    "objective": "binary", "num_leaves": 15, "min_data_in_leaf": 20, "learning_rate": 0.05,
    "verbosity": -1, "num_threads": 1, "seed": 0, "deterministic": True,
}  # fmt: skip
TREES = 150
FIRST_FAILING = 10
PASSING = 2  # times as many passing runs as failing ones
WARM_UP = 0.1
FEW = 30  # failing runs: sets with fewer are pooled, too
FLOOR_S = 1e-3
LEAST_ROOM = 1e-3  # APFDc below which there is nothing to gain
METHODS = ("testopt", "plain", "simple", "optimum")
HEAD = f"{'set':26}{'runs':>5}" + "".join(f"{m:>9}" for m in METHODS)


@dataclass
class Past:
    """What is known of a case."""

    first: int
    rates: NDArray[np.float64]
    executions: int = 0
    failures: int = 0
    since_failure: float = float("nan")
    since_change: float = float("nan")
    failed: bool = False
    seconds: float = 0.0
    last_seconds: float = float("nan")

    def take(self, *, failed: bool, seconds: float) -> None:
        """Take in an execution."""
        weight = np.maximum(1.0 - np.array(DECAYS), 1.0 / (self.executions + 1))
        self.rates += weight * (failed - self.rates)
        self.since_failure = 0.0 if failed else self.since_failure + 1.0
        changed = self.executions > 0 and failed != self.failed
        self.since_change = 0.0 if changed else self.since_change + 1.0
        self.executions += 1
        self.failures += failed
        self.failed = failed
        self.seconds += seconds
        self.last_seconds = seconds

    def features(self, tick: int) -> list[float]:
        """Return the thirteen numbers that are no ranks."""
        mean = self.seconds / self.executions if self.executions else float("nan")
        return [
            *self.rates, self.since_failure, self.since_change, tick - self.first,
            self.executions, self.failures, mean, self.last_seconds,
        ]  # fmt: skip


def ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    ranked: NDArray[np.float64] = pd.Series(values).rank(pct=True).to_numpy()
    return ranked


def rows_of(runs: list[dict[str, Any]]) -> Iterator[NDArray[np.float64]]:
    """Yield the features of each run's cases, from earlier runs only."""
    known: dict[str, Past] = {}
    for tick, run in enumerate(runs):
        unknown = Past(tick, np.full(len(DECAYS), np.nan))
        x = np.array([known.get(c, unknown).features(tick) for c in run["cases"]], float)
        yield np.column_stack([x, *(ranks(x[:, j]) for j in RANKED)])
        for case, failed, cost in zip(run["cases"], run["raw"], run["cost"], strict=True):
            past = known.setdefault(case, Past(tick, np.zeros(len(DECAYS))))
            past.take(failed=bool(failed), seconds=float(cost))


def taught(runs: list[dict[str, Any]], before: int) -> list[int]:
    """Return the runs that a model is fitted on: failing ones, and the latest passing ones."""
    failing = [i for i in range(before) if runs[i]["raw"].any()]
    passing = [i for i in range(before) if not runs[i]["raw"].any()]
    return sorted(failing + passing[-PASSING * len(failing) :]) if failing else []


def plain_orders(runs: list[dict[str, Any]]) -> list[NDArray[np.int64]]:
    """Return the order of each run."""
    import lightgbm

    matrices, model, orders = [], None, list[Any]()
    points = set(retraining_points(len(runs)))
    for i, x in enumerate(rows_of(runs)):
        if i in points:
            fit = taught(runs, i)
            if sum(bool(runs[j]["raw"].any()) for j in fit) >= FIRST_FAILING:
                y = np.concatenate([runs[j]["raw"] for j in fit]).astype(float)
                data = lightgbm.Dataset(np.vstack([matrices[j] for j in fit]), y)
                model = lightgbm.train(PARAMETERS, data, TREES)
        matrices.append(x)
        mean = x[:, len(DECAYS) + 5]
        known = mean[~np.isnan(mean)]
        seconds = np.where(np.isnan(mean), np.median(known) if len(known) else 1.0, mean)
        rate = (x[:, len(DECAYS) + 4] + 0.5) / (x[:, len(DECAYS) + 3] + 2.0)
        p = np.nan_to_num(rate, nan=0.5) if model is None else np.asarray(model.predict(x))
        orders.append(np.argsort(-p / (seconds + FLOOR_S), kind="stable"))
    return orders


def scorer(data: Path) -> Any:
    spec = importlib.util.spec_from_file_location("score", data / "score.py")
    if spec is None or spec.loader is None:
        raise SystemExit(f"{data} holds no score.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def judged(score: Any, results: pd.DataFrame, ours: pd.DataFrame) -> pd.DataFrame:
    """Return the APFDc of each failing run after the warm-up, one column a method."""
    runs = score.runs_of(results, False)
    plain = plain_orders(runs)
    predicted = dict(tuple(ours.groupby("run_id", sort=False)))
    found, rng = [], np.random.default_rng(1)
    for i, (run, orders) in enumerate(score.baselines(runs)):
        fail, cost = run["fail"], run["cost"]
        if i < int(len(runs) * WARM_UP) or len(fail) < 6 or not fail.any() or fail.all():
            continue
        table = predicted[run["run"]].drop_duplicates("case_id").set_index("case_id")
        rank = table.reindex(run["cases"])["rank"].to_numpy(float)
        orders["testopt"] = np.lexsort((rng.random(len(rank)), rank))
        orders["plain"] = plain[i]
        found.append({name: score.metrics(fail[o], cost[o])["apfdc"] for name, o in orders.items()})
    return pd.DataFrame(found)


def interval(draws: NDArray[np.float64]) -> str:
    low, high = np.quantile(draws, (0.025, 0.975))
    return f"[{low:+.3f}, {high:+.3f}]"


def summary(name: str, table: pd.DataFrame) -> str:
    simple = table.drop(columns=["testopt", "plain", "optimal"])
    table = table.assign(simple=simple[simple.mean().idxmax()], optimum=table["optimal"])
    mean = table[list(METHODS)].mean()
    draws = np.random.default_rng(0).integers(0, len(table), (2000, len(table)))
    at = {m: table[m].to_numpy()[draws].mean(axis=1) for m in METHODS}
    beside = at["testopt"] - at["plain"]
    return (
        f"{name:26}{len(table):5d}" + "".join(f"{mean[m]:9.4f}" for m in METHODS)
        + f"  {closed(mean, at)}  beside plain {mean['testopt'] - mean['plain']:+.4f}"
        + f" {interval(beside)}  {simple.mean().idxmax()}"
    )  # fmt: skip


def closed(mean: Any, at: dict[str, NDArray[np.float64]]) -> str:
    """Return which share of the gap between the best simple order and the optimum is closed."""
    room = mean["optimum"] - mean["simple"]
    if room < LEAST_ROOM:
        return "no gap to close"
    gap = {m: (mean[m] - mean["simple"]) / room for m in ("testopt", "plain")}
    spread = (at["testopt"] - at["simple"]) / np.maximum(at["optimum"] - at["simple"], LEAST_ROOM)
    return f"gap {gap['testopt']:+.3f} {interval(spread)}, plain {gap['plain']:+.3f}"


def find(data: Path, more: Path | None, wanted: list[str]) -> Iterator[Set]:
    folders = [data / "ranking", *([more] if more else [])]
    for path in (p for f in folders for p in sorted(f.glob("*.parquet"))):
        if ".changes" in path.name or (wanted and not any(w in path.name for w in wanted)):
            continue
        changes = path.with_suffix(".changes.parquet")
        yield Set(path.stem, path, changes if changes.exists() else None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", nargs="*", metavar="SET", help="parts of names; default: all")
    parser.add_argument("--more", type=Path, help="folder of further tables")
    options = parser.parse_args()
    if not os.environ.get("TESTOPT_BENCH_DATA"):
        raise SystemExit("name the folder of data in TESTOPT_BENCH_DATA")
    data = Path(os.environ["TESTOPT_BENCH_DATA"])
    score, few = scorer(data), list[pd.DataFrame]()
    print(HEAD)
    with tempfile.TemporaryDirectory() as work:
        for one in find(data, options.more, options.sets):
            ours = pd.read_parquet(predict(one, Path(work)))
            table = judged(score, pd.read_parquet(one.results), ours)
            if len(table):
                print(summary(one.name, table), flush=True)
            few += [table] if 0 < len(table) < FEW else []
    if few:
        print(summary("sets of few, pooled", pd.concat(few)))


if __name__ == "__main__":
    main()
