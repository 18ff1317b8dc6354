"""The plan for a change: cases in the order in which they should run, each with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from testopt.errors import BundleError, StoreError
from testopt.estimators.baselines import reads_sources, untrained_score
from testopt.estimators.experts import EXPERTS, Standing, evidence_of, worth
from testopt.estimators.ordering import run_order
from testopt.features.frames import Query
from testopt.features.pipeline import NAMES, FeatureState
from testopt.features.reasons import reasons
from testopt.schema import Change, Plan, PlannedCase, Run
from testopt.snapshot import current, current_bundle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testopt.bundle import Bundle
    from testopt.features.texts import Texts
    from testopt.snapshot import Sources
    from testopt.store import Store


def plan(
    *,
    cases: Sequence[str],
    change: Change,
    store: Store | None,
    job: str = "",
    branch: str | None = None,
    now: datetime | None = None,
    sources: Sources | None = None,
    strict: bool = False,
) -> Plan:
    """Order the cases of a run about to start.

    Parameters
    ----------
    cases : sequence of str
        Case ids as collected; repeats keep their places behind the first.
    change : Change
        What the run is for.
    store : Store or None
        History and bundle; without one closeness to the change decides where the sources are
        read, else the order stays as it is.
    job, branch : str
        Where the run happens: "failed in the last run" means here.
    now : datetime, optional
        Only what was known before is used; default: the present.
    sources : Sources, optional
        Reads what the sources say of the change and the cases.
    strict : bool
        Keep the original order where there is a bundle that cannot be used; otherwise what is
        known without one decides.

    Returns
    -------
    Plan
        All cases, selected; ``degraded`` with the reason where the order is the original one.
    """
    unique = list(dict.fromkeys(cases))
    try:
        known = _known(store, now)
    except StoreError as error:
        return original(unique, change, error.message)
    if strict and store is not None and known.trouble:
        return original(unique, change, known.trouble)
    text = sources.of_change(unique, change) if sources is not None else None
    if known.bundle is None and known.state.history.tick == 0 and text is None:
        return original(unique, change, known.trouble or "there is no history yet")
    run = Run("", now or datetime.now(UTC), job, change.head, change.base, branch)
    ordered, way = _ordered(known, Query(run, unique, change.files, text))
    note = "; ".join(filter(None, [_source(known, text), way, known.stale, _unknown(change)]))
    return Plan(ordered, change, _policy(known), note)


@dataclass(frozen=True, slots=True)
class _Known:
    """What a plan rests on; ``trouble`` says why there is no bundle."""

    state: FeatureState
    bundle: Bundle | None = None
    stale: str = ""
    trouble: str = ""


def _known(store: Store | None, now: datetime | None) -> _Known:
    if store is None:
        return _Known(FeatureState(), trouble="there is no store yet")
    try:
        bundle, trouble = current_bundle(store), ""
    except BundleError as error:
        bundle, trouble = None, error.message
    found = current(store, bundle, now=now)
    return _Known(found.state, bundle, found.stale, trouble)


def _ordered(known: _Known, query: Query) -> tuple[tuple[PlannedCase, ...], str]:
    """Return the cases in order, and in words which way of ordering was chosen."""
    state = known.state
    x = state.read(query)
    seconds = state.history.seconds(query)
    p = untrained_score(x, NAMES) if known.bundle is None else known.bundle.probability(x)
    why = reasons(x, NAMES)
    standing = Standing() if known.bundle is None else known.bundle.standing
    sources = reads_sources(x, NAMES)
    expert = EXPERTS[standing.speaker(sources=sources)]
    value = worth(expert, evidence_of(x, NAMES, p))
    order = run_order(value, seconds, query.cases, exponent=expert.cost)
    cases = (
        PlannedCase(
            query.cases[i], rank, float(p[i]), float(seconds[i]), selected=True, reason=why[i]
        )
        for rank, i in enumerate(order.tolist(), 1)
    )
    return tuple(cases), "" if known.bundle is None else standing.note(sources=sources)


def original(cases: Sequence[str], change: Change, why: str) -> Plan:
    """Return the plan that leaves different cases in their order, and says why."""
    rows = (
        PlannedCase(case, rank, 0.0, 0.0, selected=True, reason="original order")
        for rank, case in enumerate(cases, 1)
    )
    return Plan(tuple(rows), change, "none", f"original order: {why}", degraded=True)


def _policy(known: _Known) -> str:
    return "untrained" if known.bundle is None else f"bundle {known.bundle.bundle_id}"


def _source(known: _Known, text: Texts | None) -> str:
    if known.bundle is not None:
        return f"ordered by bundle {known.bundle.bundle_id}"
    evidence = [
        *(["recent failures"] if known.state.history.tick else []),
        *(["closeness to the change"] if text is not None else []),
    ]
    return f"ordered by {' and '.join(evidence)}: " + (
        known.trouble or "no trained model yet (testopt train)"
    )


def _unknown(change: Change) -> str:
    return "" if change.known else f"the change is unknown: {change.why}"
