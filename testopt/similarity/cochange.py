"""Co-change: the tests that the authors of the changed lines edited in the same commits.

Who last wrote a changed line (``git blame``) knew which test guards it, edited that test in the
same commit, and said in its message what it is about. Only ancestors of the base are asked, so
nothing of the change itself is seen.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from math import log2
from typing import TYPE_CHECKING, Final

from testopt.code.outline import enclosing
from testopt.code.paths import is_code, is_test_path
from testopt.code.words import text_words
from testopt.errors import RepositoryError
from testopt.git.blame import run_blame
from testopt.git.changed_lines import OPTIONS, read_changed_lines
from testopt.git.process import run_git
from testopt.similarity.bags import log_counts, weighted_sum

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from testopt.similarity.bags import Words
    from testopt.similarity.source_index import SourceIndex

Document = tuple[str, str]  # path and dotted name of a test function; no name: the file

FILES: Final = 8  # changed files whose last writers are asked for
RECENT: Final = 40  # commits that touched tests, looked at for the recency of edits
WRITERS: Final = 15  # commits that wrote most of the changed lines
MOST_FILES: Final = 60  # a commit that edits more test files tells nothing of any of them
# what could be a test file, so that git does not print the rest
_TESTS: Final = tuple(
    f":(top,icase,glob)**/*{word}*{rest}"
    for word in ("test", "spec", "e2e")
    for rest in ("", "/**")
)
_BLAMED: Final = re.compile(rb"\^?([0-9a-f]{40,64}) (?:.*? )??\s*(\d+)\)")
_RANGES: Final = 60
_BLAME_S: Final = 1.5
_LOG_S: Final = 6.0
_KEPT: Final = 20_000  # commits remembered
_MESSAGE: Final = 10_000  # characters of a message that are read
_TRAILER: Final = re.compile(r"^[A-Za-z-]+-by:.*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class EditedTogether:
    """What is known of the commits that last wrote some lines.

    Attributes
    ----------
    tests : dict of Document to float
        Share of the lines, divided by log2(1 + tests edited in the commit that wrote them), by
        test.
    words : Words
        Words of the messages of these commits, each weighing as many of the lines as it wrote.
    """

    tests: dict[Document, float]
    words: Words


class CochangeReader:
    """Answers for many changes of one repository; remembers the commits it has seen.

    Parameters
    ----------
    repo : Path
        Repository with its history.
    index : SourceIndex
        Reads the files of past commits.
    patience : float
        Factor on the time that git is given.
    """

    def __init__(self, repo: Path, index: SourceIndex, *, patience: float = 1.0) -> None:
        self._repo, self._index, self._patience = repo, index, patience
        self._touched: dict[str, frozenset[Document]] = {}
        self._message_words: dict[str, Words] = {}

    def edits(self, base: str, folders: Sequence[str]) -> dict[Document, int] | None:
        """Return how many commits lie between the last edit of each test and the base.

        Parameters
        ----------
        base : str
            Full hash.
        folders : sequence of str
            Where the test files are.

        Returns
        -------
        dict or None
            Only tests edited in the last ``RECENT`` commits; None where git does not answer.
        """
        try:
            out = run_git(
                self._repo, "log", "--first-parent", f"-n{RECENT}", "--format=%H", base, "--",
                *(f":(top,literal){folder}" for folder in folders), timeout=_LOG_S * self._patience,
            )  # fmt: skip
        except RepositoryError:
            return None
        commits = out.decode().split()
        touched = self.touched(commits)
        found: dict[Document, int] = {}
        for age, commit in enumerate(commits):
            for document in touched[commit]:
                found.setdefault(document, age)
        return found

    def touched(self, commits: Iterable[str]) -> dict[str, frozenset[Document]]:
        """Return the tests that each commit edited."""
        wanted = list(dict.fromkeys(commits))
        missing = [commit for commit in wanted if commit not in self._touched]
        if len(self._touched) + len(missing) > _KEPT:
            self._touched.clear()
            missing = wanted
        if missing:
            self._touched |= dict.fromkeys(missing, frozenset())
            self._touched |= self._read(missing)
        return {commit: self._touched[commit] for commit in wanted}

    def _read(self, commits: list[str]) -> dict[str, frozenset[Document]]:
        wanted = "\n".join(commits).encode() + b"\n"
        limit = _LOG_S * self._patience
        try:
            out = run_git(
                self._repo, "log", "--no-walk=unsorted", "--diff-merges=first-parent", *OPTIONS,
                "--format=%x00%H", "--stdin", "--", *_TESTS, stdin=wanted, timeout=limit,
            )  # fmt: skip
        except RepositoryError:
            return {}
        found = []
        for part in out.split(b"\0")[1:]:
            commit, _, diff = part.partition(b"\n")
            if diff.count(b"\ndiff --git ") <= MOST_FILES:
                tests = [p for p in read_changed_lines(diff) if p.new and _is_test(p.new)]
                found.append((commit.decode(), tests))
        texts = self._index.texts(p.new_object for _, tests in found for p in tests)
        return {
            commit: frozenset(
                (patch.path, one.name)
                for patch in tests
                for lines in patch.new_lines
                for one in enclosing(texts.get(patch.new_object, ""), patch.path, lines)
            )
            for commit, tests in found
        }

    def written_with(
        self, base: str, parts: Mapping[str, Mapping[str, Sequence[range]]]
    ) -> dict[str, EditedTogether] | None:
        """Return what was last written together with some lines.

        Parameters
        ----------
        base : str
            Full hash of the commit that has the lines.
        parts : mapping of str to mapping of str to sequence of range
            For each part: line numbers from 1, by path. At most ``FILES`` files are looked at.

        Returns
        -------
        dict of str to EditedTogether, or None
            By part; None where git does not answer in time.
        """
        wanted: dict[str, set[range]] = {}
        for ranges in parts.values():
            for path, lines in ranges.items():
                wanted.setdefault(path, set()).update(lines)
        writers: dict[str, dict[int, str]] = {}
        for path in list(wanted)[:FILES]:
            found = self._blame(base, path, wanted[path])
            if found is None:
                return None
            writers[path] = found
        shares = {
            part: _shares(
                Counter(
                    writers[path][line]
                    for path, lines in ranges.items()
                    if path in writers
                    for line in {number for one in lines for number in _filled(one)}
                    if line in writers[path]
                )
            )
            for part, ranges in parts.items()
        }
        commits = list(dict.fromkeys(commit for one in shares.values() for commit in one))
        touched, messages = self.touched(commits), self._messages(commits)
        return {part: _written(one, touched, messages) for part, one in shares.items()}

    def _messages(self, commits: Iterable[str]) -> dict[str, Words]:
        """Return the words that each commit says of itself."""
        wanted = list(commits)
        missing = [commit for commit in wanted if commit not in self._message_words]
        if len(self._message_words) + len(missing) > _KEPT:
            self._message_words.clear()
            missing = wanted
        if missing:
            self._message_words |= {commit: {} for commit in missing}
            self._message_words |= self._read_messages(missing)
        return {commit: self._message_words[commit] for commit in wanted}

    def _read_messages(self, commits: list[str]) -> dict[str, Words]:
        wanted = "\n".join(commits).encode() + b"\n"
        try:
            out = run_git(
                self._repo, "log", "--no-walk=unsorted", "-s", "--no-show-signature",
                "--encoding=UTF-8", "--format=%x00%H%n%B", "--stdin", stdin=wanted,
                timeout=_LOG_S * self._patience,
            )  # fmt: skip
        except RepositoryError:
            return {}
        found = (part.decode("utf-8", "replace").partition("\n") for part in out.split(b"\0")[1:])
        return {
            commit: log_counts(text_words(_TRAILER.sub("", message[:_MESSAGE])))
            for commit, _, message in found
        }

    def _blame(self, base: str, path: str, lines: Iterable[range]) -> dict[int, str] | None:
        """Return the commit that wrote each of some lines; None where git does not answer."""
        spans = sorted({(_filled(r).start, _filled(r).stop - 1) for r in lines})[:_RANGES]
        options = [option for first, last in spans for option in ("-L", f"{first},{last}")]
        try:
            out = run_blame(
                self._repo, "-s", "-l", "--root", *options,
                commit=base, path=path, timeout=_BLAME_S * self._patience,
            )  # fmt: skip
        except RepositoryError:
            return None
        return {
            int(found[2]): found[1].decode()
            for found in map(_BLAMED.match, out.splitlines())
            if found
        }


def _shares(writers: Counter[str]) -> dict[str, float]:
    """Return the share of some lines that each of the main writers wrote."""
    total = sum(writers.values())
    return {commit: lines / total for commit, lines in writers.most_common(WRITERS)}


def _written(
    shares: Mapping[str, float],
    touched: Mapping[str, frozenset[Document]],
    messages: Mapping[str, Words],
) -> EditedTogether:
    weights: dict[Document, float] = {}
    for commit, share in shares.items():
        tests = touched[commit]
        for document in tests:
            gain = share / log2(1 + len(tests))
            weights[document] = weights.get(document, 0.0) + gain
    return EditedTogether(
        weights, weighted_sum(*((share, messages[commit]) for commit, share in shares.items()))
    )


def _filled(lines: range) -> range:
    """Return the lines, or where there is none the one at which others come in."""
    return lines if len(lines) else range(lines.start, lines.start + 1)


def _is_test(path: str) -> bool:
    return is_code(path) and is_test_path(path)
