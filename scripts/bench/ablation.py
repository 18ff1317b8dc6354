"""What each family of features brings: rolling predictions with and without it.

    TESTOPT_BENCH_DATA=... python scripts/bench/ablation.py [--replay FOLDER] [SET ...]

Sets as in ``ranking.py``. The model alone orders the runs (P(fail) / seconds^0.5), so that no
other way of ordering hides what a family brings. APFDc is the mean over failing runs after the
first tenth; a figure of a family is what is lost without it, and in brackets what the family
reaches with the durations alone.
"""

from __future__ import annotations

import re
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from ranking import Set, asked, testopt

from testopt.features.pipeline import FeatureState
from testopt.features.run_features import NAMES
from testopt.features.run_history import history
from testopt.features.training_set import TrainingSet, read_training_set
from testopt.learning.metrics import apfdc
from testopt.ranking.baselines import expected_seconds
from testopt.ranking.cost_order import value_per_cost
from testopt.ranking.families import families
from testopt.ranking.rolling import rolling_probabilities
from testopt.similarity.case_sources import PATIENCE, Sources
from testopt.store import Store

# parts of a case's own past, which is one family in words
PAST = {
    "rates": r"executions|failure_rate.*|flip_rate|rate_rank|run_.*",
    "recency": r"failing_last|streak|.*_since_.*|age_.*|newness_rank",
    "ancestry": r"failing_in_parent",
    "like runs": r".*sibling.*",
    "groups": r"(function|class|file)_rate",
    "neighbours": r"neighbours_rate",
}
RETRAINED = 12  # times


def parts() -> dict[str, list[int]]:
    found = {k: v for k, v in families(NAMES).items() if not re.search("failures and age", k)}
    for name, pattern in PAST.items():
        found[name] = [j for j, n in enumerate(NAMES) if re.fullmatch(pattern, n)]
    return found


def load(one: Set, work: Path) -> tuple[TrainingSet, int]:
    before = ("--repo", str(one.repo or work), "--store", str(work / one.name))
    more = ("--changes", str(one.changes)) if one.changes else ()
    testopt(*before, "ingest", "--format", "table", str(one.results), *more)
    store = Store.open(str(work / one.name))
    sources = Sources(one.repo, store, patience=PATIENCE) if one.repo else None
    rows = read_training_set(history(store, sources=sources), FeatureState())
    return rows, store.read("runs", columns=["run_id"]).num_rows


def judge(rows: TrainingSet, runs: int) -> float:
    p = rolling_probabilities(rows, runs, every=max(runs // RETRAINED, 5))
    seconds = expected_seconds(rows.features)
    value = value_per_cost(p, seconds, 0.5)
    found = []
    for run in np.unique(rows.run[rows.y]).tolist():
        part = slice(*np.searchsorted(rows.run, [run, run + 1]))
        failed = rows.y[part]
        if run < runs * 0.1 or failed.all() or np.isnan(p[part]).any():
            continue
        order = np.argsort(-value[part], kind="stable")
        found.append(apfdc(failed[order], seconds[part][order] + 1e-3))
    return float(np.mean(found)) if found else float("nan")


def only(rows: TrainingSet, keep: list[int]) -> TrainingSet:
    x = np.full_like(rows.features.matrix, np.nan)
    x[:, keep] = rows.features.matrix[:, keep]
    return replace(rows, features=replace(rows.features, matrix=x))


def main() -> None:
    _, sets = asked(__doc__)
    known = parts()
    clock = [j for j, n in enumerate(NAMES) if n.startswith("seconds_")]
    everything = set(range(len(NAMES)))
    with tempfile.TemporaryDirectory() as name:
        for one in sets:
            rows, runs = load(one, Path(name))
            whole = judge(rows, runs)
            print(f"{one.name}: {whole:.4f} with all", flush=True)
            for family, columns in known.items():
                left = sorted((everything - set(columns)) | set(clock))
                lost = whole - judge(only(rows, left), runs)
                alone = judge(only(rows, sorted({*columns, *clock})), runs)
                print(f"  {family:40}{lost:+.4f}  [{alone:.4f}]", flush=True)


if __name__ == "__main__":
    main()
