"""How many imports lie between test files and changed modules: an import graph by name.

As with calls, no language is understood: a file is taken to import another when an import
statement of its own has the other's name. ``features.imports`` resolves Python's imports exactly,
which takes parsing every file; an order does without.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from testopt.similarity.call_graph import FAR

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from testopt.similarity.bags import Bags


def import_hops(
    imported: Bags,
    names: NDArray[np.uint32],
    changed: NDArray[np.bool_],
    beside: Sequence[tuple[int, int]] = (),
) -> NDArray[np.float64]:
    """Return the least number of imports from each file to a changed one.

    Parameters
    ----------
    imported : Bags
        Names in the import statements of each file, n rows.
    names : ndarray of uint32, shape (n,)
        Number of the name under which each file is imported.
    changed : ndarray of bool, shape (n,)
    beside : sequence of (int, int)
        Pairs of files of which the first has what the second has without importing it, as a test
        file has the fixtures of a ``conftest.py``.

    Returns
    -------
    ndarray of float64, shape (n,)
        0 for a changed file; `FAR` where none is reached.
    """
    known, code = np.unique(names, return_inverse=True)
    at = np.minimum(np.searchsorted(known, imported.words), max(len(known) - 1, 0))
    hit = known[at] == imported.words if len(known) else np.zeros(0, bool)
    owner, name = imported.owners()[hit], at[hit]
    same = np.array(beside, np.int64).reshape(-1, 2)
    hops = np.where(changed, 0.0, FAR)
    while True:
        nearest = np.full(len(known), FAR)
        np.minimum.at(nearest, code, hops)
        new = hops.copy()
        np.minimum.at(new, owner, 1.0 + nearest[name])
        np.minimum.at(new, same[:, 0], new[same[:, 1]])
        if (new >= hops).all():
            return hops
        hops = new
