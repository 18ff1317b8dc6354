"""`testopt models`: the live model, its rollback, and the log of what was decided."""

import csv
import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from builders import Suite, append_rows, make_record, new_store, prediction_row

from testopt.git.pending_run import PendingRun
from testopt.plan.predictor import load_predictor
from testopt.schema import Change
from testopt.selection.bundle_registry import bundle_names
from testopt.selection.decisions import read_decisions
from testopt.selection.policy import Policy
from testopt.selection.standing import STANDING, changing, read_standing
from testopt.selection.takeover import CANARY_PLANS
from testopt.store import Store

pytestmark = pytest.mark.integration


@pytest.fixture
def at(trained, tmp_path, monkeypatch):
    """Return options that name a copy of a store with one bundle."""
    monkeypatch.setenv("CI", "true")
    shutil.copytree(trained / "store", tmp_path / "store")
    return ("--repo", tmp_path, "--store", tmp_path / "store")


@pytest.fixture
def two(at, testopt):
    """Return the ids of the live bundle and of one as of an earlier time."""
    first = testopt(*at, "models", "list", "--json").document["models"][0]["bundle"]
    older = testopt(*at, "train", "--as-of", "2026-01-02", "--json").document
    assert older["promoted"] is False
    return first, older["bundle"]


def kinds(store):
    return [d.kind for d in read_decisions(store)]


def test_promote_show_diff_and_roll_back(at, two, testopt, tmp_path):
    live, other = two
    store = Store.open(str(at[-1]))
    shown = testopt(*at, "models", "show", "--json").document
    assert (shown["bundle"], shown["place"], shown["parents"]) == (live, "live", [])
    assert shown["data"]["window"]["runs"] == 60
    assert shown["code"]["testopt"]
    assert 0.0 < shown["metrics"]["testopt.apfdc"] <= 1.0
    assert testopt(*at, "models", "show", other, "--json").document["parents"] == [live]
    table = testopt(*at, "models", "list").out.splitlines()
    assert [line.split()[:2] for line in table[1:]] == [[live, "live"], [other, "kept"]]
    differ = testopt(*at, "models", "diff", live, other[:6])
    assert "data.window.runs: 60 -> 25" in differ.out
    assert "they" not in testopt(*at, "models", "diff", live, other, "--json").out
    assert "do not differ" in testopt(*at, "models", "diff", live).out

    done = testopt(*at, "models", "promote", other, "--why", "a trial", "--json").document
    assert (done["bundle"], done["before"], done["decision"]["author"]) == (other, live, "ci")
    assert testopt(*at, "rank", "--json").document["policy"] == f"bundle {other}"
    assert testopt(*at, "models", "promote", other).code == 2
    assert testopt(*at, "models", "promote", "nothing").code == 2
    back = testopt(*at, "models", "rollback", "--why", "worse")
    assert back.out == f"model {live} is live in place of {other}\n"
    assert testopt(*at, "rank", "--json").document["policy"] == f"bundle {live}"
    assert read_standing(store).held
    again = testopt(*at, "models", "rollback")
    assert (again.code, "no other model was live before" in again.err) == (3, True)
    assert kinds(store) == ["trained", "promoted", "trained", "promoted", "rolled back"]

    out = tmp_path / "decisions.csv"
    assert testopt(*at, "store", "export", "decisions", out).code == 0
    rows = list(csv.DictReader(out.open()))
    assert [row["why"] for row in rows[-2:]] == ["a trial", "worse"]
    assert json.loads(rows[0]["details"])["data"] == shown["data"]["digest"]


def test_a_model_that_cannot_be_used_is_not_promoted(at, two, testopt):
    live, other = two
    (at[-1] / "models" / other / "forest.npz").write_bytes(b"")
    done = testopt(*at, "models", "promote", other)
    assert (done.code, "damaged" in done.err) == (3, True)
    assert read_standing(Store.open(str(at[-1]))).bundle == live
    (at[-1] / "models" / other / "manifest.json").unlink()
    assert "has no manifest" in testopt(*at, "models", "list").out


