"""Finds the cases that a change could affect, from trees in git and coverage in the store."""

from __future__ import annotations

from collections import Counter, defaultdict
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from testopt.errors import BundleError, RepositoryError, StoreError
from testopt.git.blobs import read_blobs, read_tree, read_working_file
from testopt.impact.coverage_index import match_measured, with_moments
from testopt.impact.edits import edit_of, function_spans
from testopt.impact.import_graph import ImportGraph
from testopt.impact.import_index import Modules, plugins_of
from testopt.impact.safe_selection import (
    CaseCoverage,
    DependencyEvidence,
    FileEdit,
    Impact,
    affected,
)
from testopt.reasons import Reason, ReasonKind
from testopt.results.coverage import lines_of
from testopt.runners.locate import Locator
from testopt.schema import LINK_OUTSIDE, LINK_SET_UP, digest
from testopt.store.arrays import dump_arrays, load_arrays

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from testopt.impact.coverage_index import Latest
    from testopt.impact.safe_selection import FunctionKey
    from testopt.schema import Change
    from testopt.store import Store

_CACHE: Final = "state/modules.npz"
_CONFIGURATION: Final = ("pyproject.toml", "setup.cfg", "setup.py", "pytest.ini", "tox.ini")
_COMMITS: Final = 8  # at which the latest coverage was measured
_MOST_SINCE: Final = 3_000  # files changed since: older coverage says little
_SPANS: Final = 1_000


def find_impact(
    *, cases: Sequence[str], change: Change, repo: Path | None, store: Store | None = None
) -> Impact:
    """Find the cases that coverage and imports say could be affected by a change.

    Parameters
    ----------
    cases : sequence of str
        Case ids.
    change : Change
        With the revisions, whose trees are read; without a head the working tree. Without a base
        (a diff from elsewhere) whole files count as changed.
    repo : Path or None
        Top folder of the repository, or a bare one; None: nothing is known, all are affected.
    store : Store, optional
        Has the coverage, and keeps what was read of the files.

    Returns
    -------
    Impact
        Every case is either affected or clear, each with its reason; ``all_affected`` says why
        all are affected where the change cannot be understood.
    """
    if not change.known:
        return Impact.all_of(cases, Reason(ReasonKind.CHANGE_UNKNOWN, (change.why,)))
    if repo is None:
        return Impact.all_of(cases, Reason(ReasonKind.NO_REPOSITORY))
    try:
        trees = _ChangeTrees(repo, change, store)
        edits = trees.edits_of(change)
        affects_all = any(edit.extent == "everything" for edit in edits)
        evidence = trees.evidence(cases, edits=() if affects_all else edits)
    except RepositoryError as error:
        return Impact.all_of(cases, Reason(ReasonKind.TROUBLE, (error.message,)))
    found = affected(edits, evidence, cases)
    trees.keep()
    return found


