"""What a team sees in its first twenty runs, without a backfill: time to the first failure.

    python scripts/bench/first_runs.py [--teams 6] PROJECT=REPO:RESULTS ...

RESULTS is a store that `testopt backfill` filled from a clone REPO, or a table of a rebuilt replay
project (its ``results.parquet``): outcomes of commits as they were and of variants of them, so that
no suite runs here. A team begins somewhere in the history with an empty store and works on commit
after commit: runs on edits that are in no commit, which often fail (a variant of the next commit),
runs of one test file by ``-k``, a run before the commit and one after it. testopt plans each run as
``pytest --testopt=rank`` does, from what these runs have recorded. Judged are the runs of the whole
suite that fail: the share of its time until the first failure, beside the order of the files, and
``--ff`` and ``--nf`` of pytest, which see the same runs.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import tempfile
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq

from testopt import ingest
from testopt.git.pending_run import find_pending_run
from testopt.git.run_identity import RunIdentity
from testopt.git.tested_tree import read_tested_tree
from testopt.ingest.tested_code import with_patches
from testopt.plan import plan, prediction_rows
from testopt.plan.inputs import find_plan_inputs
from testopt.schema import FAILING, Result, Run, RunRecord
from testopt.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

RUNS = 20
FLOOR_S = 1e-3  # what starting a test costs
LATER = 0.05  # of the suite
ORDERS = ("testopt", "plain", "ff", "nf")


@dataclass(frozen=True)
class Outcome:
    """A run of the whole suite, in the order in which it ran."""

    commit: str
    base: str
    cases: list[str]
    files: list[str]
    seconds: list[float]
    failed: frozenset[str]

    def part(self, file: str) -> Outcome:
        """Return what runs where one file is named."""
        return self._at([i for i, name in enumerate(self.files) if name == file])

    def without(self, cases: frozenset[str]) -> Outcome:
        """Return the same without what always fails."""
        return self._at([i for i, case in enumerate(self.cases) if case not in cases])

    def _at(self, at: list[int]) -> Outcome:
        cases, files, seconds = ([v[i] for i in at] for v in (self.cases, self.files, self.seconds))
        failed = self.failed & set(cases)
        return Outcome(self.commit, self.base, cases, files, seconds, failed)  # type: ignore[arg-type]

    def until_failure(self, order: Sequence[str]) -> float:
        """Return the share of the time until the first failing case has run."""
        cost = {c: max(s, 0.0) + FLOOR_S for c, s in zip(self.cases, self.seconds, strict=True)}
        passed = 0.0
        for case in order:
            passed += cost[case]
            if case in self.failed:
                break
        return passed / sum(cost.values())


@dataclass(frozen=True)
class Step:
    """A commit as it was, with the commit before it, and variants of it that fail."""

    clean: Outcome
    failing: list[Outcome]


def read_steps(results: Path) -> list[Step]:
    """Return the commits of a project, oldest first, each with its variants that fail."""
    if results.is_dir():
        store = Store.open(str(results))
        facts = {row["run_id"]: row for row in store.read("runs").to_pylist()}
        rows = [facts[row["run_id"]] | row for row in store.read("results").to_pylist()]
    else:
        rows = pq.read_table(results).to_pylist()
    runs: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        runs[row["run_id"]].append(row)
    outcomes = [_outcome(own) for own in sorted(runs.values(), key=lambda own: own[0]["time"])]
    made = {one.commit for one in outcomes if one.base in {o.commit for o in outcomes}}
    clean = {one.commit: one for one in outcomes if one.commit not in made or not one.failed}
    variants: dict[str, list[Outcome]] = defaultdict(list)
    for one in outcomes:
        below = clean.get(one.base)
        if below is not None and one.failed - below.failed:
            variants[one.base].append(one.without(below.failed))
    return [Step(one.without(one.failed), variants[one.commit]) for one in clean.values()]


def _outcome(rows: list[dict[str, Any]]) -> Outcome:
    last = {row["case_id"]: row for row in rows if row["outcome"] != "skipped"}
    found = list(last.values())
    return Outcome(
        found[0]["commit"],
        found[0]["base"],
        list(last),
        [row["file"] or row["case_id"].partition("::")[0] for row in found],
        [row["duration_s"] or 0.0 for row in found],
        frozenset(row["case_id"] for row in found if row["outcome"] in FAILING),
    )


@dataclass
class Cache:
    """What pytest's own cache knows: what failed last, which tests it saw, how new files are."""

    failed: set[str] = field(default_factory=set)
    seen: set[str] = field(default_factory=set)
    written: dict[str, tuple[str, int]] = field(default_factory=dict)  # blob, and when it came
    clock: int = 0

    def look(self, blobs: dict[str, str]) -> None:
        """Notice which files were written."""
        self.clock += 1
        for path, blob in blobs.items():
            if self.written.get(path, ("", 0))[0] != blob:
                self.written[path] = (blob, self.clock)

    def order(self, name: str, run: Outcome) -> list[str]:
        """Return the order of a run by ``--ff`` or ``--nf``; all others leave it."""
        at = range(len(run.cases))
        if name == "ff":
            return [run.cases[i] for i in sorted(at, key=lambda i: run.cases[i] not in self.failed)]
        if name != "nf":
            return list(run.cases)
        age = [self.written.get(file, ("", 0))[1] for file in run.files]
        return [
            run.cases[i] for i in sorted(at, key=lambda i: (run.cases[i] in self.seen, -age[i]))
        ]

    def learn(self, run: Outcome) -> None:
        """Take in what a run said."""
        self.failed = (self.failed - set(run.cases)) | run.failed
        self.seen |= set(run.cases)


