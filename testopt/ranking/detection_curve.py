"""The detection curve: how many failures are found by each share of a suite's time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from testopt.learning.metrics import first_failure, recall_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SHARES: Final = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
CAUGHT: Final = (0.9, 0.95, 0.99)
_ROUNDING: Final = 1e-9


@dataclass(frozen=True, slots=True)
class DetectionCurve:
    """The detection curve of one order over failing runs; points of a plot.

    Attributes
    ----------
    shares : tuple of float
        Shares of the suite's time.
    seen : tuple of float
        Share of the runs whose first failing case has finished by then.
    found : tuple of float
        Mean share of the failing cases that have finished by then.
    enough : tuple of (float, float)
        For each share of the failing runs in ``CAUGHT``: what share of the time shows a failure
        in that many.
    """

    shares: tuple[float, ...]
    seen: tuple[float, ...]
    found: tuple[float, ...]
    enough: tuple[tuple[float, float], ...]


def detection_curve(runs: Sequence[tuple[NDArray[np.bool_], NDArray[Any]]]) -> DetectionCurve:
    """Return the detection curve of an order.

    Parameters
    ----------
    runs : sequence of (ndarray of bool, ndarray)
        For each failing run, at least one: whether each case fails and how many seconds it took,
        of shape (n,), in the order of execution.
    """
    first = np.array([first_failure(f, s) / float(s.sum()) for f, s in runs])
    return DetectionCurve(
        SHARES,
        tuple(float((first <= share + _ROUNDING).mean()) for share in SHARES),
        tuple(float(np.mean([recall_at(f, s, share) for f, s in runs])) for share in SHARES),
        tuple((c, _enough(first, c)) for c in CAUGHT),
    )


def _enough(first: NDArray[np.float64], caught: float) -> float:
    """Return the smallest share of the time that shows a failure in `caught` of the runs."""
    place = int(np.ceil(caught * len(first) - _ROUNDING)) - 1
    return float(np.sort(first)[max(place, 0)])
