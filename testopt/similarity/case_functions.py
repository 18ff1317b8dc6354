"""The functions behind the cases of a run, and the definitions that its change touches."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from testopt.code.outline import enclosing
from testopt.code.paths import is_code, is_test_path
from testopt.code.words import text_words
from testopt.git.changed_lines import read_changed_lines
from testopt.similarity.bags import Bags
from testopt.similarity.case_places import find_places
from testopt.similarity.definition_resolver import DefinitionResolver
from testopt.similarity.parametrisation_data import ParametrisationData
from testopt.similarity.texts import parameter_words, unknown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from testopt.code.outline import Definition
    from testopt.git.changed_lines import ChangedLines
    from testopt.runners.locate import Locator
    from testopt.similarity.bags import Words
    from testopt.similarity.cochange import Document
    from testopt.similarity.source_index import SourceIndex
    from testopt.similarity.texts import FileText

MAX_PATCHES: Final = 200  # changed files looked into
HELPER: Final = 0.5  # an edit beside a case, in what it may use, as a share of one of its own
_BODY_LINES: Final = 200
_FOLDERS: Final = 200


class RunTrees:
    """What is read about: cases, the trees of both sides, and the diff between them.

    Parameters
    ----------
    cases : sequence of str
        Case ids.
    base : str
        Full hash.
    tree, before : dict of str to str
        Git object of each path after and before the change.
    diff : bytes
        Output of git with the options of `testopt.git.changed_lines`.
    """

    def __init__(
        self, cases: Sequence[str], *, base: str,
        tree: dict[str, str], before: dict[str, str], diff: bytes,
    ) -> None:  # fmt: skip
        self.cases, self.base = cases, base
        self.tree, self.before = dict(tree), before
        self.patches = list(read_changed_lines(diff))[:MAX_PATCHES]

    def source_patches(self) -> list[ChangedLines]:
        """Return the changed program files outside the tests."""
        return [p for p in self.patches if is_code(p.path) and not is_test_path(p.path)]


class ChangedDefinitions:
    """Definitions around the changed lines.

    Attributes
    ----------
    owners : dict of (path, dotted name)
        Outside the tests, on both sides.
    tests : dict of (path, dotted name)
        Test functions that the change edits.
    bodies : list of str
        Text of the owners.
    old_lines, old_owners : dict of str to list of range
        Line numbers in the base: the changed lines, and all of their owners.
    """

    def __init__(self) -> None:
        self.owners: dict[Document, None] = {}
        self.tests: dict[Document, None] = {}
        self.bodies: list[str] = []
        self.old_lines: dict[str, list[range]] = {}
        self.old_owners: dict[str, list[range]] = {}

    def add_test(self, patch: ChangedLines, new: str) -> None:
        """Note the test functions that a changed test file edits."""
        for one in _around(new, patch.path, patch.new_lines):
            self.tests[(patch.path, one.name)] = None

    def add(self, patch: ChangedLines, old: str, new: str) -> None:
        """Note what a changed source file touches.

        Parameters
        ----------
        patch : ChangedLines
            Its changed lines.
        old, new : str
            Its text on both sides; empty where there is none.
        """
        for text, lines in ((old, patch.old_lines), (new, patch.new_lines)):
            split = text.split("\n")
            for one in _around(text, patch.path, lines):
                self.owners[(patch.path, one.name)] = None
                last = min(one.last, one.first + _BODY_LINES)
                self.bodies.append("\n".join(split[one.first - 1 : last]))
                if text is old and patch.old:
                    self.old_owners.setdefault(patch.old, []).append(range(one.first, last + 1))
        if patch.old and old:
            end = old.count("\n") or 1
            inside = (range(min(r.start, end), min(r.stop, end + 1)) for r in patch.old_lines)
            self.old_lines.setdefault(patch.old, []).extend(inside)


def _around(text: str, path: str, lines: Iterable[range]) -> list[Definition]:
    found: dict[Definition, None] = {}
    for part in lines if text else ():
        found |= dict.fromkeys(enclosing(text, path, part))
    return list(found)


class CaseDocuments:
    """The functions behind the cases, each once.

    Parameters
    ----------
    run : RunTrees
        Cases and tree.
    locator : Locator
        Finds their files.
    index : SourceIndex
        Has their files afterwards.

    Attributes
    ----------
    keys : list of (path, dotted name)
        Path is empty where the source was not found.
    definitions : list of (path, dotted name)
        Where they are defined: elsewhere, when a file collects what another holds.
    paths : list of str
        Files of the definitions, each once.
    """

    def __init__(self, run: RunTrees, locator: Locator, index: SourceIndex) -> None:
        self._run = run
        found = find_places(run.cases, run.tree, locator, index)
        self.keys: list[Document] = list(dict.fromkeys(found))
        position = {key: i for i, key in enumerate(self.keys)}
        self.document = np.fromiter((position[key] for key in found), np.int32, len(found))
        self.definitions = DefinitionResolver(run.tree, index).find(self.keys)
        self.paths: list[str] = list(dict.fromkeys(path for path, _ in self.definitions))
        self._file_of = {path: i for i, path in enumerate(self.paths)}

    def folders(self) -> list[str]:
        """Return the folders of the test files, or the files themselves at the top."""
        found = (path.rpartition("/")[0] or path for path in self.paths if path)
        return sorted(set(found))[:_FOLDERS]

    def arrays(self, index: SourceIndex) -> dict[str, Any]:
        """Return the fields of `Texts` that describe the cases."""
        files = {path: index.get(self._run.tree.get(path, "")) for path in self.paths}
        file = np.array([self._file_of[path] for path, _ in self.definitions], np.int32)
        groups: dict[Document, int] = {}
        group = [groups.setdefault((p, n.rpartition(".")[0]), len(groups)) for p, n in self.keys]
        whole_file = np.array([not name for _, name in self.keys], bool)
        bodies, uses, efforts = self._bodies(files)
        empty: Bags = Bags.of([{}])
        return {
            "document": self.document,
            "file": file[self.document],
            "bodies": bodies,
            "uses": uses,
            "effort": efforts,
            "titles": Bags.of(text_words(name) for _, name in self.keys),
            "group": np.array(group, np.int32),
            "whole_file": whole_file[self.document],
            "parameters": Bags.of(self._parameters(index)),
            "files": Bags.concat([_last_row(f.bodies) if f else empty for f in files.values()]),
            "paths": tuple(self.paths),
        }

    def _parameters(self, index: SourceIndex) -> Iterator[Words]:
        """Yield the words between the brackets of each case, or of the item that they number."""
        definitions = [self.definitions[document] for document in self.document]
        items = ParametrisationData(self._run.tree, index).words(self._run.cases, definitions)
        for position, case in enumerate(self._run.cases):
            found = items.get(position)
            yield parameter_words(case) if found is None else found

    def _bodies(
        self, files: Mapping[str, FileText | None]
    ) -> tuple[Bags, Bags, NDArray[np.float32]]:
        """Return the words, the names used and the effort of each document."""
        known = {path: file for path, file in files.items() if file is not None}
        starts = dict(zip(known, _starts(list(known.values())), strict=True))
        rows, not_found = np.zeros(len(self.keys), np.int64), 0
        end = sum(len(file.bodies) for file in known.values())
        names = []
        for i, (path, name) in enumerate(self.definitions):
            file = known.get(path)
            row = -1 if file is None else file.find(name) if name else len(file.names)
            if row >= 0:
                rows[i] = starts[path] + row
            else:
                rows[i] = end + not_found
                not_found += 1
                names.append(text_words(name))
        bodies = Bags.concat([*(file.bodies for file in known.values()), Bags.of(names)])
        uses = Bags.concat([*(f.uses for f in known.values()), Bags.of([{}] * len(names))])
        efforts = np.concatenate([*(f.efforts for f in known.values()), unknown(len(names))])
        return bodies.take(rows), uses.take(rows), efforts[rows]

    def spread(
        self, values: Mapping[Document, float], missing: float = np.nan
    ) -> NDArray[np.float32]:
        """Return one value per document; that of its class serves where it has none."""
        out = np.full(len(self.keys), missing, np.float32)
        for i, (key, definition) in enumerate(zip(self.keys, self.definitions, strict=True)):
            both = (key, definition) if definition != key else (key,)
            classes = ((path, name.rpartition(".")[0]) for path, name in both if "." in name)
            found = next((values[one] for one in (*both, *classes) if one in values), None)
            if found is not None:
                out[i] = found
        return out

    def edited(self, tests: Iterable[Document]) -> NDArray[np.float32]:
        """Return 1 per document that is edited, 0.5 where a fixture or helper beside it is.

        Parameters
        ----------
        tests : iterable of (path, dotted name)
            What the change edits in test files.
        """
        changed = set(tests)
        out = self.spread(dict.fromkeys(changed, 1.0), missing=0.0)
        cases = set(self.definitions) | {
            (path, o) for path, name in self.definitions for o in _owners(name)
        }
        helpers = {
            (path, name.rpartition(".")[0])
            for path, name in changed - cases
            if not name.rpartition(".")[2].lower().startswith("test")  # a case, not planned here
        }
        for i, (path, name) in enumerate(self.definitions if helpers else ()):
            if not out[i] and any((path, owner) in helpers for owner in (*_owners(name), "")):
                out[i] = HELPER
        return out


def _owners(name: str) -> Iterator[str]:
    """Yield the classes around a dotted name, the innermost first."""
    while name := name.rpartition(".")[0]:
        yield name


def _starts(files: list[FileText]) -> list[int]:
    """Return the first row of each file below the ones before it."""
    return list(accumulate((len(file.bodies) for file in files), initial=0))[: len(files)]


def _last_row(bags: Bags) -> Bags:
    return bags.part(len(bags) - 1)
