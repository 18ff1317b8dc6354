"""The sources of the cases of a run and of its change, read from git or the working tree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from testopt.code.paths import is_code, is_test_path
from testopt.code.words import name_number, text_words
from testopt.errors import RepositoryError
from testopt.git.blobs import read_tree, read_working_file
from testopt.git.changed_lines import OPTIONS, patched_texts
from testopt.git.process import run_git
from testopt.git.working_diff import working_diff
from testopt.runners.locate import Locator
from testopt.similarity.bags import Bags, weighted_sum
from testopt.similarity.call_graph import callers
from testopt.similarity.case_functions import CaseDocuments, ChangedDefinitions, RunTrees
from testopt.similarity.cochange import RECENT, CochangeReader
from testopt.similarity.definition_resolver import module_names
from testopt.similarity.import_distance import import_hops
from testopt.similarity.source_index import SourceIndex
from testopt.similarity.texts import PARTS, ChangeText, Code, Texts, unknown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from numpy.typing import NDArray

    from testopt.impact.coverage_index import CoverageIndex
    from testopt.similarity.bags import Words
    from testopt.similarity.cochange import EditedTogether

MAX_SOURCES: Final = 4_000  # files of the source tree whose calls are followed
_DIFF_S: Final = 6.0
_TREES: Final = 8  # neighbours in time share their base
_SHARED: Final = ("conftest.py",)  # what the tests beside and below have without importing it
_NOT_SOURCE: Final = ("docs/", "doc/", "examples/", "benchmarks/", "bench/", "setup.py")


class CaseTexts:
    """Reads the sources behind cases and changes of one repository.

    Parameters
    ----------
    repo : Path
        Top folder of the repository, or a bare one.
    patience : float
        Factor on the time that git is given: what a plan does without, training waits for.
    coverage : CoverageIndex, optional
        Knows which lines the cases ran.

    Attributes
    ----------
    index : SourceIndex
        Indexed files; load it from a snapshot to be fast, and dump it afterwards.
    """

    def __init__(
        self, repo: Path, *, patience: float = 1.0, coverage: CoverageIndex | None = None
    ) -> None:
        self._repo, self._patience, self._coverage = repo, patience, coverage
        self.index = SourceIndex(repo)
        self._together = CochangeReader(repo, self.index, patience=patience)
        self._trees: dict[str, dict[str, str]] = {}
        self._locators: dict[frozenset[str], Locator] = {}

    def read(
        self,
        cases: Sequence[str],
        *,
        base: str | None,
        commit: str | None,
        patch: bytes | None = None,
        added: Sequence[str] = (),
        time: datetime | None = None,
    ) -> Texts | None:
        """Read what sources say of a run.

        Parameters
        ----------
        cases : sequence of str
            Case ids, each once.
        base, commit : str or None
            Full hashes of what the change is between; without `commit` the working tree.
        patch : bytes, optional
            Text of a change that is in no commit, made on top of the base: the working tree as it
            was then.
        added : sequence of str
            Files that the working tree has and the base has not; git need not know them.
        time : datetime, optional
            What was measured at this time or later is not known yet.

        Returns
        -------
        Texts or None
            None where the base is unknown or git does not have the commits.
        """
        if base is None or not len(cases):
            return None
        try:
            tree = dict(self._tree(commit))
            untracked = [path for path in added if path not in tree]
            diff = patch or self._diff(base, commit, untracked)
            run = RunTrees(cases, base=base, diff=diff, tree=tree, before=self._tree(base))
            if patch is not None:
                self._apply(patch, run)
            elif commit is None:
                self._read_working_tree(run)
            return self._texts(run, time)
        except RepositoryError:
            return None

    def _diff(self, base: str, commit: str | None, untracked: Sequence[str]) -> bytes:
        timeout = _DIFF_S * self._patience
        if commit is None:
            return working_diff(self._repo, base, untracked=untracked, timeout=timeout)
        return run_git(self._repo, "diff", *OPTIONS, base, commit, "--", timeout=timeout)

    def _tree(self, commit: str | None) -> dict[str, str]:
        if commit is None:
            return read_tree(self._repo, None)
        if commit not in self._trees:
            if len(self._trees) >= _TREES:
                self._trees.pop(next(iter(self._trees)))
            self._trees[commit] = read_tree(self._repo, commit)
        return self._trees[commit]

    def _read_working_tree(self, run: RunTrees) -> None:
        """Take the changed files from the disk, where they may differ from what git has."""
        for patch in run.patches:
            text = read_working_file(self._repo, patch.new) if patch.new else None
            if text is not None and patch.new is not None:
                run.tree[patch.new] = self.index.put(text, patch.new)

    def _apply(self, patch: bytes, run: RunTrees) -> None:
        """Take the changed files as the patch makes them."""
        old = {p.old: run.before[p.old] for p in run.patches if p.old in run.before}
        texts = self.index.texts(old.values())
        before = {path: texts[name] for path, name in old.items() if path and name in texts}
        for path, text in patched_texts(patch, before).items():
            run.tree[path] = self.index.put(text, path)

    def _texts(self, run: RunTrees, time: datetime | None) -> Texts:
        documents = CaseDocuments(run, self._locator(run.tree), self.index)
        sources = self._read_sources(run)
        definitions = self._changed_definitions(run)
        edited = self._edit_age(run, documents)
        written = self._together.written_with(
            run.base, {"lines": definitions.old_lines, "owners": definitions.old_owners}
        )
        code, names = self._code(run, sources, definitions)
        return Texts(
            **documents.arrays(self.index),
            change=_change_text(run, definitions, written or {}, _callers(code, names)),
            all_changed_paths=tuple(patch.path for patch in run.patches),
            code=code,
            edited=edited,
            written_with={part: _share_written(documents, written, part) for part in PARTS},
            in_change=documents.edited(definitions.tests),
            import_hops=self._import_hops(run, sources, documents),
            ran=self._ran_share(run, definitions, time),
        )

    def _read_sources(self, run: RunTrees) -> list[str]:
        """Index the program files whose calls may lead to the change, and return their paths."""
        sources = _sources(run)
        self.index.ensure({path: run.tree[path] for path in sources}, words=False)
        return sources

    def _edit_age(self, run: RunTrees, documents: CaseDocuments) -> NDArray[np.float32]:
        """Return how many commits that touched tests lie between each last edit and the base."""
        ages = self._together.edits(run.base, documents.folders())
        if ages is None:
            return documents.spread({}, missing=np.nan)
        return documents.spread(ages, missing=float(RECENT))

    def _ran_share(
        self, run: RunTrees, definitions: ChangedDefinitions, time: datetime | None
    ) -> NDArray[np.float32] | None:
        """Return the share of the changed lines that each case ran; None without coverage."""
        if self._coverage is None:
            return None
        return self._coverage.shares(
            run.cases,
            locator=self._locator(run.tree),
            base=run.base,
            changed=definitions.old_lines,
            until=time,
        )

    def _locator(self, tree: Mapping[str, str]) -> Locator:
        """Return a locator, the same one for trees with the same paths."""
        paths = frozenset(tree)
        if paths not in self._locators:
            if len(self._locators) >= _TREES:
                self._locators.clear()
            self._locators[paths] = Locator(paths)
        return self._locators[paths]

    def _changed_definitions(self, run: RunTrees) -> ChangedDefinitions:
        """Find the definitions around the changed lines, on both sides."""
        definitions = ChangedDefinitions()
        sides = [
            (patch, run.before.get(patch.old or "", ""), run.tree.get(patch.new or "", ""))
            for patch in run.patches
            if is_code(patch.path)
        ]
        texts = self.index.texts(name for _, *both in sides for name in both if name)
        for patch, old, new in sides:
            if is_test_path(patch.path):
                definitions.add_test(patch, texts.get(new, ""))
            else:
                definitions.add(patch, texts.get(old, ""), texts.get(new, ""))
        return definitions

    def _code(
        self, run: RunTrees, sources: Sequence[str], definitions: ChangedDefinitions
    ) -> tuple[Code | None, list[str]]:
        """Return the definitions of the tree and of what the change took away, and their names."""
        indexed = [(path, self.index.get(run.tree[path])) for path in sources]
        files = [(path, file) for path, file in indexed if file is not None]
        if not files:
            return None, []
        in_tree = [(path, name) for path, file in files for name in file.names]
        removed = [key for key in definitions.owners if key not in set(in_tree)]
        removed_names = [name_number(name.rpartition(".")[2]) for _, name in removed]
        defines = [*(file.defines for _, file in files), np.array(removed_names, np.uint32)]
        uses = [
            *(file.uses.part(0, len(file.names)) for _, file in files),
            Bags.of([{}] * len(removed)),
        ]
        changed = [*(key in definitions.owners for key in in_tree), *(True for _ in removed)]
        names = [name for _, name in (*in_tree, *removed)]
        return Code(np.concatenate(defines), Bags.concat(uses), np.array(changed, bool)), names

    def _import_hops(
        self, run: RunTrees, sources: Sequence[str], documents: CaseDocuments
    ) -> NDArray[np.float32]:
        """Return how many imports lie between each test file and a changed module."""
        changed = {patch.path for patch in run.source_patches()}
        shared = [path for path in run.tree if path.rpartition("/")[2] in _SHARED]
        self.index.ensure({path: run.tree[path] for path in shared}, words=False)
        paths = list(dict.fromkeys([*documents.paths, *shared, *sources, *sorted(changed)]))
        files = [self.index.get(run.tree.get(path, "")) for path in paths]
        empty: Bags = Bags.of([{}])
        hops = import_hops(
            Bags.concat([f.uses.part(len(f.names)) if f is not None else empty for f in files]),
            np.array([name_number(name) for name in module_names(paths)], np.uint32),
            np.array([path in changed for path in paths], bool),
            list(_beside(paths)),
        )
        return hops[: len(documents.paths)].astype(np.float32)


def _beside(paths: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield positions of files, each with those of the shared files above it."""
    shared: dict[str, list[int]] = {}
    for i, path in enumerate(paths):
        folder, _, name = path.rpartition("/")
        if name in _SHARED:
            shared.setdefault(folder, []).append(i)
    for i, path in enumerate(paths):
        folder = path
        while folder:
            folder = folder.rpartition("/")[0]
            yield from ((i, other) for other in shared.get(folder, ()) if other != i)


