"""How much is known: where mining or the clone ends, files without a past, explanations."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from testopt.errors import RepositoryError
from testopt.git.log import shallow_edge
from testopt.git.messages import explanation_words
from testopt.risk.mined_metrics import metrics_by_name

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from testopt.risk.measured_history import FileRows
    from testopt.store import Store

_OLD: Final = frozenset("MDRT")  # status of files that were there before the change


def known_history(store: Store, repo: Path | None) -> dict[str, Any]:
    """Return the fields of a `RiskReport` that say how much of the past is known.

    Parameters
    ----------
    store : Store
        With mined commits.
    repo : Path, optional
        Repository, which may be a shallow clone.

    Returns
    -------
    dict
        ``commits``, ``begins`` (empty where all parents of the mined commits are mined, too) and
        ``shallow``.
    """
    rows = store.read("commits", columns=["sha", "parents", "committed"]).to_pylist()
    mined = {row["sha"] for row in rows}
    cut = any(parent not in mined for row in rows for parent in row["parents"] or ())
    begins = f"{min(row['committed'] for row in rows):%Y-%m-%d}" if cut else ""
    return {"commits": len(mined), "begins": begins, "shallow": cut and _is_shallow(repo)}


def explained(store: Store, repo: Path | None, commits: Sequence[str] = ()) -> dict[str, int]:
    """Return how many words explain each mined commit and some more; nothing where git fails."""
    if repo is None:
        return {}
    mined = store.read("commits", columns=["sha"])["sha"].to_pylist()
    with suppress(RepositoryError):
        return explanation_words(repo, {*mined, *commits})
    return {}


def _is_shallow(repo: Path | None) -> bool:
    try:
        return repo is not None and bool(shallow_edge(repo))
    except RepositoryError:
        return False


def unknown_files(files: FileRows) -> tuple[str, ...]:
    """Return the edited files of a change whose past is not known.

    A file that was there before, and that no mined commit touched, was renamed or written in a
    commit that is not mined.
    """
    return tuple(
        file.path
        for file, row in files
        if file.status in _OLD and metrics_by_name(row)["nuc"] == 0.0
    )
