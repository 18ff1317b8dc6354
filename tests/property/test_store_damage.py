"""A store under random work, deaths and damage.

What was acknowledged is there, or is named; what was forgotten never comes back.
"""

from __future__ import annotations

import random
import shutil
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest import mock

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from builders import arrow_rows, label_row, link_row, make_record, new_store, prediction_row
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

from testopt.ingest.merged_stores import merge_store
from testopt.schema import TABLES, arrow_schema
from testopt.store import Store
from testopt.store.delta import TableLog
from testopt.store.forgotten import COPIES, NOBODY
from testopt.store.location import Location
from testopt.store.rebuild import COMMANDS
from testopt.store.records import record_tables

CASES = [f"tests/test_a.py::test_{n}" for n in range(7)]
LOG, BESIDE = ("log", "checkpoint", "all log", "last entry"), ("format", "list", "cache")
WHEN = ("before", "within", "after")
HOW = ("flip", "truncate", "delete", "empty")
SHOWN = {"results": ["case_id", "outcome"], "run_changes": ["path"], "predictions": ["case_id"]}
WORKS = ("_append_in_parts", "_append_at_once", "_merge")


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
    return {
        t: sorted(zip(*(tables[t][k].to_pylist() for k in keys), strict=True))
        for t, keys in SHOWN.items()
    }


class Killed(BaseException):
    """The process is gone: nothing of it writes any more."""


@contextmanager
def killed(at, how):
    """Die at the write number `at`: before it, in the middle of it, or right after it."""
    left = [at]

    def dying(original):
        def call(*args, **named):
            left[0] -= 1
            if left[0] > 0:
                return original(*args, **named)
            if left[0] == 0 and how == "after":
                original(*args, **named)
            if left[0] == 0 and how == "within" and original is write:
                place = args[0].local / args[1]
                place.parent.mkdir(parents=True, exist_ok=True)
                (place.parent / f".tmp-{at}").write_bytes(b"PAR1 half")
            raise Killed

        return call

    write = Location.write
    with ExitStack() as stack:
        for owner, name in ((Location, "write"), (Location, "delete"), (TableLog, "_try_commit"),
                            (TableLog, "checkpoint"), (Path, "rename")):  # fmt: skip
            stack.enter_context(mock.patch.object(owner, name, dying(getattr(owner, name))))
        yield


def commit_row(number):
    row = dict.fromkeys(TABLES["commits"]) | {"sha": f"{number:040x}", "parents": [], "author": "a"}
    row |= {"time": record(1).run.time, "committed": record(1).run.time}
    return row | {"is_fix": False, "is_merge": False, "is_revert": False}


