"""The branch that changes go into, as far as a clone tells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from testopt.errors import RepositoryError
from testopt.git.checkout import branch_checked_out
from testopt.git.process import run_git

if TYPE_CHECKING:
    from pathlib import Path

USUAL: Final = ("main", "master", "trunk")  # where nobody names it
_PLACES: Final = ("refs/remotes/origin", "refs/heads")


def default_branch(repo: Path) -> str | None:
    """Return the default branch: that of the remote, a usual one, or the only one; else None."""
    try:
        out = run_git(repo, "symbolic-ref", "-q", "refs/remotes/origin/HEAD")
        return _text(out).removeprefix("refs/remotes/origin/")
    except RepositoryError:
        pass
    try:
        out = run_git(repo, "for-each-ref", "--count=1000", "--format=%(refname)", *_PLACES)
    except RepositoryError:
        return None
    names = {ref.removeprefix(f"{place}/") for ref in _text(out).splitlines() for place in _PLACES}
    names = {name for name in names if not name.startswith("refs/")}
    found = next((name for name in USUAL if name in names), None)
    if found is None and len(names) <= 1:
        return next(iter(names), None) or branch_checked_out(repo)
    return found


def _text(out: bytes) -> str:
    return out.decode("utf-8", "replace").strip()
