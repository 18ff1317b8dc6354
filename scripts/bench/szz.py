"""SZZ against plain ``git diff`` and ``git blame`` for the same fixes, and over whole histories.

    python scripts/bench/szz.py CLONES ORACLE.parquet [--repeats 2]
    python scripts/bench/szz.py REPO --history

With an oracle (project, fix_commit; clones are found as by ``scripts/train_szz.py``): one
``git diff -U0`` for each fix and one ``git blame -w`` of the deleted lines for each file of it,
one after the other, against testopt for the same fixes. Prints seconds of wall clock and of
processor (children included) of the best repeat and the ratio. With ``--history``: all fixes of
HEAD, from scratch.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
from mining import cost

from testopt.szz.trace import szz

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from train_szz import clone_of

HUNK = re.compile(rb"^@@ -(\d+)(?:,(\d+))? ", re.MULTILINE)


def git(repo: Path, *args: str) -> bytes:
    command = ["git", "-C", str(repo), "-c", "core.quotepath=off", *args]
    return subprocess.run(command, check=False, capture_output=True).stdout


def plain(repo: Path, fix: str) -> None:
    """Do what every SZZ has to: the diff of a fix, and blame of the lines that it deletes."""
    patch = git(repo, "diff", "-U0", "-w", f"{fix}^", fix)
    for section in re.split(rb"^diff --git ", patch, flags=re.MULTILINE)[1:]:
        path = re.search(rb"^--- a/(.+?)\t?$", section, re.MULTILINE)
        spans = [(int(start), int(count or b"1")) for start, count in HUNK.findall(section)]
        ranges = [f"-L{start},+{count}" for start, count in spans if count]
        if path and ranges:
            git(repo, "blame", "-w", "--porcelain", *ranges, f"{fix}^", "--", path[1].decode())


def against_git(clones: Path, oracle: pd.DataFrame, repeats: int) -> None:
    groups = [
        (repo, list(group.fix_commit))
        for project, group in oracle.groupby("project")
        if (repo := clone_of(clones, str(project))) is not None
    ]
    fixes = sum(len(some) for _, some in groups)

    def theirs() -> None:
        for repo, some in groups:
            for fix in some:
                plain(repo, fix)

    def ours() -> None:
        for repo, some in groups:
            szz(repo=repo, fixes=some)

    theirs()  # warms the page cache for both
    a = min(cost(theirs) for _ in range(repeats))
    b = min(cost(ours) for _ in range(repeats))
    print(f"{fixes} fixes of {len(groups)} repositories, best of {repeats}")
    print(f"git diff + git blame -w  {a.wall:7.2f} s wall  {a.cpu:7.2f} s processor")
    print(f"testopt szz              {b.wall:7.2f} s wall  {b.cpu:7.2f} s processor")
    print(f"ratio                    {b.wall / a.wall:7.2f}        {b.cpu / a.cpu:7.2f}")


def whole_history(repo: Path) -> None:
    commits = int(git(repo, "rev-list", "--count", "HEAD"))
    found: list[int] = []
    spent = cost(lambda: found.append(len(szz(repo=repo).traced)))
    print(f"{commits} commits, {found[0]} fixes")
    print(f"{spent.wall:.1f} s wall, {spent.cpu:.1f} s processor")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("repositories", type=Path)
    parser.add_argument("oracle", nargs="?")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--history", action="store_true")
    options = parser.parse_args()
    if options.history:
        whole_history(options.repositories)
    elif options.oracle:
        against_git(options.repositories, pd.read_parquet(options.oracle), options.repeats)
    else:
        parser.error("name an oracle, or --history")


if __name__ == "__main__":
    main()
