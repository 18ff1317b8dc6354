"""Fuzzes the readers of test reports with atheris: any bytes, no crash, no wrong count.

    python scripts/bench/fuzz_junit.py [CORPUS_FOLDER...] [-max_total_time=600]

Needs `atheris`. Options of libFuzzer pass through; the folders beside `tests/data/junit` are
corpora to begin with, and what is found is written to the first of them.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["testopt.sources"]):
    from testopt.results.archives import ReportFile
    from testopt.results.case_resolver import CaseResolver
    from testopt.results.junit_rows import read_report_file

WORK = Path(tempfile.mkdtemp())
RESOLVER = CaseResolver(["tests/test_a.py", "pkg/b/test_a.py", "web/a.spec.ts"])
SEEDS = Path(__file__).parents[2] / "tests" / "data" / "junit"


def check(data: bytes) -> None:
    """Read one file as `testopt ingest` does; an exception is a finding."""
    path = WORK / "report"
    path.write_bytes(data)
    found = read_report_file(
        ReportFile("report", path), RESOLVER, spill=WORK / "spill", native=True
    )
    rows = sum(batch.num_rows for batch in found.batches())
    if rows != found.rows or rows != found.summary.attempts:
        raise AssertionError(f"{rows} rows, {found.rows} said, {found.summary.attempts} attempts")
    if not found.rejected and not found.summary.is_junit:
        raise AssertionError("neither read nor rejected")
    if found.summary.cases > rows:
        raise AssertionError("more cases than executions")


def main() -> None:
    arguments = [sys.argv[0], "-max_len=8192", "-timeout=20", "-rss_limit_mb=2048", *sys.argv[1:]]
    if SEEDS.is_dir():
        arguments.append(str(SEEDS))
    atheris.Setup(arguments, check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
