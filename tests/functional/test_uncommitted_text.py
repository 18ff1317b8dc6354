"""The text of uncommitted changes is kept: it can be read when the files have moved on."""

import shutil
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from testopt.features.run_history import frames_of, history
from testopt.git.change import find_change
from testopt.git.changed_lines import OPTIONS, patched_texts
from testopt.git.tested_tree import read_tested_tree
from testopt.schema import Change, FileChange, Result, Run, RunRecord
from testopt.similarity.case_sources import Sources
from testopt.similarity.query import Query
from testopt.store import Store

CASES = [f"tests/test_{m}.py::test_{n}" for m in ("price", "colour") for n in ("one", "two")]


@pytest.fixture
def repo(make_repo, no_ci):
    made = make_repo()
    files = {".gitignore": ".testopt/\n"}
    for module in ("price", "colour"):
        files[f"src/{module}.py"] = (
            f"def {module}_total(n):\n    return n\n\n\ndef {module}_other(n):\n    return n\n"
        )
        files[f"tests/test_{module}.py"] = (
            f"from src.{module} import {module}_total\n\n\n"
            f"def test_one():\n    assert {module}_total(1)\n\n\ndef test_two():\n    assert 1\n"
        )
    made.commit("first", files)
    return made


def edit(repo):
    repo.write(
        "src/price.py", "def price_total(n):\n    return n - discount\n\n\ndef new(): pass\n"
    )


