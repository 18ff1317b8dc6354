"""Time and memory of one plan in a cold process, with a short and with a long history.

    python scripts/bench/plan.py [--cases 10000] [--runs 100 2000] [--repeats 5]

Each store is made here: runs of a tenth of the cases, a few of which fail. It is trained once, then
some runs are recorded, as in daily use; "behind" are runs that came from elsewhere since the
feature state was kept, and that the plan itself has to read.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from measuring import measure

from testopt import ingest
from testopt.schema import Change, FileChange, Result, Run, RunRecord
from testopt.store import Store
from testopt.train import train

START = datetime(2025, 1, 1, tzinfo=UTC)
AFTER = 20  # runs recorded since the training
BEHIND = (0, 20)


def names(count: int) -> list[str]:
    return [f"tests/unit/area_{i % 40}/test_{i % 400}.py::TestIt::test_{i}" for i in range(count)]


def record(i: int, cases: list[str], random: np.random.Generator) -> RunRecord:
    chosen = random.choice(len(cases), len(cases) // 10, replace=False)
    broken = random.integers(40) if random.random() < 0.3 else -1
    results = [
        Result(
            cases[c],
            "failed" if c % 40 == broken and random.random() < 0.2 else "passed",
            float(random.gamma(1.0, 0.1)),
        )
        for c in chosen.tolist()
    ]
    files = tuple(FileChange(f"src/area_{random.integers(40)}/m{k}.py", 5, 2) for k in range(3))
    run = Run(f"run-{i}", START + timedelta(hours=i), commit=f"{i:040x}", branch="main")
    return RunRecord(run, results, Change(files))


def make_store(folder: Path, runs: int, cases: list[str]) -> None:
    random = np.random.default_rng(0)
    store = Store.open(str(folder), create=True)
    store.append_runs(record(i, cases, random) for i in range(runs))
    train(store=store)
    for i in range(runs, runs + AFTER):
        ingest.record(store=store, record=record(i, cases, random))


def fall_behind(folder: Path, runs: int, more: int, cases: list[str]) -> None:
    random = np.random.default_rng(1)
    store = Store.open(str(folder))
    for i in range(runs + AFTER, runs + AFTER + more):
        store.append_runs([record(i, cases, random)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--runs", type=int, nargs="+", default=[100, 2000])
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    cases = names(options.cases)
    print(f"nproc {os.cpu_count()}, {options.cases} cases, best of {options.repeats}")
    print(f"{'runs of history':>16}{'behind':>8}{'plan':>8}{'wall s':>10}{'cpu s':>10}{'MiB':>8}")
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        (work / "cases.txt").write_text("\n".join(cases))
        (work / "change.diff").write_text(
            "--- a/src/area_3/m1.py\n+++ b/src/area_3/m1.py\n@@ -1 +1 @@\n-old_name = 1\n+new = 2\n"
        )
        for runs in options.runs:
            make_store(work / f"store-{runs}", runs, cases)
            for behind in BEHIND:
                fall_behind(work / f"store-{runs}", runs, behind, cases)
                for plan in ("rank", "select"):
                    command = [
                        sys.executable, "-m", "testopt", "--store", str(work / f"store-{runs}"),
                        plan, "--cases", str(work / "cases.txt"),
                        "--diff", str(work / "change.diff"), "--format", "pytest",
                    ]  # fmt: skip
                    tries = [measure(command) for _ in range(options.repeats)]
                    wall, cpu, memory = (min(values) for values in zip(*tries, strict=True))
                    row = f"{runs:16d}{behind:8d}{plan:>8}{wall:10.3f}{cpu:10.3f}{memory:8.0f}"
                    print(row, flush=True)


if __name__ == "__main__":
    main()
