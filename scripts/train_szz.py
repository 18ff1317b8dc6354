"""Learn the weights with which SZZ ranks the commits that may have introduced a defect.

    python scripts/train_szz.py CLONES ORACLE.parquet [--variants VARIANTS.parquet] [--cache FILE]

CLONES    folder with the repositories: owner/name, owner+name or owner+name/repo (bare or not)
ORACLE    project (owner/name), fix_commit, bug_commit, and issue_date where one is known
VARIANTS  variant, project, fix_commit, pred_commit: answers of other methods to compare with

Prints F1 with repositories held out whole (grouped cross-validation, repeated), the same with
issue dates, a paired bootstrap against R-SZZ and, last, the weights to paste into
``testopt/labels/ranking.py``. Messages of the fixes are not read for hashes.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.optimize import minimize

from testopt.errors import TestoptError
from testopt.git.process import find_root
from testopt.szz.blame import Tracer
from testopt.szz.candidates import Candidate, find_candidates
from testopt.szz.ranking import WEIGHTS, candidate_features

REPEATS, FOLDS, DRAWS = 20, 10, 10_000


class Case(NamedTuple):
    """One fix of the oracle: its candidates and the commit that developers named."""

    project: str
    fix: str
    bug: str
    reported: float | None
    candidates: list[Candidate]


class Table(NamedTuple):
    """Features (candidates x features) and the index of the right one (-1: not among them)."""

    project: str
    x: np.ndarray
    right: int


def clone_of(clones: Path, project: str) -> Path | None:
    """Return the repository of a project below `clones`, or None."""
    for name in (project, project.replace("/", "+"), project.replace("/", "+") + "/repo"):
        try:
            return find_root(clones / name)
        except TestoptError:
            continue
    return None


def seconds(value: object) -> float | None:
    if not isinstance(value, str) or not value:
        return None
    time = datetime.fromisoformat(value)
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def read_cases(clones: Path, oracle: pd.DataFrame) -> list[Case]:
    def one(row: tuple[str, str, str, object]) -> Case | None:
        project, fix, bug, date = row
        repo = clone_of(clones, project)
        if repo is None:
            print(f"no clone of {project}")
            return None
        with Tracer(repo) as tracer:
            trace = tracer.trace(fix)
        found = find_candidates(trace.fix, trace.files, trace.facts) if trace.fix else []
        return Case(project, fix, bug, seconds(date), found)

    columns = ["project", "fix_commit", "bug_commit", "issue_date"]
    with ThreadPoolExecutor() as pool:
        rows = oracle.reindex(columns=columns).itertuples(index=False, name=None)
        return [case for case in pool.map(one, rows) if case is not None]


def table(case: Case, names: list[str], *, dated: bool) -> Table:
    keep = [
        c
        for c in case.candidates
        if not (dated and case.reported is not None) or c.facts.authored <= case.reported
    ]
    x = np.array([[row[n] for n in names] for row in candidate_features(keep)]).reshape(
        len(keep), len(names)
    )
    right = [i for i, c in enumerate(keep) if c.facts.sha == case.bug]
    return Table(case.project, x, right[0] if right else -1)


def fit(tables: list[Table], ridge: float) -> np.ndarray:
    """Fit a conditional logit with a ridge penalty on standardised weights."""
    use = [t for t in tables if t.right >= 0 and len(t.x) > 1]
    stacked = np.vstack([t.x for t in use])
    scale = stacked.std(0) + 1e-9
    x = stacked / scale
    sizes = np.array([len(t.x) for t in use])
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    right = starts + np.array([t.right for t in use])
    wanted = x[right].sum(0)

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        z = x @ w
        z -= np.repeat(np.maximum.reduceat(z, starts), sizes)
        e = np.exp(z)
        total = np.add.reduceat(e, starts)
        value = np.log(total).sum() - z[right].sum() + ridge * w @ w
        return float(value), (e / np.repeat(total, sizes)) @ x - wanted + 2 * ridge * w

    return minimize(loss, np.zeros(len(scale)), jac=True, method="L-BFGS-B").x / scale


def hits(tables: list[Table], w: np.ndarray) -> np.ndarray:
    return np.array([t.right >= 0 and int((t.x @ w).argmax()) == t.right for t in tables], float)


def held_out(cases: list[Case], names: list[str], ridge: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the share of repeats in which each case was hit: without and with issue dates."""
    plain = [table(c, names, dated=False) for c in cases]
    dated = [table(c, names, dated=True) for c in cases]
    projects = sorted({c.project for c in cases})
    out = np.zeros((2, len(cases)))
    for repeat in range(REPEATS):
        fold = dict(
            zip(
                projects,
                np.random.default_rng(repeat).permutation(len(projects)) % FOLDS,
                strict=True,
            )
        )
        for k in range(FOLDS):
            inside = [i for i, c in enumerate(cases) if fold[c.project] == k]
            w = fit([t for t in plain if fold[t.project] != k], ridge)
            out[0, inside] += hits([plain[i] for i in inside], w)
            out[1, inside] += hits([dated[i] for i in inside], w)
    return out[0] / REPEATS, out[1] / REPEATS


