"""The plan for a change: cases in the order in which they should run, each with its reason."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from testopt.errors import BundleError, StoreError
from testopt.estimators.ordering import run_order
from testopt.features.frames import Query
from testopt.features.reasons import reasons
from testopt.schema import Change, Plan, PlannedCase, Run
from testopt.snapshot import current, current_bundle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from testopt.bundle import Bundle
    from testopt.features.pipeline import FeatureState
    from testopt.store import Store


def plan(
    *,
    cases: Sequence[str],
    change: Change,
    store: Store | None,
    job: str = "",
    branch: str | None = None,
    now: datetime | None = None,
) -> Plan:
    """Order the cases of a run about to start.

    Parameters
    ----------
    cases : sequence of str
        Case ids as collected; repeats keep their places behind the first.
    change : Change
        What the run is for.
    store : Store or None
        History and bundle; without one the order stays as it is.
    job, branch : str
        Where the run happens: "failed in the last run" means here.
    now : datetime, optional
        Only what was known before is used; default: the present.

    Returns
    -------
    Plan
        All cases, selected; ``degraded`` with the reason where the order is the original one.
    """
    unique = list(dict.fromkeys(cases))
    if store is None:
        return _unordered(unique, change, "there is no store yet")
    try:
        bundle, trouble = current_bundle(store), ""
    except BundleError as error:
        bundle, trouble = None, error.message
    try:
        found = current(store, bundle, now=now)
    except StoreError as error:
        return _unordered(unique, change, error.message)
    if bundle is None and found.state.history.tick == 0:
        return _unordered(unique, change, trouble or "there is no history yet")
    run = Run("", now or datetime.now(UTC), job, change.head, change.base, branch)
    ordered = _ordered(found.state, bundle, Query(run, unique, change.files))
    note = "; ".join(filter(None, [_source(bundle, trouble), found.stale, _unknown(change)]))
    return Plan(ordered, change, _policy(bundle), note)


def _ordered(state: FeatureState, bundle: Bundle | None, query: Query) -> tuple[PlannedCase, ...]:
    x = state.read(query)
    seconds = state.history.seconds(query)
    p = bundle.probability(x) if bundle is not None else recency_score(x, state.names)
    why = reasons(x, state.names)
    order = run_order(p, seconds, query.cases)
    return tuple(
        PlannedCase(
            query.cases[i], rank, float(p[i]), float(seconds[i]), selected=True, reason=why[i]
        )
        for rank, i in enumerate(order.tolist(), 1)
    )


def recency_score(x: NDArray[np.float32], names: Sequence[str]) -> NDArray[np.float64]:
    """Return a score that needs no model: 1 / (runs since the last failure), strangers first.

    Parameters
    ----------
    x : ndarray of float32, shape (n, n_features)
    names : sequence of str
        Names of the columns.
    """
    ticks = x[:, list(names).index("ticks_since_failure")].astype(np.float64)
    runs = x[:, list(names).index("executions")].astype(np.float64)
    since = np.where(np.isnan(ticks), np.exp2(runs), np.exp2(ticks) - 1.0)
    return 1.0 / (1.0 + np.maximum(since, 0.5))


def _unordered(cases: Sequence[str], change: Change, why: str) -> Plan:
    rows = (
        PlannedCase(case, rank, 0.0, 0.0, selected=True, reason="original order")
        for rank, case in enumerate(cases, 1)
    )
    return Plan(tuple(rows), change, "none", f"original order: {why}", degraded=True)


def _policy(bundle: Bundle | None) -> str:
    return "recency" if bundle is None else f"bundle {bundle.bundle_id}"


def _source(bundle: Bundle | None, trouble: str) -> str:
    if bundle is not None:
        return f"ordered by bundle {bundle.bundle_id}"
    return "ordered by recent failures: " + (trouble or "no trained model yet (testopt train)")


def _unknown(change: Change) -> str:
    return "" if change.known else f"the change is unknown: {change.why}"
