"""Who wrote each line of each file, commit by commit, in one pass over a history.

``git blame`` walks back through the history of a file for each question. For hundreds of questions
it is cheaper to walk forward once: ``git log -p`` says what every commit did to every file, and
the authors of a file's lines after a commit are those before it, but for the lines of its hunks.
The rules are those of ``git blame -w``: renames are followed, a merge passes files that equal one
parent's to that parent, and lines to the first parent that has them.

Only the files of the commits at the edge of the walk are held, as one number for each line.
"""

from __future__ import annotations

import re
import zlib
from array import array
from dataclasses import dataclass
from heapq import merge
from itertools import chain
from typing import TYPE_CHECKING, Final, NamedTuple

from testopt.code.lines import only_reformatted, reflowed_lines
from testopt.code.paths import language_of, path_text
from testopt.errors import RepositoryError
from testopt.git.diff import read_patch, unquote
from testopt.git.diff_listing import RawEntry, raw_line
from testopt.git.process import GitStream, run_git

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from pathlib import Path

MAX_PAST: Final = 20  # latest edits of a file that are kept
# One pass over openvswitch (20,918 commits) takes as much CPU time as blame for 120 of its fixes.
COMMITS_PER_FIX: Final = 100  # of history, for each fix, up to which the pass is made
MIN_FIXES: Final = 50
_WALK: Final = ("log", "--topo-order", "--reverse", "--stdin", "--raw", "--no-abbrev")
_PATCH: Final = (
    "-p", "-w", "-M", "-D", "--full-index", "--no-relative", "--src-prefix=a/", "--dst-prefix=b/",
)  # fmt: skip
# without a line of context git joins hunks of a merge, and leaves out what stands between them
_COMBINED_PATCH: Final = ("--merges", "-c", "--combined-all-paths", "-U1", *_PATCH)
_FORMAT: Final = "--format=%x00commit %H %ct %P"
_MARK: Final = b"\0commit "
_COMBINED: Final = re.compile(rb"@@@+((?: -\d+(?:,\d+)?)+) \+\d+(?:,\d+)? @@@+")
_START: Final = re.compile(rb"-(\d+)")
_INDEX: Final = re.compile(rb"index ([0-9a-f,]+)\.\.([0-9a-f]+)")


class PastEdit(NamedTuple):
    """A commit that changed a file.

    ``packed`` are the hunks; None where the commit made or ended the file, which its blobs then
    tell, and for merges, which have neither.
    """

    sha: str
    committed: int
    old_blob: bytes
    new_blob: bytes
    packed: bytes | None

    @property
    def patch(self) -> bytes | None:
        """The hunks as ``git diff -U0 -w`` writes them."""
        return None if self.packed is None else zlib.decompress(self.packed)


@dataclass(frozen=True, slots=True)
class FileHistory:
    """The authors of a file's lines at a commit, and the latest edits of it, newest first."""

    past: tuple[PastEdit, ...]
    _authors: array[int] | None
    _names: Sequence[str]
    _merges: AbstractSet[int]

    def authors(
        self, ranges: Iterable[range], length: int, ignored: AbstractSet[str]
    ) -> dict[int, str] | None:
        """Return the commit that wrote each of some lines, numbered from 1.

        Parameters
        ----------
        ranges : iterable of range
            Line numbers.
        length : int
            Number of lines of the file.
        ignored : set of str
            Commits that may not be an answer.

        Returns
        -------
        dict of int to str, or None
            None where only ``git blame`` knows: lines of ignored commits, and of merges, which
            may have come with a renamed file; files that were binary once.
        """
        if self._authors is None or len(self._authors) != length:
            return None
        found = {n: self._authors[n - 1] for lines in ranges for n in lines}
        distinct = {author: self._names[author] for author in set(found.values())}
        if not self._merges.isdisjoint(distinct) or not ignored.isdisjoint(distinct.values()):
            return None
        return {number: distinct[author] for number, author in found.items()}


