"""Whether logged probabilities came true."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from testopt.learning.metrics import brier_score, expected_calibration_error, reliability

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from testopt.monitor.rows import PlanRows
    from testopt.selection.policy import Policy

_DRAWS: Final = 1000
LEAST_RUNS: Final = 10  # fewer say nothing of the level
LEAST_FAILURES: Final = 5.0  # as a chi-square test asks for (Cochran 1954); fewer may be chance
_FACTOR: Final = 2.0  # by which observed failures may differ from predicted ones


@dataclass(frozen=True, slots=True)
class Calibration:
    """P(case fails) of plans by a bundle beside what happened, where every case ran.

    Attributes
    ----------
    runs, cases : int
    error, brier, brier_of_rate : float
        Expected calibration error over bins of equal count, and Brier score; that of always
        predicting the mean rate.
    expected, failed : float, int
        Failures predicted and observed.
    low, high : float
        95 % interval of observed to predicted failures: runs are drawn with replacement, since
        the cases of one run fail together.
    table : tuple of (int, float, float, float)
        See `testopt.learning.metrics.reliability`.
    """

    runs: int
    cases: int
    error: float
    brier: float
    brier_of_rate: float
    expected: float
    failed: int
    low: float
    high: float
    table: tuple[tuple[int, float, float, float], ...]

    @property
    def is_judged(self) -> bool:
        """Whether there is enough to judge by: resampling a few runs gives no interval."""
        return self.runs >= LEAST_RUNS and max(self.expected, self.failed) >= LEAST_FAILURES

    @property
    def trouble(self) -> str:
        """Say that too many or too few cases failed; empty where it may be chance."""
        if not self.is_judged:
            return ""
        if self.low <= _FACTOR and self.high >= 1.0 / _FACTOR:
            return ""
        return (
            f"{self.failed} cases failed where {self.expected:.1f} were expected: "
            f"{self.low:.2f} to {self.high:.2f} times as many"
        )


def calibration_of(rows: PlanRows, policies: Sequence[Policy], *, seed: int) -> Calibration | None:
    """Compare logged probabilities with outcomes.

    Parameters
    ----------
    rows : PlanRows
    policies : sequence of Policy
        One a run, as `rows.run` counts them.
    seed : int
        Of the bootstrap.

    Returns
    -------
    Calibration or None
        None where no plan by a bundle was followed by a run of everything: what was executed
        because it was likely to fail says nothing of the rest.
    """
    ran_all = np.array([_ran_all(policy) for policy in policies] or [False])
    use = ran_all[rows.run] & rows.executed if len(rows.run) else np.zeros(0, bool)
    if not use.any():
        return None
    run, p, failed = rows.run[use], rows.probability[use], rows.failed[use]
    low, high = _ratio(run, p, failed, seed=seed)
    return Calibration(
        runs=len(np.unique(run)),
        cases=len(p),
        error=expected_calibration_error(failed, p),
        brier=brier_score(failed, p),
        brier_of_rate=brier_score(failed, np.full(len(p), failed.mean())),
        expected=float(p.sum()),
        failed=int(failed.sum()),
        low=low,
        high=high,
        table=tuple(reliability(failed, p)),
    )


def _ran_all(policy: Policy) -> bool:
    decided = bool(policy.bundle) and not policy.fell_back
    return decided and (policy.mode != "select" or policy.explored)


def _ratio(
    run: NDArray[np.int64], p: NDArray[Any], failed: NDArray[np.bool_], *, seed: int
) -> tuple[float, float]:
    _, place = np.unique(run, return_inverse=True)
    expected, observed = np.bincount(place, p), np.bincount(place, failed)
    drawn = np.random.default_rng(seed).integers(len(expected), size=(_DRAWS, len(expected)))
    ratio = observed[drawn].sum(axis=1) / np.maximum(expected[drawn].sum(axis=1), 1e-12)
    low, high = np.quantile(ratio, [0.025, 0.975])
    return float(low), float(high)
