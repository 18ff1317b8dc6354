"""Probabilities move with what real runs show, and the order does not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from builders import make_query, make_record, new_store, prediction_row

from testopt.plan.predictor import load_predictor
from testopt.plan.scoring import score_cases
from testopt.selection import plan_log
from testopt.selection.failure_level import FailureLevel, load_level, shifted
from testopt.selection.policy import Policy
from testopt.store import Store

CASES = [f"t.py::test_{i}" for i in range(50)]
BUNDLE = "20260101-aaaa"


def run_of(store, name, hour, p, failing=(), *, outcomes=None, **policy):
    """Record a run with a plan; `p` is what was stored of each case."""
    kept = Policy(bundle=policy.pop("bundle", BUNDLE), **policy).dump()
    rows = [
        prediction_row(c, i, probability=v, policy=kept)
        for i, (c, v) in enumerate(zip(CASES, p, strict=True), 1)
    ]
    cases = CASES if outcomes is None else outcomes
    store.append_runs([make_record(name, cases, failing, hours=hour, predictions=rows)])
    plan_log.update_log(store)


def test_after_twenty_runs_as_many_failures_are_expected_as_happen(tmp_path):
    store, rng = new_store(tmp_path), np.random.default_rng(3)
    model = rng.beta(0.5, 10.0, len(CASES))  # expects five times as many as there are
    truth = shifted(model, -np.log(5.0))
    for hour in range(20):
        level = load_level(store, BUNDLE).shift
        failing = [c for c, v in zip(CASES, truth, strict=True) if rng.random() < v]
        run_of(store, f"r{hour}", hour, shifted(model, level), failing, level=level)
    found = shifted(model, load_level(store, BUNDLE).shift).sum() / truth.sum()
    assert model.sum() / truth.sum() > 4.0
    assert 1 / 1.5 < found < 1.5


def test_only_cases_that_ran_count_and_each_run_once(tmp_path):
    store = new_store(tmp_path)
    outcomes = {
        CASES[0]: "failed",
        CASES[1]: "passed",
        CASES[2]: "skipped",
    }  # the rest was left out
    run_of(store, "a", 0, [0.25] * 50, outcomes=outcomes)
    expected, failed = load_level(store, BUNDLE).runs["a"]
    assert (expected, failed) == (pytest.approx(0.5, rel=1e-5), 1)
    plan_log.rebuild(store)
    assert list(load_level(store, BUNDLE).runs) == ["a"]


def test_each_bundle_begins_anew_and_runs_without_one_say_nothing(tmp_path):
    store = new_store(tmp_path)
    run_of(store, "a", 0, [0.1] * 50)
    run_of(store, "b", 1, [0.1] * 50, bundle="", fell_back="no time")
    assert list(load_level(store, BUNDLE).runs) == ["a"]
    run_of(store, "c", 2, [0.1] * 50, bundle="other")
    assert load_level(store, BUNDLE).shift == 0.0
    assert list(load_level(store, "other").runs) == ["c"]


@pytest.mark.parametrize(
    "kept", [b"{", b"[]", b'{"format":1,"bundle":"%s","runs":{"a":[1e999,0]}}']
)
def test_a_damaged_file_changes_no_probability(tmp_path, kept):
    store = new_store(tmp_path)
    store.write_blob("state/failure-level.json", kept.replace(b"%s", BUNDLE.encode()))
    assert load_level(store, BUNDLE) == FailureLevel(BUNDLE)
    run_of(store, "a", 0, [0.1] * 50)
    assert list(load_level(store, BUNDLE).runs) == ["a"]


def test_nobody_knows_of_a_store_that_is_not_there():
    assert load_level(None, BUNDLE).shift == 0.0


def test_a_shift_is_undone_by_its_opposite():
    p = np.array([0.0, 0.001, 0.5, 1.0])
    np.testing.assert_allclose(shifted(shifted(p, -3.0), 3.0), p, atol=1e-4)
    assert shifted(p, -3.0)[2] == pytest.approx(1 / (1 + np.exp(3.0)))


def test_the_order_and_the_selection_do_not_move(trained):
    store = Store.open(str(trained / "store"))
    predictor = load_predictor(store, None)
    cases = predictor.state.history.table.ids[:20]
    plain, moved = (
        score_cases(replace(predictor, level=level), make_query(cases)) for level in (0.0, -2.3)
    )
    np.testing.assert_array_equal(plain.order, moved.order)
    np.testing.assert_array_equal(plain.score, moved.score)
    assert moved.p.sum() < 0.5 * plain.p.sum()