def read_file_histories(
    repo: Path, commits: Collection[str]
) -> Iterator[tuple[str, dict[str, FileHistory]]]:
    """Yield commits with the histories, up to their first parent, of the files that they change.

    Parameters
    ----------
    repo : Path
        Working tree or bare repository.
    commits : collection of str
        Full hashes.

    Yields
    ------
    tuple
        Hash, and path before (as git has it, surrogates for what is not valid UTF-8) -> history. A
        commit is left out when it has no parent; all are where a pass does not pay.

    Raises
    ------
    GitFailedError
        When git fails, as it does at a damaged object; what was yielded before holds.
    """
    tips = "".join(f"{sha}\n" for sha in commits).encode()
    if len(commits) < MIN_FIXES:
        return
    most = COMMITS_PER_FIX * len(commits)
    parents = ("rev-list", "--parents", f"--max-count={most + 1}", "--stdin")
    listing = run_git(repo, *parents, stdin=tips, timeout=None).splitlines()
    if len(listing) > most:
        return
    children: dict[str, int] = {}
    for line in listing:
        for parent in line.decode("ascii").split()[1:]:
            children[parent] = children.get(parent, 0) + 1
    del listing
    merged = ("--merges", "--diff-merges=first-parent", "--no-renames", _FORMAT)
    with (
        GitStream(repo, *_WALK, *_PATCH, "-U0", "--no-diff-merges", _FORMAT, stdin=tips) as log,
        GitStream(repo, *_WALK, *merged, stdin=tips) as merges,
        GitStream(repo, *_WALK, *_COMBINED_PATCH, _FORMAT, stdin=tips) as combined,
    ):
        walk = _Walk(children, _Log(merges.lines()), _Log(combined.lines()))
        yield from walk.read(_Log(log.lines()), set(commits))


class _Version(NamedTuple):
    """A file after a commit: mode and blob, empty where it does not exist any more."""

    content: bytes
    authors: array[int] | None
    past: tuple[PastEdit, ...]


class _Edit(NamedTuple):
    """What a commit did to a file: place of the hunks, their lines, whether it was text."""

    hunks: list[tuple[int, int, int, int, list[bytes]]]
    is_binary: bool


class _Commit(NamedTuple):
    sha: str
    committed: int
    parents: list[str]


