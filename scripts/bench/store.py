"""Measure the store: size on disk, times to open, append and read, memory of a full read.

    python scripts/bench/store.py [--runs 1000] [--cases 10000] [--folder FOLDER]
    python scripts/bench/store.py --projects 100

Case ids have the length and the shape of a real suite; durations are measured times with noise
(float32, all digits kept) that differ by case; one case in a thousand fails.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

from testopt.schema import Run, RunRecord, arrow_schema
from testopt.store import Store
from testopt.store.records import record_tables

START = datetime(2026, 1, 1, tzinfo=UTC)
COLD = """
import sys, time
from datetime import UTC, datetime
from testopt.store.process_tuning import skip_pandas
skip_pandas()
import pyarrow.compute, pyarrow.parquet
from deltalake import DeltaTable
from testopt.store import Store
now = datetime.fromisoformat(sys.argv[2])
t0 = time.perf_counter()
store = Store.open(sys.argv[1])
store.version("results")
t1 = time.perf_counter()
rows = store.read("runs", where=[("seen", ">", now)])
t2 = time.perf_counter()
ids = rows["run_id"].to_pylist()
found = store.read("results", where=[("run_id", "in", ids)], dictionary=["case_id"])
t3 = time.perf_counter()
print(t1 - t0, t2 - t1, t3 - t2, rows.num_rows, found.num_rows)
"""
FULL = """
import sys, time, resource
from testopt.store.process_tuning import skip_pandas
skip_pandas()
from testopt.store import Store
t0 = time.perf_counter()
rows = Store.open(sys.argv[1]).read(
    "results", dictionary=["run_id", "case_id", "file", "outcome"])
print(time.perf_counter() - t0, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, rows.num_rows)
"""

LAST = """
import sys, time
from testopt.store.process_tuning import skip_pandas
skip_pandas()
from testopt.store import Store
from testopt.store.run_summary import read_run_summary
store = Store.open(sys.argv[1], light=True)
began = time.process_time()
ids = [run["run_id"] for run in read_run_summary(store).last]
store.read("results", where=[("run_id", "in", ids[:2])], dictionary=["case_id"])
print(time.process_time() - began)
"""


class Suite:
    """A suite of realistic size, and one run of it after the other."""

    def __init__(self, cases: int, seed: int = 0) -> None:
        self.random = np.random.default_rng(seed)
        self.ids = [
            f"tests/unit/area_{i // 900:02}/test_module_{i // 45:03}.py"
            f"::TestClass{i // 9 % 5}::test_behaviour_{i % 45:02}[case-{i % 7}]"
            for i in range(cases)
        ]
        self.files = [i.partition("::")[0] for i in self.ids]
        self.typical = self.random.lognormal(-4, 1.5, cases)

    def results(self, run_id: str) -> pa.Table:
        """Return the rows of one run."""
        count = len(self.ids)
        noise = self.random.lognormal(0, 0.15, count)
        failing = self.random.random(count) < 0.001
        columns = {
            "run_id": pa.repeat(run_id, count),
            "case_id": pa.array(self.ids),
            "file": pa.array(self.files),
            "outcome": pa.array(np.where(failing, "failed", "passed")),
            "duration_s": pa.array((self.typical * noise).astype("float32")),
            "attempt": pa.repeat(pa.scalar(1, pa.int16()), count),
            "message": pa.array([f"{i:016x}" if f else None for i, f in enumerate(failing)]),
        }
        return pa.table(
            [
                columns[n].cast(pa.string()) if n == "outcome" else columns[n]
                for n in arrow_schema("results").names
            ],
            names=arrow_schema("results").names,
        )


def fill(url: str, suite: Suite, runs: int) -> list[float]:
    """Append runs one by one; return the seconds that each took."""
    store = Store.open(url, create=True, retention_days=7)
    spent = []
    for number in range(runs):
        run_id = f"{number * 2654435761 % 2**32:08x}-ci"  # order says nothing
        rows = suite.results(run_id)
        mark = record_tables(
            RunRecord(Run(run_id, START + timedelta(minutes=number)), ()),
            seen=START + timedelta(minutes=number),
        )["runs"]
        began = time.perf_counter()
        store.append("results", {run_id: rows})
        store.append("runs", {run_id: mark})
        spent.append(time.perf_counter() - began)
    return spent


def disk(folder: str) -> float:
    """Return the size of all files in MB."""
    return sum(p.stat().st_size for p in Path(folder).rglob("*") if p.is_file()) / 1e6


def child(code: str, *args: str) -> list[float]:
    """Run code in a fresh process; return the numbers that it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code, *args], capture_output=True, text=True, check=True
    )
    return [float(x) for x in done.stdout.split()]


