"""Speed and memory of reading JUnit XML into a store, each case in a process of its own.

    python scripts/bench/ingest.py [--megabytes 60] [--huge 1000] [--folder DIR]

Prints MB/s from file to store, by the clock and by processor time (other work on the machine
slows the former), and the peak of resident memory for: one file as Maven Surefire
writes it, one as pytest writes it, a folder of many files, tables; and for one file of ``--huge``
MB that holds a ``system-out`` of 200 MB.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MB = 1 << 20
TRACE = "\n".join(
    f"\tat org.example.module{n}.Service$Inner.handle(Service.java:{n})" for n in range(30)
)


def surefire_suite(rng: random.Random, number: int) -> str:
    """Return a suite of 20 cases as Surefire writes them: properties, output, few failures."""
    name = f"org.example.shop.module{number % 40}.OrderService{number}Test"
    properties = "\n".join(
        f'    <property name="java.vm.setting.{n}" value="/usr/lib/jvm/java-17/lib/{n}"/>'
        for n in range(40)
    )
    cases = []
    for n in range(20):
        head = (
            f'  <testcase name="shouldHandleOrder{n}" classname="{name}" time="{rng.random():.3f}"'
        )
        draw = rng.random()
        if draw < 0.03:
            body = (
                f'<failure message="expected: &lt;{n}&gt; but was: &lt;{number}&gt;" '
                f'type="org.opentest4j.AssertionFailedError"><![CDATA[{TRACE}]]></failure>'
            )
        elif draw < 0.06:
            body = '<skipped message="not on this platform"/>'
        elif draw < 0.2:
            body = "<system-out><![CDATA[" + "INFO handled an order\n" * 40 + "]]></system-out>"
        else:
            body = ""
        cases.append(f"{head}>{body}</testcase>" if body else f"{head}/>")
    return (
        f'<testsuite name="{name}" time="1.5" tests="20" errors="0" skipped="0" failures="0" '
        f'timestamp="2026-01-05T10:00:00">\n  <properties>\n{properties}\n  </properties>\n'
        + "\n".join(cases)
        + "\n</testsuite>\n"
    )


def pytest_cases(rng: random.Random, number: int) -> str:
    """Return 20 cases as pytest writes them, almost all of them without a child."""
    module = f"tests.unit.package{number % 40}.test_module{number % 2000}"
    cases = []
    for n in range(20):
        head = (
            f'<testcase classname="{module}.TestThing{number % 7}" '
            f'name="test_behaviour_{n}[{number}-value{n}]" time="{rng.random() / 10:.3f}"'
        )
        if rng.random() < 0.02:
            cases.append(
                f'{head}><failure message="AssertionError: assert {n} == {number}">{TRACE}'
                "</failure></testcase>"
            )
        else:
            cases.append(f"{head} />")
    return "".join(cases)


def write_surefire(path: Path, size: int) -> None:
    _write(path, size, surefire_suite, head="<testsuites>\n", tail="</testsuites>\n")


def write_pytest(path: Path, size: int) -> None:
    head = '<testsuites><testsuite name="pytest" timestamp="2026-01-05T10:00:00.000000+00:00">'
    _write(path, size, pytest_cases, head=head, tail="</testsuite></testsuites>")


def write_huge(path: Path, size: int) -> None:
    """Write Surefire's suites around a ``system-out`` of 200 MB in one line."""
    text = "<testsuite name='loud'><testcase name='a' classname='b'><system-out>"
    line = "an output that goes on and on &amp; on, " * 25
    with path.open("w", encoding="utf-8") as out:
        out.write("<?xml version='1.0' encoding='UTF-8'?>\n<testsuites>" + text)
        for _ in range(200 * MB // len(line)):
            out.write(line)
        out.write("</system-out></testcase></testsuite>\n")
        for suite in _suites(surefire_suite, size - 200 * MB):
            out.write(suite)
        out.write("</testsuites>\n")


def _write(
    path: Path, size: int, make: Callable[[random.Random, int], str], *, head: str, tail: str
) -> None:
    with path.open("w", encoding="utf-8") as out:
        out.write("<?xml version='1.0' encoding='UTF-8'?>\n" + head)
        for part in _suites(make, size):
            out.write(part)
        out.write(tail)


def _suites(make: Callable[[random.Random, int], str], size: int) -> Iterator[str]:
    rng, written, number = random.Random(1), 0, 0
    while written < size:
        part = make(rng, number)
        yield part
        written, number = written + len(part), number + 1


def write_folder(folder: Path, size: int) -> None:
    """Write one file for each suite."""
    folder.mkdir()
    for n, suite in enumerate(_suites(surefire_suite, size)):
        (folder / f"TEST-{n}.xml").write_text(suite, encoding="utf-8")


def write_table(path: Path, rows: int) -> None:
    """Write a CSV table of runs of 105 cases each."""
    with path.open("w", encoding="utf-8") as out:
        out.write("run_id,time,case_id,outcome,duration_s\n")
        for n in range(rows):
            run = n // 105
            out.write(
                f"r{run},2026-01-{run % 28 + 1:02d}T00:00:00Z,tests/test_{n % 105}.py::test,"
                f"{'failed' if n % 97 == 0 else 'passed'},0.25\n"
            )


def measure(path: Path, store: Path, *options: str) -> tuple[float, float, float, str]:
    """Return seconds of wall clock and processor, peak memory in MiB and the last words."""
    command = [sys.executable, "-m", "testopt", "-q", "--repo", str(store.parent)]
    command += ["--store", str(store), "ingest", *options, str(path)]
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    words = process.stdout.read().decode() if process.stdout else ""
    _, _, usage = os.wait4(process.pid, 0)
    wall, cpu = time.perf_counter() - began, usage.ru_utime + usage.ru_stime
    return wall, cpu, usage.ru_maxrss / 1024, words.strip()


def report(name: str, path: Path, root: Path, *options: str) -> None:
    files = path.rglob("*") if path.is_dir() else [path]
    size = sum(file.stat().st_size for file in files) / 1e6
    wall, cpu, peak, words = measure(path, root / f"store-{name}", *options)
    speeds = f"{size / wall:>9.1f}{size / cpu:>11.1f}"
    print(f"{name:<10}{size:>9.1f}{wall:>9.2f}{cpu:>9.2f}{speeds}{peak:>10.0f}  {words}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=60)
    parser.add_argument("--huge", type=int, default=1000, help="0: leave it out")
    parser.add_argument("--folder", help="where to write; default a temporary folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        root, size = Path(name), options.megabytes * MB
        print(f"{'input':<10}{'MB':>9}{'s':>9}{'cpu s':>9}{'MB/s':>9}{'MB/cpu s':>11}", end="")
        print(f"{'peak MiB':>10}  said")
        write_surefire(root / "surefire.xml", size)
        report("surefire", root / "surefire.xml", root)
        write_pytest(root / "pytest.xml", size)
        report("pytest", root / "pytest.xml", root)
        write_folder(root / "folder", size)
        report("folder", root / "folder", root)
        write_table(root / "table.csv", 230_000)
        report("table", root / "table.csv", root, "--format", "table")
        if options.huge:
            write_huge(root / "huge.xml", options.huge * MB)
            report("huge", root / "huge.xml", root)


if __name__ == "__main__":
    main()
