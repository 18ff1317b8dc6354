"""Time and memory of training on a large store.

    python scripts/bench/train.py [--runs 1000] [--cases 10000] [--store FOLDER]

Makes a store of runs x cases results (or uses FOLDER as it is), and runs `testopt train` on it in
a process of its own.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
from measuring import measure

from testopt.schema import arrow_schema
from testopt.store import Store

START = datetime(2024, 1, 1, tzinfo=UTC)
PER_COMMIT = 20


def results_of(run: str, names: pa.Array, random: np.random.Generator) -> pa.Table:
    """Return one run: a few cases fail together, and stay broken for a while."""
    count = len(names)
    fails = np.zeros(count, bool)
    if random.random() < 0.4:
        fails[(np.arange(count) % 97 == random.integers(97)) & (random.random(count) < 0.2)] = True
    columns = {
        "run_id": pa.array([run] * count),
        "case_id": names,
        "file": pa.nulls(count, pa.string()),
        "outcome": pa.array(np.where(fails, "failed", "passed").tolist()),
        "duration_s": pa.array(random.gamma(1.0, 0.1, count).astype(np.float32)),
        "attempt": pa.array(np.ones(count, np.int16)),
        "message": pa.nulls(count, pa.string()),
    }
    return pa.table(columns, schema=arrow_schema("results"))


def make_store(folder: str, runs: int, cases: int) -> None:
    store, random = Store.open(folder, create=True), np.random.default_rng(0)
    names = pa.array([f"tests/p{i % 40}/test_{i % 400}.py::TestIt::test_{i}" for i in range(cases)])
    for start in range(0, runs, PER_COMMIT):
        ids = [f"run-{i:06d}" for i in range(start, min(start + PER_COMMIT, runs))]
        store.append("results", {run: results_of(run, names, random) for run in ids})
        rows = {run: row(run, start + k, cases) for k, run in enumerate(ids)}
        store.append("runs", rows)


def row(run: str, i: int, cases: int) -> pa.Table:
    when = START + timedelta(hours=i)
    values = {
        "run_id": run, "commit": None, "base": None, "branch": "main", "job": "", "kind": "real",
        "parent_run": None, "time": when, "seen": when, "source": "table", "cases": cases,
        "failed": 0, "error": 0, "skipped": 0, "duration_s": 1.0, "complete": True,
    }  # fmt: skip
    return pa.Table.from_pylist([values], schema=arrow_schema("runs"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--store", help="use this store as it is")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = options.store or str(Path(name) / "store")
        if not options.store:
            make_store(folder, options.runs, options.cases)
        total = Store.open(folder).read("runs", columns=["cases"])["cases"].to_numpy().sum()
        command = [sys.executable, "-m", "testopt", "--repo", name, "--store", folder, "train"]
        wall, cpu, memory = measure(command)
        print(f"nproc {os.cpu_count()}")
        print(f"{'results':>12}{'wall s':>10}{'cpu s':>10}{'MiB':>8}")
        print(f"{total:12d}{wall:10.1f}{cpu:10.1f}{memory:8.0f}")


if __name__ == "__main__":
    main()
