"""How long a case may take, guessed from its text."""

import numpy as np
import pytest

from testopt.code.effort import relative_seconds
from testopt.similarity.texts import index_file

PLAIN = "def test_plain():\n    assert parse('a') == 1\n"
LONGER = {
    "rounds": "def test_one():\n    for i in range(10_000):\n        assert parse('a') == 1\n",
    "repeats": "def test_one():\n    assert parse('a' * 100_000) == 1\n",
    "power": "def test_one():\n    assert parse(10 ** 6) == 1\n",
    "wait": "def test_one():\n    time.sleep(1)\n    assert parse('a') == 1\n",
    "process": "def test_one():\n    assert subprocess.run(['a']) == 1\n",
    "examples": "@given(text())\ndef test_one(a):\n    assert parse(a) == 1\n",
    "threads": "def test_one():\n    Thread(target=parse).start()\n    assert parse('a')\n",
    "file": "def test_one(tmp_path):\n    assert parse(tmp_path) == 1\n",
}


def effort_of(text):
    return index_file(text, "tests/test_a.py").efforts


@pytest.mark.parametrize("text", LONGER.values(), ids=LONGER)
def test_what_takes_long_is_guessed_to_take_longer(text):
    plain, _ = effort_of(PLAIN)
    longer, whole = effort_of(text)
    assert longer > plain
    assert np.isnan(whole)  # of the file nothing is guessed


def test_more_rounds_take_longer():
    text = "def test_one():\n    for i in range({}):\n        parse(i)\n"
    guesses = [effort_of(text.format(n))[0] for n in (3, 30, 3000, 3_000_000)]
    assert guesses == sorted(guesses)
    assert len(set(guesses)) == len(guesses)


@pytest.mark.parametrize(
    "number", ["9" * 5000, "9" * 400 + " ** " + "9" * 400, "0 ** 0", "1e9", "2 ** 999"]
)
def test_huge_numbers_are_no_trouble(number):
    guess, _ = effort_of(f"def test_one():\n    for i in range({number}):\n        parse(i)\n")
    assert np.isfinite(guess)


def test_seconds_are_told_beside_an_ordinary_case():
    times = relative_seconds(np.array([2.0, 3.0, 3.0, 4.0, 90.0, np.nan]))
    assert times.tolist() == [0.5, 1.0, 1.0, 2.0, 64.0, 1.0]
    assert relative_seconds(np.full(3, np.nan)).tolist() == [1.0, 1.0, 1.0]


def test_names_alone_are_not_read_for_effort():
    assert np.isnan(index_file(PLAIN, "a.py", words=False).efforts).all()
