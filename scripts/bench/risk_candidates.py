"""Metrics of changes that were tried for risk and did not earn a place; for ``risk.py`` only."""

from __future__ import annotations

import re
import subprocess
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from testopt.code.paths import is_code
from testopt.risk.mined_metrics import COMMIT_COLUMNS, FILE_COLUMNS, mined_commits

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from testopt.risk.change_metrics import ChangeFacts, TouchedFile
    from testopt.store import Store

DAY_S = 86_400.0
LARGEST = 30  # a change of more files says nothing of what belongs together
BRANCH = re.compile(rb"\b(?:if|elif|for|while|except|and|or|case|catch|assert|with)\b|&&|\|\|")
GROUPS = {
    "tests touched or missing": ["test_missing", "untested"],
    "co-change surprise": ["surprise", "partner_missing"],
    "recent fixes of a file": ["fix_recent", "file_age"],
    "hunks": ["hunks", "src_hunks"],
    "complexity delta": ["branches", "branch_churn"],
}


class Past:
    """What earlier changes did to files, read before it is updated."""

    def __init__(self) -> None:
        self.changes: dict[str, list[int]] = defaultdict(list)
        self.files: list[tuple[str, ...]] = []
        self.with_test: set[str] = set()
        self.first: dict[str, float] = {}
        self.fixed: dict[str, list[float]] = defaultdict(list)

    def measure(self, commit: ChangeFacts, files: Sequence[TouchedFile]) -> dict[str, float]:
        """Return the metrics of a change that is about to be made."""
        source = [f.path for f in files if is_code(f.path) and not f.is_test]
        known = [set(self.changes[p]) for p in source[:15] if p in self.changes]
        together = [
            len(a & b) / min(len(a), len(b)) for i, a in enumerate(known) for b in known[:i]
        ]
        ages = [(commit.time - self.first[p]) / DAY_S for p in source if p in self.first]
        recent = [
            sum(2 ** ((t - commit.time) / (45 * DAY_S)) for t in self.fixed[p])
            for p in source
            if p in self.fixed
        ]
        return {
            "test_missing": float(bool(source) and not any(f.is_test for f in files)),
            "untested": sum(p not in self.with_test for p in source) / max(len(source), 1),
            "surprise": 1.0 - float(np.mean(together)) if together else 0.0,
            "partner_missing": self.missing(source[:10], {f.path for f in files}),
            "fix_recent": max(recent, default=0.0),
            "file_age": max(ages, default=0.0),
        }

    def missing(self, source: Sequence[str], here: set[str]) -> float:
        """Return how often the file that is missing most changed with one that is here."""
        most = 0.0
        for path in source:
            past = self.changes.get(path, [])[-20:]
            partners = Counter(p for n in past for p in self.files[n] if p not in here)
            if len(past) > 3 and partners:
                most = max(most, partners.most_common(1)[0][1] / len(past))
        return most

    def update(self, commit: ChangeFacts, files: Sequence[TouchedFile]) -> None:
        """Remember a change."""
        few = len(files) <= LARGEST
        tested = few and any(f.is_test for f in files)
        for file in files:
            self.changes[file.path].append(len(self.files))
            self.first.setdefault(file.path, commit.time)
            if tested and not file.is_test:
                self.with_test.add(file.path)
            if commit.is_fix and few:
                self.fixed[file.path].append(commit.time)
        self.files.append(tuple(f.path for f in files) if few else ())


def from_store(store: Store, shas: Sequence[str]) -> dict[str, pd.DataFrame]:
    past, found = Past(), {}
    history = mined_commits(
        store.read("commits", columns=COMMIT_COLUMNS),
        store.read("file_changes", columns=FILE_COLUMNS),
    )
    for sha, facts, files in history:
        if files and not facts.is_merge:
            found[sha] = past.measure(facts, files)
            past.update(facts, files)
    return grouped([found[sha] for sha in shas])


def from_patches(repo: Path, shas: Sequence[str]) -> dict[str, pd.DataFrame]:
    command = ["git", "-C", str(repo), "log", "--no-merges", "-p", "-U0", "--no-color"]
    found: dict[str, dict[str, float]] = {}
    with subprocess.Popen([*command, "--format=%x01%H"], stdout=subprocess.PIPE) as git:
        row: dict[str, float] = {}
        source = False
        for line in git.stdout or ():
            if line[:1] == b"\x01":
                row = dict.fromkeys(("hunks", "src_hunks", "branches", "branch_churn"), 0.0)
                found[line[1:].strip().decode()] = row
            elif line[:4] == b"+++ ":
                source = is_code(line[6:].strip().decode("utf-8", "replace"))
            elif line[:2] == b"@@":
                row["hunks"] += 1
                row["src_hunks"] += source
            elif source and line[:1] in (b"+", b"-"):
                count = len(BRANCH.findall(line))
                row["branches"] += count if line[:1] == b"+" else -count
                row["branch_churn"] += count
    return grouped([found.get(sha, {}) for sha in shas])


def grouped(rows: list[dict[str, Any]]) -> dict[str, pd.DataFrame]:
    frame = pd.DataFrame(rows)
    return {name: frame[columns] for name, columns in GROUPS.items() if set(columns) <= set(frame)}
