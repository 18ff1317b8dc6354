"""In which order the cases of a run go: one formula, and a cost.

The priority of a case is the geometric mean of P(case fails) and of what needs no training,
divided by a power of its duration. Needs numpy alone.

There were twenty formulas once, weighted by what each had gained on the runs so far (an
exponentially weighted forecaster). On no history was that better than this one beyond chance:
APFDc of the twenty and of this one is .943 and .949, .690 and .694, .990 and .992 on CI histories
without sources (one job of dune-common, ABB-IOFROL, another job), .949 and .950 on regressions of
sqlparse, .994 and .994 on those of boltons, .896 and .898, .990 and .990 on the strict ones. What a
formula gains in a few dozen failing runs is mostly luck, so following the winner costs. The model
alone loses .002 to .004 on the same sets, so it is not left alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from testopt.ranking.baselines import untrained_score
from testopt.ranking.front import lead
from testopt.reasons import Reason, ReasonKind

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from testopt.features.run_features import RunFeatures

FIRST_FAILING: Final = 10  # runs with a failure, at least, before a model has a say
FLOOR: Final = 1e-3  # of a case of which nothing is known
# How much the duration counts: 0 not at all, 1 fully. Where sources are read .5 costs .003 APFDc on
# sqlparse; without a model it costs .001 to .004 on the first runs of CI histories, and lets quick
# cases of which nothing is known pass a slow one that has just failed. A model of a CI history
# without sources gains .001 to .008 by it.
COST_EXPONENT: Final = 0.25
COST_EXPONENT_HISTORY: Final = 0.5


def too_young(failing: int) -> Reason | None:
    """Return why a model of so many failing runs has no say; None where it has one."""
    if failing >= FIRST_FAILING:
        return None
    return Reason(ReasonKind.YOUNG_MODEL, (FIRST_FAILING, failing))


def priority(features: RunFeatures, p: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """Return how much speaks for running each case before its cost is counted, shape (n,).

    Parameters
    ----------
    features : RunFeatures
        Features of a run's cases.
    p : ndarray, shape (n,), optional
        P(case fails); without a model the untrained score speaks alone.
    """
    untrained = untrained_score(features) + FLOOR
    value = untrained if p is None else np.sqrt((p + FLOOR) * untrained)
    return np.asarray(value + lead(features), np.float64)


def cost_exponent(features: RunFeatures, p: NDArray[np.float64] | None) -> float:
    """Return how much the duration counts in the order of a run; arguments as for `priority`."""
    by_history = p is not None and not features.sources_read
    return COST_EXPONENT_HISTORY if by_history else COST_EXPONENT
