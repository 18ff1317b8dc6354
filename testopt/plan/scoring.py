"""What is known of each case of a run before any choice: its scores, its place, its reasons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from testopt.estimators.baselines import reads_sources, untrained_score
from testopt.estimators.experts import Standing, evidence_of, worth
from testopt.estimators.ordering import run_order, steps, value_per_cost
from testopt.estimators.threshold import selection_score
from testopt.features.pipeline import NAMES
from testopt.features.reasons import reasons

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from testopt.features.frames import Query
    from testopt.plan.knowledge import Knowledge
    from testopt.reasons import Reason


@dataclass(frozen=True, slots=True)
class ScoredCases:
    """The cases of a run; all arrays of shape (n,), but for the features.

    Attributes
    ----------
    query : Query
        The cases, and what they were compared with.
    x : ndarray of float32, shape (n, n_features)
        Features.
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
    x: NDArray[np.float32]
    p: NDArray[np.float64]
    seconds: NDArray[Any]
    score: NDArray[np.float64]
    order: NDArray[np.int64]
    steps: tuple[int, ...]
    reasons: list[tuple[Reason, ...]]
    weights: Reason | None


def score_cases(known: Knowledge, query: Query) -> ScoredCases:
    """Return what is known of the cases of a run about to start."""
    state = known.state
    x = state.read(query)
    seconds = state.history.seconds(query)
    model = known.model
    p = untrained_score(x, NAMES) if model is None else model.probability(x)
    standing = Standing() if known.bundle is None else known.bundle.standing
    sources = reads_sources(x, NAMES)
    expert = standing.speaker(sources=sources)
    value = worth(expert, evidence_of(x, NAMES, p))
    order = run_order(value, seconds, query.cases, exponent=expert.cost)
    falling = value_per_cost(value, seconds, expert.cost)[order]
    return ScoredCases(
        query,
        x,
        p,
        seconds,
        score=selection_score(x, NAMES, p, seconds, expert=expert),
        order=order,
        steps=tuple(at + 1 for at in steps(falling)),
        reasons=reasons(x, NAMES, cofailure=state.cofailure.reasons(query)),
        weights=None if model is None else standing.reason(sources=sources),
    )
