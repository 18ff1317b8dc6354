"""The data behind numbered cases: ``test_spec[entry12]`` runs on the thirteenth of some items.

pytest numbers the parameters that it cannot show. What they are stands in the list that
``parametrize`` names, or in a file of data that the test module names.
"""

from __future__ import annotations

import ast
import csv
import io
import json
import re
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Final

from testopt.code.words import text_words
from testopt.impact.python_module import Function, functions_of, parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from testopt.similarity.bags import Words
    from testopt.similarity.cochange import Document
    from testopt.similarity.source_index import SourceIndex

FEWEST: Final = 5  # numbered cases of a function that are worth looking for
_MOST: Final = 20_000  # items of a list
_LONGEST: Final = 2_000  # characters of an item
_FILES: Final = 4  # files of data looked into for one module
_NUMBERED: Final = re.compile(r"([A-Za-z_]\w*?)(\d{1,6})")
_DATA_FILE: Final = re.compile(r"""["']([\w./-]+\.(?:jsonl?|ndjson|csv|tsv))["']""")


class ParametrisationData:
    """Finds the items behind the numbered cases of a run.

    Parameters
    ----------
    tree : mapping of str to str
        Git object of each path.
    index : SourceIndex
        Reads them.
    """

    def __init__(self, tree: Mapping[str, str], index: SourceIndex) -> None:
        self._tree, self._index = tree, index

    def words(self, cases: Sequence[str], definitions: Sequence[Document]) -> dict[int, Words]:
        """Return the words of the parameters of each case that has an item behind it.

        Parameters
        ----------
        cases : sequence of str
            Case ids.
        definitions : sequence of (path, dotted name)
            Where each one is defined.

        Returns
        -------
        dict of int to Words
            By position of the case.
        """
        found: dict[int, Words] = {}
        for (definition, name), numbers in _numbered(cases, definitions).items():
            items = self._items(definition, name, max(numbers.values()))
            for position, number in numbers.items() if items else ():
                if position not in found:
                    rest = (p for p in _parts(cases[position]) if not _NUMBERED.fullmatch(p))
                    found[position] = text_words(" ".join(rest))
                row = found[position]
                for word, n in items[number].items():
                    row[word] = row.get(word, 0.0) + n
        return found

    def _items(self, definition: Document, name: str, last: int) -> Sequence[Words]:
        """Return the items of a parameter; empty where none are found for every number."""
        text = self._text(definition[0])
        if text is None:
            return ()
        listed = _listed(text, definition[1], name)
        if len(listed) > last:
            return listed
        files = (_read(self._text(path) or "", path) for path in self._files(definition[0], text))
        return next((found for found in files if len(found) > last), ())

    def _files(self, path: str, text: str) -> Iterator[str]:
        """Yield the files of data that a test module names, of several those beside it."""
        folder = path.rpartition("/")[0]
        for name in list(dict.fromkeys(_DATA_FILE.findall(text)))[:_FILES]:
            beside = f"{folder}/{name}".lstrip("/")
            ending = "/" + name.lstrip("./")
            alike = self._by_name.get(name.rpartition("/")[2], ())
            elsewhere = (p for p in alike if f"/{p}".endswith(ending))
            found = beside if beside in self._tree else next(elsewhere, "")
            if found:
                yield found

    @cached_property
    def _by_name(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for path in self._tree:
            found.setdefault(path.rpartition("/")[2], []).append(path)
        return found

    def _text(self, path: str) -> str | None:
        known = self._tree.get(path)
        return self._index.texts([known]).get(known) if known else None


def _numbered(
    cases: Sequence[str], definitions: Sequence[Document]
) -> dict[tuple[Document, str], dict[int, int]]:
    """Return the numbers of the cases by function and parameter, where there are many."""
    found: dict[tuple[Document, str], dict[int, int]] = {}
    for position, (case, definition) in enumerate(zip(cases, definitions, strict=True)):
        for part in _parts(case) if definition[0] else ():
            match = _NUMBERED.fullmatch(part)
            if match:
                found.setdefault((definition, match[1]), {})[position] = int(match[2])
    return {key: n for key, n in found.items() if len(set(n.values())) >= FEWEST}


def _parts(case: str) -> Sequence[str]:
    inside = case.partition("[")[2].rstrip("]")
    return inside.split("-") if inside else ()


@lru_cache(32)
def _listed(text: str, function: str, name: str) -> tuple[Words, ...]:
    """Return the items of a list that a function's ``parametrize`` holds or names."""
    tree, functions = _module(text)
    node = functions.get(function)
    for call in node.decorator_list if node else ():
        if not isinstance(call, ast.Call) or len(call.args) < 2:  # noqa: PLR2004 - names, values
            continue
        names = _names(call.args[0])
        if name in names:
            values = _value(call.args[1], tree)
            items = (_part(item, names.index(name), len(names)) for item in values[:_MOST])
            try:
                return tuple(text_words(ast.unparse(item)[:_LONGEST]) for item in items)
            except RecursionError:  # nested deeper than Python writes it out
                return ()
    return ()


@lru_cache(2)
def _module(text: str) -> tuple[ast.Module, dict[str, Function]]:
    tree = parse(text) or ast.Module([], [])
    return tree, dict(functions_of(tree))


def _names(node: ast.expr) -> list[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [part.strip() for part in node.value.split(",")]
    parts = node.elts if isinstance(node, ast.List | ast.Tuple) else ()
    return [str(part.value) for part in parts if isinstance(part, ast.Constant)]


def _value(node: ast.expr, tree: ast.Module) -> Sequence[ast.expr]:
    """Return the items of a list as written, or of one that the module gives a name."""
    if isinstance(node, ast.Name):
        for one in tree.body:
            targets = one.targets if isinstance(one, ast.Assign) else ()
            if any(isinstance(t, ast.Name) and t.id == node.id for t in targets):
                return _value(one.value, ast.Module([], []))  # type: ignore[attr-defined]
    return node.elts if isinstance(node, ast.List | ast.Tuple) else ()


def _part(item: ast.expr, column: int, columns: int) -> ast.expr:
    """Return what one of several parameters gets of an item."""
    if columns > 1:
        parts = item.args if isinstance(item, ast.Call) else getattr(item, "elts", ())
        return parts[column] if column < len(parts) else item
    return item


@lru_cache(8)
def _read(text: str, path: str) -> tuple[Words, ...]:
    """Return the items of a file of data; none where it cannot be read."""
    try:
        items = _rows(text, path.rpartition(".")[2])
        found = (item if isinstance(item, str) else json.dumps(item) for item in items[:_MOST])
        return tuple(text_words(item[:_LONGEST]) for item in found)
    except (ValueError, RecursionError, csv.Error):
        return ()


def _rows(text: str, kind: str) -> Sequence[Any]:
    if kind in {"csv", "tsv"}:
        rows = csv.reader(io.StringIO(text), delimiter="\t" if kind == "tsv" else ",")
        return [" ".join(row) for row in rows][1:]
    if kind in {"jsonl", "ndjson"}:
        return [line for line in text.splitlines() if line.strip()]
    data = json.loads(text)
    if isinstance(data, dict):
        lists = [value for value in data.values() if isinstance(value, list)]
        return lists[0] if len(lists) == 1 else ()
    return data if isinstance(data, list) else ()
