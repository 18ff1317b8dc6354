"""Time that the pytest plugin adds: to pytest's start when it is off, and to a run when it plans.

    python scripts/bench/plugin.py [--starts 40] [--cases 10000] [--runs 5]

Both are differences between interleaved runs with and without the plugin, which pytest finds
among the installed ones either way (to name it by ``-p`` instead would add a search); the median
and the quartiles of each are printed, by the clock and by the processor time of pytest itself
(other work on the machine slows the former).
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FILES = 100


def timed(command: list[str], cwd: Path) -> tuple[float, float, str]:
    """Run a command; return seconds by the clock, of its own processor time, and its output.

    The engine detaches itself, so its processor time is not among that of the child.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    clock = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if done.returncode not in (0, 5):
        sys.exit(done.stdout + done.stderr)
    return clock, cpu, done.stdout


def make_suite(folder: Path, cases: int) -> None:
    """Write trivial tests into a repository."""
    each = max(1, cases // FILES)
    for number in range(FILES):
        text = "".join(f"def test_{n}():\n    pass\n\n\n" for n in range(each))
        (folder / f"test_m{number:03}.py").write_text(text)
    (folder / ".gitignore").write_text(".testopt/\n__pycache__/\n.pytest_cache/\n")
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    for args in (("init", "-q"), ("add", "-A"), ("commit", "-q", "-m", "all")):
        subprocess.run(["git", *identity, *args], cwd=folder, check=True)


def differences(
    commands: dict[str, list[str]], cwd: Path, times: int
) -> dict[str, list[list[float]]]:
    """Run the commands in turns; return the seconds of each, by the clock and by the processor."""
    found: dict[str, list[list[float]]] = {name: [[], []] for name in commands}
    for _ in range(times):
        for name, command in commands.items():
            clock, cpu, _ = timed(command, cwd)
            found[name][0].append(clock)
            found[name][1].append(cpu)
    return found


def show(found: dict[str, list[list[float]]], without: str, unit: float, label: str) -> None:
    """Print the median of each, and how much longer it takes than the one without."""
    print(f"{'':34}{'clock':>10}{'added':>20}{'processor':>12}{'added':>20}   {label}")
    for name, both in found.items():
        cells = []
        for own, base in zip(both, found[without], strict=True):
            cells.append(statistics.median(own) * unit)
            added = [(a - b) * unit for a, b in zip(own, base, strict=True)]
            low, middle, high = statistics.quantiles(added) if len(added) > 1 else [added[0]] * 3
            cells.append(
                f"{middle:+.1f} [{low:+.1f}, {high:+.1f}]"
                if unit > 1
                else f"{middle:+.2f} [{low:+.2f}, {high:+.2f}]"
            )
        print(f"{name:34}{cells[0]:>10.2f}{cells[1]:>20}{cells[2]:>12.2f}{cells[3]:>20}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=40)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    base = [sys.executable, "-m", "pytest", "-q"]
    without = ["-p", "no:testopt"]
    print(f"{os.cpu_count()} processors, Python {sys.version.split()[0]}")
    # the engine may still keep its caches when pytest has ended
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        empty = Path(name) / "empty"
        empty.mkdir()
        (empty / "test_one.py").write_text("def test_one():\n    pass\n")
        found = differences(
            {"no plugin": [*base, *without], "plugin not asked for": base},
            empty,
            args.starts,
        )
        show(found, "no plugin", 1000.0, f"ms, start with one test, {args.starts} pairs")
        suite = Path(name) / "suite"
        suite.mkdir()
        make_suite(suite, args.cases)
        quiet = [*base, "-qq"]
        timed([*quiet, "--testopt=record"], suite)
        ways = {
            "no plugin": [*quiet, *without],
            "--testopt=record": [*quiet, "--testopt=record"],
            "--testopt=rank": [*quiet, "--testopt=rank"],
            "--testopt=select": [*quiet, "--testopt=select"],
        }
        found = differences(ways, suite, args.runs)
        show(found, "no plugin", 1.0, f"s, {args.cases} trivial tests, {args.runs} rounds")
        out = timed([*base, "-v", "--testopt=rank"], suite)[2]
        print(*(line for line in out.splitlines() if line.startswith("testopt: ")))


if __name__ == "__main__":
    main()