def test_a_decision_that_a_dead_process_did_not_log_is_logged_later(at, two, testopt, monkeypatch):
    from testopt.selection import standing

    live, other = two
    store = Store.open(str(at[-1]))
    with monkeypatch.context() as patch:
        patch.setattr(standing, "log_decisions", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            testopt(*at, "models", "promote", other)
    assert read_standing(store).bundle == other
    assert kinds(store)[-1] == "trained"
    assert testopt(*at, "models", "rollback").code == 0
    assert kinds(store)[-2:] == ["promoted", "rolled back"]
    assert read_standing(store).bundle == live


def test_gc_keeps_what_is_needed(at, two, testopt, monkeypatch):
    live, other = two
    store = Store.open(str(at[-1]))
    third = testopt(*at, "train", "--as-of", "2026-01-01T20:00", "--json").document["bundle"]
    assert "0 models removed" in testopt(*at, "models", "gc").out  # all were trained today
    now = datetime.now(UTC)
    policy = Policy(bundle=other).dump()
    planned = [prediction_row("t::a", policy=policy)]
    store.append_runs([make_record("now", ["t::a"], predictions=planned, time=now)])
    later = now + timedelta(days=2)
    monkeypatch.setattr("testopt.registry.changes.datetime", Later)
    Later.moment = later
    dry = testopt(*at, "models", "gc", "--dry-run", "--json").document
    assert dry["removed"] == [third]
    assert dry["kept"] == {live: "it is live", other: "a recent plan names it"}
    assert f"{third}: removed\n" in testopt(*at, "models", "gc", "--days", "1").out
    assert {m["bundle"] for m in testopt(*at, "models", "list", "--json").document["models"]} == {
        live
    }
    assert kinds(store)[-2:] == ["removed", "removed"]
    assert testopt(*at, "rank").code == 0


class Later(datetime):
    """A clock of the future."""

    moment: datetime

    @classmethod
    def now(cls, tz=None):
        return cls.moment


def test_a_selection_is_rolled_back(at, testopt, monkeypatch):
    store = Store.open(str(at[-1]))
    monkeypatch.setenv("TESTOPT_PROMOTE", "always")
    select = (*at, "select", "--recall", "0.8", "--json")
    assert testopt(*select).document["mode"] == "select"
    done = testopt(*at, "models", "rollback", "--selection", "--why", "a release")
    assert done.out == "the selection is in shadow again: every test runs\n"
    assert testopt(*select).document["mode"] == "shadow"
    decision = read_decisions(store)[-1]
    assert (decision.kind, decision.why) == ("selection rolled back", "a release")
    assert decision.details["settings"]["promote"] == "always"


@pytest.mark.parametrize("text", ["{}", "[]", '{"bundle": 1}', '{"bundle": "a", "trial": 3}'])
def test_a_damaged_standing_is_named(at, testopt, text):
    (at[-1] / STANDING).write_text(text)
    done = testopt(*at, "models", "list")
    assert (done.code, "models/current.json is damaged" in done.err) == (3, True)
    assert testopt(*at, "models", "gc").code == 3
    assert testopt(*at, "rank").code == 0


def failing_runs(first, end):
    cases = range(len(Suite.cases))
    return sum(any(Suite.outcome(run, case) == "failed" for case in cases)
               for run in range(first, end))  # fmt: skip


def ingest(at, testopt, folder, runs):
    table = Suite.write(folder / "more.csv", runs)
    assert testopt(*at, "ingest", "--format", "table", table).code == 0


def test_a_challenger_waits_for_evidence_plans_a_share_and_takes_over(
    at, tmp_path, testopt, monkeypatch
):
    store = Store.open(str(at[-1]))
    live = read_standing(store).bundle
    ingest(at, testopt, tmp_path, range(60, 80))
    done = testopt(*at, "train", "--json").document
    assert (done["step"], done["promoted"]) == ("challenger", False)
    # what a model of the first 64 runs says of the next 16, which the live one does not know
    assert f"on {failing_runs(64, 80)} failing runs that neither had learnt from" in done["why"]
    assert testopt(*at, "rank", "--json").document["policy"] == f"bundle {live}"

    ingest(at, testopt, tmp_path, range(80, 90))
    with changing(store) as step:  # evidence that a thousand runs would give
        trial = replace(step.now.trial, wealth=(99.0,) * 5)
        step.write(replace(step.now, trial=trial), None)
    monkeypatch.setenv("TESTOPT_CANARY", "1")
    canary = testopt(*at, "train", "--json").document
    assert canary["step"] == "canary"
    assert read_standing(store).trial.runs == failing_runs(64, 90)
    assert testopt(*at, "models", "list", "--json").document["models"][-1]["place"] == "canary"
    key = PendingRun(Change(), commit="a" * 40).key
    assert load_predictor(store, None, key=key).bundle.bundle_id == canary["bundle"]
    assert load_predictor(store, None).bundle.bundle_id == live
    policy = Policy(bundle=canary["bundle"]).dump()
    records = (
        make_record(f"c{n}", Suite.cases, hours=100 + n, branch="main",
                    predictions=[prediction_row(Suite.cases[0], policy=policy)])
        for n in range(CANARY_PLANS)
    )  # fmt: skip
    store.append_runs(records)
    monkeypatch.setattr("testopt.retrain.FEWEST", 100)
    done = testopt(*at, "retrain", "--json").document
    assert (done["settled"]["step"], read_standing(store).bundle) == ("live", canary["bundle"])
    assert "10 plans by it in 10 runs" in done["settled"]["why"]
    assert testopt(*at, "retrain", "--json").document["settled"] is None
    assert kinds(store)[-3:] == ["trained", "canary", "promoted"]
    assert testopt(*at, "models", "rollback", "--json").document["bundle"] == live


def test_a_model_of_a_time_is_never_promoted(at, testopt):
    assert testopt(*at, "train", "--promote", "--as-of", "2026-01-02").code == 2


def test_retrain_says_why_and_why_not(at, tmp_path, testopt, monkeypatch):
    retrain = (*at, "retrain")
    store = Store.open(str(at[-1]))
    assert testopt(*retrain).out == (
        "no training is needed: no run has come since the last training\n"
    )
    ingest(at, testopt, tmp_path, range(60, 70))
    bad = failing_runs(60, 70)
    shown = testopt(*retrain, "--json").document
    assert (shown["needed"], shown["trained"], shown["runs"]) == (False, None, 10)
    assert shown["why_not"] == (
        f"no drift; 10 new runs (250 are enough), {bad} of them failing (17 are enough)"
    )
    with monkeypatch.context() as patch:
        patch.setattr("testopt.retrain.OLD_RUNS", 10)
        shown = testopt(*retrain, "--dry-run", "--json").document
        assert shown["reasons"] == ["10 runs have come since the last training"]
        assert len(bundle_names(store)) == 1
        with store.training() as free:
            assert free
            assert testopt(*retrain).out == "another process trains at this moment\n"
    live = read_standing(store).bundle
    (at[-1] / "models" / live / "forest.npz").write_bytes(b"")
    done = testopt(*retrain)
    assert done.out.startswith(f"a training is needed: bundle {live}: forest.npz")
    assert read_standing(store).bundle != live
    assert read_decisions(store)[-2].why.endswith("on 70 runs")
    assert "the live one cannot be used" in read_decisions(store)[-1].why


def test_retrain_without_history_is_not_needed(tmp_path, testopt):
    at = ("--repo", tmp_path, "--store", tmp_path / "store")
    assert testopt(*at, "retrain").code == 3
    new_store(tmp_path, records=[make_record("r", ["t::a"])])
    done = testopt(*at, "retrain")
    assert (done.code, "nothing to learn" in done.out) == (0, True)


def test_train_check_shows_what_is_doubtful_and_refuses_errors(at, testopt):
    fine = testopt(*at, "train", "--check", "--json")
    assert (fine.code, fine.document["ok"], fine.document["results"]) == (0, True, 900)
    store = Store.open(str(at[-1]))
    live = read_standing(store).bundle
    copies = [make_record(f"copy {n}", Suite.cases, hours=70 + n // 2, branch="main")
              for n in range(8)]  # fmt: skip
    store.append_runs(copies)
    done = testopt(*at, "train", "--promote")
    assert done.code == 0
    assert f"it is live in place of {live}: asked for" in done.out
    assert "4 runs with the time, commit, job, counts and duration of another one" in done.err
    row = {"run_id": "run 3", "case_id": "x\x1b[31m", "outcome": "odd", "attempt": 1}
    append_rows(store, "results", [row], part="run 3#2")
    done = testopt(*at, "train")
    assert (done.code, "1 result with an unknown outcome" in done.err) == (3, True)
    shown = testopt(*at, "train", "--check")
    assert shown.code == 3
    assert "error outcome: 1 result with an unknown outcome\n        'odd': 1\n" in shown.out
    assert "1 doubt\n" in shown.out
