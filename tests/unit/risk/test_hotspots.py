"""Hotspots: learnt from the past alone, and checked against rankings that need no learning."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from builders import append_rows, commit_row, file_row

from testopt.errors import DataError, EmptyStoreError
from testopt.risk.area_history import HALF_LIVES, NAMES, AreaHistory, is_focused_fix
from testopt.risk.change_metrics import ChangeFacts, TouchedFile
from testopt.risk.fix_rate import FixRate, recall_at_effort, share_found
from testopt.risk.hotspots import MIN_LINES, Hotspot, HotspotReport, hotspots
from testopt.store import Store

START = datetime(2022, 1, 1, tzinfo=UTC)
DAY = 86_400.0


def filled(url, *, fixes=True, days=720, start=START):
    """Sixty files of 100 lines; bad/ is fixed often, good/ changed as often and never fixed."""
    rng = np.random.default_rng(1)
    commits, files = [], []

    def commit(day, touched, fix):
        sha = f"{len(commits):040x}"
        commits.append(commit_row(sha, start + timedelta(days=float(day)), is_fix=fix))
        files.extend(
            file_row(sha, path, added, deleted, status=status)
            for path, status, added, deleted in touched
        )

    names = [f"{kind}/{i:02}.py" for kind in ("bad", "good") for i in range(30)]
    commit(0, [(n, "A", 100, 0) for n in names] + [("README.md", "A", 5, 0)], fix=False)
    for day in range(1, days):
        kind, i = rng.choice(["bad", "good"]), rng.integers(30)
        commit(day, [(f"{kind}/{i:02}.py", "M", 2, 2)], fix=fixes and kind == "bad")
    store = Store.open(url, create=True)
    append_rows(store, "commits", commits)
    append_rows(store, "file_changes", files)
    return store


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return filled(str(tmp_path_factory.mktemp("hot") / "store"))


def test_what_was_fixed_comes_first(store):
    report = hotspots(store=store, days=90)
    assert report.files == 60  # the text is not program text
    first = [s.path.split("/")[0] for s in report.hotspots[:20]]
    assert first.count("bad") >= 18
    total = sum(s.expected for s in report.hotspots)
    assert 30 < total < 60  # about 45 fixes come in 90 days
    assert all(s.lines == 100 for s in report.hotspots)


def test_a_longer_time_holds_more_fixes_in_the_same_order(store):
    short, long = (hotspots(store=store, days=days) for days in (90, 730))
    assert [s.path for s in short.hotspots] == [s.path for s in long.hotspots]
    for early, late in zip(short.hotspots, long.hotspots, strict=True):
        assert late.expected == pytest.approx(early.expected * 730 / 90)
        assert early.chance < late.chance < 1
        assert late.trend == early.trend


@pytest.mark.parametrize("per_line", [False, True])
def test_the_ranking_is_checked_on_windows_it_has_not_seen(store, per_line):
    report = hotspots(store=store, per_line=per_line)
    checked = report.validation
    assert checked["expected fixes"] > checked["churn"]
    assert checked["expected fixes"] > 0.3
    assert set(checked) == {
        "expected fixes", "past fixes", "churn", "smallest first" if per_line else "size",
    }  # fmt: skip


def test_a_ranking_that_does_better_is_named():
    checked = {"expected fixes": 0.5, "size": 0.5, "churn": 0.4}
    report = HotspotReport((), 90.0, 90.0, 10, 5, checked)
    assert report.better == ""
    assert replace(report, validation={**checked, "churn": 0.6}).better == "churn"
    assert replace(report, validation=None).better == ""


def test_few_lines_are_no_area(tmp_path):
    store = filled(str(tmp_path / "store"))
    sha = f"{10**6:040x}"
    append_rows(store, "commits", [commit_row(sha, START + timedelta(days=719))])
    append_rows(store, "file_changes", [file_row(sha, "bad/tiny.py", MIN_LINES - 1, 0, status="A")])
    for by in ("file", "folder"):
        for per_line in (False, True):
            found = hotspots(store=store, by=by, per_line=per_line).hotspots
            assert "bad/tiny.py" not in {s.path for s in found}
    by_line = hotspots(store=store, per_line=True).hotspots
    assert [s.density for s in by_line] == sorted((s.density for s in by_line), reverse=True)


def test_a_young_project_has_short_windows(tmp_path):
    report = hotspots(store=filled(str(tmp_path / "store"), days=40), days=90)
    assert report.window_days == pytest.approx(10, abs=0.5)
    assert 20 < sum(s.expected for s in report.hotspots) < 90  # about 45 in 90 days


def test_a_clock_that_was_wrong_moves_no_window_into_years_to_come(tmp_path):
    store = filled(str(tmp_path / "store"), start=datetime.now(UTC) - timedelta(days=720))
    before = hotspots(store=store)
    sha = f"{10**6:040x}"
    append_rows(store, "commits", [commit_row(sha, datetime(2199, 1, 1, tzinfo=UTC))])
    append_rows(store, "file_changes", [file_row(sha, "good/00.py", 1, 0)])
    after = hotspots(store=store)
    assert after.fixed == pytest.approx(before.fixed, abs=3)
    assert after.windows == before.windows


def test_folders_are_sums_of_their_files(store):
    files = hotspots(store=store, days=90).hotspots
    folders = hotspots(store=store, days=90, by="folder").hotspots
    assert [s.path for s in folders] == ["bad", "good"]
    bad = [s for s in files if s.path.startswith("bad/")]
    assert folders[0].expected == pytest.approx(sum(s.expected for s in bad))
    assert folders[0].lines == sum(s.lines for s in bad)


def test_what_cannot_be_learnt_is_said(tmp_path):
    with pytest.raises(EmptyStoreError, match="no commits"):
        hotspots(store=Store.open(str(tmp_path / "empty"), create=True))
    clean = filled(str(tmp_path / "clean"), fixes=False, days=40)
    with pytest.raises(DataError, match=r"0 files fixed in the last \d\d days, 10 are needed"):
        hotspots(store=clean, days=3650)


@pytest.mark.parametrize(
    ("now", "before", "trend"),
    [(2.0, 1.0, "rising"), (1.0, 2.0, "falling"), (1.0, 1.1, "steady"), (1.0, None, "new")],
)
def test_trend(now, before, trend):
    assert Hotspot("a.py", now, 0.5, 500, before).trend == trend
    assert Hotspot("a.py", now, 0.5, 500, before).density == 2.0 * now


def area(path="a.py", added=10, deleted=0, **rest):
    return TouchedFile(path, ".", added, deleted, **rest)


def snapshot(state, now):
    paths, rows = state.snapshot(now * DAY)
    return {p: dict(zip(NAMES, r, strict=True)) for p, r in zip(paths, rows, strict=True)}


def test_the_past_of_a_file_fades():
    state = AreaHistory()
    state.update(ChangeFacts("ann", 0.0), [area(added=30, status="A")])
    state.update(ChangeFacts("bob", 0.0, is_fix=True), [area(added=4, deleted=2)])
    row = snapshot(state, HALF_LIVES[0])["a.py"]
    assert row["fixes_recent"] == pytest.approx(0.5)
    assert row["changes_recent"] == pytest.approx(1.0)
    assert row["fixes"] == pytest.approx(2 ** (-HALF_LIVES[0] / HALF_LIVES[1]))
    assert (row["lines"], row["people"], row["quiet_days"]) == (32, 2, HALF_LIVES[0])


def test_renamed_files_keep_their_past_and_deleted_ones_go():
    state = AreaHistory()
    state.update(ChangeFacts("ann", 0.0, is_fix=True), [area(status="A")])
    state.update(ChangeFacts("ann", 0.0), [area("b.py", 0, status="R", old_path="a.py")])
    assert list(snapshot(state, 0)) == ["b.py"]
    assert snapshot(state, 0)["b.py"]["fixes"] == 1
    state.update(ChangeFacts("ann", 0.0), [area("b.py", 0, 10, status="D")])
    assert snapshot(state, 0) == {}


def test_vast_fixes_and_merges_tell_nothing_of_a_file():
    many = [area(f"{i}.py") for i in range(51)]
    assert not is_focused_fix(ChangeFacts("a", 0.0, is_fix=True), many)
    assert is_focused_fix(ChangeFacts("a", 0.0, is_fix=True), many[:50])
    assert not is_focused_fix(ChangeFacts("a", 0.0, is_fix=True, is_merge=True), many[:1])


def test_the_share_found_by_hand():
    lines = np.array([10.0, 20.0, 30.0, 40.0])
    hit = np.array([True, False, True, True])
    assert recall_at_effort(-lines, lines, hit, 0.3) == pytest.approx(1 / 3)
    assert recall_at_effort(lines, lines, hit, 0.7) == pytest.approx(2 / 3)
    assert np.isnan(recall_at_effort(lines, lines, hit & False))


def test_the_share_of_files_found_by_hand():
    hits = np.array([1, 0, 3, 0, 0, 0, 0, 0, 0, 0])
    assert share_found(np.arange(10.0), hits, 0.2) == 0
    assert share_found(-np.arange(10.0), hits, 0.2) == pytest.approx(1 / 4)
    assert share_found(-np.arange(10.0), hits, 0.3) == 1
    assert np.isnan(share_found(np.arange(10.0), hits * 0))


def test_the_rate_is_learnt_and_bounded():
    rng = np.random.default_rng(0)
    x = np.column_stack([rng.integers(0, 20, 2000), np.ones(2000)]).astype(float)
    y = rng.poisson(0.2 * (1 + x[:, 0]))
    model = FixRate().fit(x, y)
    assert model.expected(x).mean() == pytest.approx(y.mean(), rel=0.02)
    assert model.expected(np.array([[9.0, 1.0]]))[0] == pytest.approx(2.0, rel=0.15)
    assert model.expected(np.array([[9.0, 1.0]]), 4.0)[0] == pytest.approx(8.0, rel=0.15)
    furthest = model.expected(np.array([[19.0, 1.0]]))[0]
    assert model.expected(np.array([[1e12, 1.0]]))[0] == pytest.approx(furthest)
    assert model.expected(np.empty((0, 2))).shape == (0,)


def test_the_chance_is_that_of_any_fix():
    rng = np.random.default_rng(2)
    x = np.column_stack([rng.integers(0, 20, 4000), np.ones(4000)]).astype(float)
    bursts = np.where(rng.uniform(size=4000) < 0.02 * (1 + x[:, 0]), rng.integers(1, 9, 4000), 0)
    model = FixRate().fit(x, bursts)
    assert model.chance(x).mean() == pytest.approx((bursts > 0).mean(), abs=0.02)
    assert model.chance(x).mean() < 0.8 * (1 - np.exp(-model.expected(x))).mean()
    assert model.chance(np.empty((0, 2))).shape == (0,)


def test_without_bursts_the_chance_is_that_of_a_poisson_number():
    rng = np.random.default_rng(3)
    x = np.column_stack([rng.integers(0, 20, 4000), np.ones(4000)]).astype(float)
    model = FixRate().fit(x, rng.poisson(0.1 * (1 + x[:, 0])))
    np.testing.assert_allclose(model.chance(x), 1 - np.exp(-model.expected(x)), atol=0.03)


def test_the_chance_of_a_file_is_that_of_its_parts_together():
    """Parts share the bursts: half of a rate that is sure of a fix is nearly as sure of one."""
    model = FixRate()
    model.shape_ = 2.0
    rng = np.random.default_rng(4)
    fixes = rng.poisson(8.0 * rng.gamma(model.shape_, 1 / model.shape_, 100_000))
    in_half = rng.binomial(fixes, 0.5)
    assert model.chance_of(8.0) == pytest.approx((fixes > 0).mean(), abs=0.01)
    assert model.chance_of(4.0) == pytest.approx((in_half > 0).mean(), abs=0.01)
