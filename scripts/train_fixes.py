"""Learn the weights of words, files and lines by which a commit is told to be a fix.

    python scripts/train_fixes.py CLONES OUT.json owner/name… [--cache FOLDER] [--check]

CLONES    folder with the repositories, found as by ``scripts/train_szz.py``
OUT.json  ``testopt/git/fix_words.json``
--cache   keeps the commits that were read: 77 projects take minutes to read, and one to learn from

What authors marked themselves teaches: trailers ``Fixes: <hash>``, the types of conventional
commits, prefixes such as ``BUG/MINOR:``, and closed issues; those marks are taken out of the
messages first. A commit that is not marked, in a project that does not mark all of them, is a
fix or none: one that holds words of repair or failure is left out, the others count as none
(positive and unlabelled examples: Elkan and Noto 2008). What a rule decides by its files alone
teaches nothing. A fact counts only where at least eight projects know it. With --check it prints
how well fixes are told with projects held out.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix, vstack
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from train_szz import clone_of

from testopt.git.fix_words import (
    FAILURE,
    FEATURE,
    REPAIR,
    TRIVIAL,
    FileCounts,
    is_program,
    message_facts,
)
from testopt.git.log import read_history
from testopt.git.process import run_git

SAMPLE, MARKED, PER_PROJECT = 800, 400, 400
COLUMNS = ["sha", "message", "paths", "added", "deleted"]
MIN_PROJECTS, MIN_COMMITS, RIDGE, FOLDS = 8, 25, 0.02, 5
# Log-odds from which a commit is a fix, without a named defect and with one. On 465 commits of 89
# projects that teach nothing, read by hand (134 fixes): -0.3 finds .68 of the fixes at a precision
# of .84, -0.6 finds .72 at .80, -0.9 finds .77 at .73; with a named one nothing is lost above -2.
THRESHOLD, THRESHOLD_NAMED = -0.6, -2.0
SMALLEST = 0.03  # weights below it are not shipped
SAME_PAST = {"ovn-org/ovn": "openvswitch/ovs"}  # projects of one history are held out together
_TRAILER = re.compile(
    r"^\s*fixes:\s*(?:commit\s*)?[0-9a-f]{7,40}\b.*$", re.IGNORECASE | re.MULTILINE
)
_TYPE = re.compile(r"^(\w+)(?:\(([^)]*)\))?!?:\s+(.*)", re.DOTALL)
_FIX_TYPES = {"fix", "bugfix", "hotfix", "bug"}
_OTHER_TYPES = {
    "feat", "feature", "docs", "doc", "style", "test", "tests", "chore", "build", "ci", "refactor",
    "perf", "release", "deps", "types", "workflow",
}  # fmt: skip
_TYPES = _FIX_TYPES | _OTHER_TYPES
_TRIVIAL_SCOPE = re.compile(r"doc|test|typo|lint|build|ci|types", re.IGNORECASE)
_PREFIX = re.compile(
    r"^(?:(BUG)/\w+|(?:MINOR|MEDIUM|MAJOR|CLEANUP|DOC|BUILD|REORG|OPTIM|CI|TESTS?|REGTESTS?|"
    r"LICENSE|SCRIPTS|EXAMPLES?|DEV)(?:/\w+)*)\s*:\s*(.*)",
    re.DOTALL,
)
_CLOSES = re.compile(
    r"\b(?:fix(?:e[sd])?|close[sd]?|resolve[sd]?):?\s+(?:#|https?://\S+/issues/|gh-)\d+",
    re.IGNORECASE,
)


_NO_FIX = re.compile(
    r"^(?:\W*[\w./-]+:\s*)*(?:add|implement|introduc|support|allow|new|improve|update|bump|remove|"
    r"refactor|clean|document|docs?|release|version|rename|move|upgrade|use|prepare|deprecat)",
    re.IGNORECASE,
)


class Row(NamedTuple):
    """A commit without its mark, whether it is a fix, and how far that is believed."""

    project: str
    message: str
    files: list[FileCounts]
    fix: bool
    weight: float


def marked(message: str, style: str, *, keep: bool) -> tuple[str, bool, float] | None:
    """Return a message without its mark, whether that says fix, and a weight; None: unknown."""
    suspect = FAILURE.search(message) or REPAIR.search(message.partition("\n")[0])
    if style == "trailer" and _TRAILER.search(message):
        return _TRAILER.sub("", message), True, 1.0
    if style == "trailer":
        return None if suspect else (message, False, 1.0)
    if style == "prefix" and (match := _PREFIX.match(message)):
        return match[2], bool(match[1]), 1.0
    if (match := _TYPE.match(message)) and (style == "type" or match[1].lower() in _TYPES):
        return by_type(match, keep=keep)
    if _CLOSES.search(message) and not FEATURE.match(message):
        return _CLOSES.sub(" ", message), True, 0.5
    return (message, False, 0.7) if _NO_FIX.match(message) and not suspect else None


def by_type(match: re.Match[str], *, keep: bool) -> tuple[str, bool, float] | None:
    kind = match[1].lower()
    subject = match[3].partition("\n")[0]
    if TRIVIAL.search(subject) and not FAILURE.search(subject) and kind in _FIX_TYPES:
        return None
    if kind in _FIX_TYPES and not _TRIVIAL_SCOPE.search(match[2] or ""):
        return ("Fix " if keep else "") + match[3], True, 1.0  # others write so, half of the time
    return (match[3], False, 1.0) if kind in _OTHER_TYPES else None


def style_of(messages: list[str]) -> str:
    """Return how a project marks its fixes."""
    share = {
        "trailer": sum(bool(_TRAILER.search(m)) for m in messages) * 10,
        "prefix": sum(bool(_PREFIX.match(m)) for m in messages),
        "type": sum(bool((t := _TYPE.match(m)) and t[1].lower() in _TYPES)
                    for m in messages),
    }  # fmt: skip
    best = max(share, key=lambda k: share[k])
    return best if share[best] > (0.1 if best == "trailer" else 0.5) * len(messages) else "issues"


def sample(repo: Path) -> pd.DataFrame:
    """Return some commits, and more with a trailer: hash, message, and the lists of their files."""
    random_order = random.Random(3)
    shas = run_git(repo, "rev-list", "--no-merges", "HEAD", timeout=None).decode().split()
    random_order.shuffle(shas)
    trailer = ("--grep=^Fixes: [0-9a-f]\\{7,\\}", "-i", "--format=%H", "HEAD")
    named = run_git(repo, "log", "--no-merges", *trailer, timeout=None).decode().split()
    random_order.shuffle(named)
    files: dict[str, list[FileCounts]] = defaultdict(list)
    found = []
    for history in read_history(repo, list(dict.fromkeys(shas[:SAMPLE] + named[:MARKED]))):
        for row in history.files:
            files[row.sha].append(FileCounts(row.path, row.added, row.deleted))
        found += [(c.sha, c.message, *columns_of(files[c.sha])) for c in history.commits]
    head = run_git(repo, "rev-parse", "HEAD").decode().strip()
    return pd.DataFrame(found, columns=COLUMNS).assign(head=head)


def columns_of(files: list[FileCounts]) -> tuple[list[str], list[float], list[float]]:
    """Return paths, lines added and lines deleted; NaN where git counts none."""
    added = [math.nan if f.added is None else f.added for f in files]
    deleted = [math.nan if f.deleted is None else f.deleted for f in files]
    return [f.path for f in files], added, deleted


def files_of(paths: list[str], added: list[float], deleted: list[float]) -> list[FileCounts]:
    return [
        FileCounts(path, *(None if math.isnan(n) else int(n) for n in counts))
        for path, *counts in zip(paths, added, deleted, strict=True)
    ]


def commits_of(clones: Path, project: str, cache: Path | None) -> pd.DataFrame | None:
    kept = None if cache is None else cache / f"{project.replace('/', '+')}.parquet"
    if kept is not None and kept.exists():
        return pd.read_parquet(kept)
    repo = clone_of(clones, project)
    if repo is None:
        print(f"no clone of {project}")
        return None
    commits = sample(repo)
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        commits.to_parquet(kept)
    return commits


def read(clones: Path, project: str, cache: Path | None) -> tuple[list[Row], str]:
    """Return the commits of a project that teach, and the commit up to which it was read."""
    commits = commits_of(clones, project, cache)
    if commits is None or commits.empty:
        return [], ""
    style = style_of(list(commits["message"][:SAMPLE]))
    rows = []
    for sha, message, *lists in commits[COLUMNS].itertuples(index=False):
        files = files_of(*lists)
        if not any(is_program(file.path) for file in files):
            continue
        if told := marked(message.strip(), style, keep=int(sha[:8], 16) % 2 == 1):
            rows.append(Row(project, told[0], files, told[1], told[2]))
    print(f"{project}: {style}, {sum(r.fix for r in rows)} fixes, {len(rows)} rows", flush=True)
    return rows, str(commits["head"].iloc[0])


class Matrix:
    """Facts as columns; those that few projects know are left out."""

    def __init__(self, rows: list[Row]) -> None:
        self.facts = [set(message_facts(r.message, r.files)) for r in rows]
        self.subjects = [set(message_facts(r.message.partition("\n")[0], r.files)) for r in rows]
        self.project = np.array([SAME_PAST.get(r.project, r.project) for r in rows])
        self.project_names = [r.project for r in rows]
        self.fix = np.array([r.fix for r in rows])
        size = Counter(r.project for r in rows)
        self.weight = np.array([r.weight * min(1, PER_PROJECT / size[r.project]) for r in rows])
        self._known: dict[str, set[str]] = defaultdict(set)
        self._count: Counter[str] = Counter()
        for facts, row in zip(self.facts, rows, strict=True):
            self._count.update(facts)
            for fact in facts:
                self._known[fact].add(row.project)

    def columns(self, projects: set[str]) -> dict[str, int]:
        """Return the facts that enough of some projects know."""
        kept = (
            fact
            for fact, known in self._known.items()
            if len(known & projects) >= MIN_PROJECTS and self._count[fact] >= MIN_COMMITS
        )
        return {fact: i for i, fact in enumerate(sorted(kept))}

    def fit(self, inside: np.ndarray, columns: dict[str, int]) -> LogisticRegression:
        """Fit on whole messages, and on subjects alone with half the weight."""
        x = vstack([matrix(self.facts, columns)[inside], matrix(self.subjects, columns)[inside]])
        y, w = self.fix[inside], self.weight[inside]
        model = LogisticRegression(C=RIDGE, max_iter=300)
        return model.fit(x, np.r_[y, y], sample_weight=np.r_[w, w / 2])


def matrix(facts: list[set[str]], columns: dict[str, int]) -> csr_matrix:
    found = [[columns[f] for f in some if f in columns] for some in facts]
    indices = [i for row in found for i in row]
    ends = np.cumsum([0, *map(len, found)])
    return csr_matrix((np.ones(len(indices)), indices, ends), (len(facts), len(columns)))


def held_out(data: Matrix) -> None:
    projects = sorted(set(data.project))
    for k in range(FOLDS):
        out = np.isin(data.project, projects[k::FOLDS])
        columns = data.columns(set(data.project[~out]))
        model = data.fit(~out, columns)
        p = np.zeros(len(out))
        p[out] = model.decision_function(matrix(data.facts, columns)[out])
        for project in projects[k::FOLDS]:
            y, q = data.fix[data.project == project], p[data.project == project]
            if 0 < y.sum() < len(y):
                found, false = (q[y] >= THRESHOLD).mean(), (q[~y] >= THRESHOLD).mean()
                auc = roc_auc_score(y, q)
                print(
                    f"{project:34} AUC {auc:.3f} found {found:.2f} of fixes, {false:.2f} of others"
                )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clones", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("projects", nargs="+")
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--check", action="store_true", help="hold projects out first")
    options = parser.parse_args()
    found = {name: read(options.clones, name, options.cache) for name in options.projects}
    data = Matrix([row for rows, _ in found.values() for row in rows])
    if options.check:
        held_out(data)
    columns = data.columns(set(data.project_names))
    model = data.fit(np.ones(len(data.fix), bool), columns)
    words = {f: round(float(model.coef_[0][i]), 2) for f, i in columns.items()
             if abs(model.coef_[0][i]) >= SMALLEST}  # fmt: skip
    document = {
        "taught_by": {p: found[p][1] for p in sorted(set(data.project_names))},
        "intercept": round(float(model.intercept_[0]), 3),
        "threshold": THRESHOLD,
        "threshold_named": THRESHOLD_NAMED,
        "facts": dict(sorted(words.items())),
    }
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), indent=0)
    options.out.write_text(text + "\n", encoding="utf-8")
    print(f"{len(words)} weights, {len(text.encode()) / 1000:.0f} kB")


if __name__ == "__main__":
    main()
