"""What the model for repositories never seen learns from, and how it is judged."""

import importlib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from builders import make_frame, make_query, make_run

SCRIPTS = Path(__file__).resolve().parents[3] / "scripts"
BASELINES = 8


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return importlib.import_module


def frame(cases, failing, *, commit="c", base="b", kind="clean", at=0):
    run = make_run(f"{commit}{at}", at, commit=commit, base=base, kind=kind)
    return make_frame(make_query(list(cases), run=run), failing, skipped="s")


def example(examples, commit, failed, old):
    n = len(failed)
    return examples.Example(
        np.zeros((n, 2), np.float32), np.array(failed), np.array(old), np.ones(n),
        np.tile(np.arange(n, dtype=np.int32), (BASELINES, 1)),
        np.frombuffer(commit.encode(), np.uint8), np.full(n, np.nan, np.float32), np.ones(n),
    )  # fmt: skip


def test_a_variant_broke_what_its_commit_did_not(script):
    past = script("cold_examples")._Past()
    past.add(frame("abc", "c", commit="old"))
    past.add(frame("abcdefs", "c", commit="new", base="old", at=1))
    variant = frame("abcdefs", "acd", commit="v", base="new", kind="mutant", at=2)
    count, broken, old = ("".join(np.array(list("abcdefs"))[part]) for part in past.broken(variant))
    assert (count, broken, old) == ("abdef", "ad", "abc")


@pytest.mark.parametrize(
    ("failing", "base"), [("", "new"), ("c", "new"), ("abcd", "new"), ("a", "never seen")]
)
def test_what_teaches_nothing_is_left_out(script, failing, base):
    past = script("cold_examples")._Past()
    past.add(frame("abcd", "c", commit="new"))
    assert past.broken(frame("abcd", failing, base=base, kind="mutant", at=1)) is None


def test_strict_counts_old_cases_in_the_first_variant_of_a_commit(script):
    examples = script("cold_examples")
    yes, no = True, False
    rows = [
        example(examples, "one", [yes, yes, no], [yes, no, yes]),
        example(examples, "one", [yes, no, no], [yes, yes, yes]),
        example(examples, "two", [no, no, yes], [no, no, yes]),
    ]
    found = [row.tolist() for row in examples.strict_failures(rows)]
    assert found == [[yes, no, no], [no, no, no], [no, no, yes]]


def test_an_example_survives_the_cache(script, tmp_path):
    examples = script("cold_examples")
    made = example(examples, "one", [True, False], [True, True])
    (tmp_path / "a.npz").write_bytes(examples._dumped(made))
    again = examples._kept(tmp_path / "a.npz")
    assert again.base == b"one"
    np.testing.assert_array_equal(again.simple, made.simple)
    (tmp_path / "a.npz").write_bytes(b"no archive")
    assert examples._kept(tmp_path / "a.npz") is None


def test_every_project_and_every_commit_weighs_the_same(script):
    examples, train = script("cold_examples"), script("train_cold_start")
    rows = [
        example(examples, "one", [True, False, False], [True] * 3),
        example(examples, "one", [True, True, False], [True] * 3),
        example(examples, "two", [True, False, False], [True] * 3),
    ]
    few = train.Project("few", "", 1, rows[2:])
    many = train.Project("many", "", 3, rows)
    _, y, weight = train.rows([many, few])
    assert weight[:9].sum() == pytest.approx(weight[9:].sum())
    assert weight[:6].sum() == pytest.approx(weight[6:9].sum())
    assert weight[y].sum() == pytest.approx(weight[~y].sum())


def test_the_share_of_the_gap(script):
    report = script("cold_report")
    row = {"model": 0.9, "untrained": 0.7, "best": 0.6, "optimum": 1.0}
    assert report.closed(row) == pytest.approx(0.75)
    assert report.closed(row, "untrained") == pytest.approx(0.25)


def test_coverage_and_durations_of_earlier_runs_order_what_is_equally_close(script):
    examples, report = script("cold_examples"), script("cold_report")
    model = SimpleNamespace(closeness=lambda _: np.full(4, 0.5))
    made = replace(
        example(examples, "one", [False] * 4, [True] * 4), expected=np.array([1, 1, 9, 1.0])
    )
    unmeasured = report._measured(made, model, {})
    assert np.argsort(-unmeasured, kind="stable").tolist() == [0, 1, 3, 2]
    ran = replace(made, ran=np.array([0, 1, 1, np.nan], np.float32))
    assert np.argsort(-report._measured(ran, model, {})).tolist() == [1, 3, 2, 0]


def test_gains_are_means_over_the_variants_of_a_commit(script):
    report = script("cold_report")
    values = np.zeros((3, len(report.METHODS)))
    values[:, report.METHODS.index("model")] = [0.9, 0.7, 0.5]
    values[:, report.METHODS.index("untrained")] = 0.5
    one = report.Judged("a", {"truth": [b"x", b"x", b"y"]}, {"truth": values})
    assert one.gains("truth") == pytest.approx([0.3, 0.0])
    mean, low, high = report.interval([one], "truth")
    assert mean == pytest.approx(0.15)
    assert low <= mean <= high
