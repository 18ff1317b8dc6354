"""Where the cases of a run stand: by their ids, else by the definitions of the test files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from testopt.code.paths import is_code, is_test_path
from testopt.git.blobs import read_tree
from testopt.git.process import resolve
from testopt.runners.definition_search import DefinitionSearch
from testopt.runners.locate import Locator
from testopt.similarity.source_index import SourceIndex

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from testopt.similarity.cochange import Document

_MOST_FILES: Final = 4_000  # test files that are searched: as many as sources whose calls count
_TESTS_ANYWHERE: Final = ".rs"  # Rust keeps the tests of a module in its file


def find_places(
    cases: Sequence[str], tree: Mapping[str, str], locator: Locator, index: SourceIndex
) -> list[Document]:
    """Return path and dotted name of each case.

    An id that begins with its file is believed. What else it says is only believed where that file
    has such a definition; if not, the definitions of all test files are searched.

    Parameters
    ----------
    cases : sequence of str
    tree : mapping of str to str
        Git object of each path.
    locator : Locator
        Of the paths of the tree.
    index : SourceIndex
        Files that are looked into are indexed here.

    Returns
    -------
    list of (path, dotted name)
        Path is empty where nothing was found.
    """
    found = [locator.find(case) for case in cases]
    guessed = [i for i, (path, _) in enumerate(found) if not path or not cases[i].startswith(path)]
    paths = {found[i][0] for i in guessed} - {""}
    index.ensure({path: tree[path] for path in paths if path in tree}, words=True)
    names = {path: _names(tree[path], index) for path in paths if path in tree}
    lost = [i for i in guessed if not _holds(found[i], names)]
    if lost:
        search = DefinitionSearch(_definitions(tree, index))
        for i in lost:
            path = found[i][0]
            place = search.find(cases[i], path if is_test_path(path) else "")
            found[i] = place if place[0] else found[i]
    return found


def without_source(repo: Path, cases: Sequence[str]) -> list[str]:
    """Return the cases whose files are not found among those of the last commit.

    Raises
    ------
    RepositoryError
        When git fails, or there is no commit.
    """
    tree = read_tree(repo, resolve(repo, "HEAD"))
    found = find_places(cases, tree, Locator(tree), SourceIndex(repo))
    return [case for case, (path, _) in zip(cases, found, strict=True) if not path]


def _names(name: str, index: SourceIndex) -> frozenset[str]:
    """Return the dotted names of the definitions of a file, and their last parts."""
    file = index.get(name)
    names = () if file is None else file.names
    return frozenset([*names, *map(_last, names)])


def _holds(place: Document, names: Mapping[str, frozenset[str]]) -> bool:
    """Return whether a file has a definition of that name, or is the case itself."""
    path, name = place
    if path not in names:
        return False
    # the dots of a title separate nothing
    return not name or name in names[path] or (" " not in name and _last(name) in names[path])


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _definitions(
    tree: Mapping[str, str], index: SourceIndex
) -> Iterator[tuple[str, Sequence[str]]]:
    """Yield the names that each test file defines; nothing of a tree with too many."""
    tests = [p for p in tree if is_code(p) and (is_test_path(p) or p.endswith(_TESTS_ANYWHERE))]
    if len(tests) > _MOST_FILES:
        return
    index.ensure({path: tree[path] for path in tests}, words=False)
    for path in tests:
        file = index.get(tree[path])
        if file is not None:
            yield path, file.names
