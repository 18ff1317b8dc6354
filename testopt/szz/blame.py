"""Traces a fix in git: what it changed, who wrote those lines, the last commits of its files."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from io import BytesIO
from itertools import takewhile
from typing import TYPE_CHECKING, Final

from testopt.code.lines import only_reformatted
from testopt.code.paths import is_code, is_test_path, language_of, path_text
from testopt.errors import RepositoryError
from testopt.git.blame import run_blame
from testopt.git.diff import read_patch
from testopt.git.diff_listing import RawEntry, raw_line
from testopt.git.log import shallow_edge
from testopt.git.objects import CommitObject, Objects
from testopt.git.process import run_git
from testopt.szz.candidates import MAX_PAST_COMMITS, FileTrace, PastChange
from testopt.szz.hunks import (
    FileDiff,
    TextHunk,
    added_lines,
    function_around,
    meaningful_hunks,
    merge_ranges,
    named_lines,
    surrounding_lines,
    suspect_lines,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import Self

    from testopt.git.diff import Hunk
    from testopt.git.file_histories import FileHistory, PastEdit

MAX_FILES: Final = 20  # files of a fix that are traced: code first, in git's order
TIMEOUT_S: Final = 120.0  # for one git command; a file that takes longer is left out
IGNORE_FILE: Final = ".git-blame-ignore-revs"
_BINARY_LINES: Final = 200  # that may hold the zero by which git knows a binary file
MAX_IGNORED: Final = 200  # commits that blame is asked to pass over
_DIFF: Final = (
    "-p", "-U0", "--full-index", "--no-abbrev", "--no-color", "--no-ext-diff", "--no-textconv",
    "--no-relative", "--diff-algorithm=default", "--src-prefix=a/", "--dst-prefix=b/",
)  # fmt: skip
_BLAMED: Final = re.compile(rb"^([0-9a-f]{40,64}) \d+ (\d+) (\d+)$", re.MULTILINE)
_HASH: Final = re.compile(r"^[^\S\n]*([0-9a-f]{40,64})\b", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class FixTrace:
    """A fix traced back: its files, the commits met on the way, and notes on what was left out.

    ``git_failed``: something could not be read, so another time may find more.
    """

    fix: CommitObject | None
    files: tuple[FileTrace, ...] = ()
    facts: Mapping[str, CommitObject] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    git_failed: bool = False


class Tracer:
    """Traces fixes of one repository; a context manager, for one thread.

    Parameters
    ----------
    repo : Path
        Working tree or bare repository.
    """

    def __init__(self, repo: Path) -> None:
        self._repo = repo
        self._objects = Objects(repo)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the git processes."""
        self._objects.close()

    def resolve(self, revision: str) -> str | None:
        """Return the full hash of a commit, or None."""
        return self._objects.resolve(revision)

    def paths(self, sha: str) -> list[str]:
        """Return the paths that a commit changed; none for merges."""
        return self._objects.paths(sha)

    @cached_property
    def _edge(self) -> frozenset[str]:
        return shallow_edge(self._repo)

    def commit(self, sha: str) -> CommitObject | None:
        """Return what a commit says of itself, or None."""
        return self._objects.commit(sha)

    def trace(self, sha: str, histories: Mapping[str, FileHistory] | None = None) -> FixTrace:
        """Trace one fix.

        Parameters
        ----------
        sha : str
            Full hash of the fixing commit.
        histories : mapping of str to FileHistory, optional
            By path before the fix; git is asked for the files that are not in it.

        Returns
        -------
        FixTrace
            Without files, and with a note, where there is nothing to trace.
        """
        fix = self._objects.commit(sha)
        if fix is None:
            return FixTrace(None, notes=("there is no such commit",))
        if sha in self._edge:
            return FixTrace(fix, notes=("history ends here: the clone is shallow",))
        if not fix.parents:
            return FixTrace(fix, notes=("the first commit of a history has nothing before it",))
        parent, notes = fix.parents[0], []
        if len(fix.parents) > 1:
            notes.append("a merge: compared with its first parent")
        try:
            diffs = self._diffs(parent, sha, notes)
        except RepositoryError as error:
            return FixTrace(fix, notes=(*notes, error.message), git_failed=True)
        added = added_lines(diffs)
        unread: list[str] = []
        files = self._files(parent, diffs, added, histories or {}, unread)
        notes += unread
        shas = {s for f in files for s in (*f.blame.values(), *(p.sha for p in f.past))}
        if diffs and not unread and not any(f.hunks for f in files):
            notes.append("nothing that runs was changed: layout, comments, unreadable files")
        facts = self._objects.commits(sorted(shas - self._edge))
        lost = shas - self._edge - facts.keys()
        notes += [f"git has no commit {sha[:12]}" for sha in sorted(lost)[:1]]
        if shas & self._edge:
            notes.append("some lines are older than this shallow clone")
        return FixTrace(fix, files, facts, tuple(notes), git_failed=bool(unread or lost))

    def _diffs(self, parent: str, sha: str, notes: list[str]) -> list[FileDiff]:
        """Return the changed text files, code first; blank space counts where nothing else did."""
        for options in (("-w", "--ignore-blank-lines"), ()):
            out = self._objects.diff(parent, sha, ("--raw", "-M", *_DIFF, *options))
            entries, hunks = read_diff(out)
            changed = [
                e for e in entries if e.status in "MRC" and hunks.get((e.old_blob, e.new_blob))
            ]
            if changed:
                break
        if any(e.is_submodule for e in entries):
            notes.append("changes inside submodules are not traced")
        if not changed:
            notes.append("it changes no line of an existing text file")
        changed.sort(key=lambda e: -_weight(path_text(e.path)))
        if len(changed) > MAX_FILES:
            notes.append(f"{len(changed)} files changed: the first {MAX_FILES} were traced")
        return [self._diff(e, hunks[e.old_blob, e.new_blob]) for e in changed[:MAX_FILES]]

    def _diff(self, entry: RawEntry, hunks: Sequence[TextHunk]) -> FileDiff:
        path = (entry.old_path or entry.path).decode("utf-8", "surrogateescape")
        before, after = (self._text(blob.decode()) for blob in (entry.old_blob, entry.new_blob))
        language = language_of(path_text(entry.path))
        return FileDiff(path, language, tuple(hunks), tuple(before), tuple(after))

    def _text(self, blob: str) -> list[str]:
        if (lines := self._objects.text(blob)) is None:
            raise RepositoryError(f"git has no content of {blob[:12]}")
        return lines

    def _files(
        self,
        parent: str,
        diffs: Sequence[FileDiff],
        added: Mapping[str, int],
        histories: Mapping[str, FileHistory],
        unread: list[str],
    ) -> tuple[FileTrace, ...]:
        """Trace the files that say most, which come first; the others would not be looked at."""
        files: list[FileTrace] = []
        for diff in diffs:
            if any(f.hunks and f.weight > _weight(diff.path) for f in files):
                break
            files.append(self._file(parent, diff, added, histories.get(diff.path), unread))
        return tuple(files)

    def _file(
        self,
        parent: str,
        diff: FileDiff,
        added: Mapping[str, int],
        history: FileHistory | None,
        unread: list[str],
    ) -> FileTrace:
        hunks = tuple(meaningful_hunks(diff))
        weight = _weight(diff.path)
        if not hunks or not diff.before:
            return FileTrace(diff, (), (), {}, weight=weight)
        lines = suspect_lines(diff, hunks, added)
        try:
            past = self._past_of(history) if history else self._past(parent, diff.path)
            blame = self._blame(parent, diff, _ranges(diff, hunks, lines), past, history)
        except RepositoryError as error:
            unread.append(f"{diff.path}: {error.message}")
            return FileTrace(diff, (), (), {}, weight=weight)
        return FileTrace(diff, hunks, tuple(lines), blame, tuple(past), weight)

    def _past_of(self, history: FileHistory) -> list[PastChange]:
        return [PastChange(edit.sha, tuple(self._edit_hunks(edit))) for edit in history.past]

    def _edit_hunks(self, edit: PastEdit) -> Iterator[TextHunk]:
        """Yield what an edit did; one that made or ended the file, with all of its lines."""
        if edit.patch is not None:
            yield from _hunks(edit.patch)
            return
        old, new = (tuple(self._shown(b)) for b in (edit.old_blob, edit.new_blob))
        if old:
            yield TextHunk(1, old, 0, ())
        if new:
            yield TextHunk(0, (), 1, new)

    def _shown(self, blob: bytes) -> list[str]:
        """Return the lines of a blob that a diff would show: none of no file and of a binary."""
        if not blob.strip(b"0"):
            return []
        lines = self._text(blob.decode())
        return [] if any("\0" in line for line in lines[:_BINARY_LINES]) else lines

    def _past(self, parent: str, path: str) -> list[PastChange]:
        """Return the latest commits of a file, newest first, with what they did to it."""
        out = run_git(
            self._repo, "--literal-pathspecs", "log", f"-n{MAX_PAST_COMMITS}", "-w", "--no-renames",
            "--no-diff-merges", *_DIFF, "--format=%x00%H", parent, "--", path, timeout=TIMEOUT_S,
        )  # fmt: skip
        blocks = (block.partition(b"\n") for block in out.split(b"\0")[1:])
        return [
            PastChange(head.decode(), tuple(_hunks(patch)))
            for head, _, patch in blocks
            if re.fullmatch(rb"[0-9a-f]{40,64}", head)
        ]

    def _blame(
        self,
        parent: str,
        diff: FileDiff,
        ranges: Sequence[range],
        past: Sequence[PastChange],
        history: FileHistory | None,
    ) -> dict[int, str]:
        """Return who wrote each line, with commits that only reformatted the file passed over."""
        ignored = self._ignored(parent)
        known = history.authors(ranges, len(diff.before), ignored) if history else None
        if known is not None:
            return known
        ignored |= {change.sha for change in past if _mechanical(change, diff.language)}
        out = run_blame(
            self._repo, "--incremental", "-w",
            *(f"-L{r.start},{r.stop - 1}" for r in ranges),
            *(f"--ignore-rev={sha}" for sha in sorted(ignored)[:MAX_IGNORED]),
            commit=parent, path=diff.path, timeout=TIMEOUT_S,
        )  # fmt: skip
        owner: dict[int, str] = {}
        for sha, start, count in _BLAMED.findall(out):
            owner.update(dict.fromkeys(range(int(start), int(start) + int(count)), sha.decode()))
        return owner

    def _ignored(self, parent: str) -> frozenset[str]:
        """Return the commits that the project itself wants blame to pass over."""
        ignore_file = self._objects.read(f"{parent}:{IGNORE_FILE}")
        if ignore_file is None or ignore_file[0] != b"blob":
            return frozenset()
        hashes = _HASH.findall(ignore_file[1].decode("utf-8", "replace"))[:MAX_IGNORED]
        return frozenset(sha for sha in hashes if self._objects.commit(sha))


