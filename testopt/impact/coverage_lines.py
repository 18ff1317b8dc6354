"""How much of what changed a case ran when its coverage was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Hunk = tuple[range, range]


def touched_lines(changed: Sequence[range]) -> list[frozenset[int]]:
    """Return the lines that changes stand for.

    Parameters
    ----------
    changed : sequence of range
        Lines from 1 of the version before the change; an empty range: others come in after its
        start.

    Returns
    -------
    list of frozenset of int
        Of each change; of what comes in between two lines, those two.
    """
    return [
        frozenset(lines) if len(lines) else frozenset((lines.start, lines.start + 1))
        for lines in changed
    ]


def lines_then(lines: frozenset[int], hunks: Sequence[Hunk]) -> frozenset[int]:
    """Find lines of a version in an older one.

    Parameters
    ----------
    lines : frozenset of int
        Line numbers from 1.
    hunks : sequence of (range, range)
        What lies between the two versions: lines of the older and of the newer one, in order.

    Returns
    -------
    frozenset of int
        A line that came in since then stands for those that it took the place of, or for those
        around it.
    """
    found: set[int] = set()
    for line in lines:
        shift = 0
        for old, new in hunks:
            if line in new:
                found |= touched_lines([old])[0]
                break
            if line < new.stop or (not len(new) and line <= new.start):
                found.add(line + shift)
                break
            shift += len(old) - len(new)
        else:
            found.add(line + shift)
    return frozenset(found)


def ran_share(ran: NDArray[np.bool_], measured: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return how much of a change each case ran.

    Parameters
    ----------
    ran : ndarray of bool, shape (n_regions, n_cases)
        Whether a case ran any line of a changed region.
    measured : ndarray of bool, shape (n_cases,)
        Whether anything is known of a case.

    Returns
    -------
    ndarray of float32, shape (n_cases,)
        Share of the regions, those that few cases run weighing more; regions that none runs tell
        nothing. NaN where a case was not measured, everywhere where no region tells anything.
    """
    out = np.full(len(measured), np.nan, np.float32)
    known = ran[:, measured]
    runners = known.sum(axis=1)
    weight = np.log1p(known.shape[1] / np.maximum(runners, 1)) * (runners > 0)
    if weight.any():
        out[measured] = weight @ known / weight.sum()
    return out
