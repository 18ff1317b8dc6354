"""What sources say of a change and of its cases, as arrays: the input of the affinity features."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from testopt.code.effort import effort
from testopt.code.outline import outline
from testopt.code.paths import is_test_path
from testopt.code.words import count_words, name_number, text_words, token_counts
from testopt.runners.case_ids import split_case
from testopt.similarity.bags import Bags, Words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from testopt.code.outline import Definition

HELPER_WEIGHT: Final = 0.5
PARTS: Final = ("lines", "owners")  # the changed lines, and all of the functions around them
MAX_FILE: Final = 1_000_000  # characters; of a longer file only the beginning is read
_IMPORT: Final = re.compile(
    r"^[ \t]*(?:(?:from[ \t]+[.\w]+[ \t]+)?import\b[ \t]*(?:\([^)]*\)|[^\n]*)"
    r"|(?:#[ \t]*include|use|using|require|require_relative)\b[^\n]*"
    r"|(?:const|let|var)[^\n=]*=[ \t]*require\b[^\n]*)",
    re.MULTILINE,
)
_SET_UP: Final = frozenset(
    ["setUp", "setUpClass", "setup", "setup_method", "setup_class", "setUpTestData", "beforeEach"]
)


@dataclass(frozen=True, slots=True)
class FileText:
    """One version of a source file, indexed.

    Attributes
    ----------
    names : tuple of str
        Dotted names of its definitions, in order.
    bodies : Bags
        Words of each definition (functions whole, classes without their methods), with those of
        the functions of the same file that it uses at half weight; the last row is the file.
        Empty where only names were asked for.
    uses : Bags
        Exact names used in each definition; the last row holds those of its import statements.
    defines : ndarray of uint32
        Number of the name under which each definition is used.
    efforts : ndarray of float32
        How long each row of ``bodies`` may take to run, see `effort`; NaN for the file.
    """

    names: tuple[str, ...]
    bodies: Bags
    uses: Bags
    defines: NDArray[np.uint32]
    efforts: NDArray[np.float32]

    def find(self, name: str) -> int:
        """Return the position of a definition by its dotted name, else by its end; -1: none."""
        if name in self.names:
            return self.names.index(name)
        last = name.rpartition(".")[2]
        ends = (i for i, known in enumerate(self.names) if known.rpartition(".")[2] == last)
        return next(ends, -1)


def index_file(text: str, path: str, *, words: bool = True) -> FileText:
    """Index a source file.

    Parameters
    ----------
    text : str
        Its content.
    path : str
        Its path, for the language.
    words : bool
        False leaves the bodies empty: of files without cases only the names are of use.
    """
    text = text[:MAX_FILE]
    definitions = outline(text, path)
    lines = text.split("\n")
    parts = list(_parts(lines, definitions))
    found = [token_counts(part) for part in parts]
    rows = [count_words(counts.items()) if words else {} for counts in found]
    estimates = [effort(*row) for row in zip(parts, rows, found, strict=True)] if words else []
    rows.append(text_words(text) if words else {})
    imported = token_counts("\n".join(_IMPORT.findall(text)))
    used = [
        {name_number(t): float(n) for t, n in counts.items() if t[0] > "9"}
        for counts in (*found, imported)
    ]
    for row, helpers in _helpers(definitions, [set(counts) for counts in found]) if words else ():
        for helper in helpers:
            for word, n in count_words(found[helper].items()).items():
                rows[row][word] = rows[row].get(word, 0.0) + HELPER_WEIGHT * n
            # the uses of a source must not depend on whether its bodies were wanted
            for name in list(used[helper]) if is_test_path(path) else ():
                used[row].setdefault(name, HELPER_WEIGHT)
    defines = np.array([name_number(d.call_name) for d in definitions], np.uint32)
    efforts = np.full(len(rows), np.nan, np.float32)
    efforts[: len(estimates)] = estimates
    names = tuple(d.name for d in definitions)
    return FileText(names, Bags.of(rows), Bags.of(used), defines, efforts)


def _parts(lines: list[str], definitions: tuple[Definition, ...]) -> Iterator[str]:
    """Yield the text of each definition; that of a class ends at its first method."""
    for position, one in enumerate(definitions):
        last = one.last
        after = definitions[position + 1] if position + 1 < len(definitions) else None
        if one.is_class and after is not None and after.first <= last:
            last = after.first - 1
        yield "\n".join(lines[one.first - 1 : last])


def _helpers(
    definitions: tuple[Definition, ...], used: list[set[str]]
) -> Iterator[tuple[int, list[int]]]:
    """Yield each function with the functions of its file that it uses, and its class's set-up."""
    shared = {
        d.name: i
        for i, d in enumerate(definitions)
        if not d.is_class and "." not in d.name and not d.name.lower().startswith("test")
    }
    set_up = {
        d.name.rpartition(".")[0]: i
        for i, d in enumerate(definitions)
        if d.name.rpartition(".")[2] in _SET_UP
    }
    for i, one in enumerate(definitions):
        if one.is_class or one.is_value:
            continue
        helpers = [shared[name] for name in sorted(used[i] & shared.keys()) if shared[name] != i]
        owner = one.name.rpartition(".")[0]
        if owner in set_up and set_up[owner] != i:
            helpers.append(set_up[owner])
        if helpers:
            yield i, helpers


