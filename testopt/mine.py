"""Mines git history into the store: commits and file changes, only what is new.

A range of commits is one idempotent append; its file changes go first and its commits last, so
that a commit in the table says that its files are there too. An interrupted run is continued by
the next one.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from testopt.code.paths import is_test_path, language_of, subsystem_of
from testopt.errors import SettingsError
from testopt.git.fix_words import FileCounts
from testopt.git.line_counts import LineCounts
from testopt.git.log import History, list_commits, read_commits, read_history, shallow_edge
from testopt.git.pseudonyms import author_key, key_fingerprint, pseudonym
from testopt.git.subjects import FixJudge, is_revert
from testopt.schema import arrow_schema, digest
from testopt.store.forgotten import AUTHOR_KEY
from testopt.store.judged_fixes import JudgedFixes, read_judged, write_judged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa

    from testopt.git.fix_words import EditedFile
    from testopt.git.log import Commit, FileRow
    from testopt.store import Store

FLUSH_COMMITS: Final = 4_096  # commits of one append
FLUSH_FILES: Final = 200_000
FLUSH_S: Final = 10.0  # at most so much work is lost by an interruption


@dataclass(frozen=True, slots=True)
class MineReport:
    """What mining found.

    ``commits`` and ``files`` are rows new to the store, ``known`` commits that were there.
    ``shallow`` counts the commits at the edge of a shallow clone, which are left out;
    ``other_key`` tells that earlier authors were named with another key; ``unreadable`` counts
    commits whose files have no line counts, as their content is missing or damaged. ``rejudged``
    counts known commits that the rules of today tell otherwise to be fixes or none.
    """

    commits: int
    files: int
    known: int
    shallow: int = 0
    other_key: bool = False
    unreadable: int = 0
    rejudged: int = 0


def mine(
    *,
    repo: Path,
    store: Store,
    rev_range: str | None = None,
    fix_pattern: str = "",
    key_is: bytes | None = None,
    newest: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> MineReport:
    """Read the history of a repository into the store.

    Parameters
    ----------
    repo : Path
        Working tree or bare repository.
    store : Store
        Where tables ``commits`` and ``file_changes`` are appended to.
    rev_range : str, optional
        Revision or range; default all of ``HEAD``.
    fix_pattern : str
        Regular expression of subjects of fixing commits; empty: built in.
    key_is : bytes, optional
        `key_fingerprint` of the key of pseudonyms that must be the one here.
    newest : int, optional
        At most so many commits are read; default all.
    progress : callable, optional
        Called with commits read and commits to read.

    Returns
    -------
    MineReport
        What was new.

    Raises
    ------
    RevisionError
        When the range is none.
    RepositoryError
        When there is no commit, or git fails.
    SettingsError
        When the key of pseudonyms is unusable, another one than `key_is`, or another one than
        forgotten authors were named with.
    """
    key = _key_of_authors(store, key_is)
    listed = list_commits(repo, rev_range, newest=newest)
    known = _known(store, "commits")
    new = [sha for sha in listed if sha not in known]
    judge = FixJudge(fix_pattern)
    rejudged = _judge_again(repo, store, judge, known)
    writer = _Writer(repo, store, key=key, judge=judge, known=known)
    histories = read_history(repo, new)
    if progress is not None:
        histories = _with_progress(histories, len(new), progress)
    for batch in _batches(histories):
        writer.write(batch)
    return MineReport(
        commits=len(new),
        files=writer.files,
        known=len(listed) - len(new),
        shallow=len(shallow_edge(repo)),
        other_key=_is_other_key(store, key),
        unreadable=writer.unreadable,
        rejudged=rejudged,
    )


def _key_of_authors(store: Store, key_is: bytes | None) -> bytes:
    """Return the key that names authors, where this store may be written with it."""
    key = author_key(create=True) or b""
    if key_is is not None and key_fingerprint(key) != key_is:
        raise SettingsError(
            "this worker would hash authors with another key",
            "set the same TESTOPT_KEY on all workers",
        )
    if _is_other_key(store, key) and store.forgotten().authors:
        raise SettingsError(
            "some authors of this store were forgotten; another key cannot recognise them",
            "set the TESTOPT_KEY that the store was written with",
        )
    return key


def _judge_again(repo: Path, store: Store, judge: FixJudge, known: set[str]) -> int:
    """Tell the mined commits to be fixes by the rules of today; return how many changed.

    Only messages are read from git: what the commits changed is in the store.
    """
    judged = read_judged(store)
    if judged is not None and judged.rules == judge.rules and not judged.left:
        return 0
    is_new = judged is None or judged.rules != judge.rules
    wanted = sorted(known if is_new else known & judged.left)  # type: ignore[union-attr]
    verdicts: dict[str, bool] = {}
    changes = _FilesByCommit(store, wanted)
    for start in range(0, len(wanted), FLUSH_COMMITS):
        shas = wanted[start : start + FLUSH_COMMITS]
        commits = read_commits(repo, shas)
        found = _verdicts(judge, commits, changes.of(shas))
        verdicts.update(zip((c.sha for c in commits), found, strict=True))
    changed = store.judge_fixes(verdicts) if verdicts else 0
    write_judged(store, JudgedFixes(judge.rules, frozenset(wanted) - verdicts.keys()))
    return changed


def _verdicts(
    judge: FixJudge, commits: Sequence[Commit], files: Mapping[str, Sequence[EditedFile]]
) -> list[bool]:
    """Return whether each of some commits is a fix."""
    return [
        judge.judge(c.message, files.get(c.sha, ()), parents=len(c.parents)).is_fix for c in commits
    ]


class _FilesByCommit:
    """What commits changed, from the store."""

    def __init__(self, store: Store, shas: Sequence[str]) -> None:
        columns, text = ["sha", "path", "added", "deleted"], ["sha", "path"]
        self._rows = store.read("file_changes", columns=columns, dictionary=text) if shas else None

    def of(self, shas: Sequence[str]) -> dict[str, list[EditedFile]]:
        import pyarrow as pa
        import pyarrow.compute as pc

        if self._rows is None:
            return {}
        own = self._rows.filter(pc.is_in(self._rows["sha"], pa.array(shas, pa.string())))
        columns = (own[name].to_pylist() for name in own.column_names)
        files: dict[str, list[EditedFile]] = {}
        for sha, path, added, deleted in zip(*columns, strict=True):
            files.setdefault(sha, []).append(FileCounts(path, added, deleted))
        return files


def _with_progress(
    histories: Iterable[History], total: int, progress: Callable[[int, int], None]
) -> Iterator[History]:
    done = 0
    for history in histories:
        done += len(history.commits)
        progress(done, total)
        yield history


def _known(store: Store, table: str) -> set[str]:
    column = store.read(table, columns=["sha"], dictionary=["sha"])["sha"]
    return set(column.unique().to_pylist())


def _is_other_key(store: Store, key: bytes) -> bool:
    """Tell whether the store's authors were named with another key; remember the first one."""
    fingerprint, first = key_fingerprint(key), store.read_blob(AUTHOR_KEY)
    if first is None:
        store.write_blob(AUTHOR_KEY, fingerprint)
    return first not in (None, fingerprint)


