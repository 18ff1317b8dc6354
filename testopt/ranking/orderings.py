"""Orderings of a run, weighted by how well each has done on this project so far.

The exponentially weighted average forecaster with a head start for the default (Cesa-Bianchi and
Lugosi 2006, "Prediction, learning, and games", chapter 2): every way orders every failing run in
hindsight, and what it gained stands to its credit from then on. Needs numpy alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from testopt.learning.metrics import apfdc
from testopt.ranking.baselines import (
    expected_seconds,
    pooled_rate,
    recency,
    untrained_score,
)
from testopt.ranking.cost_order import COST_FLOOR_S, value_per_cost
from testopt.ranking.front import lead
from testopt.reasons import Reason, ReasonKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from testopt.features.run_features import RunFeatures
    from testopt.features.training_set import TrainingSet


@dataclass(frozen=True, slots=True)
class Ordering:
    """A way to order: a weighted geometric mean of signals, by a power of the duration.

    Attributes
    ----------
    parts : tuple of str
        ``model``, ``untrained``, ``rate`` or ``recent``.
    cost : float
        0: what a case costs does not matter; 1: by value per second.
    shares : tuple of float
        Weights of the parts, 1 in sum; empty where all weigh the same.
    """

    parts: tuple[str, ...]
    cost: float
    shares: tuple[float, ...] = ()

    @property
    def weights(self) -> dict[str, float]:
        """Weight of each part, 1 in sum."""
        shares = self.shares or (1.0 / len(self.parts),) * len(self.parts)
        return dict(zip(self.parts, shares, strict=True))

    @property
    def name(self) -> str:
        """How messages call it."""
        words = " and ".join(_WORDS[part] for part in self.parts)
        return words if self.cost == 0 else f"{words} / seconds^{self.cost:g}"


_WORDS: Final = {
    "model": "model",
    "untrained": "recent failures and closeness",
    "rate": "failure rate",
    "recent": "recent failures",
}
_MIXED: Final = (("model", "untrained"), ("model", "rate"), ("model", "recent"), ("model",))
_PLAIN: Final = (("rate",), ("recent",))
UNTRAINED: Final = (Ordering(("untrained",), 0.25), Ordering(("untrained",), 0.5))
ORDERINGS: Final = (
    *(Ordering(parts, cost) for parts in _MIXED for cost in (0.25, 0.5, 0.75)),
    *(Ordering(parts, cost) for parts in _PLAIN for cost in (0.0, 0.5, 1.0)),
    *UNTRAINED,  # what served before the project had a model of its own
)
DEFAULT: Final = 0
FIRST_FAILING: Final = 10  # runs with a failure, at least, before a model has a say


def too_young(failing: int) -> Reason | None:
    """Return why a model of so many failing runs has no say; None where it has one."""
    if failing >= FIRST_FAILING:
        return None
    return Reason(ReasonKind.YOUNG_MODEL, (FIRST_FAILING, failing))


# What another ordering must have gained over the default to weigh as much, in APFDc summed over
# runs. Where the sources are read the default knows what no plain order knows, and the first
# failures of a project are mostly old ones, which any order finds: so it takes more.
HEAD_START: Final = 1.0
HEAD_START_SOURCES: Final = 3.0
EAGERNESS: Final = 3.0  # how fast weight moves to those that gain
_MOST_RUNS: Final = 2**31
FLOOR: Final = 1e-3  # of a case of which nothing is known
LEAD: Final = "lead"  # the signal that no way of ordering weighs


class OrderingWeights:
    """How much each of ``ORDERINGS`` has to say, by what it gained on the failing runs so far.

    Attributes
    ----------
    gains : ndarray of float64, shape (n_orderings,)
        Sum over runs of an ordering's APFDc less the mean of all orderings.
    runs : int
        Failing runs learnt from.
    """

    def __init__(self, gains: Sequence[float] | None = None, runs: int = 0) -> None:
        self.gains = np.zeros(len(ORDERINGS)) if gains is None else np.array(gains, np.float64)
        self.runs = runs

    def current(self, *, sources: bool) -> NDArray[np.float64]:
        """Return how much each of ``ORDERINGS`` has to say of the next run, 1 in sum.

        Parameters
        ----------
        sources : bool
            Whether the sources of change and cases are read.
        """
        credit = self.gains.copy()
        credit[DEFAULT] += HEAD_START_SOURCES if sources else HEAD_START
        weight = np.exp(EAGERNESS * (credit - credit.max()))
        return np.asarray(weight / weight.sum())

    def mixed_ordering(self, *, sources: bool) -> Ordering:
        """Return the blend that orders the next run: the weighted mean of the logarithms.

        Parameters
        ----------
        sources : bool
            Whether the sources of change and cases are read.
        """
        shares = dict.fromkeys(_WORDS, 0.0)
        cost = 0.0
        for ordering, weight in zip(ORDERINGS, self.current(sources=sources).tolist(), strict=True):
            cost += weight * ordering.cost
            for part, share in ordering.weights.items():
                shares[part] += weight * share
        return Ordering(tuple(shares), cost, tuple(shares.values()))

    def learn(
        self,
        signals: Mapping[str, NDArray[np.float64]],
        failed: NDArray[np.bool_],
        seconds: NDArray[Any],
    ) -> None:
        """Credit the orderings with a run that is over.

        Parameters
        ----------
        signals : mapping of str to ndarray
            From `signals_of`, as it was before the run.
        failed : ndarray of bool, shape (n,)
            What happened; runs in which all cases fail, or none, teach nothing.
        seconds : ndarray, shape (n,)
            Expected durations.
        """
        if failed.all() or not failed.any():
            return
        cost = np.maximum(seconds, 0.0) + COST_FLOOR_S
        got = np.empty(len(ORDERINGS))
        for i, ordering in enumerate(ORDERINGS):
            value = value_per_cost(priority(ordering, signals), seconds, ordering.cost)
            order = np.lexsort((cost, -value))
            got[i] = apfdc(failed[order], cost[order])
        self.gains += got - got.mean()
        self.runs += 1

    def reason(self, *, sources: bool) -> Reason:
        """Return which ordering has most to say, and on what evidence."""
        weights = self.current(sources=sources)
        first = int(weights.argmax())
        if not self.runs:
            return Reason(ReasonKind.DEFAULT_WEIGHTS, (ORDERINGS[first].name,))
        share, name = float(weights[first]), ORDERINGS[first].name
        ahead = float(self.gains[first] - self.gains.mean()) / self.runs
        return Reason(ReasonKind.LEARNT_WEIGHTS, (share, name, self.runs, ahead, len(ORDERINGS)))

    def as_dict(self) -> dict[str, Any]:
        """Return the gains as JSON values, gains by name, rounded to 6 digits."""
        gains = {e.name: round(float(g), 6) for e, g in zip(ORDERINGS, self.gains, strict=True)}
        return {"runs": self.runs, "gains": gains}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        """Rebuild from what `as_dict` returned; experts that it does not name have gained nothing.

        Raises
        ------
        ValueError, TypeError, KeyError, AttributeError
            When the document is no such thing.
        """
        gains = [float(document["gains"].get(e.name, 0.0)) for e in ORDERINGS]
        runs = int(document["runs"])
        # what a run adds to a gain lies between -1 and 1
        if not (0 <= runs <= _MOST_RUNS and (np.abs(gains) <= runs + 1).all()):
            raise ValueError("a gain is no sum over runs")
        return cls(gains, runs)


def signals_of(
    features: RunFeatures, p: NDArray[np.float64] | None
) -> dict[str, NDArray[np.float64]]:
    """Return what the orderings weigh of a run's cases, and their lead, each of shape (n,).

    Parameters
    ----------
    features : RunFeatures
        Features of the cases.
    p : ndarray, shape (n,), optional
        P(case fails); without a model the untrained score stands in.
    """
    untrained = untrained_score(features) + FLOOR
    return {
        "model": untrained if p is None else p + FLOOR,
        "untrained": untrained,
        "rate": pooled_rate(features) + FLOOR,
        "recent": recency(features),
        LEAD: lead(features),
    }


def priority(ordering: Ordering, signals: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return how much an ordering has for running each case, before its cost, shape (n,).

    What belongs to the front, by `testopt.ranking.front.lead`, does so in every ordering.
    """
    logs = [share * np.log(signals[part]) for part, share in ordering.weights.items()]
    return np.asarray(np.exp(np.sum(logs, axis=0)) + signals[LEAD])


def rolling_orderings(
    rows: TrainingSet, p: NDArray[np.float64], runs: int
) -> tuple[list[Ordering], OrderingWeights]:
    """Return what orders each run, weighted by earlier runs only, and the weights at the end.

    Parameters
    ----------
    rows : TrainingSet
        Rows of all runs, oldest first.
    p : ndarray, shape (n,)
        P(case fails), predicted before each run; NaN where there was no model yet.
    runs : int
        Number of runs.

    Returns
    -------
    tuple of list of Ordering and OrderingWeights
        The blend of each run.
    """
    weights, orderings = OrderingWeights(), []
    ends = np.searchsorted(rows.run, np.arange(runs + 1))
    for first, last in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True):
        part = slice(first, last)
        features, failed, own = rows.features.at(part), rows.y[part], p[part]
        orderings.append(weights.mixed_ordering(sources=features.sources_read))
        if failed.any() and rows.weight[first] > 0 and not rows.stopped_early[first]:
            known = None if np.isnan(own).any() else own
            weights.learn(signals_of(features, known), failed, expected_seconds(features))
    return orderings, weights