def same_texts(one, other):
    assert one.all_changed_paths == other.all_changed_paths
    for name in ("in_change", "import_hops", "edited", "document"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert repr(one.change) == repr(other.change)


def new_files(repo):
    repo.write("src/tax.py", "def tax_total(n):\n    return n\n")
    repo.write("tests/test_tax.py", "from src.tax import tax_total\n\n\ndef test_tax(): pass\n")
    repo.write("src/dump.sql", "insert 1;\n" * 10_000)  # a long one is neither read nor kept
    repo.write("out/report.csv", "1;2\n")


def moved(repo):
    text = (repo.path / "src/price.py").read_text()
    repo.write("src/cost.py", text.replace("return n", "return -n", 1))
    (repo.path / "src/price.py").unlink()


def folder_for_file(repo):
    (repo.path / "src/price.py").unlink()
    repo.write("src/price.py/inner.py", "def price_inner(n):\n    return n\n")


def other_encoding(repo):
    edit(repo)
    (repo.path / "src/names.py").write_bytes(b"# coding: latin-1\nNAME = 'M\xfcller'\n")


@pytest.mark.parametrize("change", [edit, new_files, moved, folder_for_file, other_encoding])
def test_what_the_live_order_read_is_read_again(repo, change):
    head = repo.git("rev-parse", "HEAD")
    change(repo)
    cases = [*CASES, "tests/test_tax.py::test_tax"]
    found = find_change(repo.path)
    live = Sources(repo.path).of_change(cases, found)
    index = repo.git("diff", "--cached", "--name-only")
    patches = read_tested_tree(repo.path, base=head).patches
    files = (replace(f, patch=patches.get(f.path)) for f in found.files)
    repo.git("clean", "-qfd")
    repo.git("reset", "-q", "--hard")
    repo.commit("later", {"src/price.py": "something else\n"})
    run = Run("r", datetime(2026, 1, 1, tzinfo=UTC), commit=head, base=head)
    again = (
        Sources(repo.path).add(Query(run, cases, tuple(sorted(files, key=lambda f: f.path)))).text
    )
    assert live.all_changed_paths
    assert not index  # the user's own index is not touched
    same_texts(again, live)


def test_the_order_reads_files_that_git_does_not_know(repo):
    new_files(repo)
    text = Sources(repo.path).of_change(
        [*CASES, "tests/test_tax.py::test_tax"], find_change(repo.path)
    )
    assert text.all_changed_paths == ("src/tax.py", "tests/test_tax.py")
    assert text.change.owner_names == ("src/tax.py::tax_total",)
    assert text.import_hops[text.file].tolist()[-1] == 1
    assert text.in_change[text.document].tolist() == [0, 0, 0, 0, 1]


@pytest.mark.parametrize(
    ("files", "lacks"),
    [
        ([FileChange("a.py", 3, 1, patch="text")], False),
        ([FileChange("a.py", 3, 1)], True),
        ([FileChange("a.py", 3, 1, patch="text"), FileChange("b.py", 9, 9)], True),
        ([FileChange("a.py", 3, 1, patch="text"), FileChange("b.txt", 9, 9)], False),
        ([FileChange("a.py", 3, 1, patch="text"), FileChange("b.sql", 9, 0, "A")], False),
        ([], False),
    ],
)
def test_a_run_lacks_its_change_where_its_text_was_read_and_is_gone(files, lacks):
    run = Run("r", datetime(2026, 1, 1, tzinfo=UTC), commit="c", base="c")
    assert Query(run, CASES, tuple(files)).lacks_its_change is lacks
    assert not Query(replace(run, base="b"), CASES, tuple(files)).lacks_its_change


@pytest.mark.parametrize("new", [
    "", "a\n", "a\nb\nc\n", "x\na\nb\nc\nd\ne\n", "a\nb\nX\nd\ne\n", "a\nb\nc\nd\ne\nf\ng\n",
    "b\nd\n", "a\nb\nc\nd\ne", "-- a\n++ b\n", "a\n\n\n\nb\nc\nd\ne\n",
])  # fmt: skip
def test_a_patch_makes_the_text_that_it_was_made_of(repo, new):
    old = "a\nb\nc\nd\ne\n"
    repo.write("f.py", old)
    repo.git("add", "f.py")
    repo.write("f.py", new)
    diff = repo.git("diff", *OPTIONS).encode() + b"\n"
    assert patched_texts(diff, {"f.py": old}).get("f.py", "").rstrip("\n") == new.rstrip("\n")


def record(store, repo, change, failing, hour):
    head = repo.git("rev-parse", "HEAD")
    run = Run(f"run {hour}", datetime(2026, 1, 1, hour, tzinfo=UTC), commit=head, base=change.base)
    results = [Result(c, "failed" if c in failing else "passed", 0.1) for c in CASES]
    store.append_runs([RunRecord(run, results, change)])


@pytest.fixture
def store(repo):
    """Ten runs of edits that were undone again, of which three have lost their text."""
    store = Store.open(str(repo.path / ".testopt"), create=True)
    head = repo.git("rev-parse", "HEAD")
    edit(repo)
    patches = read_tested_tree(repo.path, base=head).patches
    repo.git("checkout", "-q", ".")
    for hour in range(10):
        file = FileChange("src/price.py", 3, 3, patch=None if hour < 3 else patches["src/price.py"])
        record(store, repo, Change((file,), base=head), CASES[:1], hour)
    return store


def test_history_has_the_text_where_sources_are_read(repo, store):
    sources = Sources(repo.path, store)
    texts = [frame.query.text for frame in history(store, sources=sources)]
    # without its text a change is unknown: it does not seem to be empty
    assert texts[:3] == [None] * 3
    assert [len(text.all_changed_paths) for text in texts[3:]] == [1] * 7
    assert all(f.patch is None for frame in history(store) for f in frame.query.files)
    (frame,) = frames_of(store, ["run 5"], with_patches=True)
    assert not frame.query.lacks_its_change


def test_backtest_says_what_it_cannot_judge(repo, store, testopt, tmp_path):
    at = ("--repo", repo.path, "--store", store.url)
    report = testopt(*at, "backtest", "--json").document
    assert (report["runs"], report["unread_runs"]) == (10, 3)
    assert "3 runs of uncommitted edits that were not kept" in testopt(*at, "backtest").out
    assert testopt(*at, "train", "--json").code == 0
    # without sources the order that was made of history alone can be judged
    outside = shutil.copytree(store.url, tmp_path / "copy")
    assert testopt("--repo", tmp_path, "--store", outside, "backtest", "--json").document[
        "unread_runs"
    ] == 0  # fmt: skip
