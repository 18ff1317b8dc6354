"""What a selection misses and saves on its way out of shadow, in steps and without them.

    TESTOPT_BENCH_DATA=... python scripts/bench/gradual.py --replay FOLDER [SET ...]

FOLDER holds rebuilt replay projects as SET/repo and SET/results.parquet. The first runs, until 20
regressions have been seen, are the backfill: a bundle is trained on them, and every later run is
planned from what came before it, at recall 0.95. First the table of the steps: regressions missed,
with the 95 %, and the time saved, where at most a share of the cases (of the time) is left
out, by the score alone and together with what imports say could be affected. Then the course of
teams: of ten runs a day one in ten regresses, each drawn from the planned ones; one in twenty runs
everything, which shows what was missed before. ``promotion`` decides run by run. A share
of the regressions is foreseen by nothing: any one case fails.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from testopt.git.pending_run import find_pending_run
from testopt.git.run_identity import RunIdentity
from testopt.impact.find import find_impact
from testopt.learning.metrics import wilson
from testopt.plan import plan
from testopt.plan.inputs import find_plan_inputs
from testopt.schema import Selection
from testopt.selection.promotion import DAY_S, PlanOutcome, Rules, SelectionRecord, promotion
from testopt.selection.steps import STEPS, FullRun
from testopt.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

RECALL = 0.95
BACKFILL = 20  # regressions
RUNS, A_DAY, REGRESSIONS, DRAWN, LIVES = 300, 10, 0.1, 0.05, 24
_NEVER_DRAWN = 1e-9


@dataclass(frozen=True)
class PlannedRun:
    """A plan beside what happened; arrays over its cases."""

    score: NDArray[np.float64]
    selected: NDArray[np.bool_]
    affected: NDArray[np.bool_]
    expected: NDArray[np.float64]
    seconds: NDArray[np.float64]
    bad: NDArray[np.bool_]

    def kept(self, most: float, *, by_time: bool = False, union: bool = False) -> Any:
        """Return what runs where at most a share is left out."""
        keep = self.selected | self.affected if union else self.selected.copy()
        size = self.expected if by_time else np.ones(len(keep))
        lowest = np.argsort(self.score, kind="stable")
        lowest = lowest[~keep[lowest]]
        out = lowest[np.cumsum(size[lowest]) <= most * size.sum() + 1e-9]
        keep[:] = True
        keep[out] = False
        return keep

    def missed(self, keep: NDArray[np.bool_]) -> bool:
        """Tell whether cases regress and none of those kept does."""
        return bool(self.bad.any() and not (self.bad & keep).any())


def planned_runs(name: str, folder: Path, data: Path, work: Path) -> Iterator[PlannedRun]:
    table = pq.read_table(folder / "results.parquet")
    truth = pq.read_table(data / "replay" / f"{name}.truth.parquet").to_pylist()
    bad = {(row["run_id"], row["case_id"]) for row in truth}
    failing = {run for run, _ in bad}
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in sorted(table.to_pylist(), key=lambda r: (r["time"], r["run_id"])):
        rows.setdefault(row["run_id"], []).append(row)
    order = list(rows)
    first = 1 + [i for i, run in enumerate(order) if run in failing][BACKFILL - 1]
    where = ["--repo", str(folder / "repo"), "--store", str(work / f"{name}.store")]

    def testopt(*args: str) -> None:
        command = [sys.executable, "-m", "testopt", "-q", *where, *args]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    def ingest(runs: Sequence[str]) -> None:
        part = table.filter(pc.is_in(table["run_id"], pa.array(runs, table["run_id"].type)))
        pq.write_table(part, work / "part.parquet")
        testopt("ingest", "--format", "table", str(work / "part.parquet"))

    ingest(order[:first])
    testopt("train")
    store = Store.open(where[-1])
    for run in order[first:]:
        yield _one(folder / "repo", store, run, rows[run], bad)
        ingest([run])


def _one(
    repo: Path, store: Store, run: str, rows: list[dict[str, Any]], bad: set[tuple[str, str]]
) -> PlannedRun:
    row = rows[0]
    identity = RunIdentity(repo=repo, base=row["base"], commit=row["commit"], time=row["time"])
    pending = replace(find_pending_run(identity, store=store), branch=row["branch"])
    inputs = find_plan_inputs(pending, store=store, cases=[r["case_id"] for r in rows])
    impact = find_impact(cases=inputs.cases, change=pending.change, repo=repo, store=store)
    asked = Selection(recall=RECALL, explore=_NEVER_DRAWN, refresh=0.0, key=run)
    cases = plan(inputs, selection=asked).cases
    took = {r["case_id"]: r["duration_s"] or 0.0 for r in rows}
    return PlannedRun(
        np.array([c.score for c in cases]),
        np.array([c.selected for c in cases]),
        np.array([c.case_id in impact.affected for c in cases]),
        np.array([c.cost_s for c in cases]),
        np.array([took[c.case_id] for c in cases]),
        np.array([(run, c.case_id) in bad for c in cases]),
    )


def print_steps(name: str, runs: Sequence[PlannedRun]) -> None:
    print(f"{name:12}{'by':>7}{'step':>6}{'missed':>10}{'95 %':>16}{'saved':>8}{'passing':>9}")
    for by_time, union in ((False, False), (True, False), (False, True)):
        for most in (*STEPS[1:], 1.0):
            kept = [run.kept(most, by_time=by_time, union=union) for run in runs]
            failing = [i for i, run in enumerate(runs) if run.bad.any()]
            missed = sum(runs[i].missed(kept[i]) for i in failing)
            low, high = wilson(missed, len(failing))
            saved = [_saved(runs, kept, part) for part in (set(), set(failing))]
            kind = ("time" if by_time else "cases") + ("+" if union else "")
            print(
                f"{'':12}{kind:>7}{most:6.0%}{missed:4d} of {len(failing):2d}"
                f"{low:9.3f} to {high:.3f}{saved[0]:8.1%}{saved[1]:9.1%}"
            )


def _saved(
    runs: Sequence[PlannedRun], kept: Sequence[NDArray[np.bool_]], without: set[int]
) -> float:
    pairs = [(r, k) for i, (r, k) in enumerate(zip(runs, kept, strict=True)) if i not in without]
    total = sum(r.seconds.sum() for r, _ in pairs)
    return 1.0 - float(sum(r.seconds[k].sum() for r, k in pairs) / total)


class Team:
    """One team's first runs, each of them one of the planned ones."""

    def __init__(self, rules: Rules, random: np.random.Generator) -> None:
        self.rules, self.random = rules, random
        self.outcomes: list[PlanOutcome] = []
        self.full: list[FullRun] = []
        self.hidden: list[PlanOutcome] = []  # missed, and not known yet
        self.unconfirmed = self.missed = self.regressions = 0
        self.seconds = self.ran = 0.0
        self.trust = promotion(SelectionRecord(), rules)

    def run(self, at: int, one: PlannedRun) -> None:
        """Plan and execute one run, and look where that leads."""
        time = (at + 1) / A_DAY * DAY_S
        drawn = not self.trust.selects or self.random.random() < DRAWN
        most = 1.0 if self.trust.most is None else self.trust.most
        keep = one.kept(most)
        acts = np.ones(len(keep), bool) if drawn else keep
        self.seconds += one.seconds.sum()
        self.ran += one.seconds[acts].sum()
        self.unconfirmed += 1
        if one.bad.any():
            self._regressed(time, one, keep, acts)
        if drawn:
            self.outcomes += [replace(v, known=time) for v in self.hidden]
            self.full.append(FullRun(time, self.unconfirmed))
            self.hidden, self.unconfirmed = [], 0
        last = SelectionRecord(DAY_S / A_DAY, time, tuple(self.outcomes), "", tuple(self.full))
        self.trust = promotion(last, self.rules)

    def _regressed(
        self, time: float, one: PlannedRun, keep: NDArray[np.bool_], acts: NDArray[np.bool_]
    ) -> None:
        self.regressions += 1
        missed = one.missed(keep)
        averted = not missed and one.missed(one.selected)
        outcome = PlanOutcome(f"{time}", time, missed, 1.0 - RECALL, averted=averted)
        if one.missed(acts):
            self.missed += 1
            self.hidden.append(outcome)
        else:
            self.outcomes.append(outcome)