class _Log:
    """Reads the output of git log commit by commit; a mark begins no other line."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._lines = iter(lines)
        self._head = next(self._lines, b"")

    def commits(self) -> Iterator[tuple[_Commit, list[bytes], Iterator[bytes]]]:
        """Yield each commit with the lines of its listing and those of its patch.

        What was not read of the patch is passed over.
        """
        while self._head:
            sha, time, *parents = self._head.removeprefix(_MARK).decode("ascii").split()
            body, listing = self._body(), []
            patch: Iterator[bytes] = iter(())
            for line in body:
                if line.startswith(b":"):
                    listing.append(line.rstrip(b"\n"))
                elif line != b"\n":
                    patch = chain((line,), body)
                    break
            yield _Commit(sha, int(time), parents), listing, patch
            for _ in body:
                pass

    def _body(self) -> Iterator[bytes]:
        for line in self._lines:
            if line.startswith(_MARK):
                self._head = line
                return
            yield line
        self._head = b""


def _next(
    log: Iterator[tuple[_Commit, list[bytes], Iterator[bytes]]], commit: _Commit
) -> tuple[list[bytes], Iterator[bytes]]:
    """Return the listing and the patch of a merge from a log of merges."""
    for found, listing, patch in log:
        if found == commit:
            return listing, patch
    raise RepositoryError("git lists a merge once only", "see: git fsck")


class _Walk:
    """The files at the edge of the walk."""

    def __init__(self, children: dict[str, int], merges: _Log, combined: _Log) -> None:
        self._children = children
        self._merge_log = merges.commits()
        self._combined_log = combined.commits()
        self._states: dict[str, dict[bytes, _Version]] = {}
        self._names: list[str] = []
        self._merges: set[int] = set()

    def read(
        self, log: _Log, wanted: Collection[str]
    ) -> Iterator[tuple[str, dict[str, FileHistory]]]:
        for commit, own, patch in log.commits():
            listing = own
            if len(commit.parents) > 1:
                self._merges.add(len(self._names))
                listing, _ = _next(self._merge_log, commit)
            before = self._states.get(commit.parents[0], {}) if commit.parents else {}
            entries = [raw_line(line) for line in listing]
            if commit.sha in wanted and commit.parents:
                yield commit.sha, self._histories(before, entries)
            if len(commit.parents) > 1:
                changed = self._merge(commit, entries, *_next(self._combined_log, commit))
            else:
                changed = self._follow(commit, before, entries, patch)
            state = self._leave(commit.parents)
            state.update(changed)
            self._names.append(commit.sha)
            if self._children.get(commit.sha):
                self._states[commit.sha] = state

    def _leave(self, parents: Sequence[str]) -> dict[bytes, _Version]:
        """Return a state like the first parent's; the last child of a commit takes it over."""
        state: dict[bytes, _Version] = {}
        for number, parent in enumerate(parents):
            self._children[parent] -= 1
            last = not self._children[parent]
            held = self._states.pop(parent, {}) if last else self._states.get(parent, {})
            if not number:
                state = held if last else dict(held)
        return state

    def _histories(
        self, before: Mapping[bytes, _Version], entries: Sequence[RawEntry]
    ) -> dict[str, FileHistory]:
        paths = [e.old_path or e.path for e in entries if e.status in "MR"]
        return {
            path.decode("utf-8", "surrogateescape"): FileHistory(
                before[path].past, before[path].authors, self._names, self._merges
            )
            for path in paths
            if path in before
        }

    def _follow(
        self,
        commit: _Commit,
        before: Mapping[bytes, _Version],
        entries: Sequence[RawEntry],
        patch: Iterator[bytes],
    ) -> dict[bytes, _Version]:
        """Return the files that a commit with at most one parent changed."""
        edits = _read_edits(patch, {(e.old_blob, e.new_blob) for e in entries if e.status in "MR"})
        changed: dict[bytes, _Version] = {}
        for entry in entries:
            edit = edits.get((entry.old_blob, entry.new_blob), _Edit([], is_binary=False))
            changed[entry.path] = self._version(commit, before, entry, edit)
            if entry.status == "R" and entry.old_path is not None:
                gone = RawEntry(*entry[:2], entry.old_blob, b"", "D", entry.old_path, None)
                changed.setdefault(entry.old_path, self._version(commit, before, gone, edit))
        return changed

    def _version(
        self, commit: _Commit, before: Mapping[bytes, _Version], entry: RawEntry, edit: _Edit
    ) -> _Version:
        here = before.get(entry.path)
        source = before.get(entry.old_path or entry.path)
        packed = _packed(edit) if entry.status == "M" else None
        old_blob = b"" if entry.status == "R" else entry.old_blob
        past = PastEdit(commit.sha, commit.committed, old_blob, entry.new_blob, packed)
        authors: array[int] | None = None
        me = len(self._names)
        if entry.is_submodule or edit.is_binary:
            pass
        elif entry.status == "D":
            authors = array("I")
        elif entry.status in "AT":
            authors = array("I", [me]) * sum(new for _, _, _, new, _ in edit.hunks)
        elif source is not None and source.authors is not None:
            authors = _carried(source.authors, edit, me, language_of(path_text(entry.path)))
        return _Version(_content(entry), authors, (past, *(here.past if here else ()))[:MAX_PAST])

    def _merge(
        self,
        commit: _Commit,
        entries: Sequence[RawEntry],
        listing: Sequence[bytes],
        patch: Iterator[bytes],
    ) -> dict[bytes, _Version]:
        """Return the files of a merge that differ from its first parent's."""
        states = [self._states.get(parent, {}) for parent in commit.parents]
        resolved = self._resolved(states, listing, patch)
        changed: dict[bytes, _Version] = {}
        for entry in entries:
            content = _content(entry)
            versions = [state.get(entry.path) for state in states]
            same = [v for v in versions if (v.content if v else b"") == content]
            if same:
                if same[0] is not None:
                    changed[entry.path] = same[0]
                continue
            mine = PastEdit(commit.sha, commit.committed, b"", b"", None)
            pasts = [v.past for v in versions if v]
            latest = {e.sha: e for e in merge(*pasts, key=lambda edit: -edit.committed)}
            past = (mine, *latest.values())[:MAX_PAST]
            changed[entry.path] = _Version(content, resolved.get(entry.path), past)
        return changed

    def _resolved(
        self,
        states: Sequence[Mapping[bytes, _Version]],
        listing: Sequence[bytes],
        patch: Iterator[bytes],
    ) -> dict[bytes, array[int] | None]:
        """Return the authors of the files that a merge has unlike any of its parents."""
        paths = {}
        for line in listing:
            head, *names = line.split(b"\t")
            blobs = head.split(b" ")[len(states) + 1 : -1]
            paths[b",".join(blobs[:-1]), blobs[-1]] = [unquote(name) for name in names]
        authors: dict[bytes, array[int] | None] = {}
        for key, hunks in _combined_hunks(patch):
            if found := paths.get(key):
                versions = [s.get(n) for s, n in zip(states, found, strict=False)]
                before = [v.authors if v else array("I") for v in versions]
                held = [lines for lines in before if lines is not None]
                whole = len(held) == len(states)
                authors[found[-1]] = _united(held, hunks, len(self._names)) if whole else None
        return authors


