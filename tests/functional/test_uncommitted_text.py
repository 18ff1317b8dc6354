"""The text of uncommitted changes is kept: it can be read when the files have moved on."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from testopt.features.run_history import frames_of, history
from testopt.git.changed_lines import OPTIONS, patched_texts
from testopt.git.tested_tree import read_tested_tree
from testopt.schema import Change, FileChange, Result, Run, RunRecord
from testopt.similarity.case_sources import Sources
from testopt.similarity.case_texts import CaseTexts
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


def test_what_the_live_order_read_is_read_again(repo):
    head = repo.git("rev-parse", "HEAD")
    edit(repo)
    live = CaseTexts(repo.path).read(CASES, base=head, commit=None)
    patch = "".join(read_tested_tree(repo.path, base=head).patches.values())
    repo.git("checkout", "-q", ".")
    repo.commit("later", {"src/price.py": "something else\n"})
    again = CaseTexts(repo.path).read(CASES, base=head, commit=head, patch=patch.encode())
    same_texts(again, live)


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
    from datetime import UTC, datetime

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
    assert [len(text.all_changed_paths) for text in texts] == [0] * 3 + [1] * 7
    assert all(f.patch is None for frame in history(store) for f in frame.query.files)
    (frame,) = frames_of(store, ["run 5"], with_patches=True)
    assert not frame.lacks_its_change
    assert replace(frame, query=replace(frame.query, files=())).lacks_its_change is False


def test_backtest_says_what_it_cannot_judge(repo, store, testopt, tmp_path):
    at = ("--repo", repo.path, "--store", store.url)
    report = testopt(*at, "backtest", "--json").document
    assert (report["runs"], report["unread_runs"]) == (10, 3)
    assert "3 runs of uncommitted edits, whose text was not kept" in testopt(*at, "backtest").out
    assert testopt(*at, "train", "--json").code == 0
    # without sources the order that was made of history alone can be judged
    outside = shutil.copytree(store.url, tmp_path / "copy")
    assert testopt("--repo", tmp_path, "--store", outside, "backtest", "--json").document[
        "unread_runs"
    ] == 0  # fmt: skip