def _ranges(diff: FileDiff, hunks: Sequence[TextHunk], lines: Collection[int]) -> list[range]:
    around = [surrounding_lines(diff, hunk) for hunk in hunks]
    if not lines:  # it only adds: its function, and where else the names are that it adds
        around += [function_around(diff, hunk) for hunk in hunks]
        around += [range(n, n + 1) for n in named_lines(diff, hunks)]
    return merge_ranges([*around, *(range(n, n + 1) for n in lines)])


def _mechanical(change: PastChange, language: str) -> bool:
    """Tell whether a commit only changed the layout of a file."""
    edits = [h for h in change.hunks if h.old and h.new]
    return len(edits) == len(change.hunks) > 0 and all(
        only_reformatted(h.old, h.new, language) for h in edits
    )


def _weight(path: str) -> int:
    """Return how much a file says about a defect: 2 code, 1 tests, 0 documents and data."""
    return 0 if not is_code(path) else 1 if is_test_path(path) else 2


def read_diff(
    lines: Iterable[bytes],
) -> tuple[list[RawEntry], dict[tuple[bytes, bytes], list[TextHunk]]]:
    """Read ``git diff --raw -p -U0 --full-index``.

    Parameters
    ----------
    lines : iterable of bytes
        List of files, an empty line, patch.

    Returns
    -------
    tuple
        The files, and the hunks by the names of the old and new blob. Binary files and
        submodules have none.
    """
    rest = iter(lines)
    entries = [raw_line(line) for line in takewhile(lambda line: line.startswith(b":"), rest)]
    links = {(e.old_blob, e.new_blob) for e in entries if e.is_submodule}
    hunks = {}
    for file in read_patch(rest):
        index = file.old_object.encode(), file.new_object.encode()
        if index not in links and (text_hunks := [_hunk(hunk) for hunk in file.hunks]):
            hunks[index] = text_hunks
    return entries, hunks


def _hunks(patch: bytes) -> Iterator[TextHunk]:
    for file in read_patch(BytesIO(patch)):
        yield from map(_hunk, file.hunks)


def _hunk(hunk: Hunk) -> TextHunk:
    sides: dict[bytes, list[str]] = {b"-": [], b"+": []}
    for line in hunk.lines:
        sides[line[:1]].append(line[1:].decode("utf-8", "replace"))
    return TextHunk(hunk.old_start, tuple(sides[b"-"]), hunk.new_start, tuple(sides[b"+"]))
