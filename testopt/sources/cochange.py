"""What git wrote together: the tests that the authors of the changed lines edited with them.

Who last wrote a changed line (``git blame``) knew which test guards it, and edited that test in
the same commit. Only ancestors of the base are asked, so nothing of the change itself is seen.
"""

from __future__ import annotations

from collections import Counter
from math import log2
from typing import TYPE_CHECKING, Final

from testopt.errors import RepositoryError
from testopt.features.outline import enclosing
from testopt.features.paths import is_code, is_test_path
from testopt.sources.git import run_git
from testopt.sources.hunks import OPTIONS, patches

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from testopt.sources.blobs import SourceIndex

Document = tuple[str, str]  # path and dotted name of a test function; no name: the file

RECENT: Final = 40  # commits that touched tests, looked at for the recency of edits
WRITERS: Final = 15  # commits that wrote most of the changed lines
MOST_FILES: Final = 60  # a commit that edits more test files tells nothing of any of them
# what could be a test file, so that git does not print the rest
_TESTS: Final = tuple(
    f":(top,icase,glob)**/*{word}*{rest}"
    for word in ("test", "spec", "e2e")
    for rest in ("", "/**")
)
_RANGES: Final = 60
_BLAME_S: Final = 1.5
_LOG_S: Final = 6.0
_KEPT: Final = 20_000  # commits remembered


class WrittenTogether:
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
                tests = [p for p in patches(diff) if p.new and _is_test(p.new)]
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
        self, base: str, ranges: Mapping[str, Sequence[range]]
    ) -> dict[Document, float] | None:
        """Return how much of some lines was last written together with each test.

        Parameters
        ----------
        base : str
            Full hash of the commit that has the lines.
        ranges : mapping of str to sequence of range
            Line numbers from 1 by path.

        Returns
        -------
        dict or None
            Share of the lines, divided by log2(1 + tests edited in that commit); None where git
            does not answer in time.
        """
        writers: Counter[str] = Counter()
        for path, lines in ranges.items():
            found = self._blame(base, path, lines)
            if found is None:
                return None
            writers.update(found)
        total = sum(writers.values())
        chosen = writers.most_common(WRITERS)
        touched = self.touched(commit for commit, _ in chosen)
        weights: dict[Document, float] = {}
        for commit, lines_written in chosen:
            tests = touched[commit]
            for document in tests:
                gain = lines_written / total / log2(1 + len(tests))
                weights[document] = weights.get(document, 0.0) + gain
        return weights

    def _blame(self, base: str, path: str, lines: Sequence[range]) -> Counter[str] | None:
        """Return how many of the lines each commit wrote; None where git does not answer."""
        spans = sorted({(r.start, max(r.stop - 1, r.start)) for r in lines})[:_RANGES]
        options = [option for first, last in spans for option in ("-L", f"{first},{last}")]
        try:
            out = run_git(
                self._repo, "blame", "-s", "-l", "--root", *options, base, "--", path,
                timeout=_BLAME_S * self._patience,
            )  # fmt: skip
        except RepositoryError:
            return None
        heads = (line.split(b" ", 1)[0].lstrip(b"^") for line in out.splitlines() if line)
        return Counter(head.decode() for head in heads)


def _is_test(path: str) -> bool:
    return is_code(path) and is_test_path(path)