class DamagedStore(RuleBasedStateMachine):
    """Rules append, merge, compact, forget, die and damage; after damage the store is repaired."""

    damages = 0

    @initialize(seed=st.integers(0, 1 << 20))
    def start(self, seed):
        self.folder = Path(tempfile.mkdtemp(prefix="testopt-damage-"))
        self.url = str(self.folder / "s")
        self.chance = random.Random(seed)
        self.next = 0
        self.runs = {}
        self.commits = set()
        self.measured = {"links": set(), "labels": set()}
        self.forgotten, self.authors = set(), set()
        self.lost = set()
        self.unfinished = []  # what a writer that died does when it starts again
        self.store = Store.open(self.url, create=True, compact_files=6)
        self._write("_append_at_once")

    def teardown(self):
        shutil.rmtree(getattr(self, "folder", ""), ignore_errors=True)

    def _records(self, count):
        self.next += count
        return [record(number) for number in range(self.next - count, self.next)]

    @rule(work=st.sampled_from(WORKS))
    def append(self, work):
        self._write(work)

    def _write(self, work):
        runs = self._records(2)
        getattr(self, work)(runs)
        self._acknowledge(runs)
        mine(self.store, self.next + 1000)
        self.commits.add(self.next + 1000)
        for table, numbers in self.measured.items():
            assert self._measure(table, self.next) or not self._kept(table, {1})
            numbers.add(self.next)

    def _acknowledge(self, runs):
        self.runs |= {run.run.run_id: run for run in runs}

    def _measure(self, table, number):
        row = link_row(CASES[0], f"{number}.py") if table == "links" else label_row(f"{number}", "")
        return self.store.append(table, {f"part {number}": arrow_rows(table, [row])})

    def _append_in_parts(self, runs):
        for run in runs:
            run_id, tables = run.run.run_id, record_tables(run, seen=run.run.time)
            half = tables["results"].num_rows // 2
            parts = {f"{run_id}#a#0": tables["results"].slice(0, half),
                     f"{run_id}#b#0": tables["results"].slice(half)}  # fmt: skip
            for key, rows in parts.items():
                self.store.append("results", {key: rows})
            for table in ("run_changes", "predictions", "runs"):
                self.store.append(table, {run_id: tables[table]})

    def _append_at_once(self, runs):
        self.store.append_runs(runs)

    def _merge(self, runs):
        """Take in what another machine wrote: the runs, and one that is known, if there is one."""
        known = list(self.runs.values())[:1]
        name = f"other-{runs[0].run.run_id}"
        other = new_store(self.folder, name)
        other.append_runs([*known, *runs])
        merge_store(self.store, other)

    def _forget(self, case, people):
        with self.store.forgetting(cases=[case], authors=people):
            pass

    def _forgot(self, cases, people):
        self.forgotten |= set(cases)
        self.authors |= set(people)
        self._nothing_is_wrong()

    @rule(work=st.sampled_from(WORKS), at=st.integers(1, 12), how=st.sampled_from(WHEN))
    def die_while_writing(self, work, at, how):
        runs = self._records(2)
        try:
            with killed(at, how):
                getattr(self, work)(runs)
        except Killed:
            self.unfinished.append((work, runs))
            self._reopen_after_death()
        else:
            self._acknowledge(runs)

    @rule(case=st.sampled_from([None, *CASES[:5]]), at=st.sampled_from([*range(1, 24), *[99] * 9]),
          how=st.sampled_from(WHEN))  # fmt: skip
    def compact_or_forget(self, case, at, how):
        """Compact, or forget a case and at times an author, and perhaps die meanwhile."""
        people = ["a"] if at % 2 else []
        try:
            with killed(at, how):
                self.store.compact() if case is None else self._forget(case, people)
        except Killed:
            self._reopen_after_death()
        else:
            self._forgot([case] if case else [], people if case else [])

    def _reopen_after_death(self):
        """Open the store as the next process does; dead writers leave but what can be mended."""
        self.store = Store.open(self.url, compact_files=6)
        assert {p.kind for p in self.store.check()} <= {"lost", "forget", "list"}
        if self.store.forgotten().pending or self.chance.random() < 0.5:
            self._repaired()
        self.forgotten |= set(self.store.forgotten().among(CASES))
        self.authors |= {"a"} if self.store.forgotten().authors else set()
        whole = self.store.run_ids()
        for _, runs in self.unfinished:
            self._acknowledge(run for run in runs if run.run.run_id in whole)
        self._each_run_is_whole(self.store)

    @rule()
    def start_again(self):
        """Writers that died start again, and write all that they have."""
        for _ in range(2):
            for work, runs in self.unfinished:
                getattr(self, work)(runs)
            # damage may have taken a part of theirs that they had written, and count as written;
            # or somebody wrote the run as a whole meanwhile
            if not {"incomplete", "doubled"} & {p.kind for p in self.store.check()}:
                break
            self._repaired()
        for _, runs in self.unfinished:
            self._acknowledge(runs)
        self.unfinished = []
        self._each_run_is_whole(self.store)

    @rule(table=st.sampled_from(list(TABLES)), dies=st.integers(0, 9), how=st.sampled_from(HOW))
    def damage_rows(self, table, how, dies):
        self._damaged_and_mended([(table, "rows", how)], dies)

    @rule(table=st.sampled_from(list(TABLES)), part=st.sampled_from(LOG), dies=st.integers(0, 9),
          how=st.sampled_from(HOW))  # fmt: skip
    def damage_log(self, table, part, how, dies):
        self._damaged_and_mended([(table, part, how)], dies)

    @rule(part=st.sampled_from(BESIDE), how=st.sampled_from(HOW))
    def damage_beside(self, part, how):
        self._damaged_and_mended([("", part, how)], 0)

    @rule(damages=st.lists(st.tuples(st.sampled_from(list(TABLES)),
                                     st.sampled_from(["rows", *LOG, *BESIDE]),
                                     st.sampled_from(HOW)), min_size=2, max_size=3),
          dies=st.integers(0, 9))  # fmt: skip
    def damage_several(self, damages, dies):
        """Damage several tables; where a row and all that tells of it are gone nobody can know."""
        rows = {table for table, part, _ in damages if part == "rows"}
        several = dict.fromkeys(table for table, _, _ in damages)
        if {"runs", "results"} <= rows:
            several.pop("runs")
        damages = {table: (table, part, how) for table, part, how in damages if table in several}
        self._damaged_and_mended(list(damages.values()), dies)

    def _damaged_and_mended(self, damages, dies):
        damages = [damage for damage in damages if self._damage(*damage)]
        if not damages:
            return
        type(self).damages += len(damages)
        named = self._killed_repair(dies) if dies % 3 == 1 else ""
        problems = self._repaired()
        again = Store.open(self.url)
        assert again.check() == [], damages
        named += " ".join(f"{p.message} {p.done}" for p in problems)
        self._compare(again, named, lossless=all(part != "rows" for _, part, _ in damages))
        self._bring_back(again)
        self.store = Store.open(self.url, compact_files=6)

    def _killed_repair(self, dies):
        """Die in a repair; return what stands in ``damaged`` then, for nobody read its words."""
        try:
            with killed(dies, self.chance.choice(WHEN)):
                problems = self._repaired()
        except Killed:
            damaged = Path(self.url) / "damaged"
            words = [path.read_text() for path in damaged.glob("*.txt")]
            kept = list(damaged.rglob("*.parquet"))
            words += ["its rows were removed" * bool(kept), *map(_run_ids, kept)]
            # of a table that was made anew its folder tells
            return " ".join([*words, *(COMMANDS.get(_table(path), "") for path in kept)])
        return " ".join(f"{p.message} {p.done}" for p in problems)

    def _damage(self, table, part, how):
        root = Path(self.url)
        log = root / table / "_delta_log"
        if part == "all log" and log.exists():
            shutil.rmtree(log)
            return True
        files = {
            "rows": (root / table).glob("*.parquet"),
            "log": log.glob("*"),
            "checkpoint": log.glob("*checkpoint*"),
            "last entry": sorted(log.glob("*.json"))[-1:],
            "format": [root / "format.json"],
            "list": [root / self.chance.choice(COPIES)],
            "cache": (root / "state").glob("recent*"),
        }.get(part, ())
        whole = sorted(f for f in files if f.is_file() and f.stat().st_size)
        if not whole:
            return False
        file = self.chance.choice(whole)
        content = bytearray(file.read_bytes())
        if how == "delete" or part == "last entry":
            file.unlink()
        elif how == "empty":
            file.write_bytes(b"")
        elif how == "truncate":
            file.write_bytes(content[: self.chance.randrange(len(content))])
        else:
            # a bit of the number of the format makes the store one of a newer testopt
            end = 1 if part == "format" else len(content)
            content[self.chance.randrange(end)] ^= 1 << self.chance.randrange(8)
            file.write_bytes(content)
        return True

    def _repaired(self):
        """Repair as `testopt store check --repair` does; return what was found."""
        problems = Store.repair_format(self.url)
        self.store = Store.open(self.url, compact_files=6)
        problems += self.store.check(repair=True)
        assert all(p.mended for p in problems if p.kind not in {"leftover", "forget"}), problems
        if self.store.forgotten().pending:
            with self.store.forgetting():
                pass
        return problems

    def _expected(self, run):
        found = rows_of(run)
        for table in ("results", "predictions"):
            found[table] = [row for row in found[table] if row[0] not in self.forgotten]
        return found

    def _compare(self, store, named, *, lossless):
        there, rows = store.run_ids(), rows_in(store)
        for run_id, run in self.runs.items():
            expected = self._expected(run)
            if run_id not in there:
                assert repr(run_id) in named or not expected["results"]  # all was forgotten
                assert not lossless
                continue
            for table, keys in expected.items():
                found = rows[table].get(run_id, [])
                assert len(found) <= len(keys)
                if found != keys and (run_id, table) not in self.lost:
                    assert table != "results"
                    assert "its rows were removed" in named
                    assert not lossless
                    self.lost.add((run_id, table))  # nobody brings the plan or change of a run
        if mined(store) != {f"{n:040x}" for n in self.commits}:
            assert "testopt mine" in named
            assert not lossless
        for table, numbers in self.measured.items():
            if not numbers_of(store, table) >= self._kept(table, numbers):
                assert COMMANDS[table] in named
                assert not lossless
        self._no_trace(store)

    def _kept(self, table, numbers):
        return set() if table == "links" and CASES[0] in self.forgotten else numbers

    def _bring_back(self, store):
        """Whoever ingests and mines again has everything, once."""
        self.store = store
        store.append_runs(self.runs.values())
        assert store.run_ids() >= set(self.runs)
        for number in self.commits - {int(sha, 16) for sha in mined(store)}:
            mine(store, number)
        for table, numbers in self.measured.items():
            for number in numbers - numbers_of(store, table):
                self._measure(table, number)
            assert numbers_of(store, table) >= self._kept(table, numbers)
        assert store.read("file_changes").num_rows == len(self.commits)
        self._nothing_is_wrong()

    def _nothing_is_wrong(self):
        """Everything is there, once, and a check says nothing."""
        assert self.store.check() == []
        self._each_run_is_whole(self.store)
        assert mined(self.store) == {f"{n:040x}" for n in self.commits}
        self._no_trace(self.store)

    def _each_run_is_whole(self, store):
        columns = ["run_id", "cases", "failed"]
        said = {row["run_id"]: row for row in store.read("runs", columns=columns).to_pylist()}
        there = rows_in(store, ["results"])["results"]
        for run_id, run in self.runs.items():
            results = self._expected(run)["results"]
            assert there.get(run_id, []) == results
            counts = (len(results), sum(outcome == "failed" for _, outcome in results))
            assert (said[run_id]["cases"], said[run_id]["failed"]) == counts

    def _no_trace(self, store):
        """What was forgotten stands in no file of rows, wherever it lies."""
        if not self.forgotten:
            return
        for path in Path(self.url).rglob("*.parquet"):
            for column, gone in (("case_id", self.forgotten), ("author", self.authors)):
                assert gone.isdisjoint(_texts(path, column)), path
        if self.authors:
            assert set(store.read("commits")["author"].to_pylist()) <= {NOBODY}


