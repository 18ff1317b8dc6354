"""What tests set up: runs, rows, stores, queries and repositories, each with what is usual."""

from __future__ import annotations

import csv
import os
import subprocess
from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

from testopt.features.case_facts import CaseFacts
from testopt.features.frames import RunFrame
from testopt.features.run_features import NAMES, RunFeatures
from testopt.schema import Change, FileChange, Result, Run, RunRecord, arrow_schema
from testopt.similarity.query import Query
from testopt.store import Store

START = datetime(2026, 1, 1, tzinfo=UTC)


def make_run(run_id="r", hours=0.0, **facts):
    """Return a run that began `hours` after START, unless its `time` is given."""
    return Run(run_id, **{"time": START + timedelta(hours=float(hours)), **facts})


def make_results(cases, failing=(), *, seconds=0.1):
    """Return a result of each case; `cases` may say their outcomes: {case: outcome}."""
    if not isinstance(cases, Mapping):
        cases = {case: "failed" if case in failing else "passed" for case in cases}
    return [Result(case, outcome, seconds) for case, outcome in cases.items()]


def make_change(*files, **facts):
    """Return a change of files, given as paths or as FileChange."""
    return Change(tuple(FileChange(f) if isinstance(f, str) else f for f in files), **facts)


def make_record(
    run_id="r", cases=(), failing=(), *, hours=0.0, seconds=0.1, change=(), predictions=(), **run
):
    """Return a run with the results of its cases; `change` may be the changed files.

    Parameters
    ----------
    **run
        Further facts of the run, such as its commit.
    """
    if not isinstance(change, Change):
        change = make_change(*change)
    results = make_results(cases, failing, seconds=seconds)
    return RunRecord(make_run(run_id, hours, **run), results, change, predictions)


def new_store(folder, name="store", records=()):
    """Return a store in a folder, with these runs."""
    store = Store.open(str(Path(folder) / name), create=True)
    if records:
        store.append_runs(records)
    return store


def arrow_rows(table, rows):
    """Return rows of a table of the store as Arrow; columns that a row lacks are null."""
    return pa.Table.from_pylist(list(rows), schema=arrow_schema(table))


def append_rows(store, table, rows, part="part"):
    """Append rows to a table of a store."""
    store.append(table, {part: arrow_rows(table, rows)})


def commit_row(sha, time=START, **values):
    """Return a row of the table `commits`."""
    usual = {"parents": [], "author": "a", "is_fix": False, "is_merge": False, "is_revert": False}
    return {"sha": sha, "time": time, "committed": time, **usual, **values}


def file_row(sha, path, added=1, deleted=1, **values):
    """Return a row of the table `file_changes`."""
    usual = {"status": "M", "subsystem": path.partition("/")[0], "language": "python"}
    lines = {"added": int(added), "deleted": int(deleted)}
    return {"sha": sha, "path": path, **lines, **usual, "is_test": False, **values}


def label_row(fix, bug, time=START, **values):
    """Return a row of the table `labels`: the commit `bug` is what `fix` mends."""
    usual = {"confidence": 0.9, "chosen": True, "evidence": "{}", "method": "test"}
    return {"fix_commit": fix, "bug_commit": bug, "time": time, "seen": time, **usual, **values}


def link_row(case, path, **values):
    """Return a row of the table `links`: coverage of a file by a case."""
    usual = {"lines": "1-3", "commit": None, "seen": START}
    return {"case_id": case, "path": path, **usual, **values}


def prediction_row(case, rank=1, **values):
    """Return a row of the table `predictions` without the run."""
    usual = {"probability": 0.5, "selected": True, "policy": ""}
    return {"case_id": case, "rank": rank, **usual, **values}


def make_query(cases, *files, run=None, text=None):
    """Return the question for the features of cases under a change of these files."""
    return Query(run or make_run(), cases, make_change(*files).files, text)


def make_frame(query, failing=(), *, skipped=(), seconds=1.0):
    """Return what came of a run: `failing` and `skipped` are cases of the query."""
    of = {"failed": failing, "skipped": skipped}
    outcomes = {name: np.array([c in of[name] for c in query.cases], bool) for name in of}
    durations = np.full(len(query.cases), 0.0, np.float32)
    durations[:] = seconds
    return RunFrame(query, seconds=durations, **outcomes)


