"""Turns the tables of mined history into change metrics, commit by commit."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from testopt.code.paths import is_test_path, subsystem_of
from testopt.risk.change_metrics import NAMES, ChangeFacts, TouchedFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    import pyarrow as pa

    from testopt.schema import Change, FileChange

COMMIT_COLUMNS: Final = ("sha", "author", "committed", "is_fix", "is_merge")
FILE_COLUMNS: Final = (
    "sha", "path", "subsystem", "added", "deleted", "size_before", "old_path", "status", "is_test",
)  # fmt: skip

MinedCommit = tuple[str, ChangeFacts, list[TouchedFile]]


def mined_commits(
    commits: pa.Table, files: pa.Table, words: Mapping[str, int] | None = None
) -> Iterator[MinedCommit]:
    """Yield (hash, facts, files) of each commit, oldest first by committer time.

    Parameters
    ----------
    commits, files : pyarrow.Table
        Columns as in ``COMMIT_COLUMNS`` and ``FILE_COLUMNS``. A commit that stands twice counts
        once.
    words : mapping of str to int, optional
        How many words explain each commit, as far as it is known.
    """
    words = words or {}
    touched: dict[str, dict[str, TouchedFile]] = {}
    for row in _rows(files, FILE_COLUMNS):
        touched.setdefault(row[0], {})[row[1]] = TouchedFile(*row[1:])
    unique = {row[0]: row for row in _rows(commits, COMMIT_COLUMNS)}
    for sha, author, time, is_fix, is_merge in sorted(unique.values(), key=lambda row: row[2]):
        facts = ChangeFacts(author, time.timestamp(), is_fix, is_merge, words.get(sha, math.nan))
        yield sha, facts, list(touched.get(sha, {}).values())


def change_facts(change: Change, *, now: float, words: float = math.nan) -> ChangeFacts:
    """Return what is known of a change that is in no table; `now` in seconds since 1970."""
    time = change.time.timestamp() if change.time else now
    return ChangeFacts(change.author or "", time, change.is_fix, change.is_merge, words)


def touched_files(files: Sequence[FileChange]) -> list[TouchedFile]:
    """Return the files of a change as the metrics take them."""
    return [
        TouchedFile(
            f.path, subsystem_of(f.path), f.added, f.deleted, None, f.old_path, f.status,
            is_test_path(f.path),
        )
        for f in files
    ]  # fmt: skip


def metrics_by_name(row: Sequence[float]) -> dict[str, float]:
    """Return metrics by name."""
    return dict(zip(NAMES, row, strict=True))


def _rows(table: pa.Table, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    return zip(*(table[name].to_pylist() for name in columns), strict=True)
