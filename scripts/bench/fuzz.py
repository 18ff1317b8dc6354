"""Fuzzes one reader of untrusted input with atheris: any bytes, no crash, no hang, nothing lost.

    python scripts/bench/fuzz.py TARGET [CORPUS_FOLDER...] [-max_total_time=600]

Needs `atheris`. Targets and what must hold of them: `tests/fuzz_targets.py`. Options of libFuzzer
pass through; the small files of `tests/corpus/TARGET` are always seeds, and what reaches new code
is written to the first folder named. Shorten what is found with `-minimize_crash=1`, and keep it
in `tests/corpus/TARGET`, where `tests/property/test_corpus.py` reads it from then on.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path

import atheris

TESTS = Path(__file__).resolve().parents[2] / "tests"
sys.path.insert(0, str(TESTS))
with atheris.instrument_imports(include=["testopt", "fuzz_targets"]):
    from fuzz_targets import TARGETS

LIMIT_S = 10.0  # processor time for one input of less than 100 kB: instrumented code is slow


def main() -> None:
    name, *options = sys.argv[1:] or [""]
    if name not in TARGETS:
        sys.exit(f"targets: {', '.join(TARGETS)}")
    target, work = TARGETS[name], Path(tempfile.mkdtemp())

    def check(data: bytes) -> None:
        began = time.process_time()
        target(data, work)
        seconds = time.process_time() - began
        if seconds > LIMIT_S:
            raise AssertionError(f"{len(data)} bytes took {seconds:.1f} s")
        for left in work.iterdir():
            left.unlink()

    seeds = TESTS / "corpus" / name
    limits = ["-max_len=8192", "-timeout=60", "-rss_limit_mb=2048"]
    atheris.Setup(
        [sys.argv[0], *limits, *options, *([str(seeds)] if seeds.is_dir() else [])], check
    )
    try:
        with atheris.instrument_imports(include=["testopt"]):  # what a target imports when called
            check(b"")
        atheris.Fuzz()
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