COUNTS = ("executions", "failures")
NUMBERS = ("runs_since_failure", "ticks_since_failure", "age_ticks", "seconds")


def run_features(n, *, sources_read=False, **values):
    """Return features of `n` cases: facts, and columns of the matrix by name."""
    facts = [_fact(field.name, values.pop(field.name, None), n) for field in fields(CaseFacts)]
    matrix = np.full((n, len(NAMES)), np.nan, np.float32)
    for name, value in values.items():
        matrix[:, NAMES.index(name)] = value
    return RunFeatures.of(CaseFacts(*facts), matrix, sources_read=sources_read)


def _fact(name, value, n):
    dtype = np.int32 if name in COUNTS else np.float32 if name in NUMBERS else bool
    unknown = np.nan if name in NUMBERS else 0
    return np.broadcast_to(np.asarray(unknown if value is None else value, dtype), n)


class GitRepo:
    """A git repository that a test makes, commit by commit."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        self.git("init", "-q", "-b", "main")

    def git(self, *args: str, env: dict[str, str] | None = None) -> str:
        """Run git; the author is Ann at noon of 1 January 2024 unless `env` says otherwise."""
        person = {"NAME": "Ann", "EMAIL": "ann@example.org", "DATE": "1704110400 +0000"}
        both = {f"GIT_{w}_{k}": v for w in ("AUTHOR", "COMMITTER") for k, v in person.items()}
        done = subprocess.run(
            ["git", "-C", str(self.path), "-c", "protocol.file.allow=always", *args],
            check=True,
            capture_output=True,
            env={**os.environ, **both, **(env or {})},
        )
        return done.stdout.decode("utf-8", "surrogateescape").strip()

    def write(self, name: str | bytes, content: str | bytes) -> None:
        """Write a file; its folders are made."""
        path = self.path / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def commit(
        self,
        message: str = "change",
        files: dict[str, str] | None = None,
        env: dict[str, str] | None = None,
    ) -> str:
        """Write files, commit everything, and return the hash."""
        for name, content in (files or {}).items():
            self.write(name, content)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message, env=env)
        return self.git("rev-parse", "HEAD")


class Suite:
    """A made-up history of 15 cases: two that fail now and then, and one that broke for good."""

    cases = tuple(f"tests/test_{m}.py::test_{n}" for m in "abc" for n in range(5))
    start = START

    @classmethod
    def outcome(cls, run: int, case: int) -> str:
        """Return the outcome of a case in a run, the same each time."""
        fails = (case == 7 and run % 4 < 2) or (case == 11 and run % 9 == 3)
        return "failed" if fails else "skipped" if case == 14 and run % 5 == 0 else "passed"

    @classmethod
    def write(cls, path: Path, runs: range, failing: tuple[int, ...] | None = None) -> Path:
        """Write the results of `runs` as CSV; `failing` names the cases that fail instead."""
        with path.open("w", encoding="utf-8", newline="") as stream:
            rows = csv.writer(stream)
            rows.writerow(("run_id", "time", "case_id", "outcome", "duration_s", "branch"))
            for run in runs:
                time = (cls.start + timedelta(hours=run)).isoformat()
                for n, case in enumerate(cls.cases):
                    outcome = cls.outcome(run, n)
                    if failing is not None:
                        outcome = "failed" if n in failing else "passed"
                    seconds = (n % 3 + 1) / 10
                    rows.writerow((f"run {run}", time, case, outcome, seconds, "main"))
        return path


def printed(form: str, *cases: str, **request: object) -> list[str]:
    """Return the lines that are printed for a runner that is asked for cases."""
    from testopt.runners.arguments import arguments_for
    from testopt.runners.protocol import Request
    from testopt.runners.registry import RUNNERS

    found = arguments_for(RUNNERS[form], Request(cases=cases, **request))
    return found.text.decode("utf-8", "surrogateescape").split("\n")[:-1]
