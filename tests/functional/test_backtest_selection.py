"""`testopt backtest` with promises and budgets, on a history of its own."""

import pyarrow.parquet as pq
import pytest
from builders import Suite

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def store(tmp_path_factory, testopt):
    folder = tmp_path_factory.mktemp("history")
    table = Suite.write(folder / "runs.csv", range(120))
    at = ("--repo", folder, "--store", folder / "store")
    assert testopt(*at, "ingest", "--format", "table", table).code == 0
    return at


def test_promises_are_tried_beside_each_other(store, testopt, tmp_path):
    out = tmp_path / "out.parquet"
    done = testopt(
        *store, "backtest", "--recall", "0.9", "--recall", "0.99", "--case-recall", "0.8",
        "--predictions", out, "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    kept, unkept, by_case = done.document["promises"]
    assert (kept["recall"], kept["by_case"]) == (0.9, False)
    assert kept["every"]["change_recall"] >= 0.9
    assert kept["promised"]["saved_all"] > 0.3  # two cases of 15 ever fail
    assert kept["runs_without"] > 0
    assert kept["last"]["kind"] == "promise"
    assert by_case["by_case"]
    # too few regressions for so much: everything runs, and how many are missing is said
    assert unkept["every"]["saved_all"] == 0.0
    assert unkept["last"]["missing"] > 0
    rows = pq.read_table(out).to_pandas()
    assert list(rows) == [
        "run_id", "case_id", "probability", "rank", "selected", "duration_s", "recall",
    ]  # fmt: skip
    chosen = rows.pivot_table(index=["run_id", "case_id"], columns="recall", values="selected")
    assert chosen[0.99].all()
    assert not chosen[0.9].all()
    curve = done.document["curve"]
    caught = [point["quality"]["caught"] for point in curve]
    assert caught == sorted(caught)
    assert caught[-1] == kept["every"]["regressions"]


def test_one_promise_needs_no_further_column(store, testopt, tmp_path):
    out = tmp_path / "out.parquet"
    done = testopt(*store, "backtest", "--recall", "0.9", "--predictions", out)
    assert done.code == 0, done.err
    assert "recall 0.9" in done.out
    assert "runs had no promise yet and ran everything" in done.out
    rows = pq.read_table(out)
    assert "recall" not in rows.column_names
    assert 0 < sum(rows["selected"].to_pylist()) < len(rows)


def test_budgets_are_points_of_the_curve(store, testopt):
    done = testopt(*store, "backtest", "--fraction", "0.25", "--budget", "1s", "--json")
    assert done.code == 0, done.err
    share, seconds = done.document["curve"]
    assert (share["fraction"], share["budget_s"]) == (0.25, None)
    assert share["quality"]["saved_all"] >= 0.7
    assert (seconds["fraction"], seconds["budget_s"]) == (None, 1.0)
    assert done.document["promises"] == []
    assert testopt(*store, "backtest", "--recall", "1").code == 2
    assert testopt(*store, "backtest", "--budget", "soon").code == 2


def test_the_bundle_keeps_past_regressions(store, testopt):
    from testopt.selection.bundle_registry import current_bundle
    from testopt.store import Store

    assert testopt(*store, "train").code == 0
    evidence = current_bundle(Store.open(str(store[-1]))).evidence
    done = testopt(*store, "backtest", "--warm-up", "0", "--recall", "0.9", "--json")
    (promise,) = done.document["promises"]
    assert len(evidence.regressions) == promise["every"]["regressions"] > 20
    assert not any(r.seeded for r in evidence.regressions)
    assert all(0.0 < score <= 1.0 for r in evidence.regressions for score in r.scores)


def test_a_failure_found_late_belongs_to_the_run_that_left_it_out(store, testopt, monkeypatch):
    from testopt import train
    from testopt.selection.bundle_registry import current_bundle
    from testopt.selection.plan_log import LateMisses
    from testopt.selection.promotion import PlanOutcome
    from testopt.store import Store

    def evidence():
        assert testopt(*store, "train", "--promote").code == 0
        return current_bundle(Store.open(str(store[-1]))).evidence.regressions

    before = evidence()
    # case 11 fails in run 3 of every 9, and there alone in run 111
    found = frozenset({("run 111", Suite.cases[11])})
    cause = PlanOutcome("run 110", 0.0, missed=True, scores=(0.123,), source="late")
    late = LateMisses(found, {"run 110": cause})
    monkeypatch.setattr(train, "late_misses", lambda *_, **__: late)
    after = evidence()
    assert len(after) == len(before)
    changed = [b.scores for a, b in zip(before, after, strict=True) if a != b]
    assert changed == [(0.123,)]


def test_without_durations_the_cases_are_counted(tmp_path, testopt):
    """A share of the time tells nothing where the reports hold none."""
    rows = ["run_id,time,case_id,outcome,duration_s"]
    for run in range(20):
        for case in range(10):
            outcome = "failed" if case == 7 and run % 2 else "passed"
            rows.append(f"r{run},2026-01-{run + 1:02d},t.py::test_{case},{outcome},0.0")
    (tmp_path / "table.csv").write_text("\n".join(rows) + "\n")
    at = ("--repo", tmp_path, "--store", tmp_path / "store")
    assert testopt(*at, "ingest", "--format", "table", tmp_path / "table.csv").code == 0
    done = testopt(*at, "backtest", "--fraction", "0.5")
    assert "in the order of the case ids after 80.0%; it is known of 0% of them" in done.out
    assert "of the time (by case id" not in done.out
    report = testopt(*at, "backtest", "--fraction", "0.5", "--json").document
    assert (report["timed"], report["cases_to_first"]["by case id"]) == (0.0, pytest.approx(0.8))
    assert report["curve"][0]["quality"]["left_out"] == pytest.approx(0.5, abs=0.11)
