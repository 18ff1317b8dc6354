"""Checks of the data that models learn from: what refuses a training, what warns, what is fine."""

from datetime import timedelta

import numpy as np
import pytest
from builders import START, append_rows, make_record, new_store, run_features

from testopt.features.training_set import TrainingSet
from testopt.quality import check_data
from testopt.quality.leaks import check_leaks
from testopt.train import train

CASES = [f"t.py::test_{n}" for n in range(4)]
NOW = START + timedelta(days=400)


def records(n=40, **facts):
    """Return runs an hour apart, every third of which fails."""
    return [
        make_record(f"r{i}", CASES, CASES[:1] if i % 3 == 0 else (), hours=i, commit=f"{i:040x}",
                    seconds=0.1 + i / 1000, **facts)
        for i in range(n)
    ]  # fmt: skip


def found(store, **given):
    return {f.slug: f for f in check_data(store, now=NOW, **given).findings}


def result_row(run, case, **values):
    usual = {"outcome": "passed", "duration_s": 0.1, "attempt": 1}
    return {"run_id": run, "case_id": case, **usual, **values}


def test_a_usual_history_is_fine(tmp_path):
    report = check_data(new_store(tmp_path, records=records()), now=NOW, whole=True)
    assert report.findings == ()
    assert (report.runs, report.results) == (40, 160)
    assert report.as_dict()["ok"]


def test_one_run_is_refused_and_few_are_a_doubt(tmp_path):
    one = new_store(tmp_path, "one", records(1))
    assert found(one)["one-run"].severity == "error"
    with pytest.raises(Exception, match="there is one run") as caught:
        train(store=one)
    assert caught.value.exit_code == 3
    assert found(new_store(tmp_path, "few", records(5)))["few-runs"].severity == "doubt"


@pytest.mark.parametrize(
    ("values", "slug"),
    [
        ({"outcome": "maybe"}, "outcome"),
        ({"attempt": 0}, "attempt"),
        ({"duration_s": -1.0}, "duration"),
        ({"duration_s": float("inf")}, "duration"),
        ({"case_id": CASES[0]}, "doubles"),
    ],
)
def test_rows_that_cannot_be_refuse_a_training(tmp_path, values, slug):
    store = new_store(tmp_path, records=records())
    append_rows(store, "results", [result_row("r3", "new", **values)], part="r3#2")
    finding = found(store)[slug]
    assert (finding.severity, finding.count) == ("error", 1)
    with pytest.raises(Exception, match="1 ") as caught:
        train(store=store)
    assert "testopt train --check" in caught.value.hint
    if slug not in {"doubles", "duration"}:
        assert "schema" in found(store, whole=True)  # pandera finds the same


def test_a_run_is_learnt_from_twice(tmp_path):
    one, *rest = records()
    again = make_record("copy", CASES, CASES[:1], hours=0, commit=one.run.commit, seconds=0.1)
    finding = found(new_store(tmp_path, records=[one, *rest, again]))["runs-twice"]
    assert (finding.severity, finding.count) == ("doubt", 1)
    other = make_record("other", CASES, CASES[:1], hours=0, commit=one.run.commit, job="b")
    assert "runs-twice" not in found(new_store(tmp_path, "b", [one, *rest, other]))


def test_clocks_gaps_and_commits(tmp_path):
    store = new_store(tmp_path)
    store.append_runs(records(), seen=START - timedelta(days=9))
    assert found(store)["clock"].count == 40
    rows = [*records(20), *(
        make_record(f"l{i}", CASES, hours=2000 + i, seconds=0.2 + i / 1000) for i in range(20)
    )]  # fmt: skip
    later = found(new_store(tmp_path, "gaps", rows))
    assert later["gaps"].examples == ("83 days from 2026-01-01",)
    assert (later["no-commit"].severity, later["no-commit"].count) == ("doubt", 20)
    same = [make_record(f"s{i}", CASES, seconds=0.1 + i, commit="a" * 40) for i in range(12)]
    assert found(new_store(tmp_path, "same", same))["same-times"].count == 12


def test_jumps_and_slower_cases(tmp_path):
    more = [*CASES, *(f"u.py::{n}" for n in range(9))]
    young = [
        make_record(f"x{i}", more, hours=40 + i, commit=f"{40 + i:040x}", seconds=99 + i / 99)
        for i in range(10)
    ]
    jumps = found(new_store(tmp_path, records=[*records(), *young]))
    assert jumps["jump-cases"].examples == ("no job: 4 to 13 at x0 (2026-01-02)",)
    assert jumps["jump-seconds"].severity == "doubt"
    assert (jumps["slower"].severity, jumps["slower"].count) == ("note", 4)
    # single runs of a part of the suite are no jump
    parts = [make_record(f"p{i}", CASES[:1], hours=i + 0.5, commit="c" * 40, seconds=i + 9.0)
             for i in range(0, 40, 5)]  # fmt: skip
    assert not {f for f in found(new_store(tmp_path, "b", [*records(), *parts])) if "jump" in f}


def test_the_balance_of_outcomes(tmp_path):
    never = [make_record(f"r{i}", CASES, hours=i, commit=f"{i:040x}") for i in range(150)]
    bad = make_record("bad", CASES, CASES[:1], hours=200, commit="b" * 40)
    assert found(new_store(tmp_path, records=[*never, bad]))["balance"].severity == "doubt"


def test_ids_that_change_with_each_run(tmp_path):
    rows = [make_record(f"r{i}", [f"t.py::test[0x{i}{n}]" for n in range(5)], hours=i,
                        commit=f"{i:040x}", seconds=i + 1.0) for i in range(12)]  # fmt: skip
    assert found(new_store(tmp_path, records=rows))["once"].count == 60
    # cases of later runs, and cases of unknown duration, are none of these
    some = [make_record(f"s{i}", CASES, hours=i, commit=f"{i:040x}", seconds=None)
            for i in range(12)]  # fmt: skip
    later = [make_record(f"l{i}", [f"x{i}"], hours=99 + i, commit=f"{i:040x}") for i in range(9)]
    early = START + timedelta(hours=50)
    assert "once" not in found(new_store(tmp_path, "b", [*some, *later]), until=early)


def test_a_feature_that_knows_the_outcome():
    rng, n = np.random.default_rng(0), 2000
    y = rng.random(n) < 0.05

    def rows(**values):
        run = np.repeat(np.arange(n // 20), 20).astype(np.int32)
        no = np.zeros(n, bool)
        return TrainingSet(run_features(n, **values), y, run, np.ones(n, np.float32), no, no)

    (leak,) = check_leaks(rows(calls_share=y.astype(float)), 0)
    assert (leak.slug, leak.severity) == ("leak", "doubt")
    assert "calls_share" in leak.message
    assert not list(check_leaks(rows(calls_share=rng.random(n)), 0))


def test_without_pandera_a_note_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr("testopt.quality.schemas.find_spec", lambda _: None)
    note = found(new_store(tmp_path, records=records()), whole=True)["schemas"]
    assert (note.severity, note.fix) == ("note", "pip install 'testopt[quality]'")
