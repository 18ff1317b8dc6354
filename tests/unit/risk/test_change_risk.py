"""Risk from a store: what it learns from, what it says, what it keeps."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from builders import (
    append_rows,
    arrow_rows,
    commit_row,
    file_row,
    label_row,
    make_change,
    new_store,
)

from testopt.errors import DataError, EmptyStoreError, StoreError
from testopt.risk.change_risk import change_risk
from testopt.risk.changed_regions import ChangedFiles
from testopt.risk.inert_files import FileEffects
from testopt.risk.measured_history import counted_labels, defective_commits
from testopt.risk.model import month_of
from testopt.schema import Change, FileChange
from testopt.store import Store
from testopt.store.examined import Examined, write_examined

START = datetime(2024, 1, 1, tzinfo=UTC)
END = START + timedelta(days=500)


def sha(i):
    return f"{i:040x}"


def filled(url, *, n=600, seed=0, labels=True):
    """A history in which large changes of core/ introduce defects."""
    rng = np.random.default_rng(seed)
    added = np.floor(np.exp(rng.normal(3.0, 1.3, n))).astype(int)
    guilty = rng.uniform(size=n) < 1 / (1 + np.exp(-(1.2 * np.log1p(added) - 5.5)))
    commits, files, traced = [], [], []
    for i in range(n):
        time = START + timedelta(hours=20 * i)
        commits.append(
            commit_row(
                sha(i), time, parents=[sha(i - 1)] if i else [], author="ab"[i % 2],
                is_fix=i % 5 == 0,
            )
        )  # fmt: skip
        files.append(file_row(sha(i), f"core/{i % 7}.py", added[i]))
        if guilty[i]:
            traced.append(label_row(sha(n + i), sha(i), time + timedelta(days=5)))
    store = Store.open(url, create=True)
    append_rows(store, "commits", commits)
    append_rows(store, "file_changes", files)
    if labels:
        append_rows(store, "labels", traced)
    return store


def change(*files, **facts):
    files = [FileChange(path, added, 1) for path, added in files]
    return make_change(*files, **{"author": "a", "time": END, **facts})


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return filled(str(tmp_path_factory.mktemp("risk") / "store"))


def test_large_changes_are_riskier_and_the_parts_add_up(store):
    report = change_risk(
        store=store,
        changes={"small": change(("core/1.py", 2)), "large": change(("core/1.py", 900))},
    )
    large, small = report.risks
    assert (large.name, small.name) == ("large", "small")
    assert large.probability > small.probability + 0.2
    assert large.percentile > 0.9
    assert small.percentile < 0.5
    logit = np.log(large.probability / (1 - large.probability))
    assert sum(p.log_odds for p in large.parts) == pytest.approx(logit, abs=1e-6)
    assert large.parts[0].metric == "base"
    assert max(large.parts[1:], key=lambda p: p.log_odds).metric == "la"
    assert next(p for p in large.parts if p.metric == "la").value == 900


def test_the_report_says_what_it_rests_on(store):
    report = change_risk(store=store, changes={"x": change(("core/1.py", 2))})
    start = month_of(END.timestamp()) * 30.4375 * 86400  # of the month that it is judged in
    known = [i for i in range(600) if (START + timedelta(hours=20 * i)).timestamp() < start]
    assert len(known) - 10 < report.changes <= len(known)  # the youngest are not examined
    assert 100 < report.defects < 300
    assert report.compared == report.checked > 100
    assert report.auc > 0.65
    assert report.auc_lines > 0.65
    assert report.latency_days == pytest.approx(5.0)


def test_files_are_ranked_each_alone(store):
    report = change_risk(store=store, changes={"x": change(("core/1.py", 2), ("core/2.py", 700))})
    (risk,) = report.risks
    assert [f.path for f in risk.files] == ["core/2.py", "core/1.py"]
    assert risk.files[0].probability > risk.files[1].probability
    vast = change(*((f"core/{i}.py", i) for i in range(20_000)))
    (risk,) = change_risk(store=store, changes={"vast": vast}).risks
    assert risk.n_files == 20_000
    assert len(risk.files) == 20


def as_if_read(monkeypatch, effects, words):
    """Let git say these effects and words of explanation by commit, and no texts."""
    room = "testopt.risk.change_risk."
    monkeypatch.setattr(f"{room}file_effects", lambda *_: effects)
    monkeypatch.setattr(f"{room}explained", lambda *_: words)
    monkeypatch.setattr(f"{room}read_changed_files", lambda *_: ChangedFiles({}, {}))
    monkeypatch.setattr(f"{room}similar_culprits", lambda *_: {})


def test_notes_on_raised_versions_explain_nothing(store, monkeypatch):
    commit = sha(503)
    ask = {commit: change(("core/6.py", 10), head=commit)}
    words = {sha(i): i % 50 for i in range(600)}
    found = []
    for versions, n in (({}, 400), ({"core/6.py": "version_bump"}, 400), ({}, 0)):
        as_if_read(monkeypatch, {commit: FileEffects(versions=versions)}, {**words, commit: n})
        (risk,) = change_risk(store=store, changes=ask, repo=Path("anywhere")).risks
        found.append((risk.probability, risk.files[0].probability))
    assert found[0] > found[1] == found[2]


def test_a_file_in_which_nothing_that_runs_changed_adds_no_lines(store, monkeypatch):
    commit = sha(503)
    ask = {commit: change(("core/6.py", 10), head=commit)}
    (believed,) = change_risk(store=store, changes=ask).risks
    as_if_read(monkeypatch, {commit: FileEffects(inert=frozenset({"core/6.py"}))}, {})
    (risk,) = change_risk(store=store, changes=ask, repo=Path("anywhere")).risks
    assert risk.probability < believed.probability
    assert risk.percentile < 0.1
    assert risk.files[0].inert
    everything = {sha(i): change((f"core/{i % 7}.py", 10), head=sha(i)) for i in range(500, 560)}
    again = change_risk(store=store, changes=everything, repo=Path("anywhere")).risks
    assert next(r for r in again if r.name == commit).probability == risk.probability


def test_a_mined_commit_is_judged_as_it_was_then(store):
    (risk,) = change_risk(store=store, changes={sha(3): change(("core/3.py", 10))}).risks
    values = {p.metric: p.value for p in risk.parts}
    assert values["la"] != 10
    (late,) = change_risk(store=store, changes={sha(503): change(("core/3.py", 10))}).risks
    values = {p.metric: p.value for p in late.parts}
    assert values["exp"] == 251  # of commits 0 to 502, the author made every other one
    assert late.files[0].probability < 0.9


def test_the_model_is_kept_and_a_damaged_one_replaced(tmp_path):
    store = filled(str(tmp_path / "store"), n=200)
    ask = {"x": change(("core/1.py", 30))}
    first = change_risk(store=store, changes=ask)
    kept = store.read_blob("state/risk-model.json")
    assert change_risk(store=store, changes=ask) == first
    assert store.read_blob("state/risk-model.json") == kept
    for damaged in (b"{", b"[]", kept.replace(b"tree", b"eert"), kept[: len(kept) // 2]):
        store.write_blob("state/risk-model.json", damaged)
        assert change_risk(store=store, changes=ask) == first
        assert store.read_blob("state/risk-model.json") == kept


def test_a_store_that_cannot_be_written_serves_as_well(tmp_path, monkeypatch):
    store = filled(str(tmp_path / "store"), n=20)
    ask = {"x": change(("core/1.py", 30))}

    def refuse(*_):
        raise StoreError("read only")

    monkeypatch.setattr(store, "write_blob", refuse)
    (risk,) = change_risk(store=store, changes=ask).risks
    assert 0 < risk.probability < 1


def test_authors_can_be_left_out(tmp_path):
    store = filled(str(tmp_path / "store"), n=200)
    ask = {"x": change(("core/1.py", 30))}
    (risk,) = change_risk(store=store, changes=ask, author_features=False).risks
    assert not {"exp", "rexp", "sexp", "ndev"} & {p.metric for p in risk.parts}
    (other,) = change_risk(
        store=store, changes={"x": change(("core/1.py", 30), author="b")}, author_features=False
    ).risks
    assert other.probability == risk.probability


def test_what_is_missing_is_said(tmp_path):
    ask = {"x": change(("a.py", 1))}
    empty = Store.open(str(tmp_path / "empty"), create=True)
    with pytest.raises(EmptyStoreError, match="no commits"):
        change_risk(store=empty, changes=ask)
    unlabelled = filled(str(tmp_path / "unlabelled"), n=5, labels=False)
    with pytest.raises(EmptyStoreError, match="no fix has been traced"):
        change_risk(store=unlabelled, changes=ask)
    with pytest.raises(DataError, match="shallow"):
        change_risk(store=unlabelled, changes={"x": Change(known=False, why="shallow")})


def test_few_commits_leave_the_size(tmp_path):
    store = filled(str(tmp_path / "store"), n=20)
    ask = {"small": change(("a.py", 5)), "large": change(("a.py", 500))}
    report = change_risk(store=store, changes=ask)
    assert [risk.name for risk in report.risks] == ["large", "small"]
    assert report.by_lines
    assert {p.metric for p in report.risks[0].parts if p.log_odds} == {"base", "la", "nuc"}


def test_the_latest_tracing_of_a_fix_counts():
    late = END + timedelta(days=1)
    table = arrow_rows(
        "labels",
        [
            label_row("f1", "old", END),
            label_row("f1", "new", END, seen=late),
            label_row("f2", "other", END, chosen=False),
            label_row("f3", None, END),
        ],
    )
    assert defective_commits(table) == {"new"}


def test_labels_of_commits_that_are_no_fixes_any_more_do_not_count(tmp_path):
    store = new_store(tmp_path)
    append_rows(
        store, "commits", [commit_row(s, is_fix=s == "fix") for s in ("fix", "a", "b", "c")]
    )
    by_rules, of_before = '{"by_rules":true,"why":"its words"}', '{"why":"its words"}'
    given = '{"why":"given"}'
    table = arrow_rows(
        "labels",
        [
            label_row("fix", "bug-0", evidence=by_rules),
            label_row("a", "bug-1", evidence=by_rules),
            label_row("b", "bug-2", evidence=of_before),
            label_row("c", "bug-3", evidence=given),
            label_row("not-mined", "bug-4", evidence=by_rules),
        ],
    )
    assert defective_commits(counted_labels(store, table)) == {"bug-0", "bug-3", "bug-4"}


def without_what_came_after(store, url, last):
    """A store whose history ends with a commit, traced up to there."""
    end = START + timedelta(hours=20 * last)
    commits = [c for c in store.read("commits").to_pylist() if c["committed"] <= end]
    shas = {c["sha"] for c in commits}
    cut = Store.open(url, create=True)
    append_rows(cut, "commits", commits)
    files = [f for f in store.read("file_changes").to_pylist() if f["sha"] in shas]
    append_rows(cut, "file_changes", files)
    labels = [x for x in store.read("labels").to_pylist() if x["time"] <= end]
    append_rows(cut, "labels", labels)
    return cut


def words_of_mined_commits(store, *_):
    mined = store.read("commits", columns=["sha"])["sha"].to_pylist()
    return {name: int(name, 16) * 7 % 90 for name in mined}


def test_deleting_all_later_commits_changes_no_score(tmp_path, store, monkeypatch):
    monkeypatch.setattr("testopt.risk.change_risk.explained", words_of_mined_commits)
    asked = {sha(i): change((f"core/{i % 7}.py", 10)) for i in range(0, 600, 40)}
    whole = {r.name: r for r in change_risk(store=store, changes=asked).risks}
    for last in (280, 560):
        cut = without_what_came_after(store, str(tmp_path / str(last)), last)
        write_examined(cut, Examined(START + timedelta(hours=20 * last), sha(last)))
        left = {name: c for name, c in asked.items() if int(name, 16) <= last}
        for risk in change_risk(store=cut, changes=left).risks:
            assert risk == whole[risk.name]


def test_a_commit_has_one_score_whatever_else_is_asked_for(store):
    asked = {sha(i): change((f"core/{i % 7}.py", 10)) for i in range(300, 600, 20)}
    together = {r.name: r for r in change_risk(store=store, changes=asked).risks}
    for name in list(asked)[::4]:
        (alone,) = change_risk(store=store, changes={name: asked[name]}).risks
        assert alone == together[name]
    everything = {sha(i): change((f"core/{i % 7}.py", 10)) for i in range(600)}
    for risk in change_risk(store=store, changes=everything).risks:
        assert risk.name not in together or risk.probability == together[risk.name].probability


def test_commits_that_szz_has_not_examined_are_not_clean(tmp_path):
    store = filled(str(tmp_path / "store"))
    ask = {"x": change(("core/1.py", 40))}
    labels = [
        x for x in store.read("labels").to_pylist() if x["time"] < START + timedelta(days=200)
    ]
    unlabelled = filled(str(tmp_path / "unlabelled"), labels=False)
    append_rows(unlabelled, "labels", labels)
    report = change_risk(store=unlabelled, changes=ask)
    assert report.changes < 250
    assert 0.13 < report.risks[0].probability < 0.52  # 0.26 in truth


def test_commits_from_before_the_first_traced_fix_are_not_examined(tmp_path):
    store = filled(str(tmp_path / "store"), labels=False)
    since = START + timedelta(days=250)
    every = filled(str(tmp_path / "every")).read("labels").to_pylist()
    append_rows(store, "labels", [row for row in every if row["time"] > since])
    write_examined(store, Examined(START + timedelta(days=500), sha(599), since=since))
    report = change_risk(store=store, changes={"x": change(("core/1.py", 40))})
    assert 260 < report.changes <= 300  # the younger half
    assert 0.13 < report.risks[0].probability < 0.52  # 0.26 in truth
