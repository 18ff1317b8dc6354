"""Cost and use of the pytest plugin beside others that order or select tests, and who breaks where.

    python scripts/bench/peers.py PROJECT [--failing 6] [--python PYTHON] [--no-matrix | --no-runs]
        [--way WAY ...]

PROJECT is a rebuilt replay project: a folder with `repo` and `results.parquet`. Its last failing
commits are checked out in turn, each after its passing parent, and the suite is run in every way,
in a clone of its own, so that each way remembers what it ran itself. "with history" is testopt
trained on the results of the runs before; the others have nothing to read them with. So is "testopt
select", which leaves cases out at the usual recall of 0.95, as it would once shadow has shown that
it may, and without draws.

added      seconds that the way adds to a run: median and quartiles over the runs, and those of
           pytest's own processor time
APFDc      of the failing runs, in the order that was run, with the durations of the plain run
           (Elbaum et al. 2001); cases that were left out count as run last
first      share of the suite's time until the first failing case has finished
missed     failing cases that were not run
caught     failing runs of which at least one failing case was run
time       share of the suite's time that was run in failing runs: mean and median

The matrix runs a small suite with each option; "ok" is the outcome of each case and the exit code
of pytest without the way. PYTHON needs pytest-xdist, pytest-testmon and pytest-ranking:

    pip install pytest-xdist pytest-testmon pytest-ranking
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from testopt.learning.metrics import apfdc, first_failure

PROBE = """
import json, os
rows = {}
def pytest_runtest_logreport(report):
    row = rows.setdefault(report.nodeid, ["passed", 0.0])
    row[1] += report.duration
    if report.outcome != "passed":
        row[0] = report.outcome
def pytest_unconfigure(config):
    if not hasattr(config, "workerinput"):
        with open(os.environ["PEERS_LOG"], "w") as out:
            json.dump([[k, *v] for k, v in rows.items()], out)
"""
SUITE = """
import pytest, unittest
@pytest.fixture(scope="module", params=["p", "q"])
def wide(request): yield request.param
def test_1(wide): pass
def test_2(): assert 0
def test_3(wide): assert wide == "p"
@pytest.mark.parametrize("x", ["C:\\\\dir\\\\file", "a/b::c", "[]"])
def test_4(x): pass
class TestUnit(unittest.TestCase):
    def test_5(self): pass
    def test_6(self): self.fail()