def best(code: str, *args: str) -> list[float]:
    """Return the best of five fresh processes, number by number."""
    return [min(values) for values in zip(*(child(code, *args) for _ in range(5)), strict=True)]


def history(folder: str, cases: int) -> None:
    """Print what a plan waits for, with little and with much history."""
    print(f"\nhistory of {cases} cases a run, fresh process, best of 5, imports not counted")
    print(
        f"{'runs':>6}{'append':>11}{'worst':>11}{'open':>11}{'new runs':>11}{'their results':>15}"
    )
    for runs in (100, 2000):
        url = f"{folder}/history-{runs}"
        spent = fill(url, Suite(cases), runs)
        since = (START + timedelta(minutes=runs - 11)).isoformat()
        opened, new, results, found, rows = best(COLD, url, since)
        if (found, rows) != (10, 10 * cases):
            sys.exit(f"read {found:.0f} runs and {rows:.0f} results instead of 10 runs")
        tail = np.median(spent[-50:])
        print(
            f"{runs:>6}{tail * 1e3:>8.1f} ms{max(spent) * 1e3:>8.0f} ms{opened * 1e3:>8.1f} ms"
            f"{new * 1e3:>8.1f} ms{results * 1e3:>12.1f} ms"
        )


def fill_shared(url: str, count: int, runs: int, cases: int) -> None:
    """Append runs of many projects in turn, a hundred runs of each at once."""
    store, suites = Store.open(url, create=True), [Suite(cases, seed) for seed in range(count)]
    for first in range(0, runs, 100):
        for who, suite in enumerate(suites):
            numbers = range(first, first + 100)
            times = {f"{n:04}-{who}": START + timedelta(minutes=n) for n in numbers}
            store.append("results", {run: suite.results(run) for run in times})
            marks = {run: RunRecord(Run(run, time), ()) for run, time in times.items()}
            rows = {run: record_tables(m, seen=times[run])["runs"] for run, m in marks.items()}
            store.append("runs", rows)


def projects(folder: str, count: int, runs: int, cases: int) -> None:
    """Print what a plan waits for in a store of one project, and of many in the same tables."""
    print(f"\n{runs} runs of {cases} cases a project, fresh process, best of 5, CPU seconds")
    print(f"{'projects':>9}{'last runs':>12}{'compact':>10}{'on disk':>12}")
    for shared in (1, count):
        url = f"{folder}/projects-{shared}"
        fill_shared(url, shared, runs, cases)
        began = time.process_time()
        Store.open(url, retention_days=0).compact()
        spent = time.process_time() - began
        (last,) = best(LAST, url)
        print(f"{shared:>9}{last:>10.3f} s{spent:>8.1f} s{disk(url):>9.1f} MB", flush=True)


def size(folder: str, runs: int, cases: int) -> None:
    """Print what many large runs take on disk, and what reading them takes."""
    url = f"{folder}/size"
    spent = fill(url, Suite(cases), runs)
    print(f"\n{runs} runs x {cases} cases")
    print(
        f"append: median {np.median(spent) * 1e3:.0f} ms, worst {max(spent) * 1e3:.0f} ms "
        f"(with compaction), all {sum(spent):.0f} s"
    )
    print(f"on disk: {disk(url):.1f} MB, of which replaced files wait for the retention time")
    began = time.perf_counter()
    Store.open(url, retention_days=0).compact()
    print(
        f"after compact and vacuum: {disk(url):.1f} MB, "
        f"{disk(url) * 1e3 / runs:.1f} KB a run ({time.perf_counter() - began:.1f} s)"
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory of writing and compacting: {peak:.0f} MiB")
    seconds, memory, rows = child(FULL, url)
    print(f"read all {rows:.0f} results: {seconds:.2f} s, peak {memory / 1024:.0f} MiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--history-cases", type=int, default=500)
    parser.add_argument("--projects", type=int, help="measure one store of so many projects alone")
    parser.add_argument("--folder", help="default: a temporary one")
    options = parser.parse_args()
    folder = options.folder or tempfile.mkdtemp(prefix="testopt-store-")
    print(f"nproc={os.cpu_count()}")
    try:
        if options.projects:
            projects(folder, options.projects, 2000, 20)
        else:
            size(folder, options.runs, options.cases)
            history(folder, options.history_cases)
    finally:
        if options.folder is None:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
