"""Hotspots: learnt from the past alone, and checked against rankings that need no learning."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from builders import append_rows, commit_row, file_row

from testopt.errors import DataError, EmptyStoreError
from testopt.risk.area_history import HALF_LIVES, NAMES, AreaHistory, is_focused_fix
from testopt.risk.change_metrics import ChangeFacts, TouchedFile
from testopt.risk.fix_rate import FixRate, recall_at_effort
from testopt.risk.hotspots import Hotspot, hotspots
from testopt.store import Store

START = datetime(2022, 1, 1, tzinfo=UTC)
DAY = 86_400.0


def filled(url, *, fixes=True, days=720):
    """Sixty files of 100 lines; bad/ is fixed often, good/ changed as often and never fixed."""
    rng = np.random.default_rng(1)
    commits, files = [], []

    def commit(day, touched, fix):
        sha = f"{len(commits):040x}"
        commits.append(commit_row(sha, START + timedelta(days=float(day)), is_fix=fix))
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


def test_the_ranking_is_checked_on_a_window_it_has_not_seen(store):
    checked = hotspots(store=store, days=90).validation
    assert checked["chance of a fix per line"] > checked["churn per line"]
    assert checked["expected fixes per line"] > 0.3
    assert set(checked) >= {"largest first", "churn alone", "smallest first"}


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
    with pytest.raises(DataError, match="too few fixes"):
        hotspots(store=clean)


@pytest.mark.parametrize(
    ("now", "before", "trend"),
    [(2.0, 1.0, "rising"), (1.0, 2.0, "falling"), (1.0, 1.1, "steady"), (1.0, None, "new")],
)
def test_trend(now, before, trend):
    assert Hotspot("a.py", now, 0.5, 500, before).trend == trend
    assert Hotspot("a.py", now, 0.5, 500, before).density == 1.0


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


def test_the_rate_is_learnt_and_bounded():
    rng = np.random.default_rng(0)
    x = np.column_stack([rng.integers(0, 20, 2000), np.ones(2000)]).astype(float)
    y = rng.poisson(0.2 * (1 + x[:, 0]))
    model = FixRate().fit(x, y)
    assert model.predict(x).mean() == pytest.approx(y.mean(), rel=0.02)
    assert model.predict(np.array([[9.0, 1.0]]))[0] == pytest.approx(2.0, rel=0.15)
    assert model.predict(np.array([[1e12, 1.0]]))[0] <= 2 * y.max()
    assert model.predict(np.empty((0, 2))).shape == (0,)


def test_the_chance_is_that_of_any_fix():
    rng = np.random.default_rng(2)
    x = np.column_stack([rng.integers(0, 20, 4000), np.ones(4000)]).astype(float)
    bursts = np.where(rng.uniform(size=4000) < 0.02 * (1 + x[:, 0]), rng.integers(1, 9, 4000), 0)
    model = FixRate().fit(x, bursts)
    assert model.chance(x).mean() == pytest.approx((bursts > 0).mean(), abs=0.01)
    assert model.chance(x).mean() < 0.8 * (1 - np.exp(-model.predict(x))).mean()
    assert model.chance(np.empty((0, 2))).shape == (0,)
    always = FixRate().fit(x, bursts + 1)
    np.testing.assert_allclose(always.chance(x), 1 - np.exp(-always.predict(x)))