def _sources(run: RunTrees) -> list[str]:
    """Return the program files whose calls may lead to the change: those of its languages."""
    endings = {patch.path.rpartition(".")[2] for patch in run.source_patches()}
    sources = [
        path
        for path in run.tree
        if path.rpartition(".")[2] in endings
        and not is_test_path(path)
        and not path.startswith(_NOT_SOURCE)
    ]
    return sources if len(sources) <= MAX_SOURCES else []


def _share_written(
    documents: CaseDocuments, written: Mapping[str, EditedTogether] | None, part: str
) -> NDArray[np.float32]:
    """Return the share of a part of the change last written together with each document."""
    if written is None:
        return unknown(len(documents.keys))
    return documents.spread(written[part].tests, missing=0.0)


def _callers(code: Code | None, names: Sequence[str]) -> Words:
    """Return the words of the names of what uses a changed definition, the rarest use first."""
    if code is None:
        return {}
    weight = callers(code)
    calling = np.flatnonzero(weight).tolist()
    return weighted_sum(
        *((float(weight[i]), dict.fromkeys(text_words(names[i]), 1.0)) for i in calling)
    )


def _change_text(
    run: RunTrees,
    definitions: ChangedDefinitions,
    written: Mapping[str, EditedTogether],
    used_by: Words,
) -> ChangeText:
    sources = run.source_patches()
    names = " ".join(name for _, name in definitions.owners)
    return ChangeText(
        lines=text_words("\n".join(patch.words_text() for patch in sources)),
        owners=dict.fromkeys(text_words(names), 1.0),
        around=text_words("\n".join(definitions.bodies)),
        paths=text_words(" ".join(patch.path for patch in sources)),
        paths_changed=tuple(patch.path for patch in sources),
        owner_names=tuple(f"{path}::{name}" for path, name in definitions.owners),
        callers=used_by,
        messages={part: one.words for part, one in written.items()},
    )
