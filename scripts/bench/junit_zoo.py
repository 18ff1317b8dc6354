"""Counts of JUnit XML from many producers, as `testopt ingest --json` reports them.

    TESTOPT_BENCH_DATA=DIR python scripts/bench/junit_zoo.py [-v]

DIR holds ``junit/files`` and ``junit/expected.json``. A well-formed JUnit file is right when
its cases, failures, errors, skipped and rerun cases are the expected ones; a broken one when it
is rejected with a reason, XML of other kinds when it is rejected and gives no cases.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any


def reports(folder: Path) -> dict[str, dict[str, Any]]:
    """Return what `testopt ingest` says of each file below a folder."""
    paths = sorted(p for p in folder.rglob("*") if p.suffix in {".xml", ".trx"})
    with tempfile.TemporaryDirectory() as work:
        command = [sys.executable, "-m", "testopt", "--repo", work, "--store", f"{work}/store"]
        command += ["ingest", "--json", *map(str, paths)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in {0, 3}:
        sys.exit(done.stderr)
    files = json.loads(done.stdout)["files"]
    return {str(Path(file["path"]).relative_to(folder)): file for file in files}


def verdict(got: dict[str, Any] | None, expected: dict[str, Any]) -> str:
    """Return what is wrong with a report; empty when nothing is."""
    if got is None:
        return "not reported"
    if not expected["well_formed"] or not expected["junit"]:
        return "" if got["rejected"] else "not rejected"
    if got["rejected"]:
        return f"rejected: {got['rejected']}"
    wrong = [
        f"{name} {got[name]} instead of {expected[name]}"
        for name in ("cases", "failed", "error", "skipped")
        if got[name] != expected[name]
    ]
    if (got["attempts"] > got["cases"]) != (expected["with_reruns"] > 0):
        wrong.append(f"attempts {got['attempts']}, rerun cases {expected['with_reruns']}")
    return ", ".join(wrong)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-v", "--verbose", action="store_true", help="name the wrong files")
    verbose = parser.parse_args().verbose
    data = os.environ.get("TESTOPT_BENCH_DATA")
    if not data:
        sys.exit("TESTOPT_BENCH_DATA names no folder")
    root = Path(data, "junit")
    expected = json.loads((root / "expected.json").read_text(encoding="utf-8"))
    found = reports(root / "files")
    table: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for path, wanted in sorted(expected.items()):
        wrong = verdict(found.get(path), wanted)
        row = table[wanted["producer"]]
        row[0] += 1
        row[1] += not wrong
        row[2] += found.get(path, {}).get("cases", 0)
        if wrong and verbose:
            print(f"{path}: {wrong}", file=sys.stderr)
    print(f"{'producer':<40}{'files':>7}{'right':>7}{'cases':>8}")
    for producer, (files, right, cases) in sorted(table.items(), key=lambda r: -r[1][0]):
        print(f"{producer:<40}{files:>7}{right:>7}{cases:>8}")
    right, files = (sum(row[n] for row in table.values()) for n in (1, 0))
    print(f"{right} of {files} files: {right / files:.1%}")


if __name__ == "__main__":
    main()
