"""`testopt models`: the live model, its rollback, and the log of what was decided."""

import csv
import json
import shutil
from datetime import UTC, datetime, timedelta

import pytest
from builders import make_record, prediction_row

from testopt.selection.decisions import read_decisions
from testopt.selection.policy import Policy
from testopt.selection.standing import STANDING, read_standing
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
    assert testopt(*at, "models", "gc", "--days", "1").out.startswith(f"{third}: removed\n")
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
