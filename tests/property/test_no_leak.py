"""Predictions for a run are the same whatever it, or a run that was not over, came to."""

from dataclasses import fields
from datetime import timedelta

import numpy as np
from builders import START, arrow_rows
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from testopt.features.frames import frames
from testopt.features.pipeline import FeatureState
from testopt.features.training_set import read_training_set
from testopt.ranking.orderings import cost_exponent, priority
from testopt.ranking.rolling import retraining_points, rolling_probabilities

OUTCOMES = ["passed", "failed", "error", "skipped"]
TURNED = {"passed": "failed", "failed": "passed", "error": "passed", "skipped": "skipped"}
MIXED = ({name: name for name in OUTCOMES}, TURNED)


def tables(seed, runs, cases=8, *, seconds=1.0, source="table"):
    """A history in which earlier runs do not depend on how many come later."""
    rows, results, changes = [], [], []
    for i in range(runs):
        random = np.random.default_rng([seed, i])
        rows.append(
            {"run_id": f"r{i}", "time": START + timedelta(hours=i), "job": random.choice(["", "x"]),
             "branch": random.choice(["main", "topic"]), "commit": f"c{i}", "base": f"c{i - 1}",
             "kind": random.choice(["real"] * 4 + ["mutant"]), "source": source, "cases": cases,
             "seen": START, "failed": 0, "error": 0, "skipped": 0, "duration_s": seconds,
             "complete": True}
        )  # fmt: skip
        changes.append({"run_id": f"r{i}", "path": f"src/{random.integers(3)}.py", "added": 3})
        for c in random.permutation(cases + i // 9)[:cases]:
            p = [0.6, 0.25, 0.05, 0.1] if c % 3 == i % 3 else [0.9, 0.05, 0.0, 0.05]
            results.append(
                {"run_id": f"r{i}", "case_id": f"t/{c % 2}.py::f{c}", "attempt": 1,
                 "outcome": random.choice(OUTCOMES, p=p), "duration_s": float(random.random())}
            )  # fmt: skip
    return rows, results, changes


def predict(rows, results, changes):
    made = (
        arrow_rows(name, part)
        for name, part in (("runs", rows), ("results", results), ("run_changes", changes))
    )
    whole = read_training_set(frames(*made), FeatureState())
    p = rolling_probabilities(whole, len(rows), every=15, seed=0)
    return [ordered(whole, p, i) for i in range(len(rows))]


def ordered(whole, p, i):
    """Probabilities, priorities, how much the cost counts, and the features, facts and matrix."""
    part = whole.run == i
    own = None if np.isnan(p[part]).any() else p[part]
    features = whole.features.at(part)
    value = priority(features, own)
    facts = (getattr(features, field.name) for field in fields(features))
    return p[part], value, np.array([cost_exponent(features, own)]), *facts


def scrambled(rows, results, after, seed):
    """Change what came of all runs from one on, and after that one the cases as well."""
    random = np.random.default_rng(seed)
    at = {r["run_id"]: i for i, r in enumerate(rows)}
    mixed = []
    for result in results:
        one, position = dict(result), at[result["run_id"]]
        if position >= after:
            # skipped is left as it is: such a case has no row
            one["outcome"] = MIXED[int(random.integers(2))][result["outcome"]]
            one["duration_s"] = float(random.random() * 100)
        if position > after:
            one["case_id"] = f"t/{random.integers(9)}.py::g{random.integers(10**9)}"
        mixed.append(one)
    return mixed


@settings(max_examples=2, deadline=None)
@given(seed=st.integers(0, 10**6), at=st.integers(50, 79))
def test_the_future_does_not_reach_the_past(seed, at):
    rows, results, changes = tables(seed, 90)
    whole = predict(rows, results, changes)
    cut = predict(*tables(seed, at + 1))
    mixed = predict(rows, scrambled(rows, results, at, seed), changes)
    assert not np.isnan(whole[at][0]).any()
    for i in range(at + 1):
        for other in (cut, mixed):
            same(whole[i], other[i])


def same(mine, theirs):
    for one, other in zip(mine, theirs, strict=True):
        assert one.tobytes() == other.tobytes()


def features_of(rows, results, changes):
    made = (
        arrow_rows(name, part)
        for name, part in (("runs", rows), ("results", results), ("run_changes", changes))
    )
    whole = read_training_set(frames(*made), FeatureState())
    return [whole.features.matrix[whole.run == i] for i in range(len(rows))]


@settings(max_examples=5, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(seed=st.integers(0, 10**6), at=st.integers(5, 25), hours=st.integers(2, 4))
def test_runs_that_are_not_over_do_not_reach_those_beside_them(seed, at, hours):
    rows, results, changes = tables(seed, 30, seconds=hours * 3600.0, source="pytest")
    rows = [row | {"kind": "real"} for row in rows]
    whole = features_of(rows, results, changes)
    first = at - hours + 1  # they began before run `at`, and were not over
    mixed = features_of(rows, scrambled(rows, results, first, seed), changes)
    for i in range(first + 1):
        same([whole[i]], [mixed[i]])
    turned = [
        r | {"outcome": TURNED[r["outcome"]]} if r["run_id"] in {f"r{i}" for i in range(first, at)}
        else r for r in results
    ]  # fmt: skip
    beside = features_of(rows, turned, changes)
    for i in range(at + 1):
        same([whole[i]], [beside[i]])


@given(runs=st.integers(0, 3000), more=st.integers(0, 3000))
def test_retraining_points_do_not_depend_on_what_comes_later(runs, more):
    early, late = list(retraining_points(runs)), list(retraining_points(runs + more))
    assert late[: len(early)] == early
