"""Scores, order and reasons of the cases of a run, before any of them is left out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from testopt.ranking.baselines import untrained_score
from testopt.ranking.cost_order import run_order, spread, steps, value_per_cost
from testopt.ranking.front import lead, leading
from testopt.ranking.orderings import cost_exponent, priority
from testopt.ranking.reasons import reasons
from testopt.selection.failure_level import shifted
from testopt.selection.score import selection_score

if TYPE_CHECKING:
    from collections.abc import Collection

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
    priority, lead : ndarray of float64
        What speaks for running it before its cost is counted, and what of that is a lead
        (`testopt.ranking.front`).
    exponent : float
        How much the cost counts.
    order : ndarray of int64
        Positions, what runs first first.
    steps : tuple of int
        Ranks between which cases are worth about the same.
    reasons : list of tuple of Reason
    """

    query: Query
    features: RunFeatures
    p: NDArray[np.float64]
    seconds: NDArray[Any]
    score: NDArray[np.float64]
    priority: NDArray[np.float64]
    lead: NDArray[np.float64]
    exponent: float
    order: NDArray[np.int64]
    steps: tuple[int, ...]
    reasons: list[tuple[Reason, ...]]

    def led_by(self, forced: Collection[str]) -> Self:
        """Return the order in which the cases that must run lead, as far as they may."""
        if not forced:
            return self
        must = np.fromiter((case in forced for case in self.query.cases), bool, len(self.p))
        first = leading(must, self.order, self.seconds)[self.order]
        parts = [self.order[first], self.order[~first]]
        value = value_per_cost(self.priority, self.seconds, self.exponent)
        return replace(self, order=np.concatenate(parts), steps=_steps(value, parts))


def score_cases(predictor: Predictor, query: Query) -> ScoredCases:
    """Return what is known of the cases of a run about to start."""
    state, model = predictor.state, predictor.model
    features = state.read(query)
    seconds = state.history.seconds(query)
    p = untrained_score(features) if model is None else model.probability(features.matrix)
    own = None if model is None else p
    value, exponent = priority(features, own), cost_exponent(features, own)
    if model is None:
        value = spread(value, seconds, query.cases, exponent=exponent)
    order = run_order(value, seconds, query.cases, exponent=exponent)
    return ScoredCases(
        query,
        features,
        p if model is None else shifted(p, predictor.level),
        seconds,
        score=selection_score(features, own, seconds),
        priority=value,
        lead=lead(features),
        exponent=exponent,
        order=order,
        steps=_steps(value_per_cost(value, seconds, exponent), [order]),
        reasons=reasons(features, cofailure=state.cofailure.reasons(query)),
    )


def _steps(value: NDArray[np.float64], parts: list[NDArray[np.int64]]) -> tuple[int, ...]:
    """Return the ranks between which cases are worth about the same, part by part."""
    found, before = [], 0
    for part in parts:
        found += [before + at + 1 for at in steps(value[part])]
        before += len(part)
    return tuple(found)
