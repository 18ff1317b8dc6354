"""Which runs tested the same code: those of one tree, else of one commit."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def same_code(
    trees: Sequence[str | None],
    commits: Sequence[str | None],
    edited: Sequence[bool],
) -> list[str | None]:
    """Return what the runs of one code share; None where nothing tells.

    A commit tells where no tree is known: the tree is null in rows of format 1 and of tables, and
    empty where the files were edited since.

    Parameters
    ----------
    trees, commits : sequence of str or None
        Of the runs, as the table has them.
    edited : sequence of bool
        Whether a run is of changes that are in no commit.
    """
    rows = list(zip(trees, commits, edited, strict=True))
    # a commit of which one tree is known, and no other one, is this tree
    of_commit: dict[str, set[str]] = {}
    for tree, commit, is_edited in rows:
        if commit and tree and not is_edited:
            of_commit.setdefault(commit, set()).add(tree)
    known = {commit: min(found) for commit, found in of_commit.items() if len(found) == 1}
    return [
        tree or (None if tree == "" or is_edited or not commit else known.get(commit, commit))
        for tree, commit, is_edited in rows
    ]
