"""Growth of training with the history, and what workers gain.

    python scripts/bench/scale.py [--results 100000 1000000 10000000] [--workers 0 1 2]
                                  [--repo FOLDER --store FOLDER]

Makes stores of so many results (or uses FOLDER, with the repository of its commits), and runs
`testopt train` on each, in one process (0 workers) and with `--scheduler local:N`. Prints
wall-clock and CPU time of all processes together, and the peak memory of the largest; on a busy
machine only CPU time tells anything. `--parts N` prints what each step costs, over N results.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from measuring import measure
from train import make_store

from testopt.features.pipeline import FeatureState
from testopt.features.replay import History
from testopt.similarity.affinity import closeness_of
from testopt.similarity.case_sources import PATIENCE, Sources
from testopt.store import Store

CASES = 5_000


def cpu_s() -> float:
    """Return the CPU seconds of this process and of those of git that it has waited for."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in both)


def parts_of(store: Store, repo: Path | None, most: int) -> dict[str, float]:
    """Return CPU seconds of each step for a million results, over at most `most` of them."""
    took = dict.fromkeys(("read the store", "read sources", "closeness", "features", "state"), 0.0)
    sources = None if repo is None else Sources(repo, store, patience=PATIENCE)
    state, passing, count = FeatureState(), FeatureState(), 0
    for part in History(store).parts(0):
        at = cpu_s()

        def lap(name: str) -> None:
            nonlocal at
            took[name] += cpu_s() - at
            at = cpu_s()

        for frame in part.frames():
            lap("read the store")
            query = frame.query if sources is None else sources.add(frame.query)
            lap("read sources")
            query = replace(query, closeness=closeness_of(query), text=None)
            lap("closeness")
            state.read(query)
            lap("features")
            state.update(replace(frame, query=query))
            at = cpu_s()
            passing.pass_by(replace(frame, query=query))
            lap("state")
            count += len(query.cases)
            if count >= most:
                break
        if count >= most:
            break
    return {name: seconds / count * 1e6 for name, seconds in took.items()}


def print_parts(store: Store, repo: Path | None, most: int) -> None:
    print("CPU seconds for a million results:")
    for name, seconds in parts_of(store, repo, most).items():
        print(f"  {name:16}{seconds:10.2f}")


def bytes_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=int, nargs="+", default=[100_000, 1_000_000, 10_000_000])
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--store", type=Path, help="use this store as it is")
    parser.add_argument("--repo", type=Path, help="repository of the commits of --store")
    parser.add_argument("--parts", type=int, metavar="N", help="print costs by step, of N results")
    options = parser.parse_args()
    print(f"nproc {os.cpu_count()}, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as name:
        repo = options.repo or Path(name)
        head = f"{'results':>12}{'workers':>9}{'wall s':>9}{'cpu s':>9}{'MiB':>7}{'B/result':>10}"
        for size in [0] if options.store else options.results:
            folder = options.store or Path(name) / f"store-{size}"
            if not options.store:
                make_store(str(folder), max(size // CASES, 1), min(CASES, size))
            store = Store.open(str(folder))
            if options.parts:
                print_parts(store, options.repo, options.parts)
            results = int(store.read("runs", columns=["cases"])["cases"].to_numpy().sum())
            each = bytes_of(folder / "results") / results
            print(head)
            for workers in options.workers:
                command = [sys.executable, "-m", "testopt", "--repo", str(repo)]
                command += ["--store", str(folder), "train"]
                command += ["--scheduler", f"local:{workers}"] if workers else []
                time.sleep(1)
                wall, cpu, memory = measure(command)
                print(
                    f"{results:12d}{workers:9d}{wall:9.1f}{cpu:9.1f}{memory:7.0f}{each:10.1f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
