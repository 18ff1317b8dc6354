"""Mining against the bare ``git log`` that supplies its data, and against PyDriller.

    python scripts/bench/mining.py REPO [--repeats 3] [--no-pydriller]

Prints seconds of wall clock and of processor (children included) of the best repeat, the ratios,
and how many per-file line counts of PyDriller's are the same in the store.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from testopt.code.paths import path_bytes
from testopt.git.log import LOG_ARGS
from testopt.mine import mine
from testopt.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

Counts = dict[tuple[str, bytes], tuple[int, int]]


class Cost(NamedTuple):
    """Seconds of one repeat."""

    wall: float
    cpu: float


def cost(work: Callable[[], object]) -> Cost:
    """Run `work` once and return what it cost, child processes included."""

    def cpu() -> float:
        used = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return sum(u.ru_utime + u.ru_stime for u in used)

    wall, before = time.perf_counter(), cpu()
    work()
    return Cost(time.perf_counter() - wall, cpu() - before)


def bare_log(repo: Path) -> None:
    command = ["git", "-C", str(repo), "log", *LOG_ARGS, "HEAD"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def mine_anew(repo: Path) -> pa.Table:
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(folder, create=True)
        mine(repo=repo, store=store)
        return store.read("file_changes")


def with_pydriller(repo: Path) -> Counts:
    from pydriller import Repository

    return {
        (commit.hash, os.fsencode(file.new_path or file.old_path)): (
            file.added_lines,
            file.deleted_lines,
        )
        for commit in Repository(str(repo)).traverse_commits()
        for file in commit.modified_files
    }


def counts_of(table: pa.Table) -> Counts:
    """Return the store's counts; binary files count as 0, as PyDriller has them."""
    return {
        (row["sha"], path_bytes(row["path"])): (row["added"] or 0, row["deleted"] or 0)
        for row in table.select(["sha", "path", "added", "deleted"]).to_pylist()
    }


def row(name: str, seconds: Cost, than: Cost) -> None:
    ratio, cpu = seconds.wall / than.wall, seconds.cpu / than.cpu
    print(f"{name:<12}{seconds.wall:>9.2f}{seconds.cpu:>9.2f}{ratio:>14.2f}{cpu:>14.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("repo", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--no-pydriller", action="store_true")
    options = parser.parse_args()
    repo = options.repo
    os.environ.setdefault("TESTOPT_KEY", "key of the mining benchmark")

    stored = counts_of(mine_anew(repo))  # also warms caches and imports
    logs, mined = [], []
    for _ in range(options.repeats):  # in turns, so that both see the same machine
        logs.append(cost(lambda: bare_log(repo)))
        mined.append(cost(lambda: mine_anew(repo)))
    log, ours = min(logs), min(mined)
    print(f"{repo}: {len(stored)} file changes, {os.cpu_count()} processors\n")
    print(f"{'':<12}{'wall s':>9}{'cpu s':>9}{'wall/git log':>14}{'cpu/git log':>14}")
    row("git log", log, log)
    row("mine", ours, log)
    if options.no_pydriller:
        return
    found: Counts = {}
    theirs = cost(lambda: found.update(with_pydriller(repo)))
    row("PyDriller", theirs, log)
    same = sum(stored.get(key) == value for key, value in found.items())
    print(f"\nmine is {theirs.wall / ours.wall:.1f} x PyDriller (processor: ", end="")
    print(f"{theirs.cpu / ours.cpu:.1f} x)")
    print(f"same counts: {same} of {len(found)}; rows only in the store: {len(stored) - same}")
    for key in [key for key, value in found.items() if stored.get(key) != value][:10]:
        print(f"  differs: {key}: PyDriller {found[key]}, store {stored.get(key)}")


if __name__ == "__main__":
    main()
