"""Bags of words as arrays, and how alike they are to a query: TF-IDF with the cosine.

Rows hold sorted runs of word numbers with their counts. A word weighs 1 + log(count) times its
inverse document frequency, as in Spärck Jones (1972) with the smoothing of Robertson's BM25
(Robertson and Zaragoza 2009), so that a word of every case weighs next to nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

Words = dict[int, float]  # number of a word -> how often, or how much


@dataclass(frozen=True, slots=True)
class Bags:
    """Words of many texts.

    Attributes
    ----------
    ends : ndarray of int64, shape (n_rows + 1,)
        Row i holds the entries ``ends[i]`` to ``ends[i + 1]``.
    words : ndarray of uint32, shape (n_entries,)
    counts : ndarray of float32, shape (n_entries,)
    """

    ends: NDArray[np.int64]
    words: NDArray[np.uint32]
    counts: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.ends) - 1

    @classmethod
    def of(cls, rows: Iterable[Mapping[int, float]]) -> Bags:
        """Build from one mapping of word numbers to counts per row."""
        kept = list(rows)
        sizes = np.fromiter(map(len, kept), np.int64, len(kept))
        total = int(sizes.sum())
        words = np.fromiter(chain.from_iterable(kept), np.uint32, total)
        values = chain.from_iterable(row.values() for row in kept)
        counts = np.fromiter(values, np.float32, total)
        return cls(_ends(sizes), words, counts)

    @classmethod
    def counted(cls, rows: Iterable[Sequence[int]]) -> Bags:
        """Build from the word numbers of each row, with repeats in any order."""
        kept = list(rows)
        sizes = np.fromiter(map(len, kept), np.int64, len(kept))
        words = np.fromiter(chain.from_iterable(kept), np.uint64, int(sizes.sum()))
        owners = np.repeat(np.arange(len(kept), dtype=np.uint64), sizes)
        keys, counts = np.unique(owners << np.uint64(32) | words, return_counts=True)
        sizes = np.bincount((keys >> np.uint64(32)).astype(np.int64), minlength=len(kept))
        return cls(_ends(sizes), keys.astype(np.uint32), counts.astype(np.float32))

    @classmethod
    def concat(cls, parts: Sequence[Bags]) -> Bags:
        """Put the rows of several bags below each other."""
        if not parts:
            return cls.of([])
        sizes = np.concatenate([np.diff(part.ends) for part in parts])
        words = np.concatenate([part.words for part in parts])
        return cls(_ends(sizes), words, np.concatenate([part.counts for part in parts]))

    def row(self, position: int) -> Words:
        """Return one row as a mapping."""
        part = slice(self.ends[position], self.ends[position + 1])
        return dict(zip(self.words[part].tolist(), self.counts[part].tolist(), strict=True))

    def part(self, first: int, last: int | None = None) -> Bags:
        """Return the rows `first` to `last` (excluded; default: one row), without copying them."""
        ends = self.ends[first : (first + 1 if last is None else last) + 1]
        inside = slice(ends[0], ends[-1])
        return Bags(ends - ends[0], self.words[inside], self.counts[inside])

    def take(self, rows: NDArray[Any]) -> Bags:
        """Return the rows at some positions, in their order."""
        starts, sizes = self.ends[rows], np.diff(self.ends)[rows]
        ends = _ends(sizes)
        at = np.arange(ends[-1]) + np.repeat(starts - ends[:-1], sizes)
        return Bags(ends, self.words[at], self.counts[at])

    def owners(self) -> NDArray[np.int64]:
        """Return the row of each entry."""
        return np.repeat(np.arange(len(self)), np.diff(self.ends))

    def sums(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Return the sum of one value per entry over each row, whatever rows stand beside it."""
        return self._reduced(np.add, np.asarray(values, np.float64))

    def maxima(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Return the largest of one non-negative value per entry over each row; 0 for none."""
        return self._reduced(np.maximum, values)

    def _reduced(self, how: np.ufunc, values: NDArray[Any]) -> NDArray[np.float64]:
        out = np.zeros(len(self))
        full = np.flatnonzero(np.diff(self.ends))
        if len(full):
            out[full] = how.reduceat(values, self.ends[full])
        return out


def _ends(sizes: NDArray[Any]) -> NDArray[np.int64]:
    return np.concatenate((np.zeros(1, np.int64), np.cumsum(sizes, dtype=np.int64)))


def _numbered(words: NDArray[np.uint32]) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Return the different words, sorted, and the place of each word among them.

    As `numpy.unique` does; to sort words and positions as one number takes half as long.
    """
    low = np.uint64(32)
    pairs = words.astype(np.uint64) << low | np.arange(len(words), dtype=np.uint64)
    pairs.sort()
    ordered = (pairs >> low).astype(np.uint32)
    is_first = np.ones(len(words), bool)
    np.not_equal(ordered[1:], ordered[:-1], out=is_first[1:])
    column = np.empty(len(words), np.int64)
    column[pairs.astype(np.uint32)] = np.cumsum(is_first) - 1
    return ordered[is_first], column


class Corpus:
    """Texts to be compared with queries.

    Parameters
    ----------
    bags : Bags
        The texts.
    common : int, optional
        How many of the first rows say how common a word is; default: all.
    """

    def __init__(self, bags: Bags, common: int | None = None) -> None:
        self.bags = bags
        self.size = len(bags) if common is None else common
        self._words, self._column = _numbered(bags.words)
        part = self._column[: bags.ends[self.size]]
        seen = np.bincount(part, minlength=len(self._words))
        self._idf = self._rarity(seen)
        tf = 1.0 + np.log(np.maximum(bags.counts, 0.5))
        self._values = tf * self._idf[self._column]
        self.squares = bags.sums(self._values**2)

    def _rarity(self, seen: NDArray[Any] | float) -> Any:
        return np.log1p((self.size - seen + 0.5) / (np.asarray(seen) + 0.5))

    def _weights(self, query: Words) -> tuple[NDArray[np.float64], float]:
        """Return the query over the known words, and its length with the unknown ones."""
        dense = np.zeros(len(self._words))
        if not query or not len(self._words):
            return dense, 0.0
        words = np.fromiter(query, np.uint32, len(query))
        values = np.fromiter(query.values(), np.float64, len(query))
        at = np.minimum(np.searchsorted(self._words, words), len(self._words) - 1)
        known = self._words[at] == words
        dense[at[known]] = values[known] * self._idf[at[known]]
        unknown = values[~known] * self._rarity(0.0)
        return dense, float(np.sqrt((dense**2).sum() + (unknown**2).sum()))

    def products(self, query: Words) -> NDArray[np.float64]:
        """Return the inner product of each row with the query of length one, shape (n_rows,)."""
        dense, length = self._weights(query)
        if not length:
            return np.zeros(len(self.bags))
        return self.bags.sums(self._values * (dense / length)[self._column])

    def similarity(self, query: Words) -> NDArray[np.float64]:
        """Return the cosine of each row with the query, shape (n_rows,)."""
        return self.products(query) / np.sqrt(np.maximum(self.squares, 1e-12))

    def overlap(self, query: Words) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the summed and the largest rarity of the words that a row shares with a query."""
        dense, _ = self._weights(dict.fromkeys(query, 1.0))
        shared = dense[self._column]
        return self.bags.sums(shared), self.bags.maxima(shared)


def log_counts(words: Mapping[int, float]) -> Words:
    """Return 1 + log(count) of each word."""
    return {word: 1.0 + float(np.log(max(n, 0.5))) for word, n in words.items()}


def weighted_sum(*parts: tuple[float, Mapping[int, float]]) -> Words:
    """Return the weighted sum of several bags."""
    total: Words = {}
    for weight, words in parts:
        for word, n in words.items():
            total[word] = total.get(word, 0.0) + weight * n
    return total
