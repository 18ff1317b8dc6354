"""Scores, order and reasons of the cases of a run, before any of them is left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from testopt.ranking.baselines import untrained_score
from testopt.ranking.cost_order import run_order, steps, value_per_cost
from testopt.ranking.orderings import OrderingWeights, priority, signals_of
from testopt.ranking.reasons import reasons
from testopt.selection.score import selection_score

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from testopt.features.run_features import RunFeatures
    from testopt.plan.predictor import Predictor
    from testopt.reasons import Reason
    from testopt.similarity.query import Query


@dataclass(frozen=True, slots=True)
class ScoredCases:
    """The cases of a run; all arrays of shape (n,).

    Attributes
    ----------
    query : Query
        The cases, and what they were compared with.
    features : RunFeatures
    p, score, seconds : ndarray
        P(case fails), what selects it, expected duration.
    order : ndarray of int64
        Positions, what runs first first.
    steps : tuple of int
        Ranks between which cases are worth about the same.
    reasons : list of tuple of Reason
    weights : Reason or None
        Which ways of ordering have how much to say; None without a model.
    """

    query: Query
    features: RunFeatures
    p: NDArray[np.float64]
    seconds: NDArray[Any]
    score: NDArray[np.float64]
    order: NDArray[np.int64]
    steps: tuple[int, ...]
    reasons: list[tuple[Reason, ...]]
    weights: Reason | None


def score_cases(predictor: Predictor, query: Query) -> ScoredCases:
    """Return what is known of the cases of a run about to start."""
    state, model = predictor.state, predictor.model
    features = state.read(query)
    seconds = state.history.seconds(query)
    p = untrained_score(features) if model is None else model.probability(features.matrix)
    bundle = predictor.bundle
    weights = OrderingWeights() if bundle is None else bundle.ordering_weights
    sources = features.sources_read
    ordering = weights.mixed_ordering(sources=sources)
    value = priority(ordering, signals_of(features, p))
    order = run_order(value, seconds, query.cases, exponent=ordering.cost)
    falling = value_per_cost(value, seconds, ordering.cost)[order]
    return ScoredCases(
        query,
        features,
        p,
        seconds,
        score=selection_score(features, p, seconds, ordering=ordering),
        order=order,
        steps=tuple(at + 1 for at in steps(falling)),
        reasons=reasons(features, cofailure=state.cofailure.reasons(query)),
        weights=None if model is None else weights.reason(sources=sources),
    )