def _batches(histories: Iterable[History]) -> Iterator[list[History]]:
    """Group histories into appends: neither too many rows nor too much time at once."""
    batch: list[History] = []
    commits, files, since = 0, 0, time.monotonic()
    for history in histories:
        batch.append(history)
        commits, files = commits + len(history.commits), files + len(history.files)
        late = time.monotonic() - since > FLUSH_S
        if commits >= FLUSH_COMMITS or files >= FLUSH_FILES or late:
            yield batch
            batch, commits, files, since = [], 0, 0, time.monotonic()
    if batch:
        yield batch


class _Writer:
    """Turns histories into tables and appends them."""

    def __init__(
        self,
        repo: Path,
        store: Store,
        *,
        key: bytes,
        judge: FixJudge,
        known: set[str],
    ) -> None:
        self._store, self._judge = store, judge
        self._lines = LineCounts(repo)
        self._authors = _Authors(key)
        # files whose commits an interrupted run did not get to write
        self._written = _known(store, "file_changes") - known
        self.files = self.unreadable = 0

    def write(self, histories: list[History]) -> None:
        """Append histories, each under the key of its commits."""
        keys = [_range_key(history.commits) for history in histories]
        sizes = iter(self._lines.before([file for history in histories for file in history.files]))
        changes = {
            key: table
            for key, history in zip(keys, histories, strict=True)
            if (table := self._file_table(history.files, sizes)).num_rows
        }
        written = self._store.append("file_changes", changes)
        self.unreadable += sum(history.unreadable for history in histories)
        self.files += sum(changes[key].num_rows for key in written)
        commits = map(self._commit_table, histories)
        self._store.append("commits", dict(zip(keys, commits, strict=True)))

    def _commit_table(self, history: History) -> pa.Table:
        import pyarrow as pa

        commits = history.commits
        columns: dict[str, Any] = {
            "sha": [c.sha for c in commits],
            "parents": [c.parents for c in commits],
            "author": [self._authors[c.author] for c in commits],
            "time": _times([c.authored for c in commits]),
            "committed": _times([c.committed for c in commits]),
            "is_fix": self._fixes(history),
            "is_merge": [len(c.parents) > 1 for c in commits],
            "is_revert": [is_revert(c.subject) for c in commits],
            "subject_digest": [digest(c.subject) for c in commits],
        }
        return pa.Table.from_pydict(columns, schema=arrow_schema("commits"))

    def _fixes(self, history: History) -> list[bool]:
        files: dict[str, list[EditedFile]] = {}
        for row in history.files:
            files.setdefault(row.sha, []).append(row)
        return _verdicts(self._judge, history.commits, files)

    def _file_table(self, files: list[FileRow], sizes: Iterator[int | None]) -> pa.Table:
        import pyarrow as pa

        sized = [(*file[:6], next(sizes)) for file in files]
        rows = [row for row in sized if row[0] not in self._written]
        columns_of = zip(*rows, strict=True) if rows else [()] * 7
        sha, path, old_path, status, added, deleted, before = columns_of
        columns = {
            "sha": sha,
            "path": path,
            "old_path": old_path,
            "status": status,
            "added": added,
            "deleted": deleted,
            "size_before": before,
            "subsystem": [subsystem_of(p) for p in path],
            "language": [language_of(p) for p in path],
            "is_test": [is_test_path(p) for p in path],
        }
        return pa.Table.from_pydict(columns, schema=arrow_schema("file_changes"))


class _Authors(dict[bytes, str]):
    """Pseudonyms by author, each made once."""

    def __init__(self, key: bytes) -> None:
        super().__init__()
        self._key = key

    def __missing__(self, author: bytes) -> str:
        self[author] = name = pseudonym(author, self._key)
        return name


def _times(seconds: list[int]) -> pa.Array:
    import pyarrow as pa

    return pa.array(seconds, pa.timestamp("s")).cast(pa.timestamp("us", tz="UTC"))


def _range_key(commits: list[Commit]) -> str:
    content = hashlib.blake2b(digest_size=16)
    for commit in commits:
        content.update(commit.sha.encode("ascii"))
    return content.hexdigest()
