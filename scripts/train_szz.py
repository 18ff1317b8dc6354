"""Learn the weights with which SZZ ranks the commits that may have introduced a defect.

    python scripts/train_szz.py CLONES TABLE.parquet… [--oracle ORACLE.parquet] [--limit 120]

CLONES    folder with the repositories: owner/name, owner+name or owner+name/repo (bare or not)
TABLE     project (owner/name), fix_commit, bug_commit: what the authors of fixes named themselves
ORACLE    the same, of many small projects, which together weigh as much as six large ones

Of each project at most --limit fixes count, drawn by a fixed seed. Messages are read without the
lines that hold the answer. Prints F1 with projects held out whole (those of the oracle in eight
parts) beside blame, how right confidences are, and the weights for ``testopt/szz/ranking.py``.
"""

from __future__ import annotations

import argparse
import random
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import expit, logit, xlogy

from testopt.errors import TestoptError
from testopt.git.file_histories import FileHistory, read_file_histories
from testopt.git.process import find_root
from testopt.szz.blame import Tracer
from testopt.szz.candidates import Candidate, find_candidates
from testopt.szz.ranking import ADDING, DELETING, candidate_features

if TYPE_CHECKING:
    from collections.abc import Iterator

RIDGE, PER_PROJECT, ORACLE_WEIGHT, PARTS = 30.0, 100, 600, 8
NAMES = list(DELETING)
SAME_PAST = {"ovn-org/ovn": "openvswitch/ovs"}  # projects of one history are held out together
_ANSWER = re.compile(r"^\s*fixes:.*\n?", re.IGNORECASE | re.MULTILINE)


class Case(NamedTuple):
    """One fix: where it stands when projects are held out, its weight, candidates, answers."""

    project: str
    part: str
    weight: float
    x: np.ndarray
    right: list[int]
    wanted: int
    candidates: list[Candidate]

    @property
    def only_adds(self) -> bool:
        """Whether the fix deletes and changes no line."""
        return bool(self.candidates) and self.candidates[0].only_adds


def clone_of(clones: Path, project: str) -> Path | None:
    """Return the repository of a project below `clones`, or None."""
    for name in (project, project.replace("/", "+"), project.replace("/", "+") + "/repo"):
        try:
            return find_root(clones / name)
        except TestoptError:
            continue
    return None


def read_cases(clones: Path, table: pd.DataFrame, limit: int, *, oracle: bool) -> list[Case]:
    cases = []
    for number, (project, rows) in enumerate(table.groupby("project")):
        repo = clone_of(clones, str(project))
        if repo is None:
            print(f"no clone of {project}")
            continue
        answers = rows.groupby("fix_commit")["bug_commit"].agg(set).to_dict()
        fixes = sorted(answers)
        random.Random(7).shuffle(fixes)
        fixes = fixes[:limit]
        per_fix = ORACLE_WEIGHT / len(table) if oracle else min(1.0, PER_PROJECT / len(fixes))
        part = f"oracle {number % PARTS}" if oracle else SAME_PAST.get(str(project), str(project))
        for fix, some in candidates_of(repo, fixes):
            right = [i for i, c in enumerate(some) if c.facts.sha in answers[fix]]
            x = np.array([[row[n] for n in NAMES] for row in candidate_features(some)])
            name = "oracle" if oracle else str(project)
            cases.append(Case(name, part, per_fix, x, right, len(answers[fix]), some))
        print(f"{project}: {len(fixes)} fixes", flush=True)
    return cases


def candidates_of(repo: Path, fixes: list[str]) -> Iterator[tuple[str, list[Candidate]]]:
    left = dict.fromkeys(fixes)
    with Tracer(repo) as tracer:
        for fix, histories in read_file_histories(repo, fixes):
            del left[fix]
            yield fix, candidates(tracer, fix, histories)
        for fix in left:
            yield fix, candidates(tracer, fix, {})


def candidates(tracer: Tracer, fix: str, histories: dict[str, FileHistory]) -> list[Candidate]:
    trace = tracer.trace(fix, histories)
    if trace.fix is None:
        return []
    asked = replace(trace.fix, message=_ANSWER.sub("", trace.fix.message))
    return find_candidates(asked, trace.files, trace.facts)


def fit(cases: list[Case], columns: list[int]) -> np.ndarray:
    """Fit a conditional logit with a ridge penalty; the last weight is that of "none of these"."""
    cases = [c for c in cases if len(c.x)]
    scale = np.vstack([c.x[:, columns] for c in cases]).std(0)
    scale[scale < 1e-9] = 1e9
    blocks = [np.pad(c.x[:, columns] / scale, ((0, 1), (0, 1))) for c in cases]
    for block in blocks:
        block[-1, -1] = 1.0
    sizes = np.array([len(b) for b in blocks])
    starts, x = np.r_[0, np.cumsum(sizes)[:-1]], np.vstack(blocks)
    weight = np.array([c.weight for c in cases])
    share = np.zeros(len(x))  # of the answer
    for case, start, size in zip(cases, starts, sizes, strict=True):
        for i in case.right or [size - 1]:
            share[start + i] = case.weight / max(len(case.right), 1)
    penalty = np.r_[np.full(len(columns), RIDGE), 0.0]

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        z = x @ w
        z -= np.repeat(np.maximum.reduceat(z, starts), sizes)
        e = np.exp(z)
        total = np.add.reduceat(e, starts)
        value = (weight * np.log(total)).sum() - share @ z + (penalty * w * w).sum()
        p = e / np.repeat(total, sizes) * np.repeat(weight, sizes)
        return float(value), (p - share) @ x + 2 * penalty * w

    w = minimize(loss, np.zeros(len(columns) + 1), jac=True, method="L-BFGS-B").x
    return np.r_[w[:-1] / scale, w[-1]]


