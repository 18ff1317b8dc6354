"""Many processes on one store: whether acknowledged runs are there, and plans as cheap as before.

    python scripts/bench/writers.py [--writers 64] [--seconds 120] [--plans 1000] [--cases 200]

Each writer calls `testopt ingest` on one report after the other. Beside them, and alone once they
are done, `testopt rank` is called again and again: CPU seconds, peak memory and seconds of the
first and the last of these plans stand beside each other.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from testopt.store import Store

COMMAND = [sys.executable, "-m", "testopt"]
CASE = '<testcase classname="pkg.test_{0}" name="test_{1}" time="0.{1:03}"/>'
SHOWN = 5  # groups of plans in the table


@dataclass
class Tally:
    """What the processes said."""

    acknowledged: set[str] = field(default_factory=set)
    failed: list[str] = field(default_factory=list)
    plans: list[tuple[float, float, float]] = field(default_factory=list)  # CPU s, MiB, seconds


def report(path: Path, number: int, cases: int) -> None:
    """Write a run of its own: no two have the same name and time."""
    second = f"2026-01-{1 + number // 86400 % 28:02}T{number // 3600 % 24:02}"
    stamp = f"{second}:{number // 60 % 60:02}:{number % 60:02}"
    rows = "".join(CASE.format(i // 20, i) for i in range(cases))
    path.write_text(f'<testsuite name="s" timestamp="{stamp}">{rows}</testsuite>\n')


def call(repo: Path, *args: str) -> tuple[int, str, float, float]:
    """Run a command; return exit code, output, CPU seconds and peak memory in MiB."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen([*COMMAND, *args], cwd=repo, stdout=out, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        said = errors if process.returncode else out
        said.seek(0)
        cpu = usage.ru_utime + usage.ru_stime
        return process.returncode, said.read(), cpu, usage.ru_maxrss / 1024


def write(repo: Path, me: int, until: float, cases: int, tally: Tally) -> None:
    number = me * 10_000
    while time.monotonic() < until:
        path = repo / f"reports/{number}.xml"
        report(path, number, cases)
        code, said, _, _ = call(repo, "ingest", "--json", str(path))
        if code:
            tally.failed.append(said[-200:])
        else:
            tally.acknowledged |= set(json.loads(said)["runs"])
        number += 1


def plan(repo: Path, tally: Tally) -> None:
    began = time.monotonic()
    code, said, cpu, memory = call(repo, "rank", "--cases", "cases.txt", "--format", "json")
    if code:
        tally.failed.append(said[-200:])
    tally.plans.append((cpu, memory, time.monotonic() - began))


def prepare(repo: Path, cases: int) -> None:
    for args in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "first"]):
        who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", "-C", str(repo), *who, *args], check=True)
    (repo / "reports").mkdir()
    ids = (f"pkg.test_{i // 20}::test_{i}" for i in range(cases))
    (repo / "cases.txt").write_text("\n".join(ids) + "\n")
    report(repo / "reports/first.xml", 27 * 86_400, cases)
    call(repo, "ingest", "reports/first.xml")


def print_plans(title: str, plans: list[tuple[float, float, float]]) -> None:
    print(f"\n{title}\n{'plans':>12}{'CPU s':>9}{'MiB':>9}{'seconds':>9}")
    for part in np.array_split(np.arange(len(plans)), min(SHOWN, len(plans))):
        median = np.median([plans[i] for i in part], axis=0)
        span = f"{part[0] + 1}-{part[-1] + 1}"
        print(f"{span:>12}{median[0]:9.2f}{median[1]:9.0f}{median[2]:9.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--writers", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--plans", type=int, default=1000)
    parser.add_argument("--cases", type=int, default=200)
    options = parser.parse_args()
    tally = Tally()
    with tempfile.TemporaryDirectory() as folder:
        repo = Path(folder)
        prepare(repo, options.cases)
        until = time.monotonic() + options.seconds
        threads = [
            threading.Thread(target=write, args=(repo, me, until, options.cases, tally))
            for me in range(options.writers)
        ]
        for thread in threads:
            thread.start()
        while time.monotonic() < until and len(tally.plans) < options.plans:
            plan(repo, tally)
        for thread in threads:
            thread.join()
        beside = len(tally.plans)
        stored = Store.open(str(repo / ".testopt")).read("runs", columns=["run_id"])
        there = set(stored["run_id"].to_pylist())
        code, said, _, _ = call(repo, "store", "check")
        print(
            f"{options.writers} writers, {options.seconds:g} s: acknowledged "
            f"{len(tally.acknowledged)} runs, of which {len(tally.acknowledged - there)} are "
            f"missing; {len(tally.failed)} commands failed; check: {said.strip()} ({code})"
        )
        for words in tally.failed[:3]:
            print("  ", words)
        print_plans("beside the writers", tally.plans)
        while len(tally.plans) < options.plans:
            plan(repo, tally)
        if len(tally.plans) > beside:
            print_plans("after them", tally.plans[beside:])


if __name__ == "__main__":
    main()
