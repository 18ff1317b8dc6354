"""Which changed files a case is closest to, and the words that say so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from testopt.code.words import word_number, words_of
from testopt.similarity.name_texts import name_texts

if TYPE_CHECKING:
    from testopt.similarity.query import Query
    from testopt.similarity.texts import Texts

_WORDS: Final = 6  # told of each file


class Nearness(NamedTuple):
    """A changed file, the summed rarity of the words it shares with a case, the rarest of them."""

    path: str
    rarity: float
    words: tuple[str, ...]


def nearest_files(query: Query, position: int, *, most: int = 3) -> list[Nearness]:
    """Return the changed files that share the rarest words with a case.

    Parameters
    ----------
    query : Query
        Cases and changed files; their identifiers are needed, and sources say more than names.
    position : int
        Of the case.
    most : int
        How many files to return at most.

    Returns
    -------
    list of Nearness
        Files that share no word are left out. A word is as rare as `Corpus` weighs it.
    """
    text = query.text or name_texts(query)
    if text is None:
        return []
    case_words = _words_of_case(text, position)
    found = []
    for file in query.files:
        tokens = f"{file.tokens or ''} {file.path.replace('/', ' ').replace('.', ' ')}".split()
        words = {word: word_number(word) for token in tokens for word in words_of(token)}
        shared = sorted(word for word, key in words.items() if key in case_words)
        weights = {word: _rarity(text, words[word]) for word in shared}
        ranked = sorted(shared, key=lambda word: (-weights[word], word))
        if ranked:
            found.append(Nearness(file.path, sum(weights.values()), tuple(ranked[:_WORDS])))
    return sorted(found, key=lambda near: (-near.rarity, near.path))[:most]


def _words_of_case(text: Texts, position: int) -> set[int]:
    document = int(text.document[position])
    rows = (text.bodies.row(document), text.titles.row(document), text.parameters.row(position))
    return {word for row in rows for word in row}


def _rarity(text: Texts, word: int) -> float:
    size = len(text.bodies)
    seen = int((text.bodies.words == word).sum())
    return float(np.log1p((size - seen + 0.5) / (seen + 0.5)))