"""
TESTOPT = ("-p", "testopt.pytest_plugin", "--testopt=rank")
WAYS: dict[str, tuple[str, ...]] = {
    "pytest": (),
    "--ff": ("--ff",),
    "--nf": ("--nf",),
    "pytest-ranking": ("-p", "pytest_ranking.plugin", "--rank"),
    "pytest-testmon": ("-p", "testmon.pytest_testmon", "--testmon"),
    "testmon, all": ("-p", "testmon.pytest_testmon", "--testmon", "--testmon-noselect"),
    "testopt": TESTOPT,
    "testopt with history": TESTOPT,
    "testopt select": ("-p", "testopt.pytest_plugin", "--testopt=select"),
}
TAUGHT = ("testopt with history", "testopt select")
OPTIONS: tuple[tuple[str, ...], ...] = (
    (),
    ("-p", "no:cacheprovider"),
    ("-p", "no:terminal"),
    ("-k", "test_3 or test_5"),
    ("-x",),
    ("--maxfail=2",),
    ("--lf",),
    ("--co", "-q"),
    ("--doctest-modules",),
    ("--import-mode=importlib",),
    ("-p", "xdist.plugin", "-n", "2"),
    ("-p", "xdist.plugin", "-n", "2", "--dist=loadscope"),
    ("-p", "xdist.plugin", "-n", "2", "--dist=worksteal"),
    ("-p", "xdist.plugin", "--dist=each", "--tx=2*popen"),
)


@dataclass
class Ran:
    """One run of pytest: cases in order with outcome and seconds, exit code, what it cost."""

    rows: list[tuple[str, str, float]]
    code: int
    clock: float
    processor: float
    output: str


@dataclass
class Bench:
    """Where the runs take place, and what runs them."""

    python: str
    folder: Path
    ways: tuple[str, ...] = tuple(WAYS)
    found: dict[str, list[Ran]] = field(default_factory=dict)

    def run(self, cwd: Path, *args: str) -> Ran:
        """Run pytest with the plugins named in `args` alone."""
        log = self.folder / "log.json"
        log.unlink(missing_ok=True)
        env = {
            **os.environ,
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTHONPATH": str(self.folder),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PEERS_LOG": str(log),
            "TESTOPT_ENGINE_TIMEOUT_S": "60",
            "TESTOPT_PROMOTE": "always",
            "TESTOPT_EXPLORE": "0",
            "TESTOPT_REFRESH": "0",
        }
        command = [self.python, "-m", "pytest", "-p", "peers_probe", *args]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        began = time.perf_counter()
        done = subprocess.run(
            command, cwd=cwd, env=env, capture_output=True, text=True, check=False
        )
        clock = time.perf_counter() - began
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        rows = json.loads(log.read_text()) if log.exists() else []
        return Ran([tuple(r) for r in rows], done.returncode, clock, cpu, done.stdout + done.stderr)


def git(repo: Path, *args: str) -> str:
    command = ["git", "-C", str(repo), "-c", "advice.detachedHead=false", *args]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def steps_of(results: pa.Table, failing: int) -> tuple[list[str], pa.Table]:
    """Return the commits to run, each failing one after its parent, and the rows before them."""
    bad = results.filter(pc.is_in(results["outcome"], pa.array(["failed", "error"])))
    runs = bad.group_by(["run_id", "commit", "base"]).aggregate([("time", "min")])
    by_base = {row["base"]: row for row in runs.sort_by("time_min").to_pylist()}
    chosen = sorted(by_base.values(), key=lambda row: row["time_min"])[-failing:]
    steps = [commit for row in chosen for commit in (row["base"], row["commit"])]
    return steps, results.filter(pc.less(results["time"], chosen[0]["time_min"]))


def as_node_ids(results: pa.Table) -> pa.Table:
    """Name the cases as pytest does: by file, not by dotted module."""
    ids = []
    for case, file in zip(results["case_id"].to_pylist(), results["file"].to_pylist(), strict=True):
        name, _, rest = case.partition("::")
        classes = name.removeprefix((file or "").removesuffix(".py").replace("/", ".")).split(".")
        ids.append("::".join(filter(None, [file, *classes, rest])))
    return results.set_column(results.column_names.index("case_id"), "case_id", pa.array(ids))


def teach(bench: Bench, clone: Path, history: pa.Table) -> None:
    """Read the results of earlier runs into the store of a clone, and train."""
    table = bench.folder / "history.parquet"
    pq.write_table(as_node_ids(history), table)
    for args in (("ingest", "--format", "table", str(table)), ("train",)):
        command = [sys.executable, "-m", "testopt", "--repo", str(clone), "-q", *args]
        subprocess.run(command, check=True, capture_output=True)


def replay(bench: Bench, project: Path, failing: int) -> None:
    """Run every step in every way, in turns."""
    steps, history = steps_of(pq.read_table(project / "results.parquet"), failing)
    clones = {}
    for way in bench.ways:
        clones[way] = bench.folder / way.replace(" ", "-").strip("-")
        git(project / "repo", "clone", "-q", "--shared", "--no-checkout", ".", str(clones[way]))
        with (clones[way] / ".git/info/exclude").open("a") as ignored:
            ignored.write(".testmondata*\n.testopt/\n.pytest_cache/\n")
    for way in set(TAUGHT) & set(bench.ways):
        teach(bench, clones[way], history)
    for number, commit in enumerate(steps, 1):
        for way in bench.ways:
            git(clones[way], "checkout", "-q", "-f", commit)
            bench.found.setdefault(way, []).append(bench.run(clones[way], "-q", *WAYS[way]))
        print(f"{number}/{len(steps)}", end="\r", file=sys.stderr, flush=True)


def quality(plain: Ran, ran: Ran) -> tuple[float, float, float, int, bool]:
    """Return APFDc, the shares of time until the first failure and of all, and what was missed."""
    seconds = {case: max(s, 1e-4) for case, _, s in plain.rows}
    bad = {case for case, outcome, _ in plain.rows if outcome == "failed"}
    order = [case for case, *_ in ran.rows if case in seconds]
    left = [case for case in seconds if case not in set(order)]
    failed = np.array([case in bad for case in order + left])
    cost = np.array([seconds[case] for case in order + left])
    whole, out = float(cost.sum()), sum(seconds[case] for case in left)
    missed = bad & set(left)
    first = first_failure(failed, cost) / whole
    return apfdc(failed, cost), first, 1.0 - out / whole, len(missed), missed != bad


def show_runs(bench: Bench) -> None:
    plain = bench.found["pytest"]
    bad = [n for n, ran in enumerate(plain) if any(o == "failed" for _, o, _ in ran.rows)]
    seconds = statistics.median(ran.clock for ran in plain)
    print(f"{len(plain)} runs, {len(bad)} of them failing; a plain one takes {seconds:.2f} s\n")
    names = "".join(f"{name:>8}" for name in ("APFDc", "first", "missed", "caught"))
    print(f"{'':22}{'added s':>24}{'processor s':>24}{names}{'time':>16}")
    for way, runs in bench.found.items():
        scores = [quality(plain[n], runs[n]) for n in bad]
        cells = [
            spread([getattr(a, name) - getattr(b, name) for a, b in zip(runs, plain, strict=True)])
            for name in ("clock", "processor")
        ]
        order, first, share, missed, caught = zip(*scores, strict=True)
        time = f"{statistics.mean(share):.1%} {statistics.median(share):.1%}"
        print(
            f"{way:22}{cells[0]:>24}{cells[1]:>24}{statistics.mean(order):>8.3f}"
            f"{statistics.mean(first):>8.3f}{sum(missed):>8}{sum(caught):>8}{time:>16}"
        )


def spread(values: list[float]) -> str:
    low, middle, high = statistics.quantiles(values)
    return f"{middle:+.2f} [{low:+.2f}, {high:+.2f}]"


def verdict(plain: Ran, ran: Ran, options: tuple[str, ...]) -> str:
    """Compare a run with the plain one of the same options."""
    if "INTERNALERROR" in ran.output:
        return "crash"
    if ran.code != plain.code:
        return f"exit {ran.code}, not {plain.code}"
    stops = {"-x", "--maxfail=2"} & set(options)  # another order stops elsewhere
    same = {(c, o) for c, o, _ in ran.rows} == {(c, o) for c, o, _ in plain.rows}
    return "ok" if stops or same else "other outcomes"


def matrix(bench: Bench) -> None:
    """Run the small suite with every option in every way."""
    ways = {way: args for way, args in WAYS.items() if way not in TAUGHT}
    folders = {}
    for way, args in ways.items():
        folder = folders[way] = bench.folder / f"matrix-{len(folders)}"
        folder.mkdir()
        (folder / "test_it.py").write_text(SUITE)
        git(folder, "init", "-q")
        bench.run(folder, *args)  # what each of them remembers from a first run
    print(f"\n{'':44}" + "".join(f"{way:>20}" for way in list(ways)[1:]))
    for options in OPTIONS:
        plain = bench.run(folders["pytest"], *options)
        cells = []
        for way, args in list(ways.items())[1:]:
            cells.append(verdict(plain, bench.run(folders[way], *options, *args), options))
        print(f"{' '.join(options) or '(none)':44}" + "".join(f"{c:>20}" for c in cells))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("project", type=Path)
    parser.add_argument("--failing", type=int, default=6, help="failing commits (default: 6)")
    parser.add_argument("--python", default=sys.executable, help="interpreter with the peers")
    parser.add_argument(
        "--way",
        action="append",
        choices=tuple(WAYS),
        help="of the runs, beside pytest; default: all",
    )
    parser.add_argument("--no-matrix", action="store_true")
    parser.add_argument("--no-runs", action="store_true")
    args = parser.parse_args()
    # the engine may still keep its caches when pytest has ended
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        chosen = tuple(way for way in WAYS if not args.way or way in {"pytest", *args.way})
        bench = Bench(args.python, Path(name), chosen)
        (bench.folder / "peers_probe.py").write_text(PROBE)
        print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}, {args.project.name}")
        if not args.no_runs:
            replay(bench, args.project, args.failing)
            show_runs(bench)
        if not args.no_matrix:
            matrix(bench)


if __name__ == "__main__":
    main()
