"""Which code the results of a report were made from, as far as the working tree tells."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from testopt.errors import TestoptError
from testopt.git.change import find_change
from testopt.git.process import resolve
from testopt.git.tested_tree import read_tested_tree, tree_of

if TYPE_CHECKING:
    from pathlib import Path

    from testopt.git.run_identity import RunIdentity
    from testopt.schema import Change

EDITED_SINCE: Final = ""  # a tree that is not known, and is not that of the commit either


def tested_tree(
    identity: RunIdentity, commit: str | None, change: Change, *, written: float | None
) -> tuple[str | None, Change]:
    """Return the tree that was tested, and the change with the text of what is in no commit.

    Parameters
    ----------
    identity : RunIdentity
    commit : str or None
        Of the run.
    change : Change
    written : float or None
        When the last of the reports was written, in seconds since 1970. What was edited later was
        not tested.

    Returns
    -------
    tuple of str or None, Change
        The tree is empty where the files have been edited since. The change is what is edited,
        where neither a CI system nor the user says what it is.
    """
    repo = identity.repo
    if repo is None or commit is None:
        return None, change
    tree = tree_of(repo, commit)
    if identity.commit is not None or tree is None or not _is_checked_out(repo, commit):
        return tree, change  # made elsewhere
    found = read_tested_tree(repo, base=commit)
    if not found.is_edited:
        return found.tree, change
    if written is not None and found.edited_at > written:
        return EDITED_SINCE, change
    if identity.ci is None and identity.base is None and change.base != commit:
        change = find_change(repo)  # the edits are the change, as they are of a run of pytest
    return found.tree, with_patches(change, found.patches if change.head is None else {})


def with_patches(change: Change, patches: dict[str, str]) -> Change:
    """Return a change with the text of its files."""
    files = tuple(replace(f, patch=patches.get(f.path, f.patch)) for f in change.files)
    return replace(change, files=files)


def _is_checked_out(repo: Path, commit: str) -> bool:
    try:
        return resolve(repo, "HEAD") == commit
    except TestoptError:
        return False
