"""The data behind numbered cases, on a real repository."""

from __future__ import annotations

import json
import subprocess

import pytest

from testopt.code.words import text_words
from testopt.git.blobs import read_tree
from testopt.similarity.case_texts import CaseTexts
from testopt.similarity.parametrisation_data import FEWEST, ParametrisationData
from testopt.similarity.source_index import SourceIndex

pytestmark = pytest.mark.integration

WORDS = ["apple", "banana", "cherry", "damson", "elder", "fig"]
ROWS = [{"fruit": word, "weight": i} for i, word in enumerate(WORDS)]
TEST = """\
import json
import pytest
from pkg import shop

PAIRS = [(1, pytest.param("x")), (["plum"], ["quince"]), 2, 3, 4, 5]
DATA = json.load(open("NAME"))


@pytest.mark.parametrize("row", DATA)
def test_file(row):
    assert shop.sell(row)


class TestLists:
    @pytest.mark.parametrize(("left", "right"), PAIRS)
    def test_named(self, left, right):
        assert left

    @pytest.mark.parametrize("item", [{"red": 1}, {"green": 2}, {}, {}, {"blue": 3}])
    def test_written(self, item):
        assert item
"""


def commit(path, files):
    git = ["git", "-C", str(path), "-c", "user.name=A", "-c", "user.email=a@example.org"]
    subprocess.run([*git, "init", "-q"], check=True)
    for name, text in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text)
    subprocess.run([*git, "add", "-A"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "c"], check=True)
    done = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def items(path, files, function, name, count=6):
    head = commit(path, files)
    found = ParametrisationData(read_tree(path, head), SourceIndex(path))
    cases = [f"tests/test_a.py::{function}[{name}{i}]" for i in range(count)]
    return found.words(cases, [("tests/test_a.py", function.replace("::", "."))] * count)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("rows.json", json.dumps(ROWS)),
        ("rows.json", json.dumps({"version": 1, "tests": ROWS})),
        ("rows.jsonl", "\n".join(json.dumps(row) for row in ROWS)),
        ("rows.csv", "fruit,weight\n" + "\n".join(f"{r['fruit']},{r['weight']}" for r in ROWS)),
    ],
)
@pytest.mark.parametrize("folder", ["tests/", "other/data/"])
def test_a_number_means_an_item_of_the_file_that_the_module_names(tmp_path, name, text, folder):
    files = {"tests/test_a.py": TEST.replace("NAME", name), folder + name: text}
    found = items(tmp_path, files, "test_file", "row")
    assert sorted(found) == list(range(len(WORDS)))
    for i, word in enumerate(WORDS):
        assert text_words(word).keys() <= found[i].keys()
        assert not text_words(WORDS[i - 1]).keys() & found[i].keys()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("rows.json", json.dumps(ROWS[:-1])),  # not one for every number
        ("rows.json", "[" * 100_000),
        ("rows.json", "{"),
        ("rows.json", "3"),
        ("rows.csv", '"' + "x" * 200_000),
        ("missing.json", None),
    ],
)
def test_other_files_say_nothing(tmp_path, name, text):
    files = {"tests/test_a.py": TEST.replace("NAME", name)}
    if text is not None:
        files["tests/" + name] = text
    assert items(tmp_path, files, "test_file", "row") == {}


def test_a_number_means_an_item_of_the_list_in_the_source(tmp_path):
    files = {"tests/test_a.py": TEST}
    left = items(tmp_path, files, "TestLists::test_named", "left")
    right = items(tmp_path, files, "TestLists::test_named", "right")
    assert text_words("plum").keys() <= left[1].keys()
    assert text_words("quince").keys() <= right[1].keys()
    assert not text_words("quince").keys() & left[1].keys()
    written = items(tmp_path, files, "TestLists::test_written", "item", 5)
    assert [i for i in range(5) if text_words("blue").keys() <= written[i].keys()] == [4]


def test_an_item_nested_too_deep_says_nothing(tmp_path):
    deep = "{}, " + "+".join(["1"] * 700)
    files = {"tests/test_a.py": TEST.replace("{}, {}", deep)}
    assert items(tmp_path, files, "TestLists::test_written", "item", 5) == {}


def test_a_few_cases_are_not_looked_into(tmp_path):
    files = {"tests/test_a.py": TEST}
    assert items(tmp_path, files, "TestLists::test_written", "item", FEWEST - 1) == {}


def test_a_change_finds_the_numbered_cases_that_speak_of_it(tmp_path):
    shop = "def sell(row):\n    return row\n\n\ndef peel_banana(row):\n    return 1\n"
    files = {
        "tests/test_a.py": TEST.replace("NAME", "rows.json"), "pkg/shop.py": shop,
        "tests/rows.json": json.dumps(ROWS),
    }  # fmt: skip
    base = commit(tmp_path, files)
    head = commit(tmp_path, {"pkg/shop.py": shop.replace("return 1", "return 2")})
    cases = [f"tests/test_a.py::test_file[row{i}]" for i in range(len(WORDS))]
    text = CaseTexts(tmp_path).read(cases, base=base, commit=head)
    assert text is not None
    shared = [len(text.parameters.row(i).keys() & text.change.owners.keys()) for i in range(6)]
    assert shared == [0, 1, 0, 0, 0, 0]