def f1(hit: np.ndarray, answered: np.ndarray) -> float:
    return float(2 * hit.sum() / (answered.sum() + len(hit)))


def bootstrap(
    ours: tuple[np.ndarray, ...], theirs: tuple[np.ndarray, ...], projects: list[str]
) -> np.ndarray:
    """Draw repositories with replacement; return the differences in F1."""
    groups = [np.flatnonzero(np.array(projects) == p) for p in sorted(set(projects))]
    rng, out = np.random.default_rng(0), []
    for _ in range(DRAWS):
        i = np.concatenate([groups[g] for g in rng.integers(len(groups), size=len(groups))])
        out.append(f1(ours[0][i], ours[1][i]) - f1(theirs[0][i], theirs[1][i]))
    return np.array(out)


def compare(cases: list[Case], ours: tuple[np.ndarray, ...], answers: pd.DataFrame) -> str:
    known = {(p, f): b for p, f, b in answers[["project", "fix_commit", "pred_commit"]].to_numpy()}
    their = np.array([float(known.get((c.project, c.fix)) == c.bug) for c in cases])
    answered = np.array([float((c.project, c.fix) in known) for c in cases])
    d = bootstrap(ours, (their, answered), [c.project for c in cases])
    low, high = np.percentile(d, [2.5, 97.5])
    ours_more = f"ours {d.mean():+.3f} [{low:+.3f}, {high:+.3f}]"
    return f"F1 {f1(their, answered):.3f}; {ours_more}, better in {(d > 0).mean():.1%} of draws"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clones", type=Path)
    parser.add_argument("oracle")
    parser.add_argument("--variants")
    parser.add_argument("--ridge", type=float, default=3.0)
    parser.add_argument("--without", nargs="*", default=[], help="features left out")
    options = parser.parse_args()
    cases = read_cases(options.clones, pd.read_parquet(options.oracle))
    names = [n for n in WEIGHTS if n not in options.without]
    report(
        cases, names, options.ridge, pd.read_parquet(options.variants) if options.variants else None
    )


def report(
    cases: list[Case], names: list[str], ridge: float, variants: pd.DataFrame | None
) -> None:
    plain = [table(c, names, dated=False) for c in cases]
    print(f"{len(cases)} fixes; right one among the candidates: {sum(t.right >= 0 for t in plain)}")
    for kind, hit, suffix in zip(
        ("without", "with"), held_out(cases, names, ridge), ("", "+issuefilter"), strict=True
    ):
        answered = np.array(
            [float(len(table(c, names, dated=kind == "with").x) > 0) for c in cases]
        )
        print(f"{kind} issue dates, repositories held out: F1 {f1(hit, answered):.3f}")
        if variants is not None:
            print(
                "  R-SZZ:",
                compare(cases, (hit, answered), variants[variants.variant == "r" + suffix]),
            )
    w = fit(plain, ridge)
    answered = np.array([float(len(t.x) > 0) for t in plain])
    print(f"fitted to all: F1 {f1(hits(plain, w), answered):.3f}")
    for name, value in zip(names, w, strict=True):
        print(f'    "{name}": {value:.2f},')


if __name__ == "__main__":
    main()
