"""What fuzzing found in readers of untrusted input stays found: see `scripts/bench/fuzz.py`."""

import time
from pathlib import Path

import pytest
from fuzz_targets import TARGETS

CORPUS = Path(__file__).parents[1] / "corpus"
LIMIT_S = 2.0  # processor time; each takes a few milliseconds


@pytest.mark.parametrize(
    "path",
    sorted(path for path in CORPUS.glob("*/*")),
    ids=lambda path: f"{path.parent.name}/{path.name}",
)
def test_no_file_of_the_corpus_breaks_its_reader(path, tmp_path):
    began = time.process_time()
    TARGETS[path.parent.name](path.read_bytes(), tmp_path)
    assert time.process_time() - began < LIMIT_S


def test_each_target_has_a_corpus():
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)