class _ChangeTrees:
    """The versions of the files on both sides of a change, and what they say of each other."""

    def __init__(self, repo: Path, change: Change, store: Store | None) -> None:
        self._repo, self._store = repo, store
        self._modules = Modules(repo)
        self._local: dict[str, str] = {}  # texts that git does not have
        data = store.read_blob(_CACHE) if store is not None else None
        if data is not None:
            # a cache: what is damaged is read from git again
            with suppress(BundleError, KeyError, ValueError, TypeError, AttributeError):
                self._modules.load(load_arrays(data))
        self.after = read_tree(repo, change.head)
        # a diff, of which the versions may not be here
        self._elsewhere = change.base is None and change.head is None
        self._before: dict[str, str] = {}  # of a first commit
        if change.base is not None:
            self._before = read_tree(repo, change.base)
        elif self._elsewhere:
            self._before = self.after
        if change.head is None:
            self._overlay(change)

    def _overlay(self, change: Change) -> None:
        """Take the changed files of the working tree from the disk."""
        for file in change.files:
            text = read_working_file(self._repo, file.path)
            if text is None:
                self.after.pop(file.path, None)
                continue
            name = f"{digest(text)}:{file.path}"
            if _is_python(file.path):
                self._modules.put(name, text)
            self._local[name] = text
            self.after[file.path] = name

    def keep(self) -> None:
        """Keep what was read of the files for the next time, where it is more than before."""
        names = {n for side in (self._before, self.after) for p, n in side.items() if _is_python(p)}
        kept = names - self._local.keys()
        if self._store is not None and self._modules.has_news(kept):
            with suppress(StoreError):
                self._store.write_blob(_CACHE, dump_arrays(self._modules.dump(sorted(kept))))

    def _texts(self, names: Iterable[str]) -> dict[str, str]:
        wanted = list(names)
        found = read_blobs(self._repo, (name for name in wanted if name not in self._local))
        return found | {name: self._local[name] for name in wanted if name in self._local}

    def edits_of(self, change: Change) -> list[FileEdit]:
        """Return what a change does to its files."""
        named = {p for file in change.files for p in (file.path, file.old_path) if p}
        if self._elsewhere:
            return [edit_of(path, None, None) for path in sorted(named)]
        # what is in no tree: submodules and links
        in_no_tree = sorted(named - self._before.keys() - self.after.keys())
        return self._edits(self._before) + [FileEdit(path, "everything") for path in in_no_tree]

    def _edits(self, before: Mapping[str, str]) -> list[FileEdit]:
        """Return what has happened to the files since a tree."""
        after = self.after
        paths = sorted(p for p in before.keys() | after.keys() if before.get(p) != after.get(p))
        texts = self._texts(
            t[p] for t in (before, after) for p in paths if p in t and _is_python(p)
        )
        return [
            edit_of(path, texts.get(before.get(path, "")), texts.get(after.get(path, "")))
            for path in paths
        ]

    def evidence(self, cases: Sequence[str], edits: Sequence[FileEdit]) -> DependencyEvidence:
        """Return what is known of the cases; with nothing but the graph where nothing changed."""
        files = {**self._before, **self.after}
        locator = Locator(files)
        definitions = {case: locator.find(case) for case in cases}
        if all(edit.extent == "nothing" for edit in edits):
            return DependencyEvidence(ImportGraph({}, files), definitions)
        sides = [
            self._modules.read({p: n for p, n in side.items() if _is_python(p)})
            for side in (self._before, self.after)
        ]
        versions = {
            path: list({id(side[path]): side[path] for side in sides if path in side}.values())
            for path in {**sides[0], **sides[1]}
        }
        configuration = {p: self.after[p] for p in _CONFIGURATION if p in self.after}
        plugins = plugins_of(self._texts(configuration.values()))
        graph = ImportGraph(versions, files, plugins)
        return DependencyEvidence(graph, definitions, **self._coverage(cases, locator))

    def _coverage(self, cases: Sequence[str], locator: Locator) -> dict[str, Any]:
        """Return the fields of `DependencyEvidence` that coverage fills."""
        if self._elsewhere or self._store is None or self._store.version("links") < 0:
            return {}
        named, latest = match_measured(self._store, cases, locator)
        counted = Counter(commit for commit, _ in latest.values() if commit)
        trees: dict[str, dict[str, str]] = {}
        since: dict[str, tuple[FileEdit, ...]] = {}
        for commit, _ in counted.most_common(_COMMITS):
            with suppress(RepositoryError):  # a commit that git does not have (any more)
                trees[commit] = read_tree(self._repo, commit)
        for commit, tree in trees.items():
            if sum(self.after.get(p) != name for p, name in tree.items()) <= _MOST_SINCE:
                since[commit] = tuple(self._edits(tree))
        ran = _ExecutedFunctions(latest, self._spans(trees, since))
        paths = sorted({t.path for ts in since.values() for t in ts if t.extent == "bodies"})
        if paths:
            ran.read(self._store, paths)
        coverage = {
            case: CaseCoverage(latest[name][0], frozenset(ran.of_case[name]))
            for case, name in named.items()
            if latest[name][0] in since
        }
        return {"coverage": coverage, "since": since, **ran.common()}

    def _spans(
        self, trees: Mapping[str, Mapping[str, str]], since: Mapping[str, Sequence[FileEdit]]
    ) -> dict[tuple[str, str], list[tuple[str, range]]]:
        """Return the functions of the files whose bodies changed, by commit and path."""
        wanted = {
            (commit, edit.path): trees[commit][edit.path]
            for commit, edits in since.items()
            for edit in edits
            if edit.extent == "bodies"
        }
        texts = self._texts(dict.fromkeys(wanted.values()))
        return {key: function_spans(texts[name]) for key, name in wanted.items() if name in texts}


def _is_python(path: str) -> bool:
    return path.endswith(".py")


class _ExecutedFunctions:
    """Which functions ran in which case, of some files."""

    def __init__(
        self, latest: Latest, spans: Mapping[tuple[str, str], list[tuple[str, range]]]
    ) -> None:
        self._latest, self._spans = latest, spans
        self.of_case: dict[str, set[FunctionKey]] = defaultdict(set)
        self._shared: dict[str, set[FunctionKey]] = defaultdict(set)
        self._measured: dict[str, set[str]] = defaultdict(set)
        self._functions = lru_cache(_SPANS)(self._find_functions)

    def read(self, store: Store, paths: Sequence[str]) -> None:
        """Read the links of some files."""
        names = ["case_id", "path", "lines", "commit", "seen"]
        rows = with_moments(store.read("links", columns=names, where=[("path", "in", list(paths))]))
        for case, path, lines, commit, seen in zip(
            *(rows[name].to_pylist() for name in names), strict=True
        ):
            if (commit, path) not in self._spans:
                continue
            self._measured[commit].add(path)
            if case in (LINK_OUTSIDE, LINK_SET_UP):
                self._shared[commit] |= self._functions(commit, path, lines)
            elif self._latest.get(case) == (commit, seen):
                self.of_case[case] |= self._functions(commit, path, lines)

    def _find_functions(self, commit: str, path: str, lines: str | None) -> frozenset[FunctionKey]:
        ran = set(lines_of(lines))
        spans = self._spans[commit, path]
        return frozenset((path, name) for name, span in spans if not ran.isdisjoint(span))

    def common(self) -> dict[str, dict[str, frozenset[Any]]]:
        """Return what holds for all cases of a commit."""
        return {
            "shared": {commit: frozenset(found) for commit, found in self._shared.items()},
            "measured": {commit: frozenset(found) for commit, found in self._measured.items()},
        }