def _texts(path, column):
    """Return the texts of a column of a file, as far as it can be read."""
    try:
        return set(pq.read_table(path, columns=[column])[column].to_pylist())
    except (OSError, ValueError, KeyError, pa.ArrowException):
        return set()


def _table(path):
    """Return the table of a file in ``damaged``: links/…, or links-20260115T120000/…"""
    return path.parent.name.partition("-")[0]


def _run_ids(path):
    return " ".join(map(repr, sorted(map(str, _texts(path, "run_id")))))


def numbers_of(store, table):
    """Return which numbers were measured, as in `DamagedStore._measure`."""
    column = {"links": "path", "labels": "fix_commit"}[table]
    found = store.read(table, columns=[column])[column].to_pylist()
    return {int(text.removesuffix(".py")) for text in found}


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


def rows_in(store, tables=tuple(SHOWN)):
    """Return the rows of a store by table and run, as in `rows_of`."""
    found = {}
    for table in tables:
        rows = store.read(table, columns=["run_id", *SHOWN[table]])
        found[table] = {}
        for run_id, *row in zip(*(rows[c].to_pylist() for c in rows.column_names), strict=True):
            found[table].setdefault(run_id, []).append(tuple(row))
    return {table: {run: sorted(rows) for run, rows in of.items()} for table, of in found.items()}


