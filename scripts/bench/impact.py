"""Measure `--safe` on real regressions: what it keeps, and whether a failing case is left out.

    python scripts/bench/impact.py REPO RESULTS.parquet TRUTH.parquet [--coverage N --python P]

REPO and RESULTS are those that the replay of a project made, TRUTH names the failures to find.
With `--coverage N` the suite is run at the base of N of the changes with coverage contexts
by a Python that has pytest-cov, which then narrow the selection.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import pyarrow.parquet as pq

from testopt.git.change import find_change
from testopt.git.run_identity import RunIdentity
from testopt.impact.find import find_impact
from testopt.ingest.coverage_links import ingest_coverage
from testopt.store import Store


def runs_of(results: str, truth: str) -> list[dict]:
    """Return the runs with regressions: commits, duration of each case, cases that fail."""
    failing = defaultdict(set)
    for row in pq.read_table(truth).to_pylist():
        failing[row["run_id"]].add(row["case_id"])
    runs: dict[str, dict] = {}
    for row in pq.read_table(results).to_pylist():
        if row["run_id"] in failing:
            new = {"base": row["base"], "commit": row["commit"], "seconds": {}}
            run = runs.setdefault(row["run_id"], new)
            run["seconds"][row["case_id"]] = row["duration_s"] or 0.0
    return [{**run, "failing": failing[name] & run["seconds"].keys()} for name, run in runs.items()]


def measure(python: str, repo: Path, commit: str, *, store: Store, folder: Path) -> None:
    """Run the suite at a commit with coverage contexts, and ingest them."""
    tree = folder / commit
    subprocess.run(
        ["git", "-C", repo, "worktree", "add", "-q", "--detach", tree, commit], check=True
    )
    subprocess.run(
        [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist",
         "--cov=.", "--cov-context=test", "--cov-report=", "tests"],
        cwd=tree, env={**os.environ, "PYTHONPATH": str(tree)}, capture_output=True, check=False,
    )  # fmt: skip
    identity = RunIdentity(repo=tree, commit=commit)
    report = ingest_coverage(store=store, paths=[str(tree / ".coverage")], identity=identity)
    if report.files[0].rejected:
        sys.exit(report.files[0].rejected)
    subprocess.run(["git", "-C", repo, "worktree", "remove", "--force", tree], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("repo", type=Path)
    parser.add_argument("results")
    parser.add_argument("truth")
    parser.add_argument("--coverage", type=int, default=0, metavar="N")
    parser.add_argument("--python", default=sys.executable)
    options = parser.parse_args()
    runs = runs_of(options.results, options.truth)
    if options.coverage:
        runs = runs[:: max(len(runs) // options.coverage, 1)][: options.coverage]
    whole = caught = anything = cases = 0
    shares, took = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = Store.open(folder / "store", create=True)
        for run in runs:
            if options.coverage:
                measure(options.python, options.repo, run["base"], store=store, folder=folder)
            change = find_change(options.repo, base=run["base"], head=run["commit"])
            start = time.perf_counter()
            ids = list(run["seconds"])
            impact = find_impact(cases=ids, change=change, repo=options.repo, store=store)
            took.append(time.perf_counter() - start)
            missed = run["failing"] - impact.affected.keys()
            caught += len(run["failing"]) - len(missed)
            cases += len(run["failing"])
            anything += len(missed) < len(run["failing"])
            whole += bool(impact.everything)
            total = sum(run["seconds"].values())
            kept = sum(run["seconds"][case] for case in impact.affected)
            shares.append((kept / total, len(impact.affected) / len(ids)))
            for case in sorted(missed):
                print(f"missed {case} of {run['commit'][:10]}: {impact.clear[case]}")
    middle = sorted(share for share, _ in shares)[len(shares) // 2]
    print(f"{len(runs)} regressions, {anything} with a failing case selected")
    print(f"failing cases selected: {caught} of {cases}")
    print(f"time selected: mean {sum(s for s, _ in shares) / len(shares):.1%}, median {middle:.1%}")
    print(
        f"cases selected: mean {sum(c for _, c in shares) / len(shares):.1%}; all: {whole} changes"
    )
    print(f"seconds: first {took[0]:.2f}, later {sum(took[1:]) / max(len(took) - 1, 1):.2f}")


if __name__ == "__main__":
    main()