def course(runs: Sequence[PlannedRun], promote: Any, spoilt: float) -> list[Team]:
    """Let teams work; of the regressions a share is hidden among the cases of the lowest scores."""
    failing = [run for run in runs if run.bad.any()]
    passing = [run for run in runs if not run.bad.any()]
    teams = []
    for seed in range(LIVES):
        random = np.random.default_rng(seed)
        team = Team(Rules(promote), random)
        for at in range(RUNS):
            pool = failing if random.random() < REGRESSIONS else passing
            one = pool[random.integers(len(pool))]
            if one.bad.any() and random.random() < spoilt:
                one = replace(one, bad=_anywhere(one, random))
            team.run(at, one)
        teams.append(team)
    return teams


def _anywhere(run: PlannedRun, random: np.random.Generator) -> NDArray[np.bool_]:
    """Return one failing case that nothing foresees."""
    bad = np.zeros(len(run.bad), bool)
    bad[random.integers(len(bad))] = True
    return bad


def print_courses(name: str, runs: Sequence[PlannedRun]) -> None:
    print(
        f"{name:12}{'promote':>9}{'unforeseen':>12}{'missed':>9}{'teams over 5 %':>16}{'saved':>8}"
    )
    for spoilt in (0.0, 0.1, 0.3, 1.0):
        for promote in ("auto", "gradual", "always"):
            teams = course(runs, promote, spoilt)
            missed = sum(t.missed for t in teams) / sum(t.regressions for t in teams)
            over = np.mean([t.missed > 0.05 * t.regressions for t in teams])
            saved = 1.0 - sum(t.ran for t in teams) / sum(t.seconds for t in teams)
            print(
                f"{'':12}{promote:>9}{spoilt:12.0%}{missed:9.2%}{over:16.0%}{saved:8.1%}",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", nargs="*", metavar="SET", default=["sqlparse", "boltons"])
    parser.add_argument("--replay", type=Path, required=True)
    options = parser.parse_args()
    if not os.environ.get("TESTOPT_BENCH_DATA"):
        raise SystemExit("name the folder of data in TESTOPT_BENCH_DATA")
    data = Path(os.environ["TESTOPT_BENCH_DATA"])
    with tempfile.TemporaryDirectory() as work:
        for name in options.sets:
            runs = list(planned_runs(name, options.replay / name, data, Path(work)))
            print_steps(name, runs)
            print_courses(name, runs)


if __name__ == "__main__":
    main()
