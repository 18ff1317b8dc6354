"""Gathers from git and the store what says which cases a change could affect."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testopt.features.impact import Impact

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from testopt.schema import Change
    from testopt.store import Store


def find_impact(
    *, cases: Sequence[str], change: Change, repo: Path | None, store: Store | None = None
) -> Impact:
    """Find the cases that coverage and imports say could be affected by a change.

    Parameters
    ----------
    cases : sequence of str
        Case ids.
    change : Change
        With the revisions, whose trees are read; without a head the working tree.
    repo : Path or None
        Top folder of the repository, or a bare one; None: nothing is known, all are affected.
    store : Store, optional
        Has the coverage, and keeps what was read of the files.

    Returns
    -------
    Impact
        Every case is either affected or clear, each with its reason; ``everything`` says why
        all are affected where the change cannot be understood.
    """
    if not change.known:
        return Impact.all_of(cases, f"the change is unknown: {change.why}")
    if repo is None or change.base is None:
        return Impact.all_of(cases, "the versions of the changed files cannot be read")
    return Impact.all_of(cases, "the imports are not known")
