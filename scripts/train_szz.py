"""Learn the weights with which SZZ ranks the commits that may have introduced a defect.

    python scripts/train_szz.py CLONES TABLE.parquet… [--oracle ORACLE.parquet] [--limit 120]
                                [--cache FOLDER] [--answers FOLDER]

CLONES    folder with the repositories: owner/name, owner+name or owner+name/repo (bare or not)
TABLE     project (owner/name), fix_commit, bug_commit: what the authors of fixes named themselves
ORACLE    the same, of many small projects, which together weigh a little more than one large one

Of each project at most --limit fixes count, drawn by a fixed seed. Messages are read without the
lines that hold the answer. Prints F1 with projects held out whole (those of the oracle in eight
parts) beside blame, how right confidences are, and the weights for ``testopt/szz/ranking.py``.
--cache keeps the evidence between two calls (the reading takes the time), --answers gets what was
said of each project by the weights of all others, as ``testopt szz --output`` writes it.
"""

from __future__ import annotations

import argparse
import random
import re
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import expit, xlogy

from testopt.errors import TestoptError
from testopt.git.file_histories import FileHistory, read_file_histories
from testopt.git.process import find_root
from testopt.learning.metrics import wilson
from testopt.szz.blame import Tracer
from testopt.szz.candidates import Candidate, find_candidates
from testopt.szz.ranking import ADDING, DELETING, candidate_features

if TYPE_CHECKING:
    from collections.abc import Iterator

RIDGE, PER_PROJECT, ORACLE_WEIGHT, PARTS, SURE = 30.0, 300, 400, 8, 0.9
NAMES = list({**DELETING, **ADDING})
BLAME = {"latest": "latest", "most lines": "most"}
SAME_PAST = {"ovn-org/ovn": "openvswitch/ovs"}  # projects of one history are held out together
_ANSWER = re.compile(r"^\s*fixes:.*\n?", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True)
class Case:
    """One fix: where it stands when projects are held out, its weight, candidates, answers."""

    project: str
    part: str
    weight: float
    fix: str
    shas: list[str]
    x: np.ndarray
    only_adds: bool
    right: list[int]
    wanted: int


def clone_of(clones: Path, project: str) -> Path | None:
    """Return the repository of a project below `clones`, or None."""
    for name in (project, project.replace("/", "+"), project.replace("/", "+") + "/repo"):
        try:
            return find_root(clones / name)
        except TestoptError:
            continue
    return None


def read_cases(
    clones: Path, table: pd.DataFrame, limit: int, cache: Path | None, *, oracle: bool
) -> list[Case]:
    cases = []
    for number, (name, rows) in enumerate(table.groupby("project")):
        project = str(name)
        answers = rows.groupby("fix_commit")["bug_commit"].agg(set).to_dict()
        fixes = sorted(answers)
        random.Random(7).shuffle(fixes)
        fixes = fixes[:limit]
        found = evidence(clones, project, fixes, cache)
        per_fix = ORACLE_WEIGHT / len(table) if oracle else min(1.0, PER_PROJECT / len(fixes))
        part = f"oracle {number % PARTS}" if oracle else SAME_PAST.get(project, project)
        for fix, group in found.groupby("fix", sort=False):
            some = group.dropna(subset="sha")
            shas = list(some["sha"])
            right = [i for i, sha in enumerate(shas) if sha in answers[fix]]
            adds = bool(some["only_adds"].any())
            x = some[NAMES].to_numpy(float)
            shown = "oracle" if oracle else project
            wanted = len(answers[fix])
            cases.append(Case(shown, part, per_fix, str(fix), shas, x, adds, right, wanted))
        print(f"{project}: {found['fix'].nunique()} fixes", flush=True)
    return cases


def evidence(clones: Path, project: str, fixes: list[str], cache: Path | None) -> pd.DataFrame:
    """Return the candidates of each fix, a row each; a fix without any has an empty one."""
    kept = None if cache is None else cache / f"{project.replace('/', '+')}.parquet"
    known = pd.DataFrame(columns=["fix", "sha", "only_adds", *NAMES])
    if kept is not None and kept.exists() and set(known) <= set(old := pd.read_parquet(kept)):
        known = old
    left = sorted(set(fixes) - set(known["fix"]))
    repo = clone_of(clones, project) if left else None
    if left and repo is None:
        print(f"no clone of {project}")
    new = []
    for fix, some in candidates_of(repo, left) if repo is not None else ():
        new += [
            {"fix": fix, "sha": c.facts.sha, "only_adds": c.only_adds, **row}
            for c, row in zip(some, candidate_features(some), strict=True)
        ] or [{"fix": fix}]
    whole = pd.concat([known, pd.DataFrame(new, columns=list(known))]) if new else known
    if kept is not None and new:
        kept.parent.mkdir(parents=True, exist_ok=True)
        whole.to_parquet(kept)
    return whole[whole["fix"].isin(fixes)]


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


