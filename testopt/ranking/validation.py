"""How well an order does on runs that it was not fitted on, beside simple baselines."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from testopt.learning.metrics import (
    apfd,
    apfdc,
    expected_calibration_error,
    first_failure,
    napfd,
)
from testopt.ranking.baselines import baseline_orders, expected_seconds
from testopt.ranking.cost_order import run_order
from testopt.ranking.orderings import cost_exponent, priority
from testopt.ranking.ranker import level_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from testopt.features.run_features import RunFeatures
    from testopt.features.training_set import TrainingSet


@dataclass(frozen=True, slots=True)
class Quality:
    """Means over failing runs: APFD, APFDc, the share of time to the first failure, and NAPFD.

    The last is that of running for half of the time.
    """

    apfd: float
    apfdc: float
    first: float
    napfd: float


@dataclass(frozen=True, slots=True)
class Validation:
    """Quality by method on ``failing_runs`` runs, and the calibration error over all rows.

    Durations are the expected ones, so that the figures depend on order alone.
    """

    failing_runs: int
    calibration_error: float
    methods: dict[str, Quality]

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers as JSON values, rounded to 6 digits."""
        numbers: dict[str, Any] = _rounded(
            {
                "failing_runs": self.failing_runs,
                "calibration_error": self.calibration_error,
                "methods": {name: asdict(q) for name, q in self.methods.items()},
            }
        )
        return numbers


def validate(p: NDArray[np.float64], rows: TrainingSet) -> Validation | None:
    """Compare the order that is made of `p` with the baselines.

    Parameters
    ----------
    p : ndarray, shape (n,)
        P(case fails) of each row.
    rows : TrainingSet
        Rows that the model has not seen.

    Returns
    -------
    Validation or None
        None when no run has both a failing and a passing case.
    """
    seconds = expected_seconds(rows.features)
    scores: dict[str, list[Quality]] = {}
    for run in np.unique(rows.run[rows.y & ~rows.stopped_early]).tolist():
        part = slice(*np.searchsorted(rows.run, [run, run + 1]))
        features, failed = rows.features.at(part), rows.y[part]
        if failed.all():
            continue
        orders = baseline_orders(features, seconds[part], seed=run)
        for name, own in {"before training": None, "testopt": p[part]}.items():
            orders[name] = _order(features, own, seconds[part])
        for name, order in orders.items():
            scores.setdefault(name, []).append(quality(failed[order], seconds[part][order]))
    if not scores:
        return None
    level = level_rows(~rows.is_seeded)
    error = expected_calibration_error(rows.y[level], p[level], weight=rows.weight[level])
    return Validation(
        len(scores["testopt"]),
        error,
        {k: mean_quality(v) for k, v in scores.items()},
    )


def apfdc_by_run(p: NDArray[np.float64], rows: TrainingSet) -> NDArray[np.float64]:
    """Return the APFDc of the order that is made of `p`, for each run that can be judged.

    Parameters
    ----------
    p : ndarray, shape (n,)
        P(case fails) of each row.
    rows : TrainingSet

    Returns
    -------
    ndarray, shape (n_judged,)
        Of the runs in which some cases fail and some pass, in their order.
    """
    seconds, found = expected_seconds(rows.features), []
    for run in np.unique(rows.run[rows.y & ~rows.stopped_early]).tolist():
        part = slice(*np.searchsorted(rows.run, [run, run + 1]))
        features, failed = rows.features.at(part), rows.y[part]
        if not failed.all():
            order = _order(features, p[part], seconds[part])
            found.append(apfdc(failed[order], seconds[part][order]))
    return np.array(found, np.float64)


def _order(
    features: RunFeatures, p: NDArray[np.float64] | None, seconds: NDArray[Any]
) -> NDArray[np.int64]:
    ids = [f"{i:09d}" for i in range(len(seconds))]
    return run_order(priority(features, p), seconds, ids, exponent=cost_exponent(features, p))


def quality(failed: NDArray[np.bool_], seconds: NDArray[Any]) -> Quality:
    """Return how good one order is; arrays of shape (n,) in the order of execution."""
    total = max(float(seconds.sum()), 1e-9)
    first = first_failure(failed, seconds) / total
    return Quality(apfd(failed), apfdc(failed, seconds), first, napfd(failed, seconds))


def mean_quality(values: Sequence[Quality]) -> Quality:
    """Return the mean of each number."""
    table = np.array([[v.apfd, v.apfdc, v.first, v.napfd] for v in values])
    return Quality(*table.mean(axis=0).tolist())


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    return round(value, 6) if isinstance(value, float) else value
