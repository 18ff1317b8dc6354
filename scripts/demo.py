"""The main job on this repository: mine, backfill, train, rank, and pytest on a seeded fault.

Works in a clone in a temporary folder, with a store of its own; nothing here is changed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from testopt.backfill.mutate import choose_faults, find_faults

if TYPE_CHECKING:
    from collections.abc import Sequence

HERE = Path(__file__).resolve().parent.parent
# Rooms whose tests are fast: no processes, no large models.
ROOMS = ("code", "runners", "results", "similarity", "features", "report")
FAST = (
    *("-m", "not slow and not integration", "-p", "no:randomly"),
    "--ignore-glob=*test_pretrained*",
    *(f"tests/unit/{room}" for room in ROOMS),
)
LONGEST = 280  # seconds of one command
FAULTS = 8  # tried one after the other until one makes a test fail


def say(text: str) -> None:
    print(f"\n== {text}", flush=True)


def run(command: Sequence[str], folder: Path, *, quiet: bool = False, **more: str) -> int:
    """Run a command of this environment in `folder`; `more` goes into its environment."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("TESTOPT_", "PYTHONPATH"))}
    if not quiet:
        shown = [word for word in command if not word.startswith("--ignore-glob")]
        print("$", " ".join(["python", *shown]), flush=True)
    out = subprocess.DEVNULL if quiet else None
    with subprocess.Popen(
        [sys.executable, *command], cwd=folder, env={**env, **more}, stdout=out, stderr=out
    ) as process:
        try:
            return process.wait(LONGEST)
        except subprocess.TimeoutExpired:
            process.terminate()  # a backfill keeps the runs that it has made
            print(f"stopped after {LONGEST} s: this machine is slow or busy; the rest goes on")
            return process.wait()


def testopt(work: Path, *args: str) -> int:
    return run(["-m", "testopt", "--store", str(work / "store"), *args], work / "repo")


def pytest(work: Path, mode: str) -> list[tuple[float, bool]] | None:
    """Run the fast tests up to the first failure; return seconds and failure of each, in order."""
    report = work / f"{mode}.xml"
    report.unlink(missing_ok=True)
    run(
        ["-m", "pytest", "-q", "-x", "--tb=no", f"--testopt={mode}", f"--junitxml={report}", *FAST],
        work / "repo",
        quiet=mode == "off",
        PYTHONPATH=str(work / "repo"),  # the code under test; the engine is this testopt
        TESTOPT_COMMAND=f"{sys.executable} -P -m testopt.engine",
        TESTOPT_STORE=str(work / "store"),
    )
    if not report.exists():
        return None
    cases = ET.parse(report).getroot().iter("testcase")  # noqa: S314 - written by our own pytest
    return [
        (float(c.get("time", 0)), c.find("failure") is not None or c.find("error") is not None)
        for c in cases
    ]


def first_failure(cases: list[tuple[float, bool]] | None) -> float | None:
    """Return the seconds until the first failing test has finished, or None without one."""
    spent = 0.0
    for seconds, failed in cases or ():
        spent += seconds
        if failed:
            return spent
    return None


def seed_fault(work: Path) -> tuple[str, float] | None:
    """Seed a fault near recently changed lines that some fast test notices.

    Returns
    -------
    tuple of str and float, or None
        Where it is, and the seconds to the first failure in file order.
    """
    repo = work / "repo"
    for path in changed_modules(repo):
        source = (repo / path).read_bytes()
        found = find_faults(path, source, range(1, source.count(b"\n") + 1))
        for fault in choose_faults(found, 2, seed="demo", sources={path: source}):
            (repo / path).write_bytes(fault.apply(source))
            waited = first_failure(pytest(work, "off"))
            if waited is not None:
                return f"{path}:{fault.line} ({fault.operator})", waited
            (repo / path).write_bytes(source)
    return None


def changed_modules(repo: Path) -> list[str]:
    """Return the modules changed last that a fast test is named after, latest first."""
    command = ["git", "-C", str(repo), "log", "-60", "--format=", "--name-only", "--", "testopt"]
    names = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    tests = [path for room in ROOMS for path in (repo / "tests/unit" / room).glob("test_*.py")]
    tested = {f"testopt/{p.parent.name}/{p.name.removeprefix('test_')}" for p in tests}
    return [n for n in dict.fromkeys(names) if n in tested and (repo / n).exists()][: FAULTS // 2]


def demo(work: Path, commits: int, mutants: int) -> None:
    repo = work / "repo"
    subprocess.run(["git", "clone", "-q", str(HERE), str(repo)], check=True)
    say("read the git history")
    testopt(work, "mine")
    say(f"make history: replay the last {commits} commits with the fast tests")
    counts = ("--commits", str(commits), "--mutants", str(mutants), "--jobs", "2")
    counts = (*counts, "--no-coverage")  # for the time that it takes
    testopt(work, "backfill", *counts, "--", sys.executable, "-m", "pytest", "-q", *FAST)
    say("train")
    testopt(work, "train")
    say("rank the tests for the last change")
    testopt(work, "rank", "--head", "HEAD")
    say("seed a fault and run pytest in file order, then ranked")
    fault = seed_fault(work)
    if fault is None:
        print("no seeded fault was noticed by a fast test: nothing to compare")
        return
    print(f"fault: {fault[0]}")
    report(plain=fault[1], ranked=first_failure(pytest(work, "rank")))


def report(*, plain: float, ranked: float | None) -> None:
    say("result")
    print(f"{'order':30}{'first failure after':>22}")
    print(f"{'file order':30}{plain:20.2f} s")
    if ranked is None:
        print(f"{'testopt':30}{'not found':>22}")
        return
    print(f"{'testopt':30}{ranked:20.2f} s")
    if ranked < plain:
        print(f"testopt's order found it {plain - ranked:.2f} s sooner")
    else:
        print("testopt's order did not find it sooner than file order this time")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commits", type=int, default=6, help="past commits to replay")
    parser.add_argument("--mutants", type=int, default=2, help="seeded faults a commit")
    parser.add_argument("--keep", action="store_true", help="keep the temporary folder")
    options = parser.parse_args()
    start = time.perf_counter()
    if options.keep:
        work = Path(tempfile.mkdtemp(prefix="testopt-demo-"))
        demo(work, options.commits, options.mutants)
        print(f"kept: {work}")
    else:
        with tempfile.TemporaryDirectory(prefix="testopt-demo-") as folder:
            demo(Path(folder), options.commits, options.mutants)
    print(f"\n{time.perf_counter() - start:.0f} s in all")


if __name__ == "__main__":
    main()
