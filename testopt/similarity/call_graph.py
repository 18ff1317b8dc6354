"""How near a changed function is to a case, through the names that code uses: a call graph by name.

No language is understood: a definition is taken to use another when its text has the other's
name. Names that many use, or many define, lead nowhere in particular and weigh little.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from testopt.similarity.bags import Bags
    from testopt.similarity.texts import Code

FAR: Final = 10.0  # steps: not reached
_NEAR: Final = ("calls", "call_peak", "called_by_name", "reach")
_STEPS: Final = 6
_WALK: Final = 4
_DECAY: Final = 0.7


def call_signals(uses: Bags, code: Code | None) -> dict[str, NDArray[np.float64]]:
    """Return the nearness of documents to the changed definitions.

    Parameters
    ----------
    uses : Bags
        Names used by each document.
    code : Code or None
        The source tree; None: unknown.

    Returns
    -------
    dict of str to ndarray, shape (n_documents,)
        ``hops``: steps from the document to a changed definition (1: its text has the name);
        ``calls``: chance that a walk along names, rare ones first, meets a changed definition;
        ``call_peak``: the largest single contribution to it; ``called_by_name``: rarity of the
        rarest changed name in the document; ``reach``: logarithm of how many definitions it may
        run, which tells wide tests from narrow ones.
    """
    n = len(uses)
    if code is None or not code.changed.any():
        zero = np.zeros(n)
        nothing = {name: zero.copy() for name in _NEAR}
        return {"hops": np.full(n, FAR), **nothing}
    graph = _Graph(code)
    mine = graph.links(uses)
    rarity = np.log1p(n / np.maximum(mine.spread(len(graph.names)), 1))
    hop_of_name, worth_of_name = graph.hops(), graph.worth()
    weight = rarity[mine.name]
    worth = weight * worth_of_name[mine.name]
    named = np.where(hop_of_name[mine.name] == 0, weight, 0.0)
    return {
        "hops": np.minimum(1.0 + mine.least(hop_of_name), FAR),
        "calls": mine.total(worth) / np.maximum(mine.total(weight), 1e-9),
        "call_peak": mine.most(worth),
        "called_by_name": mine.most(named),
        "reach": np.log1p(mine.total(graph.breadth()[mine.name])),
    }


def callers(code: Code) -> NDArray[np.float64]:
    """Return how much each definition tells of the change because it uses a changed one.

    Parameters
    ----------
    code : Code

    Returns
    -------
    ndarray of float64, shape (n,)
        1 / log2(1 + users) of the changed name that the fewest others use; 0 for what uses none,
        and for changed definitions themselves.
    """
    graph = _Graph(code)
    changed = np.zeros(len(graph.names), bool)
    changed[graph.of[code.changed]] = True
    rarity = 1.0 / np.log2(1.0 + np.maximum(graph.inner.spread(len(graph.names)), 1.0))
    found = graph.inner.most((rarity * changed)[graph.inner.name])
    return np.where(code.changed, 0.0, found)


class _Links:
    """Which texts use which of the defined names."""

    def __init__(self, owner: NDArray[np.int64], name: NDArray[np.int64], size: int) -> None:
        self.owner, self.name, self.size = owner, name, size

    def spread(self, names: int) -> NDArray[np.float64]:
        return np.asarray(np.bincount(self.name, minlength=names), np.float64)

    def total(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.bincount(self.owner, values, minlength=self.size), np.float64)

    def most(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        out = np.zeros(self.size)
        np.maximum.at(out, self.owner, values)
        return out

    def least(self, by_name: NDArray[np.float64]) -> NDArray[np.float64]:
        out = np.full(self.size, FAR)
        np.minimum.at(out, self.owner, by_name[self.name])
        return out


class _Graph:
    """Definitions and the names they use."""

    def __init__(self, code: Code) -> None:
        self.names, self.of = np.unique(code.defines, return_inverse=True)
        self.changed = code.changed
        links = self.links(code.uses)
        other = self.of[links.owner] != links.name  # a definition has its own name in its text
        self.inner = _Links(links.owner[other], links.name[other], links.size)

    def links(self, uses: Bags) -> _Links:
        at = np.minimum(np.searchsorted(self.names, uses.words), len(self.names) - 1)
        known = self.names[at] == uses.words
        return _Links(uses.owners()[known], at[known], len(uses))

    def hops(self) -> NDArray[np.float64]:
        """Return the least steps from each name to a changed definition."""
        steps = np.where(self.changed, 0.0, FAR)
        for _ in range(_STEPS):
            steps = np.minimum(steps, 1.0 + self.inner.least(self._by_name(steps)))
        return self._by_name(steps)

    def _by_name(self, steps: NDArray[np.float64]) -> NDArray[np.float64]:
        out = np.full(len(self.names), FAR)
        np.minimum.at(out, self.of, steps)
        return out

    def worth(self) -> NDArray[np.float64]:
        """Return the chance that a walk from each name meets a changed definition."""
        start = self.changed.astype(np.float64)
        rarity = np.log1p(len(start) / np.maximum(self.inner.spread(len(self.names)), 1))
        weight = rarity[self.inner.name]
        norm = np.maximum(self.inner.total(weight), 1e-9)
        value = start
        for _ in range(_WALK):
            reached = self.inner.total(weight * self._mix(value)[self.inner.name]) / norm
            value = np.maximum(start, _DECAY * reached)
        return self._mix(value)

    def breadth(self) -> NDArray[np.float64]:
        """Return about how many definitions lie behind each name, those reached twice twice."""
        count = np.bincount(self.of)
        size = np.ones(len(self.of))
        for _ in range(_WALK):
            mean = np.bincount(self.of, size) / count
            size = np.minimum(1.0 + self.inner.total(mean[self.inner.name]), float(len(size)))
        return np.asarray(np.bincount(self.of, size) / count, np.float64)

    def _mix(self, value: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return half the largest and half the mean worth of the definitions of each name."""
        most = np.zeros(len(self.names))
        np.maximum.at(most, self.of, value)
        mean = np.bincount(self.of, value) / np.bincount(self.of)
        return 0.5 * most + 0.5 * mean
