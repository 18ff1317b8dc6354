"""What the tested files say of cases that have no result: whether they are gone, or were lost.

The files of the tested commit are compared with those of the commit at which a case ran last.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from testopt.errors import TestoptError
from testopt.git.blobs import read_blobs, read_tree, read_working_file
from testopt.git.tested_tree import tree_of
from testopt.runners.case_ids import split_case
from testopt.runners.locate import Locator
from testopt.schema import VARIANT_KINDS
from testopt.selection.came_back import Fate

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from testopt.store import Store

_RUNS: Final = 50  # before the run, in which it is looked up where a case ran last
_COMMITS: Final = 10  # of these runs, whose files are read
_WORD: Final = re.compile(r"\w+")
_GO_FILE: Final = re.compile(r"(?:(.*)/)?[^/]+_test\.go")


@dataclass(slots=True)
class _Files:
    """Files of one commit: their objects, and the words in those that were looked into."""

    repo: Path
    objects: dict[str, str] = field(default_factory=dict)
    words: dict[str, frozenset[str]] = field(default_factory=dict)
    is_edited: bool = False  # the working tree was tested, with edits that are in no commit

    def read(self, paths: Iterable[str]) -> None:
        """Read the words of some files at once."""
        wanted = {p: self.objects[p] for p in paths if p in self.objects and p not in self.words}
        texts = read_blobs(self.repo, wanted.values())
        for path, name in wanted.items():
            text = texts.get(name, "")
            if self.is_edited:
                text = read_working_file(self.repo, path) or ""
            self.words[path] = frozenset(_WORD.findall(text))

    def has(self, path: str) -> bool:
        return path in self.objects and (not self.is_edited or (self.repo / path).is_file())


@dataclass(frozen=True, slots=True)
class _Last:
    """Where a case ran last: its file as the results have it, and the commit."""

    file: str | None = None
    commit: str | None = None


def fates_of(
    cases: Sequence[str], *, store: Store, repo: Path | None, run: Mapping[str, Any]
) -> dict[str, Fate]:
    """Tell of cases without a result what has become of them.

    Parameters
    ----------
    cases : sequence of str
    store : Store
        Its runs tell when each case ran last.
    repo : Path or None
        Repository of the tested files.
    run : mapping
        ``run_id``, ``time``, ``commit`` and ``tree`` of the run.

    Returns
    -------
    dict of str to Fate
        Without those of which nothing is known: where there is no repository, or not the commit.
    """
    commit = run["commit"]
    if repo is None or not commit or not cases:
        return {}
    try:
        new = _Files(repo, read_tree(repo, commit))
        edited = run["tree"] is not None and run["tree"] != tree_of(repo, commit)
        new.is_edited = edited
        last = _last_runs(store, cases, run)
        old = _trees(repo, {one.commit for one in last.values()})
        return _fates(cases, new, old, last)
    except (TestoptError, OSError):
        return {}


def _last_runs(store: Store, cases: Sequence[str], run: Mapping[str, Any]) -> dict[str, _Last]:
    """Find where cases ran last before a run."""
    columns = ["run_id", "time", "commit", "kind"]
    before = store.read("runs", columns=columns, where=[("time", "<=", run["time"])]).to_pylist()
    real = [r for r in before if r["kind"] not in VARIANT_KINDS and r["run_id"] != run["run_id"]]
    real = sorted(real, key=lambda r: (r["time"], r["run_id"]))[-_RUNS:]
    place = {r["run_id"]: n for n, r in enumerate(real)}
    where = [("run_id", "in", list(place)), ("case_id", "in", list(cases))]
    names = ["run_id", "case_id", "file"]
    rows = store.read("results", columns=names, where=where, dictionary=names).to_pylist()
    found: dict[str, tuple[int, str | None]] = {}
    for row in rows:
        at = place[row["run_id"]]
        if row["case_id"] not in found or found[row["case_id"]][0] <= at:
            found[row["case_id"]] = at, row["file"]
    return {case: _Last(file, real[at]["commit"]) for case, (at, file) in found.items()}


def _trees(repo: Path, commits: Iterable[str | None]) -> dict[str, _Files]:
    """Return the files of some commits, of those that are known here."""
    found = {}
    for commit in sorted(filter(None, commits))[:_COMMITS]:
        try:
            found[commit] = _Files(repo, read_tree(repo, commit))
        except TestoptError:
            continue
    return found


def _fates(
    cases: Sequence[str], new: _Files, old: Mapping[str, _Files], last: Mapping[str, _Last]
) -> dict[str, Fate]:
    paths = set(new.objects).union(*(files.objects for files in old.values()))
    places = _Places(paths)
    where = {case: places.find(case, last.get(case, _Last()).file) for case in cases}
    new.read(path for found in where.values() for path in found)
    for commit, files in old.items():
        files.read(
            path
            for case, found in where.items()
            if case in last and last[case].commit == commit
            for path in found
        )
    fates = {}
    for case, found in where.items():
        before = old.get(last[case].commit or "") if case in last else None
        if found:
            fates[case] = _fate(case, found, new, before)
    return fates


def _fate(case: str, paths: Sequence[str], new: _Files, old: _Files | None) -> Fate:
    there = [path for path in paths if new.has(path)]
    if not there:
        return Fate.GONE
    same = old is not None and all(old.objects.get(p) == new.objects.get(p) for p in paths)
    if same and not new.is_edited:
        return Fate.THERE
    name = _function_name(case)
    if not name or any(name in new.words.get(path, ()) for path in there):
        return Fate.CHANGED
    if old is None or any(name in old.words.get(path, ()) for path in paths):
        return Fate.GONE
    return Fate.MADE


def _function_name(case: str) -> str:
    """Return the word that names the function of a case; empty where it is the file itself."""
    function = split_case(case)[0]
    if "::" not in function and function.endswith(".py"):
        return ""
    last = function.rpartition("::")[2] if "::" in function else function.rpartition(".")[2]
    found = _WORD.match(last)
    return found[0] if found is not None else ""


class _Places:
    """Finds the files in which cases may stand."""

    def __init__(self, paths: set[str]) -> None:
        self._locator = Locator(paths)
        self._go: dict[str, list[str]] = {}
        for path in sorted(paths):
            found = _GO_FILE.fullmatch(path)
            if found is not None:
                self._go.setdefault(found[1] or "", []).append(path)

    def find(self, case: str, file: str | None) -> list[str]:
        """Return the file of a case, of one of Go those of its package; none where unknown."""
        path, _ = self._locator.find(case, file)
        package, colons, _ = case.partition("::")
        if path or not colons:
            return [path] if path else []
        parts = package.split("/")
        folders = ("/".join(parts[start:]) for start in range(len(parts) + 1))
        return next((self._go[folder] for folder in folders if folder in self._go), [])