class Team:
    """Works in a clone of its own, with a store that begins empty."""

    def __init__(self, repo: Path, work: Path, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.repo, self.url = work / "repo", str(work / "store")
        subprocess.run(["git", "clone", "-q", "-s", "-n", str(repo), str(self.repo)], check=True)
        self.git("fetch", "-q", "origin", "+refs/*:refs/theirs/*")
        self.git("remote", "remove", "origin")
        self.cache, self.count = Cache(), 0
        self.found: list[dict[str, float]] = []

    def git(self, *args: str) -> str:
        """Run git in the clone."""
        command = ["git", "-C", str(self.repo), *args]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def stand(self, head: str, files: str) -> None:
        """Check out a commit, with the files of another one as edits of it."""
        self.git("checkout", "-q", "-f", "-B", "main", head)
        self.git("read-tree", "--reset", "-u", files)
        listed = (line.partition("\t") for line in self.git("ls-tree", "-r", files).splitlines())
        self.cache.look({path: entry.split()[2] for entry, _, path in listed})

    def run(self, outcome: Outcome, *, judged: bool = True) -> None:
        """Plan a run, see what comes of it, and record it."""
        self.count += 1
        order, record = self._plan(outcome)
        if outcome.failed and judged:
            row = {name: outcome.until_failure(self.cache.order(name, outcome)) for name in ORDERS}
            self.found.append(row | {"testopt": outcome.until_failure(order), "run": self.count})
        self.cache.learn(outcome)
        store = Store.open(self.url, create=True)
        ingest.record(store=store, record=record)

    def _plan(self, outcome: Outcome) -> tuple[list[str], RunRecord]:
        store = Store.open(self.url, create=True)
        began = datetime(2026, 1, 5, 9, tzinfo=UTC) + timedelta(minutes=7 * self.count)
        identity = RunIdentity(repo=self.repo, time=began)
        pending = find_pending_run(identity, store=store)
        inputs = find_plan_inputs(pending, store=store, cases=outcome.cases)
        planned = plan(inputs, strict=True)
        change = pending.change
        tested = read_tested_tree(self.repo, base=change.base if change.head is None else None)
        run = Run(
            f"run {self.count}", began, commit=pending.commit, base=change.base, branch="main",
            source="pytest", duration_s=sum(outcome.seconds), tree=tested.tree,
        )  # fmt: skip
        results = [
            Result(case, "failed" if case in outcome.failed else "passed", seconds, file=file)
            for case, file, seconds in zip(
                outcome.cases, outcome.files, outcome.seconds, strict=True
            )
        ]
        rows = prediction_rows(planned, mode="rank", executed=outcome.cases)
        record = RunRecord(run, results, with_patches(change, tested.patches), rows)
        return [case.case_id for case in planned.cases], record

    def work_on(self, step: Step) -> None:
        """Edit until it passes, commit, and run once more."""
        head, clean = step.clean.base, step.clean
        if step.failing and self.random.random() < 0.6:
            broken = step.failing[self.random.integers(len(step.failing))]
            self.stand(head, broken.commit)
            self.run(broken)
            if self.random.random() < 0.5:  # once more, what failed alone
                self.run(broken.part(self._file(broken, failing=True)), judged=False)
            if self.random.random() < 0.3:  # not mended yet
                self.run(broken)
        self.stand(head, clean.commit)
        if self.random.random() < 0.5:
            self.run(clean.part(self._file(clean, failing=False)), judged=False)
        if self.random.random() < 0.7:
            self.run(clean)
        self.stand(clean.commit, clean.commit)
        if self.random.random() < 0.5:
            self.run(clean)

    def _file(self, outcome: Outcome, *, failing: bool) -> str:
        pairs = zip(outcome.cases, outcome.files, strict=True)
        files = sorted({file for case, file in pairs if not failing or case in outcome.failed})
        return files[self.random.integers(len(files))]


def team_runs(repo: Path, steps: list[Step], teams: int) -> Iterator[dict[str, float]]:
    """Let teams begin at places of the history that lie apart, and return the runs that failed."""
    for seed in range(teams):
        with tempfile.TemporaryDirectory() as folder:
            team = Team(repo, Path(folder), seed)
            first = seed * len(steps) // teams
            for step in (steps[first:] + steps[:first])[:RUNS]:
                if team.count < RUNS:
                    team.work_on(step)
            shutil.rmtree(folder, ignore_errors=True)
            yield from team.found


def row(name: str, found: list[dict[str, float]]) -> str:
    """Return what came of the failing runs of a project, or of all."""
    means = [float(np.mean([run[order] for run in found])) for order in ORDERS]
    later = [np.mean([run["testopt"] > run[o] + LATER for run in found]) for o in ORDERS[1:]]
    return (
        f"{name:20}{len(found):5d}  "
        + "".join(f"{mean:9.1%}" for mean in means)
        + "  "
        + "".join(f"{share:8.1%}" for share in later)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("projects", nargs="+", metavar="PROJECT=REPO:RESULTS")
    parser.add_argument("--teams", type=int, default=6)
    parser.add_argument("-v", "--verbose", action="store_true", help="show each failing run")
    options = parser.parse_args()
    os.environ["GIT_OPTIONAL_LOCKS"] = "0"
    heads = "".join(f"{name:>9}" for name in ORDERS)
    print(f"{'until the failure':20}{'runs':>5}  {heads}  later than{'plain':>6}{'ff':>8}{'nf':>8}")
    found: list[dict[str, float]] = []
    for given in options.projects:
        name, _, places = given.partition("=")
        repo, _, results = places.partition(":")
        own = list(team_runs(Path(repo), read_steps(Path(results)), options.teams))
        if options.verbose:
            for run in own:
                print("  ", {k: round(v, 3) for k, v in run.items()})
        found += own
        print(row(name, own), flush=True)
    print(row("all", found))


if __name__ == "__main__":
    main()
