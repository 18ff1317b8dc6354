"""Makes the variants of a past commit: its source change undone, and small seeded faults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from testopt.backfill import mutate
from testopt.backfill.history import PastCommit, is_source
from testopt.backfill.variant_commits import (
    changed_lines,
    read_at_commit,
    restore_entries,
    rewrite_entries,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from testopt.schema import Change, FileChange, Kind


@dataclass(frozen=True, slots=True)
class Variant:
    """A variant of a commit: what it is, the edit that makes it, and its index entries."""

    kind: Kind
    edit: str
    entries: bytes


def seeded_sources(change: Change) -> list[str]:
    """Return the source files that a change leaves behind and faults can be seeded in."""
    return [
        f.path
        for f in change.files
        if f.status != "D" and is_source(f.path) and mutate.can_hold_faults(f.path)
    ]


def variants_of(
    repo: Path, commit: PastCommit, change: Change, *, reverse: bool, mutants: int, seed: int
) -> list[Variant]:
    """Make the variants of a commit.

    Parameters
    ----------
    repo : Path
        The repository; new file contents are written to its objects.
    commit : PastCommit
        The commit.
    change : Change
        What it changed.
    reverse : bool
        Undo its source change, with its tests kept.
    mutants : int
        Small faults to seed in its source, at most.
    seed : int
        Which ones.

    Returns
    -------
    list of Variant
        No undoing where only comments, layout or docstrings would come back.
    """
    variants: list[Variant] = []
    source_files = [f for f in change.files if is_source(f.path) or is_source(f.old_path or "")]
    if reverse and any(_changes_behaviour(repo, commit, f) for f in source_files):
        paths = sorted({p for f in source_files for p in (f.path, _renamed_from(f)) if p})
        variants.append(
            Variant("reverse", "\0".join(paths), restore_entries(repo, commit.parent, paths))
        )
    if mutants > 0:
        sources = _contents(repo, commit.sha, seeded_sources(change))
        for fault in _faults(repo, commit, sources, limit=mutants, seed=seed):
            faulty = {fault.path: fault.apply(sources[fault.path])}
            variants.append(Variant("mutant", fault.key, rewrite_entries(repo, commit.sha, faulty)))
    return variants


def _renamed_from(file: FileChange) -> str | None:
    """Return the path that a renamed file had; a copied one left nothing behind."""
    return file.old_path if file.status == "R" else None


def _contents(repo: Path, commit: str, paths: Sequence[str]) -> dict[str, bytes]:
    contents = {path: read_at_commit(repo, commit, path) for path in paths}
    return {path: content for path, content in contents.items() if content is not None}


def _changes_behaviour(repo: Path, commit: PastCommit, file: FileChange) -> bool:
    """Tell whether undoing a file's change alters more than comments, layout and docstrings."""
    if file.status != "M":
        return True
    before = read_at_commit(repo, commit.parent, file.path)
    after = read_at_commit(repo, commit.sha, file.path)
    return before is None or after is None or not mutate.same_code(before, after, file.path)


def _faults(
    repo: Path, commit: PastCommit, sources: dict[str, bytes], *, limit: int, seed: int
) -> list[mutate.Fault]:
    candidates: list[tuple[int, mutate.Fault]] = []
    for path, content in sources.items():
        lines = changed_lines(repo, commit.parent, commit.sha, path)
        candidates += mutate.find_faults(path, content, frozenset(lines))
    return mutate.choose_faults(candidates, limit, seed=f"{seed} {commit.sha}", sources=sources)
