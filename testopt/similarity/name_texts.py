"""Texts from names of cases and words of a change alone, where git has no sources."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from testopt.code.paths import is_code, is_test_path
from testopt.code.words import name_numbers, text_words, token_numbers
from testopt.runners.case_ids import split_case
from testopt.similarity.bags import Bags
from testopt.similarity.texts import ChangeText, Texts, unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testopt.schema import FileChange
    from testopt.similarity.query import Query


def name_texts(query: Query) -> Texts | None:
    """Return what is known without sources.

    Parameters
    ----------
    query : Query
        Cases, and changed files with their identifiers where the store has them.

    Returns
    -------
    Texts or None
        Documents are functions, their words those of their names; None without changed files.
    """
    if not query.files or not len(query.cases):
        return None
    split = [split_case(case) for case in query.cases]
    functions = list(dict.fromkeys(function for function, _, _ in split))
    position = {function: i for i, function in enumerate(functions)}
    owner_of = {function: owner for function, owner, _ in split}
    owners = {owner: i for i, owner in enumerate(dict.fromkeys(owner_of.values()))}
    paths = {file: i for i, file in enumerate(dict.fromkeys(file for _, _, file in split))}
    titles = Bags.counted(_titles(owner_of))
    size = len(functions)
    return Texts(
        document=np.array([position[function] for function, _, _ in split], np.int32),
        file=np.array([paths[file] for _, _, file in split], np.int32),
        bodies=titles,
        titles=titles,
        uses=Bags.counted([()] * size),
        effort=unknown(size),
        group=np.array([owners[owner_of[function]] for function in functions], np.int32),
        whole_file=np.zeros(len(split), bool),
        parameters=Bags.counted(
            token_numbers(case.partition("[")[2]) if "[" in case else () for case in query.cases
        ),
        files=Bags.counted(token_numbers(path) for path in paths),
        paths=tuple(paths),
        change=_change(query.files),
        all_changed_paths=tuple(file.path for file in query.files),
        code=None,
        edited=unknown(size),
        written_with={"lines": unknown(size), "owners": unknown(size)},
        in_change=unknown(size),
        import_hops=unknown(len(paths)),
    )


def _titles(owner_of: dict[str, str]) -> Iterator[list[int]]:
    """Yield the words of the name of each function, reading its owner's part once."""
    known: dict[str, list[int]] = {}
    for function, owner in owner_of.items():
        if owner not in known:
            known[owner] = token_numbers(owner)
        if function.startswith(owner + "::"):
            yield known[owner] + name_numbers(function[len(owner) + 2 :])
        else:
            yield name_numbers(function)


def _change(files: tuple[FileChange, ...]) -> ChangeText:
    sources = [file for file in files if is_code(file.path) and not is_test_path(file.path)]
    paths = " ".join(file.path for file in sources)
    return ChangeText(
        lines=text_words(" ".join(file.tokens or "" for file in sources)),
        # without a parser the file is the nearest thing to an owner
        owners=dict.fromkeys(text_words(paths), 1.0),
        paths=text_words(paths),
        paths_changed=tuple(file.path for file in sources),
    )
