"""A store under random work and damage: what was acknowledged is there, or is named."""

from __future__ import annotations

import random
import shutil
import tempfile
from pathlib import Path

import pyarrow as pa
import pytest
from builders import make_record, prediction_row
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from testopt.schema import TABLES, arrow_schema
from testopt.store import Store
from testopt.store.records import record_tables

CASES = [f"tests/test_a.py::test_{n}" for n in range(7)]
RUN_TABLES = ("results", "run_changes", "predictions")


def record(number):
    cases = CASES[: 3 + number % 5]
    plan = [prediction_row(case, policy="p") for case in cases[:2]]
    change = [f"src/{number % 3}.py"]
    return make_record(
        f"run-{number:03}", cases, cases[:1], hours=number, change=change, predictions=plan,
        commit=f"{number:040x}", job="unit",
    )  # fmt: skip


def rows_of(run):
    """Return the rows of a run by table, as sorted lists of keys."""
    tables = record_tables(run, seen=run.run.time)
    keys = {"results": ["case_id", "outcome"], "run_changes": ["path"], "predictions": ["case_id"]}
    return {t: sorted(zip(*(tables[t][k].to_pylist() for k in keys[t]), strict=True)) for t in keys}


def commit_row(number):
    row = dict.fromkeys(TABLES["commits"]) | {"sha": f"{number:040x}", "parents": [], "author": "a"}
    row |= {"time": record(1).run.time, "committed": record(1).run.time}
    return row | {"is_fix": False, "is_merge": False, "is_revert": False}


class DamagedStore(RuleBasedStateMachine):
    """Rules append, compact, die and damage; after each damage the store is repaired."""

    @initialize(seed=st.integers(0, 1 << 20))
    def start(self, seed):
        self.folder = Path(tempfile.mkdtemp(prefix="testopt-damage-"))
        self.url = str(self.folder / "s")
        self.chance = random.Random(seed)
        self.next = 0
        self.runs = {}
        self.commits = set()
        self.lost = set()
        self.unfinished = []
        self.store = Store.open(self.url, create=True, compact_files=6)

    def teardown(self):
        shutil.rmtree(getattr(self, "folder", ""), ignore_errors=True)

    @rule(count=st.integers(1, 3), chunked=st.booleans())
    def append(self, count, chunked):
        for _ in range(count):
            run = record(self.next)
            self.next += 1
            if chunked:
                self._append_in_parts(run)
            else:
                assert self.store.append_runs([run]) == 1
            self.runs[run.run.run_id] = run
        self._commit(self.next + 1000)

    def _append_in_parts(self, run):
        run_id, tables = run.run.run_id, record_tables(run, seen=run.run.time)
        half = tables["results"].num_rows // 2
        parts = {f"{run_id}#a#0": tables["results"].slice(0, half),
                 f"{run_id}#b#0": tables["results"].slice(half)}  # fmt: skip
        for key, rows in parts.items():
            self.store.append("results", {key: rows})
        for table in ("run_changes", "predictions", "runs"):
            self.store.append(table, {run_id: tables[table]})

    def _commit(self, number):
        mine(self.store, number)
        self.commits.add(number)

    @rule()
    def compact(self):
        self.store.compact()

    @rule()
    def die_half_way(self):
        """Leave what a writer leaves that is killed before its run is there."""
        run = record(self.next)
        self.next += 1
        results = record_tables(run, seen=run.run.time)["results"]
        half = results.num_rows // 2
        self.store.append("results", {f"{run.run.run_id}#a#0": results.slice(0, half)})
        self.store._logs["results"]._write([results.slice(half)], {})  # no commit
        self.unfinished.append(run)

    @rule()
    def start_again(self):
        """The writer that died starts again, and appends all that it has."""
        for run in self.unfinished:
            self._append_in_parts(run)
            self.runs[run.run.run_id] = run
        self.unfinished = []
        self._each_run_is_whole(self.store)

    @precondition(lambda self: self.runs)
    @rule(table=st.sampled_from(["runs", *RUN_TABLES, "commits", "file_changes"]),
          how=st.sampled_from(["flip", "truncate", "delete", "empty"]))  # fmt: skip
    def damage_rows(self, table, how):
        self._damaged_and_mended(table, "rows", how)

    @precondition(lambda self: self.runs)
    @rule(table=st.sampled_from(["runs", *RUN_TABLES, "commits", "file_changes"]),
          part=st.sampled_from(["log", "all log", "last entry", "format"]),
          how=st.sampled_from(["flip", "truncate", "delete", "empty"]))  # fmt: skip
    def damage_log(self, table, part, how):
        self._damaged_and_mended(table, part, how)

    def _damaged_and_mended(self, table, part, how):
        self._damage(table, part, how)
        problems = self._repaired()
        again = Store.open(self.url)
        assert again.check() == [], (part, how)
        named = " ".join(f"{p.message} {p.done}" for p in problems)
        self._compare(again, named, lossless=part in {"log", "all log", "last entry", "format"})
        self._bring_back(again)
        self.store = Store.open(self.url, compact_files=6)

    def _damage(self, table, part, how):
        root = Path(self.url)
        log = root / table / "_delta_log"
        files = {
            "rows": sorted((root / table).glob("*.parquet")),
            "log": sorted(log.glob("*")),
            "all log": [],
            "last entry": sorted(log.glob("*.json"))[-1:],
            "format": [root / "format.json"],
        }[part]
        if part == "all log":
            shutil.rmtree(log)
            return
        file = self.chance.choice([f for f in files if f.is_file()])
        content = bytearray(file.read_bytes())
        if how == "delete" or part == "last entry":
            file.unlink()
        elif how == "empty":
            file.write_bytes(b"")
        elif how == "truncate":
            file.write_bytes(content[: self.chance.randrange(len(content))])
        else:
            content[self.chance.randrange(len(content))] ^= 1 << self.chance.randrange(8)
            file.write_bytes(content)

    def _repaired(self):
        """Repair as `testopt store check --repair` does; return what was found."""
        problems = Store.repair_format(self.url)
        problems += Store.open(self.url).check(repair=True)
        assert all(p.mended for p in problems if p.kind != "leftover"), problems
        return problems

    def _compare(self, store, named, *, lossless):
        there = store.run_ids()
        for run_id, run in self.runs.items():
            if run_id not in there:
                assert repr(run_id) in named
                assert not lossless
                continue
            expected = rows_of(run)
            for table, keys in expected.items():
                found = rows_in(store, table, run_id)
                assert len(found) <= len(keys)
                if found != keys and (run_id, table) not in self.lost:
                    assert table != "results"
                    assert "its rows were removed" in named
                    assert not lossless
                    self.lost.add((run_id, table))  # nobody brings the plan or change of a run
        if mined(store) != {f"{n:040x}" for n in self.commits}:
            assert "testopt mine" in named
            assert not lossless

    def _bring_back(self, store):
        """Whoever ingests and mines again has everything, once."""
        store.append_runs(self.runs.values())
        assert store.run_ids() >= set(self.runs)
        self._each_run_is_whole(store)
        for number in self.commits - {int(sha, 16) for sha in mined(store)}:
            mine(store, number)
        assert mined(store) == {f"{n:040x}" for n in self.commits}
        assert store.read("file_changes").num_rows == len(self.commits)
        assert store.check() == []

    def _each_run_is_whole(self, store):
        for run_id, run in self.runs.items():
            assert rows_in(store, "results", run_id) == rows_of(run)["results"]


