"""Change risk against what authors said later: reverts, and commits named as a cause.

    python scripts/bench/risk_truth.py FOLDER NAME=CLONE ... [--fixes 400] [--months 3]

Of each clone the newest commits are mined into FOLDER/NAME, and a sample of the fixes is traced,
once: a repeated call only judges. szz is kept from the answers (hashes in messages, quoted
subjects). Culprits are commits that a later message reverts or names ("Fixes: <hash>",
"regression from <hash>", "introduced by <hash>", 'Revert "subject"').

The commits between 60 and 95 % of the history are judged by models of the time (the youngest had no
time to be named), by their metrics alone: layout and turned conditions are not looked at. Prints
for each repository ROC-AUC of the risk and of lines added, a paired 95 % interval of the gain, the
share of the culprits in the riskiest fifth, and the calibration error against labels of szz; at the
end the mean gain, with the interval of a bootstrap of the commits within each repository.
"""

from __future__ import annotations

import argparse
import random
import re
import subprocess
from collections import defaultdict
from pathlib import Path

import numpy as np

import testopt.szz.one_fix as tracing
from testopt.git.messages import explanation_words
from testopt.learning.metrics import expected_calibration_error, roc_auc
from testopt.mine import mine
from testopt.risk.measured_history import DefectLabels, measure_history
from testopt.risk.model import MonthlyModels, metrics_frame, month_of
from testopt.store import Store
from testopt.szz.trace import szz

NEWEST = 9_000
FIRST, LAST = 0.6, 0.95
REPEATS = 400
LEAST = 15  # culprits; of fewer nothing is said
NAMED = re.compile(
    r"(?:^\s*fixes:|this reverts|reverts?|revert(?:ed|s) (?:by|in)|regress\w*|introduced|caused|"
    r"broken|broke|bug in)\s+(?:\w+\s+){0,3}?(?:commit\s+)?[#`\"(]?([0-9a-f]{7,40})\b",
    re.IGNORECASE | re.MULTILINE,
)
REVERT = re.compile(r"(?:\w+: )?revert:? [\"“](.+?)[\"”]", re.IGNORECASE)


def culprits(clone: Path) -> set[str]:
    """Return the commits that a later one reverts or names as a cause."""
    log = ["git", "-C", str(clone), "log", "--format=%H%x02%s%x02%b%x03", "HEAD"]
    text = subprocess.run(log, check=True, capture_output=True).stdout.decode("utf-8", "replace")
    rows = [r.strip("\n").split("\x02", 2) for r in text.split("\x03") if r.count("\x02") == 2]
    short, subjects = defaultdict(list), defaultdict(list)
    for sha, subject, _ in rows:
        short[sha[:7]].append(sha)
        subjects[subject.strip()].append(sha)
    found = set()
    for sha, subject, body in rows:
        reverted = REVERT.match(subject.strip())
        names = [short[name[:7].lower()] for name in NAMED.findall(body)]
        names += [subjects[reverted[1].strip()]] if reverted else []
        found |= {some[0] for some in names if len(some) == 1 and some[0] != sha}
    return found


def prepared(folder: Path, clone: Path, fixes: int) -> Store:
    """Return a store with the newest commits, and traced fixes that szz was not told."""
    fresh = not folder.exists()
    store = Store.open(str(folder), create=True)
    if fresh:
        mine(repo=clone, store=store, newest=NEWEST)
        rows = store.read("commits", columns=["sha", "is_fix"]).to_pylist()
        known = [row["sha"] for row in rows if row["is_fix"]]
        sample = random.Random(0).sample(sorted(known), min(fixes, len(known)))
        tracing.stated_commits = lambda *_, **__: []  # type: ignore[assignment]
        tracing._quotes = lambda *_: False  # noqa: SLF001 - szz is not to be told
        szz(repo=clone, fixes=sample, store=store)
    return store


def judged(
    store: Store, clone: Path, months: int
) -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray]:
    """Return hashes, probabilities, lines added and labels of szz of the commits to judge."""
    words = explanation_words(clone, store.read("commits", columns=["sha"])["sha"].to_pylist())
    history = measure_history(store, {}, words=words)
    models, labels = MonthlyModels(store, history), DefectLabels(store, history)
    n = len(history.shas)
    rows = np.arange(int(n * FIRST), int(n * LAST))
    month = np.array([month_of(history.times[i]) // months * months for i in rows])
    p = np.empty(len(rows))
    for one in np.unique(month):
        at = rows[month == one]
        frame = metrics_frame([history.facts[i] for i in at], [history.rows[i] for i in at])
        p[month == one] = models.at(int(one)).model.predict_proba(frame)[:, -1]
    added: dict[str, int] = defaultdict(int)
    for row in store.read("file_changes", columns=["sha", "added"]).to_pylist():
        added[row["sha"]] += row["added"] or 0
    names = [history.shas[i] for i in rows]
    return names, p, np.array([added[name] for name in names]), labels.known(np.inf)[rows]


def draws(y: np.ndarray, p: np.ndarray, lines: np.ndarray) -> np.ndarray:
    """Return gains in AUC of samples of the culprits and of the others."""
    rng = np.random.default_rng(1)
    found = []
    for _ in range(REPEATS):
        at = np.concatenate([rng.choice(np.flatnonzero(y == k), (y == k).sum()) for k in (1, 0)])
        found.append(roc_auc(y[at], p[at]) - roc_auc(y[at], lines[at]))
    return np.array(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("clones", nargs="+", metavar="NAME=CLONE")
    parser.add_argument("--fixes", type=int, default=400)
    parser.add_argument("--months", type=int, default=3, help="that one model judges")
    options = parser.parse_args()
    gains, means = [], []
    for name, clone in (pair.split("=", 1) for pair in options.clones):
        store = prepared(options.folder / name, Path(clone), options.fixes)
        shas, p, lines, traced = judged(store, Path(clone), options.months)
        y = np.isin(shas, sorted(culprits(Path(clone))))
        if y.sum() < LEAST:
            print(f"{name:18} {y.sum()} culprits are too few")
            continue
        gains.append(draws(y, p, lines))
        means.append(roc_auc(y, p) - roc_auc(y, lines))
        low, high = np.quantile(gains[-1], [0.025, 0.975])
        top = [np.argsort(-s, kind="stable")[: len(y) // 5] for s in (p, lines)]
        fifth = [y[at].sum() / y.sum() for at in top]
        error = expected_calibration_error(traced, p)
        print(
            f"{name:18} {len(y):5} commits {y.sum():4} culprits: AUC {roc_auc(y, p):.3f}, lines "
            f"added {roc_auc(y, lines):.3f} ({low:+.3f} to {high:+.3f}); in the riskiest fifth "
            f"{fifth[0]:.2f}, by lines {fifth[1]:.2f}; calibration error {error:.3f}",
            flush=True,
        )
    if means:
        low, high = np.quantile(np.mean(gains, axis=0), [0.025, 0.975])
        print(f"mean gain of {len(means)}: {np.mean(means):+.3f} ({low:+.3f} to {high:+.3f})")


if __name__ == "__main__":
    main()
