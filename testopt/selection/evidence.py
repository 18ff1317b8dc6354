"""Past regressions as evidence of what a selection would have caught, and their JSON.

How a miss enters
-----------------
A case that was left out is unknown, never passed: a regression of which no failing case was
selected is no evidence until a later run executes such a case. Then it belongs to the change
that caused it, with the scores that were predicted for that change: `Regression` with its score
below the threshold of then. Evidence is gathered anew from the store at every training, and what
became known since comes from the log of plans. Until a run of everything has shown what was
missed, what a selection caught is left aside as well: the catches of a selection alone are those
that were easy to foresee. Where no score was logged, it is ``-inf``, which no threshold would have
caught.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

KEPT: Final = 400  # regressions of which evidence is kept
KEPT_CASES: Final = 16  # scores kept of one regression
_BEYOND: Final = {"always": math.inf, "never": -math.inf}


@dataclass(frozen=True, slots=True)
class Regression:
    """What was predicted of the cases that a change made fail.

    Attributes
    ----------
    scores : tuple of float
        Selection scores of the regressing cases, highest first, at most ``KEPT_CASES``; ``inf``
        for a case that had to run whatever its score.
    seeded : bool
        Whether its fault was seeded and did not happen by itself.
    """

    scores: tuple[float, ...]
    seeded: bool = False

    @classmethod
    def of(cls, scores: NDArray[np.float64], *, seeded: bool = False) -> Self:
        """Return the regression of some cases; of many, every so many and the lowest are kept."""
        ordered = np.sort(np.asarray(scores, np.float64))[::-1]
        if len(ordered) > KEPT_CASES:
            # each kept score stands for those above it, so that the loss is never understated
            ends = np.linspace(0, len(ordered), KEPT_CASES, dtype=int)[1:] - 1
            ordered = ordered[np.concatenate([[0], ends])]
        return cls(tuple(ordered.tolist()), seeded)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Past regressions, oldest first, at most ``KEPT``."""

    regressions: tuple[Regression, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values; infinite scores become the words ``always`` and ``never``."""
        return {
            "regressions": [
                {"scores": [_word(s) for s in r.scores], "seeded": r.seeded}
                for r in self.regressions[-KEPT:]
            ]
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        """Rebuild from what `to_dict` returned.

        Raises
        ------
        ValueError, TypeError, KeyError, AttributeError
            When the document is no such thing.
        """
        rows = document["regressions"]
        if not isinstance(rows, list) or len(rows) > KEPT:
            raise ValueError("the regressions are not a list of the allowed length")
        return cls(tuple(_regression(row) for row in rows))


def _word(score: float) -> float | str:
    return score if math.isfinite(score) else "always" if score > 0 else "never"


def _regression(row: Mapping[str, Any]) -> Regression:
    scores, seeded = row["scores"], row["seeded"]
    if (
        not isinstance(scores, list)
        or not 0 < len(scores) <= KEPT_CASES
        or type(seeded) is not bool
    ):
        raise ValueError("a regression is damaged")
    values = (_BEYOND[s] if isinstance(s, str) else float(s) for s in scores)
    ordered = tuple(sorted(values, reverse=True))
    if any(math.isnan(v) for v in ordered):
        raise ValueError("a score is not a number")
    return Regression(ordered, seeded)
