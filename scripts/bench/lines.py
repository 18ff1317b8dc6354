"""Judge the riskiest lines of a change by the lines that its fix deleted, and learn their weights.

    python scripts/bench/lines.py CLONE… [--limit 200] [--labels FOLDER] [--weights FILE]

CLONE     owner+name[/repo] (bare or not), whose authors name the commit they fix: "Fixes: <hash>"
FOLDER    owner+name.parquet, as ``testopt szz --output`` writes it, for those whose authors do not

The lines that a fix deletes are traced with ``git blame -w``; those that the named commit wrote are
the guilty ones, and only commits that have some, beside innocent ones, are judged. Of each commit
all added lines are ordered, those of texts and tests too. Printed with every repository held out
once, beside simple orders:

top 10    share of the first ten lines that are guilty (JITLine, Pornprasit & Tantithamthavorn 2021)
hit       commits with a guilty line among the first ten
recall    share of the guilty lines in the first 20 % of the lines
effort    share of the lines to read until 20 % of the guilty ones are seen (less is better)
first     innocent lines before the first guilty one (less is better)
hunk      commits whose first hunk (that of the first line) holds a guilty line
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

from testopt.code.paths import is_code, path_text
from testopt.git.blobs import read_blobs
from testopt.git.commit_patches import read_commit_patches
from testopt.risk.line_features import FEATURES, AddedLine, ChangedText, Hunk, added_lines

MOST_LINES, MOST_RANGES, TIES, RIDGE, SURE = 2_000, 100, 5, 0.02, 0.6
SAME_PAST = {"ovn-org/ovn": "openvswitch/ovs"}  # held out together
CODE, NAMES = FEATURES.index("code"), FEATURES.index("names")
_TRAILER = re.compile(
    r"^\s*fixes:\s*(?:commit\s*)?([0-9a-f]{7,40})\b", re.IGNORECASE | re.MULTILINE
)
_BLAMED = re.compile(rb"([0-9a-f]{40}) (\d+) \d+")


class Case(NamedTuple):
    """A commit that broke something: features of its added lines, the guilty ones, their hunks."""

    x: np.ndarray
    guilty: np.ndarray
    hunk: np.ndarray


def named_pairs(repo: Path) -> list[tuple[str, str]]:
    """Return (fix, named commit) of all trailers that name one commit."""
    raw = subprocess.run(
        ["git", "-C", repo, "log", "--format=%H%x02%B%x03", "HEAD"], capture_output=True, check=True
    ).stdout.decode("utf-8", "replace")
    messages = dict(row.strip().split("\x02", 1) for row in raw.split("\x03") if row.strip())
    by_start = defaultdict(list)
    for sha in messages:
        by_start[sha[:7]].append(sha)
    pairs = set()
    for fix, message in messages.items():
        for name in _TRAILER.findall(message):
            found = [sha for sha in by_start[name[:7].lower()] if sha.startswith(name.lower())]
            if len(found) == 1 and found[0] != fix:
                pairs.add((fix, found[0]))
    return sorted(pairs)


def guilty_lines(repo: Path, fix: str, bug: str, path: str, ranges: list[range]) -> set[tuple]:
    """Return (path, number) of the lines of a commit that a fix of it deletes from a file."""
    places = [f"-L{lines.start},{lines.stop - 1}" for lines in ranges]
    blame = ["blame", "-w", "--porcelain", *places, f"{bug}^..{fix}^", "--", path]
    done = subprocess.run(["git", "-C", repo, *blame], capture_output=True, check=False)
    paths, rows, sha = {}, [], b""
    for line in done.stdout.split(b"\n"):
        if match := _BLAMED.match(line):
            sha = match[1]
            rows.append((sha, int(match[2])))
        elif line.startswith(b"filename "):
            paths[sha] = path_text(line[9:])
    return {(paths.get(sha, path), number) for sha, number in rows if sha.decode() == bug}


def labelled_pairs(file: Path) -> list[tuple[str, str]]:
    """Return (fix, commit) of the answers of `testopt szz` that are likelier right than not."""
    rows = pd.read_parquet(file)
    rows = rows[rows["chosen"] & (rows["confidence"] >= SURE)]
    return sorted(set(zip(rows["fix_commit"], rows["bug_commit"], strict=True)))


def read_cases(repo: Path, pairs: list[tuple[str, str]], limit: int) -> list[Case]:
    """Return the commits of a repository that broke something, drawn by a fixed seed."""
    random.Random(7).shuffle(pairs)
    bugs = list(dict.fromkeys(bug for _, bug in pairs))[:limit]
    pairs = [(fix, bug) for fix, bug in pairs if bug in set(bugs)]
    deleted = {}
    for sha, files in read_commit_patches(repo, sorted({fix for fix, _ in pairs})):
        deleted[sha] = {
            path_text(f.old): [hunk.old_lines for hunk in f.hunks if hunk.old_count]
            for f in files
            if f.old is not None and is_code(path_text(f.old))
        }
    guilty = defaultdict(set)
    for fix, bug in pairs:
        for path, ranges in deleted.get(fix, {}).items():
            if 0 < len(ranges) <= MOST_RANGES:
                guilty[bug] |= guilty_lines(repo, fix, bug, os.fsdecode(path), ranges)
    texts = changed_texts(repo, [bug for bug in bugs if guilty[bug]])
    cases = (case_of(files, guilty[bug]) for bug, files in texts.items())
    return [case for case in cases if case is not None]


def changed_texts(repo: Path, shas: list[str]) -> dict[str, list[ChangedText]]:
    """Return what commits changed, with the files after them."""
    out = {}
    for sha, patches in read_commit_patches(repo, shas):
        files = []
        for patch in patches:
            hunks = [(hunk.new_start, list(hunk.lines)) for hunk in patch.hunks]
            if patch.new is not None:
                files.append((path_text(patch.new), patch.old is None, patch.new_object, hunks))
        texts = read_blobs(repo, [name for path, _, name, _ in files if is_code(path)])
        out[sha] = [
            ChangedText(path, texts.get(name, ""), is_new, tuple(hunk_of(*h) for h in hunks))
            for path, is_new, name, hunks in files
        ]
    return out


def hunk_of(first: int, lines: list[bytes]) -> Hunk:
    sides = {b"-": [], b"+": []}
    for line in lines:
        if line[:1] in sides:
            sides[line[:1]].append(line[1:].decode("utf-8", "replace"))
    return Hunk(first, tuple(sides[b"-"]), tuple(sides[b"+"]))


def case_of(files: list[ChangedText], guilty: set[tuple[str, int]]) -> Case | None:
    """Return a commit to learn from; None where all lines are alike, or there are too many."""
    if sum(file.added for file in files) > MOST_LINES:
        return None
    lines: list[AddedLine] = added_lines(files)
    y = np.array([(line.path, line.number) in guilty for line in lines], bool)
    if not 0 < y.sum() < len(y):
        return None
    hunks = np.repeat(
        np.arange(sum(len(f.hunks) for f in files)), [len(h.new) for f in files for h in f.hunks]
    )
    return Case(np.array([line.features for line in lines]), y, hunks[: len(y)])


def fit(cases: list[Case]) -> np.ndarray:
    """Return weights: lines of a commit are compared with each other, commits weigh alike."""
    x = np.vstack([case.x - case.x.mean(0) for case in cases])
    y = np.concatenate([case.guilty for case in cases])
    weight = np.concatenate(
        [np.where(c.guilty, 1 / c.guilty.sum(), 1 / (~c.guilty).sum()) for c in cases]
    )
    scale = x.std(0) + 1e-9
    model = LogisticRegression(C=RIDGE, max_iter=1_000).fit(x / scale, y, sample_weight=weight)
    return model.coef_[0] / scale


def simple_orders(case: Case) -> dict[str, np.ndarray]:
    """Return scores by which anybody could order lines."""
    code, size = case.x[:, CODE], np.bincount(case.hunk)[case.hunk]
    place = np.arange(len(code)) * 1e-9
    return {
        "random": np.zeros(len(code)),
        "random line of code": code,
        "largest hunk": size - case.hunk * 1e-6 - place,
        "largest hunk, lines of code": code * 1e6 + size - case.hunk * 1e-6 - place,
        "most names": code * case.x[:, NAMES],
    }


def by_hunk(score: np.ndarray, case: Case) -> np.ndarray:
    """Return an order of hunks by the guilty lines to expect in them, their lines by score."""
    odds = np.where(case.x[:, CODE] > 0, np.exp(score - score.max()), 0.0)
    expected = np.bincount(case.hunk, odds)
    return expected[case.hunk] * 1e6 + score


def judged(score: np.ndarray, case: Case, rng: np.random.Generator) -> np.ndarray:
    """Return the figures of one order; ties are broken at random."""
    out = []
    for _ in range(TIES):
        order = np.lexsort((rng.random(len(score)), -score))
        y = case.guilty[order]
        seen = np.cumsum(y)
        fifth = max(1, int(np.ceil(0.2 * len(y))))
        needed = np.searchsorted(seen, np.ceil(0.2 * y.sum())) + 1
        in_hunk = case.guilty[case.hunk == case.hunk[order[0]]].any()
        top = y[:10]
        out.append(
            (top.mean(), top.any(), y[:fifth].sum() / y.sum(), needed / len(y), y.argmax(), in_hunk)
        )
    return np.mean(out, axis=0)


def table(cases: dict[str, list[Case]]) -> None:
    """Print the figures, each repository judged by weights of the others."""
    rng, means = np.random.default_rng(0), defaultdict(list)
    print(f"{'':34} commits  top 10    hit  recall  effort  first   hunk")
    for project, own in cases.items():
        root = SAME_PAST.get(project, project)
        weights = fit([c for p, cs in cases.items() if SAME_PAST.get(p, p) != root for c in cs])
        rows = defaultdict(list)
        for case in own:
            score = case.x @ weights
            ours = {"testopt": score, "testopt, hunk by hunk": by_hunk(score, case)}
            for name, order in {**simple_orders(case), **ours}.items():
                rows[name].append(judged(order, case, rng))
        for name, figures in rows.items():
            means[name].append(np.mean(figures, axis=0))
            print(line(f"{project}: {name}", len(own), means[name][-1]))
    n = sum(map(len, cases.values()))
    for name, figures in means.items():
        print(line(f"mean: {name}", n, np.mean(figures, axis=0)))


def line(name: str, n: int, figures: np.ndarray) -> str:
    top, hit, recall, effort, first, hunk = figures
    return (
        f"{name[-34:]:34} {n:7}  {top:6.3f}  {hit:5.3f}  {recall:6.3f}  {effort:6.3f}  {first:5.1f}"
        f"  {hunk:5.3f}"
    )


def write_weights(path: Path, cases: dict[str, list[Case]]) -> None:
    weights = fit([case for own in cases.values() for case in own])
    document = {
        "taught_by": sorted(cases),
        "weights": {name: round(float(w), 4) for name, w in zip(FEATURES, weights, strict=True)},
    }
    path.write_text(json.dumps(document, indent=0) + "\n", encoding="utf-8")


def project_of(clone: Path) -> str:
    name = clone.parent.name if clone.name == "repo" else clone.name
    return name.replace("+", "/")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clones", nargs="+", type=Path, metavar="CLONE")
    parser.add_argument("--limit", type=int, default=200, help="named commits of each")
    parser.add_argument("--labels", type=Path, help="folder with answers of testopt szz")
    parser.add_argument("--weights", type=Path, help="write the weights of all of them")
    options = parser.parse_args()
    cases = {}
    for clone in options.clones:
        project = project_of(clone)
        file = (options.labels or Path()) / f"{project.replace('/', '+')}.parquet"
        pairs = labelled_pairs(file) if file.is_file() else named_pairs(clone)
        cases[project] = read_cases(clone, pairs, options.limit)
    table(cases)
    if options.weights:
        write_weights(options.weights, cases)


if __name__ == "__main__":
    main()