def _content(entry: RawEntry) -> bytes:
    return b"" if entry.status == "D" else entry.new_mode + b" " + entry.new_blob


def _read_edits(
    patch: Iterator[bytes], changed: Collection[tuple[bytes, bytes]]
) -> dict[tuple[bytes, bytes], _Edit]:
    """Read the patch of a commit; lines are kept of files that were there before."""
    edits: dict[tuple[bytes, bytes], _Edit] = {}
    for file in read_patch(patch):
        key = file.old_object.encode(), file.new_object.encode()
        hunks = [
            (h.old_start, h.old_count, h.new_start, h.new_count,
             list(h.lines) if key in changed else [])
            for h in file.hunks
        ]  # fmt: skip
        edits[key] = _Edit(hunks, file.is_binary)
    return edits


def _packed(edit: _Edit) -> bytes:
    lines = (
        b"@@ -%d,%d +%d,%d @@\n%b\n" % (old_start, old, new_start, new, b"\n".join(text))
        for old_start, old, new_start, new, text in edit.hunks
    )
    return zlib.compress(b"".join(lines), 1)


def _carried(before: array[int], edit: _Edit, me: int, language: str) -> array[int] | None:
    """Return the authors after an edit; one that changes the layout alone writes no line."""
    moved = _reflowed(edit, language)
    after, at = array("I"), 0
    for number, (old_start, old_count, _, new_count, _) in enumerate(edit.hunks):
        start = old_start - 1 if old_count else old_start
        if not at <= start <= len(before) - old_count:
            return None
        after += before[at:start]
        if moved:
            after.extend(before[start + line] for line in moved[number])
        else:
            after += array("I", [me]) * new_count
        at = start + old_count
    return after + before[at:]


def _reflowed(edit: _Edit, language: str) -> list[list[int]]:
    """Return the old line of each new one, hunk by hunk, where the edit only changes the layout."""
    if not all(old and new for _, old, _, new, _ in edit.hunks):
        return []
    sides = []
    for *_, lines in edit.hunks:
        old, new = (
            [line[1:].decode("utf-8", "replace") for line in lines if line[:1] == sign]
            for sign in (b"-", b"+")
        )
        if not only_reformatted(old, new, language):
            return []
        sides.append((old, new))
    return [reflowed_lines(old, new, language) for old, new in sides]


_Combined = tuple[list[int], list[bytes]]


def _combined_hunks(
    patch: Iterator[bytes],
) -> Iterator[tuple[tuple[bytes, bytes], list[_Combined]]]:
    """Read a combined diff: of each file the blobs, and the hunks with a place for each parent."""
    key, hunks = (b"", b""), list[_Combined]()
    for line in patch:
        if line.startswith(b"diff --"):
            yield key, hunks
            key, hunks = (b"", b""), []
        elif found := _COMBINED.match(line):
            # unlike in other hunks, the number is that of the next line also where there is none
            hunks.append(([max(int(start) - 1, 0) for start in _START.findall(found[1])], []))
        elif hunks:
            hunks[-1][1].append(line)
        elif found := _INDEX.match(line):
            key = found[1], found[2]
    yield key, hunks


def _united(before: Sequence[array[int]], hunks: Sequence[_Combined], me: int) -> array[int] | None:
    """Return the authors after a merge: of each line, the first parent's that has it."""
    after, at, count = array("I"), [0] * len(before), len(before)
    try:
        for starts, lines in hunks:
            after += before[0][at[0] : starts[0]]
            at = list(starts)
            for line in lines:
                signs = line[:count]
                if b"\\" in signs:  # no newline at the end
                    continue
                lost = b"-" in signs
                having = [i for i in range(count) if signs[i : i + 1] == (b"-" if lost else b" ")]
                if not lost:
                    after.append(before[having[0]][at[having[0]]] if having else me)
                for i in having:
                    at[i] += 1
    except IndexError:
        return None
    return after + before[0][at[0] :]
