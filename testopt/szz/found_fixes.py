"""Which commits of a repository are fixes, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testopt.git.fix_words import FileCounts
from testopt.git.fixes import classify
from testopt.git.log import list_commits, read_history
from testopt.git.subjects import FixJudge
from testopt.store.judged_fixes import read_judged

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from testopt.git.fix_words import EditedFile
    from testopt.store import Store
    from testopt.szz.blame import Tracer


def find_fixes(
    repo: Path,
    kinds: Mapping[str, str] | None = None,
    *,
    fix_pattern: str = "",
    store: Store | None = None,
) -> Iterator[tuple[str, str]]:
    """Yield the fixing commits of HEAD, children first, each with the reason.

    Parameters
    ----------
    repo : Path
        Working tree or bare repository.
    kinds : mapping of str to str, optional
        Types of issues by commit; they decide where they are known.
    fix_pattern : str
        As for `szz`.
    store : Store, optional
        What `mine` has found to be no fix by the same rules is not read again.

    Yields
    ------
    tuple of str
        Full hash, and why the commit counts as a fix.
    """
    judge, kinds = FixJudge(fix_pattern), kinds or {}
    others = _no_fixes(store, judge.rules) if store is not None else set()
    wanted = [s for s in reversed(list_commits(repo)) if s in kinds or s not in others]
    for history in read_history(repo, wanted):
        files: dict[str, list[EditedFile]] = {}
        for row in history.files:
            files.setdefault(row.sha, []).append(row)
        for commit in history.commits:
            kind, changed = kinds.get(commit.sha, ""), files.get(commit.sha, ())
            verdict = judge.judge(
                commit.message, changed, parents=len(commit.parents), issue_type=kind
            )
            if verdict.is_fix:
                yield commit.sha, verdict.reason


def _no_fixes(store: Store, rules: str) -> set[str]:
    """Return the commits of a store that some rules told to be no fixes."""
    judged = read_judged(store)
    if judged is None or judged.rules != rules:
        return set()
    rows = store.read("commits", columns=["sha"], where=[("is_fix", "=", False)])
    return set(rows["sha"].to_pylist()) - judged.left


def why_fix(tracer: Tracer, sha: str) -> str:
    """Say why a commit counts as a fix; one that was named by hand may not look like one."""
    facts = tracer.commit(sha)
    if facts is None:
        return ""
    files = [FileCounts(path) for path in tracer.paths(sha)]
    classification = classify(facts.message, files, parents=len(facts.parents))
    return (
        classification.reason
        if classification.is_fix
        else f"taken as a fix, though it {classification.reason}"
    )