@dataclass(frozen=True, slots=True)
class ChangeText:
    """Words of a change outside the tests.

    Attributes
    ----------
    lines : Words
        Of the lines added and removed.
    owners : Words
        Of the names of the functions and classes around them.
    around : Words
        Of the bodies of those.
    paths : Words
        Of the paths.
    paths_changed : tuple of str
        The paths themselves.
    owner_names : tuple of str
        Path and dotted name of each function or class around the changed lines.
    callers : Words
        Of the names of what uses those, weighing less where many do.
    messages : dict of str to Words
        For each of ``PARTS``: of the messages of the commits that last wrote it.
    """

    lines: Words = field(default_factory=dict)
    owners: Words = field(default_factory=dict)
    around: Words = field(default_factory=dict)
    paths: Words = field(default_factory=dict)
    paths_changed: tuple[str, ...] = ()
    owner_names: tuple[str, ...] = ()
    callers: Words = field(default_factory=dict)
    messages: Mapping[str, Words] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Code:
    """The definitions of the source tree, outside the tests.

    Attributes
    ----------
    defines : ndarray of uint32, shape (n,)
        Number of the name of each definition.
    uses : Bags
        Names that each one uses, n rows.
    changed : ndarray of bool, shape (n,)
    """

    defines: NDArray[np.uint32]
    uses: Bags
    changed: NDArray[np.bool_]


class Weigher(Protocol):
    """Weighs the features of closeness, in place of the hand-set weights."""

    def closeness(self, columns: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
        """Return the closeness of each case to the change, from 0 to 1, shape (n_cases,)."""
        ...


@dataclass(frozen=True, slots=True)
class Texts:
    """The sources of the cases of a run, and of its change.

    A *document* is the function behind one or more cases. Arrays over documents or files hold NaN
    where nothing is known.

    Attributes
    ----------
    document, file : ndarray of int32, shape (n_cases,)
        Rows of each case in the arrays below.
    bodies, titles, uses : Bags
        Words of the body, words of the name, and names used, by document.
    effort : ndarray of float32, shape (n_documents,)
        How long each may take to run, guessed from its text.
    group : ndarray of int32, shape (n_documents,)
        Class (or file) that a document belongs to.
    whole_file : ndarray of bool, shape (n_cases,)
        Whether a case is a whole file: a file that could not be collected.
    parameters : Bags
        Words between the brackets of each case's id, n_cases rows.
    files : Bags
        Words of each test file.
    paths : tuple of str
        Path of each test file.
    change : ChangeText
    all_changed_paths : tuple of str
        With those of tests.
    code : Code or None
    edited : ndarray of float32, shape (n_documents,)
        How many commits that touched tests lie between its last edit and the base; as many as
        were looked at for one that is older.
    written_with : dict of str to ndarray of float32, shape (n_documents,)
        For each of ``PARTS``: share of the changed lines (of the functions around them) that were
        last written in a commit which also edited the document, less for commits of many tests.
    in_change : ndarray of float32, shape (n_documents,)
        1 where the change edits the document itself, 0.5 where it edits a function of its file
        that is no case, such as a fixture or helper.
    import_hops : ndarray of float32, shape (n_files,)
        Imports between the test file and a changed module, 1 for its own; `FAR` for none.
    ran : ndarray of float32, shape (n_cases,), optional
        Share of the change that each case ran when its coverage was measured; NaN where it is not
        known, None where there is no coverage that tells anything.
    weigher : Weigher, optional
        What weighs all this; without one hand-set weights do.
    """

    document: NDArray[np.int32]
    file: NDArray[np.int32]
    bodies: Bags
    titles: Bags
    uses: Bags
    effort: NDArray[np.float32]
    group: NDArray[np.int32]
    whole_file: NDArray[np.bool_]
    parameters: Bags
    files: Bags
    paths: tuple[str, ...]
    change: ChangeText
    all_changed_paths: tuple[str, ...]
    code: Code | None
    edited: NDArray[np.float32]
    written_with: dict[str, NDArray[np.float32]]
    in_change: NDArray[np.float32]
    import_hops: NDArray[np.float32]
    ran: NDArray[np.float32] | None = None
    weigher: Weigher | None = None


def parameter_words(case: str) -> Words:
    """Return the words that tell a case from others of its function: parameters, subtests."""
    rest = case[len(split_case(case)[0]) :]
    return text_words(rest) if rest else {}


def unknown(size: int) -> NDArray[Any]:
    """Return NaN for everything."""
    return np.full(size, np.nan, np.float32)