def _settings(examples):
    return settings(
        max_examples=examples, stateful_step_count=12, deadline=None, derandomize=True,
        suppress_health_check=list(HealthCheck), phases=[Phase.generate],
    )  # fmt: skip


def test_twenty_damages():
    """Damage follows work, two at once on each of two stores: a short way through all rules."""
    chance = random.Random(1)
    for seed in range(2):
        store = DamagedStore()
        store.start(seed=seed)
        until = DamagedStore.damages + 10
        while DamagedStore.damages < until:
            work_somehow(store, chance)
            damage_somehow(store, chance)
        store.start_again()
        store.teardown()


def work_somehow(store, chance):
    at, how = chance.randrange(1, 12), chance.choice(WHEN)
    chance.choice([
        lambda: store.append(work=chance.choice(WORKS)),
        lambda: store.die_while_writing(work=chance.choice(WORKS), at=at, how=how),
        lambda: store.compact_or_forget(case=chance.choice([None, *CASES[:5]]), at=2 * at, how=how),
    ])()  # fmt: skip


def damage_somehow(store, chance):
    parts = [["rows"], LOG, BESIDE]
    damages = [
        (chance.choice(list(TABLES)), chance.choice(chance.choice(parts)), chance.choice(HOW))
        for _ in range(2)
    ]
    store.damage_several(damages=damages, dies=chance.randrange(10))


@pytest.mark.slow
def test_two_hundred_damages():
    before = DamagedStore.damages
    run_state_machine_as_test(DamagedStore, settings=_settings(42))
    assert DamagedStore.damages >= before + 200