def report(cases: list[Case], ours: list[np.ndarray]) -> None:
    ways = {"ranked": ours}
    ways |= {way: [c.x[:, NAMES.index(n)] for c in cases] for way, n in BLAME.items()}
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


def best_of(cases: list[Case], scores: list[np.ndarray]) -> tuple[np.ndarray, ...]:
    """Return of each fix with candidates the highest score, whether it is right, and a weight."""
    rows = [
        (s.max(), int(s.argmax()) in c.right, c.weight)
        for c, s in zip(cases, scores, strict=True)
        if s.any()
    ]
    return tuple(np.array(column, dtype=float) for column in zip(*rows, strict=True))


def calibration(p: np.ndarray, hit: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Fit how often the first answer is right to its confidence, with a slope for each end."""

    def loss(w: np.ndarray) -> float:
        told = expit(calibrated(p, w))
        return -float((weight * (xlogy(hit, told) + xlogy(1 - hit, 1 - told))).sum())

    return minimize(loss, [1.0, 1.0, 0.0], bounds=[(0, None), (0, None), (None, None)]).x


def calibrated(p: np.ndarray, w: np.ndarray) -> np.ndarray:
    p = p.clip(1e-9, 1 - 1e-9)
    return w[0] * np.log(p) - w[1] * np.log1p(-p) + w[2]


def report_confidences(cases: list[Case], ours: list[np.ndarray]) -> None:
    """Print how right confidences are, each project by a calibration that the others taught."""
    every = []
    for part in sorted({c.part for c in cases}):
        inside = [c.part == part for c in cases]
        out = [(c, s) for c, s, i in zip(cases, ours, inside, strict=True) if not i]
        own = [(c, s) for c, s, i in zip(cases, ours, inside, strict=True) if i and s.any()]
        w = calibration(*best_of(*map(list, zip(*out, strict=True))))
        every += [
            (c.project, float(expit(calibrated(s.max(), w))), int(s.argmax()) in c.right)
            for c, s in own
        ]
    told = pd.DataFrame(every, columns=["project", "told", "hit"])
    for low in np.arange(0.1, 1.0, 0.1):
        some = told[(told["told"] >= low) & (told["told"] < low + 0.1)]
        if len(some):
            print(f"confidence from {low:.1f}: {shown(some['hit'])}")
    for project, some in told[told["told"] >= SURE].groupby("project"):
        print(f"confidence from {SURE}, {project}: {shown(some['hit'])}")


def shown(hit: pd.Series) -> str:
    low, high = wilson(int(hit.sum()), len(hit))
    return f"{len(hit)}, {hit.mean():.2f} right [{low:.2f}, {high:.2f}]"


def write_answers(folder: Path, cases: list[Case], ours: list[np.ndarray]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        (c.project, c.fix, c.shas[int(s.argmax())], float(s.max()), True)
        for c, s in zip(cases, ours, strict=True)
        if s.any()
    ]
    columns = ["project", "fix_commit", "bug_commit", "confidence", "chosen"]
    for project, some in pd.DataFrame(rows, columns=columns).groupby("project"):
        some.to_parquet(folder / f"{str(project).replace('/', '+')}.parquet")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clones", type=Path)
    parser.add_argument("tables", nargs="+")
    parser.add_argument("--oracle")
    parser.add_argument("--limit", type=int, default=120)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--answers", type=Path)
    options = parser.parse_args()
    named = pd.concat([pd.read_parquet(table) for table in options.tables])
    cases = read_cases(options.clones, named, options.limit, options.cache, oracle=False)
    if options.oracle:
        oracle = pd.read_parquet(options.oracle)
        cases += read_cases(options.clones, oracle, options.limit, options.cache, oracle=True)
    ours = held_out(cases)
    report(cases, ours)
    report_confidences(cases, ours)
    if options.answers:
        write_answers(options.answers, cases, ours)
    print("CALIBRATION", calibration(*best_of(cases, ours)).round(3))
    for adds in (False, True):
        columns = columns_of(only_adds=adds)
        w = fit([c for c in cases if c.only_adds is adds], columns)
        print("ADDING" if adds else "DELETING", f"(nobody {w[-1]:.2f})")
        for i, value in zip(columns, w[:-1], strict=True):
            print(f'    "{NAMES[i]}": {value:.2f},')


if __name__ == "__main__":
    main()
