"""Errors and calibration of change risk by group: as fairlearn counts, and nobody is shown."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from builders import append_rows, commit_row, file_row, label_row

from testopt.cli.fairness import fairness_dict, fairness_lines
from testopt.errors import DataError, UsageError
from testopt.risk.fairness import FLAGGED, risk_fairness
from testopt.store import Store
from testopt.store.examined import Examined, write_examined

START = datetime(2023, 1, 1, tzinfo=UTC)
pytest.importorskip("fairlearn")


def filled(url, *, people=9, n=700, guilty=None):
    """Changes of two folders; each person comes a hundred days after the one before."""
    rng = np.random.default_rng(0)
    added = np.floor(np.exp(rng.normal(3.0, 1.3, n))).astype(int)
    folder = ["core" if v else "web" for v in rng.integers(0, 2, n)]
    bad = rng.uniform(size=n) < 1 / (1 + np.exp(-(1.2 * np.log1p(added) - 5.0)))
    bad = bad if guilty is None else bad & guilty
    commits, files, labels = [], [], []
    for i in range(n):
        time = START + timedelta(days=i * 1.4)
        present = min(int(i * 1.4 / 100) + 1, people)
        sha, author = f"{i:040x}", f"person-{rng.integers(present)}"
        commits.append(commit_row(sha, time, author=author))
        files.append(file_row(sha, f"{folder[i]}/{i % 5}.py", added[i]))
        if bad[i]:
            labels.append(label_row(f"{n + i:040x}", sha, time))
    store = Store.open(url, create=True)
    for table, rows in (("commits", commits), ("file_changes", files), ("labels", labels)):
        append_rows(store, table, rows)
    write_examined(store, Examined(time, sha))
    return store, folder, bad


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    store, folders, bad = filled(str(tmp_path_factory.mktemp("fair") / "store"))
    return risk_fairness(store=store), np.array(folders), bad


def test_figures_of_folders_are_those_counted_by_hand(judged):
    report, folders, bad = judged
    by_folder = {g.group: g for g in report.groups if g.by == "folder"}
    assert set(by_folder) == {"core", "web"}
    assert sum(g.changes for g in by_folder.values()) == report.checked == 140
    young = np.arange(700) >= 560
    for name, group in by_folder.items():
        own = bad[young & (folders == name)]
        assert group.changes == len(own)
        assert group.rate == pytest.approx(own.mean())
        assert 0.0 < group.predicted < 1.0
        assert group.auc > 0.6
    flagged = sum(
        g.changes * (g.rate * (1 - g.missed) + (1 - g.rate) * g.false_alarms)
        for g in by_folder.values()
    )
    assert flagged == pytest.approx(FLAGGED * report.checked, abs=1.5)


def test_the_model_is_judged_with_words_as_it_is_used(judged, tmp_path, monkeypatch):
    store, _, bad = filled(str(tmp_path / "store"))
    words = {f"{i:040x}": 900 if guilty else 0 for i, guilty in enumerate(bad)}
    monkeypatch.setattr("testopt.risk.fairness.explained", lambda *_: words)
    assert risk_fairness(store=store, repo=Path("anywhere")).auc > judged[0].auc + 0.1


def test_tenures_of_few_people_are_hidden(judged, tmp_path):
    report, _, _ = judged
    tenures = [g for g in report.groups if g.by == "tenure"]
    assert "over a year" in {g.group for g in tenures}
    assert sum(g.changes for g in tenures) + report.hidden == report.checked
    alone, _, _ = filled(str(tmp_path / "store"), people=1, n=300)
    assert not [g for g in risk_fairness(store=alone).groups if g.by == "tenure"]


def test_nobody_is_shown(judged):
    report, _, _ = judged
    text = "\n".join(fairness_lines(report))
    assert "person" not in text
    assert "person" not in str(fairness_dict(report))
    assert "without metrics of the author" in text
    assert 0.5 < report.auc_without_authors < 1.0


def test_a_rate_without_a_denominator_is_no_number(tmp_path):
    _, folders, _ = filled(str(tmp_path / "first"), n=300)
    core = np.array([f == "core" for f in folders])
    store, _, _ = filled(str(tmp_path / "store"), n=300, guilty=core)
    report = risk_fairness(store=store)
    (web,) = [g for g in report.groups if g.group == "web"]
    assert np.isnan(web.missed)
    assert np.isnan(web.auc)
    (row,) = [g for g in fairness_dict(report)["groups"] if g["group"] == "web"]
    assert row["missed"] is None
    assert any(line.endswith("  -") for line in fairness_lines(report))


def test_what_cannot_be_checked_is_said(tmp_path, monkeypatch):
    store, _, _ = filled(str(tmp_path / "store"), n=30)
    with pytest.raises(DataError, match="too few"):
        risk_fairness(store=store)

    monkeypatch.setitem(sys.modules, "fairlearn.metrics", None)
    with pytest.raises(UsageError, match="not installed"):
        risk_fairness(store=store)
