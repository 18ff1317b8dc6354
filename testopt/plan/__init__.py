"""The plan for a change: cases in the order in which they should run, each with its reason."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from testopt.bundle_registry import current_bundle
from testopt.errors import BundleError, StoreError
from testopt.estimators.baselines import untrained_score
from testopt.estimators.experts import OrderingWeights, priority, signals_of
from testopt.estimators.ordering import run_order, steps, value_per_cost
from testopt.estimators.selection_score import selection_score
from testopt.feature_state_store import current_state
from testopt.features.frames import Query
from testopt.features.pipeline import FeatureState
from testopt.features.reasons import reasons
from testopt.plan.forced import forced_cases, why_all
from testopt.plan.rows import prediction_rows
from testopt.plan.selection import Candidates, Choice, choose, everything
from testopt.schema import Change, Plan, PlannedCase

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import numpy as np
    from numpy.typing import NDArray

    from testopt.bundle import Bundle
    from testopt.case_sources import Sources
    from testopt.estimators.promotion import Rules
    from testopt.features.run_features import RunFeatures
    from testopt.features.texts import Texts
    from testopt.pending_run import PendingRun
    from testopt.schema import Selection
    from testopt.store import Store

__all__ = ["original", "plan", "prediction_rows"]


def plan(
    *,
    cases: Sequence[str],
    run: PendingRun,
    store: Store | None,
    sources: Sources | None = None,
    strict: bool = False,
    selection: Selection | None = None,
    rules: Rules | None = None,
) -> Plan:
    """Order the cases of a run about to start, and say which of them may be left out.

    Parameters
    ----------
    cases : sequence of str
        Case ids as collected; repeats keep their places behind the first.
    run : PendingRun
        What the run is for and where it happens: "failed in the last run" means here. Only what
        was known before it began is used.
    store : Store or None
        History and bundle; without one closeness to the change decides where the sources are
        read, else the order stays as it is.
    sources : Sources, optional
        Reads what the sources say of the change and the cases.
    strict : bool
        Keep the original order where there is a bundle that cannot be used; otherwise what is
        known without one decides.
    selection : Selection, optional
        What may be left out, completed by `testopt.plan.request.completed`; default: nothing.
    rules : Rules, optional
        When a selection is trusted; default: always.

    Returns
    -------
    Plan
        ``degraded`` with the reason where the order is the original one; all cases run then.

    Raises
    ------
    UsageError
        Where cases would be left out and nothing would ever show what that misses.
    """
    unique, change = list(dict.fromkeys(cases)), run.change
    try:
        known = _known(store, run.began)
    except StoreError as error:
        return original(unique, change, error.message, selection)
    if strict and store is not None and known.trouble:
        return original(unique, change, known.trouble, selection)
    text = sources.of_change(unique, change) if sources is not None else None
    if known.bundle is None and known.state.history.tick == 0 and text is None:
        return original(unique, change, known.trouble or "there is no history yet", selection)
    view = _view(known, Query(run.as_run(), unique, change.files, text))
    note = _note(known, view, sources, change)
    calibrated = known.model is not None
    made = Plan((), change, _policy(known), note, steps=view.steps, calibrated=calibrated)
    if selection is None:
        return replace(made, cases=_planned(view))
    return _selecting(known, view, made, selection=selection, store=store, rules=rules)


def _selecting(
    known: _Known,
    view: _View,
    made: Plan,
    *,
    selection: Selection,
    store: Store | None,
    rules: Rules | None,
) -> Plan:
    """Return a plan with what it leaves out."""
    from testopt.plan.trust import check_learning, trusted

    stands = ""
    if store is not None and rules is not None:
        selection, stands = trusted(selection, store, rules, known.bundle)
    choice = _chosen(known, view, made.change, selection, store)
    check_learning(choice, selection, store)
    return replace(
        made,
        cases=_planned(view, choice),
        note="; ".join(filter(None, [made.note, stands])),
        promise=choice.promise,
        mode="shadow" if selection.shadow else "select",
        explored=choice.explored,
        shadow=selection.shadow,
    )


@dataclass(frozen=True, slots=True)
class _Known:
    """What a plan rests on; ``trouble`` says why there is no bundle."""

    state: FeatureState
    bundle: Bundle | None = None
    stale: str = ""
    trouble: str = ""

    @property
    def model(self) -> Bundle | None:
        """The bundle, where its model has a say in the order."""
        return None if self.bundle is None or self.bundle.too_young else self.bundle


def _known(store: Store | None, now: datetime | None) -> _Known:
    if store is None:
        return _Known(FeatureState(), trouble="there is no store yet")
    try:
        bundle, trouble = current_bundle(store), ""
    except BundleError as error:
        bundle, trouble = None, error.message
    found = current_state(store, bundle, now=now)
    return _Known(found.state, bundle, found.stale, trouble)


@dataclass(frozen=True, slots=True)
class _View:
    """What is known of each case; all arrays of shape (n,)."""

    query: Query
    features: RunFeatures
    p: NDArray[np.float64]
    seconds: NDArray[Any]
    score: NDArray[np.float64]
    order: NDArray[np.int64]
    steps: tuple[int, ...]
    reasons: list[str]
    way: str


def _view(known: _Known, query: Query) -> _View:
    state = known.state
    features = state.read(query)
    seconds = state.history.seconds(query)
    model = known.model
    p = untrained_score(features) if model is None else model.probability(features.matrix)
    ordering_weights = OrderingWeights() if known.bundle is None else known.bundle.ordering_weights
    sources = features.sources_read
    ordering = ordering_weights.blend(sources=sources)
    value = priority(ordering, signals_of(features, p))
    order = run_order(value, seconds, query.cases, exponent=ordering.cost)
    falling = value_per_cost(value, seconds, ordering.cost)[order]
    return _View(
        query,
        features,
        p,
        seconds,
        score=selection_score(features, p, seconds, ordering=ordering),
        order=order,
        steps=tuple(at + 1 for at in steps(falling)),
        reasons=reasons(features, told=state.cofailure.told(query)),
        way="" if model is None else ordering_weights.note(sources=sources),
    )


def _chosen(
    known: _Known, view: _View, change: Change, selection: Selection, store: Store | None
) -> Choice:
    """Return what is left out, and what may be promised of that."""
    from testopt.plan.trust import evidence_now

    why = why_all(change, selection)
    if why:
        return everything(view.query.cases, selection, why)
    forced = forced_cases(
        view.query, view.features, selection, history=known.state.history.tick > 0
    )
    candidates = Candidates(view.query.cases, view.score, view.seconds, forced)
    return choose(candidates, selection, evidence_now(known.bundle, store))


def _planned(view: _View, choice: Choice | None = None) -> tuple[PlannedCase, ...]:
    """Return the cases in their order, with what became of each where some may be left out."""
    cases, why, p, seconds = view.query.cases, view.reasons, view.p.tolist(), view.seconds.tolist()
    places = enumerate(view.order.tolist(), 1)
    if choice is not None:
        return tuple(_decided(view, choice, i, rank) for rank, i in places)
    return tuple(
        PlannedCase(cases[i], rank, p[i], seconds[i], selected=True, reason=why[i])
        for rank, i in places
    )


def _decided(view: _View, choice: Choice, i: int, rank: int) -> PlannedCase:
    case = view.query.cases[i]
    forced = choice.forced.get(case, "")
    said = forced or choice.affected.get(case, "")
    others = (clause for clause in view.reasons[i].split("; ") if clause != said)
    return PlannedCase(
        case,
        rank,
        float(view.p[i]),
        float(view.seconds[i]),
        selected=bool(choice.selected[i]),
        reason="; ".join(filter(None, [said, *others])),
        score=float(view.score[i]),
        propensity=float(choice.propensity[i]),
        must_run=bool(forced),
        runs=bool(choice.runs[i]),
    )


def original(
    cases: Sequence[str], change: Change, why: str, selection: Selection | None = None
) -> Plan:
    """Return the plan that leaves different cases in their order, and says why; all run."""
    rows = (
        PlannedCase(case, rank, 0.0, 0.0, selected=True, reason="original order")
        for rank, case in enumerate(cases, 1)
    )
    note = f"original order: {why}"
    made = Plan(tuple(rows), change, "none", note, degraded=True, calibrated=False)
    if selection is None:
        return made
    promise = everything(cases, selection, why).promise
    return replace(made, promise=promise, mode="shadow" if selection.shadow else "select")


def _note(known: _Known, view: _View, sources: Sources | None, change: Change) -> str:
    """Return in one line where the order comes from."""
    text = view.query.text
    parts = [
        _source(known, text),
        view.way,
        _weighed(sources, text),
        known.stale,
        _unknown(change),
    ]
    return "; ".join(filter(None, parts))


def _policy(known: _Known) -> str:
    return "untrained" if known.model is None else f"bundle {known.model.bundle_id}"


def _source(known: _Known, text: Texts | None) -> str:
    if known.model is not None:
        return f"ordered by bundle {known.model.bundle_id}"
    evidence = [
        *(["recent failures"] if known.state.history.tick else []),
        *(["closeness to the change"] if text is not None else []),
    ]
    return f"ordered by {' and '.join(evidence)}: " + (
        known.trouble
        or (known.bundle.too_young if known.bundle else "no trained model yet (testopt train)")
    )


def _weighed(sources: Sources | None, text: Texts | None) -> str:
    """Say what weighs the closeness to the change, which no history of the project tells."""
    if sources is None or text is None:
        return ""
    shipped = sources.shipped
    if shipped.model is None:
        return f"{shipped.trouble}: closeness is weighed by hand-set weights"
    if text.judge is None:
        return "closeness is weighed by hand-set weights: no model knows the language of the cases"
    return (
        f"closeness is weighed by the model {shipped.name} that comes with testopt, learnt on "
        f"{shipped.projects} other projects"
    )


def _unknown(change: Change) -> str:
    return "" if change.known else f"the change is unknown: {change.why}"
