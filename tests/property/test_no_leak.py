"""Predictions for a run are the same when all that came after it is deleted or scrambled."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from testopt.estimators.experts import evidence_of, rolling_speakers, worth
from testopt.estimators.rolling import retraining_points, rolling_probabilities
from testopt.features.frames import frames
from testopt.features.pipeline import NAMES, FeatureState, matrix
from testopt.schema import arrow_schema

START = datetime(2026, 1, 1, tzinfo=UTC)
OUTCOMES = ["passed", "failed", "error", "skipped"]


def tables(seed, runs, cases=8):
    """A history in which earlier runs do not depend on how many come later."""
    rows, results, changes = [], [], []
    for i in range(runs):
        random = np.random.default_rng([seed, i])
        rows.append(
            {"run_id": f"r{i}", "time": START + timedelta(hours=i), "job": random.choice(["", "x"]),
             "branch": random.choice(["main", "topic"]), "commit": f"c{i}", "base": f"c{i - 1}",
             "kind": random.choice(["real"] * 4 + ["mutant"]), "source": "table", "cases": cases,
             "seen": START, "failed": 0, "error": 0, "skipped": 0, "duration_s": 1.0,
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
        pa.Table.from_pylist(part, schema=arrow_schema(name))
        for name, part in (("runs", rows), ("results", results), ("run_changes", changes))
    )
    whole = matrix(frames(*made), FeatureState())
    p = rolling_probabilities(whole, len(rows), every=15, seed=0)
    speakers, _ = rolling_speakers(whole, p, NAMES, len(rows))
    return [ordered(whole, p, speakers[i], i) for i in range(len(rows))]


def ordered(whole, p, speaker, i):
    """Features, probabilities, and what the cases are worth to the expert that speaks."""
    part = whole.run == i
    own = None if np.isnan(p[part]).any() else p[part]
    value = worth(speaker, evidence_of(whole.x[part], NAMES, own))
    return whole.x[part], p[part], value, np.array([*speaker.shares, speaker.cost])


def scrambled(rows, results, after, seed):
    random = np.random.default_rng(seed)
    late = {r["run_id"] for r in rows[after:]}
    for result in results:
        if result["run_id"] in late:
            result["outcome"] = str(random.choice(OUTCOMES))
            result["duration_s"] = float(random.random() * 100)
            result["case_id"] = f"t/{random.integers(9)}.py::g{random.integers(10**9)}"
    return results


@settings(max_examples=2, deadline=None)
@given(seed=st.integers(0, 10**6), at=st.integers(50, 79))
def test_the_future_does_not_reach_the_past(seed, at):
    rows, results, changes = tables(seed, 90)
    whole = predict(rows, results, changes)
    cut = predict(*tables(seed, at + 1))
    mixed = predict(rows, scrambled(rows, results, at + 1, seed), changes)
    assert not np.isnan(whole[at][1]).any()
    for i in range(at + 1):
        for other in (cut, mixed):
            for mine, theirs in zip(whole[i], other[i], strict=True):
                assert mine.tobytes() == theirs.tobytes()


@given(runs=st.integers(0, 3000), more=st.integers(0, 3000))
def test_retraining_points_do_not_depend_on_what_comes_later(runs, more):
    early, late = list(retraining_points(runs)), list(retraining_points(runs + more))
    assert late[: len(early)] == early