def confidences(case: Case, w: np.ndarray, columns: list[int]) -> np.ndarray:
    if not len(case.x):
        return np.zeros(0)
    z = np.r_[case.x[:, columns] @ w[:-1], w[-1]]
    e = np.exp(z - z.max())
    return (e / e.sum())[:-1]


def columns_of(*, only_adds: bool) -> list[int]:
    return [NAMES.index(n) for n in (ADDING if only_adds else DELETING)]


def held_out(cases: list[Case]) -> list[np.ndarray]:
    """Return the confidences of each case, by weights to which its project taught nothing."""
    out: list[np.ndarray] = [np.zeros(0)] * len(cases)
    for part in sorted({c.part for c in cases}):
        for adds in (False, True):
            columns = columns_of(only_adds=adds)
            inside = [c for c in cases if c.part != part and c.only_adds is adds]
            w = fit(inside, columns)
            for i, case in enumerate(cases):
                if case.part == part and case.only_adds is adds:
                    out[i] = confidences(case, w, columns)
    return out


def f1(cases: list[Case], scores: list[np.ndarray]) -> float:
    """Return F1 when the highest score of each fix is the answer; none where all are 0."""
    said = [(c, int(s.argmax())) for c, s in zip(cases, scores, strict=True) if s.any()]
    hits = sum(best in case.right for case, best in said)
    return 2 * hits / (len(said) + sum(c.wanted for c in cases))


def report(cases: list[Case]) -> None:
    ours = held_out(cases)
    ways = {
        "ranked": ours,
        "latest": [np.array([float(c.latest) for c in case.candidates]) for case in cases],
        "most lines": [np.array([float(c.most) for c in case.candidates]) for case in cases],
    }
    for project, n in sorted(Counter(c.project for c in cases).items()):
        for name, adds in (("all", None), ("deleting", False), ("adding", True)):
            part = [
                i
                for i, c in enumerate(cases)
                if c.project == project and adds in {None, c.only_adds}
            ]
            if part:
                told = {w: f1([cases[i] for i in part], [s[i] for i in part])
                        for w, s in ways.items()}  # fmt: skip
                print(
                    f"{project:32} {name:9} {len(part):4} of {n}",
                    *(f"{w} {v:.3f}" for w, v in told.items()),
                )
    best = [
        (s.max(), int(s.argmax()) in c.right) for c, s in zip(cases, ours, strict=True) if s.any()
    ]
    p, hit = (np.array(column, dtype=float) for column in zip(*best, strict=True))
    slope, shift = calibration(p, hit)
    print(f"CALIBRATION ({slope:.2f}, {shift:.2f})")
    for name, told in (("raw", p), ("calibrated", expit(slope * logit(p) + shift))):
        for low in np.arange(0.1, 1.0, 0.1):
            right = hit[(told >= low) & (told < low + 0.1)]
            if len(right):
                print(f"{name} confidence from {low:.1f}: {len(right)}, {right.mean():.2f} right")


def calibration(p: np.ndarray, hit: np.ndarray) -> np.ndarray:
    """Fit how often the first answer is right to the logit of its confidence."""
    z = logit(p)

    def loss(w: np.ndarray) -> float:
        told = expit(w[0] * z + w[1])
        return -float(xlogy(hit, told).sum() + xlogy(1 - hit, 1 - told).sum())

    return minimize(loss, [1.0, 0.0]).x


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clones", type=Path)
    parser.add_argument("tables", nargs="+")
    parser.add_argument("--oracle")
    parser.add_argument("--limit", type=int, default=120)
    options = parser.parse_args()
    named = pd.concat([pd.read_parquet(table) for table in options.tables])
    cases = read_cases(options.clones, named, options.limit, oracle=False)
    if options.oracle:
        cases += read_cases(
            options.clones, pd.read_parquet(options.oracle), options.limit, oracle=True
        )
    report(cases)
    for adds in (False, True):
        columns = columns_of(only_adds=adds)
        w = fit([c for c in cases if c.only_adds is adds], columns)
        print("ADDING" if adds else "DELETING", f"(nobody {w[-1]:.2f})")
        for i, value in zip(columns, w[:-1], strict=True):
            print(f'    "{NAMES[i]}": {value:.2f},')


if __name__ == "__main__":
    main()