def mine(store, number):
    """Append a commit as `testopt mine` does: what it changes first, unless that is there."""
    sha = f"{number:040x}"
    row = dict.fromkeys(TABLES["file_changes"]) | {"sha": sha, "path": "a.py", "status": "M"}
    row |= {"subsystem": "a.py", "language": "Python", "is_test": False}
    if sha not in store.read("file_changes", columns=["sha"])["sha"].to_pylist():
        rows = pa.Table.from_pylist([row], schema=arrow_schema("file_changes"))
        assert store.append("file_changes", {f"range {number}": rows})
    rows = pa.Table.from_pylist([commit_row(number)], schema=arrow_schema("commits"))
    assert store.append("commits", {f"range {number}": rows})


def mined(store):
    """Return the commits that `testopt mine` does not read again."""
    return set(store.read("commits", columns=["sha"])["sha"].to_pylist())


def rows_in(store, table, run_id):
    """Return the rows of a run in a store, as in `rows_of`."""
    names = {"results": ["case_id", "outcome"], "run_changes": ["path"], "predictions": ["case_id"]}
    columns = names[table]
    rows = store.read(table, columns=columns, where=[("run_id", "==", run_id)])
    return sorted(zip(*(rows[c].to_pylist() for c in columns), strict=True))


def _settings(examples):
    return settings(
        max_examples=examples, stateful_step_count=12, deadline=None, derandomize=True,
        suppress_health_check=list(HealthCheck), phases=[Phase.generate],
    )  # fmt: skip


def test_twenty_damages():
    run_state_machine_as_test(DamagedStore, settings=_settings(6))


@pytest.mark.slow
def test_two_hundred_damages():
    run_state_machine_as_test(DamagedStore, settings=_settings(70))
