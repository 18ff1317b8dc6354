"""Makes the plan for a change: loads history and model, scores, selects, gives reasons."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from testopt.errors import StoreError
from testopt.plan.predictor import load_predictor
from testopt.plan.scoring import score_cases
from testopt.reasons import Reason, ReasonKind, left_out
from testopt.schema import Origin, Plan, PlannedCase
from testopt.selection.choice import Candidates, Choice, choose, select_all
from testopt.selection.must_run import forced_cases, why_all
from testopt.similarity.query import Query

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testopt.features.pipeline import FeatureState
    from testopt.plan.inputs import PlanInputs
    from testopt.plan.predictor import Predictor
    from testopt.plan.scoring import ScoredCases
    from testopt.schema import Change, Selection
    from testopt.selection.bundle import Bundle
    from testopt.selection.promotion import Rules
    from testopt.similarity.case_sources import Sources
    from testopt.similarity.texts import Texts
    from testopt.store import Store


@dataclass(frozen=True, slots=True)
class ScoredPlan:
    """A plan with the scores of its cases.

    ``scored`` is None where nothing was computed, because the order is the original one;
    ``model`` where no bundle has a say. ``state`` is what the features were read from.
    """

    plan: Plan
    query: Query
    scored: ScoredCases | None = None
    model: Bundle | None = None
    state: FeatureState | None = None


def plan(
    inputs: PlanInputs,
    *,
    strict: bool = False,
    selection: Selection | None = None,
    rules: Rules | None = None,
) -> Plan:
    """Order the cases of a run about to start, and say which of them may be left out.

    Parameters
    ----------
    inputs : PlanInputs
        Only what was known before its run began is used, and "failed in the last run" means where
        it happens. Repeated cases keep their places behind the first. Without a store closeness to
        the change decides where the sources are read, else the order stays as it is.
    strict : bool
        Keep the original order where there is a bundle that cannot be used; otherwise what is
        known without one decides.
    selection : Selection, optional
        What may be left out, completed by `testopt.selection.request.completed`; default: nothing.
    rules : Rules, optional
        When a selection is trusted; default: always.

    Returns
    -------
    Plan
        ``degraded`` where the order is the original one; all cases run then.

    Raises
    ------
    UsageError
        Where cases would be left out and nothing would ever show what that misses.
    """
    return scored_plan(inputs, strict=strict, selection=selection, rules=rules).plan


def scored_plan(
    inputs: PlanInputs,
    *,
    strict: bool = False,
    selection: Selection | None = None,
    rules: Rules | None = None,
) -> ScoredPlan:
    """Make a plan and keep the scores that it rests on; see `plan`."""
    change, store, sources = inputs.run.change, inputs.store, inputs.sources
    query = Query(inputs.run.as_run(), list(dict.fromkeys(inputs.cases)), change.files)
    try:
        predictor = load_predictor(store, inputs.run.began, key=inputs.run.key)
    except StoreError as error:
        return _unordered(query, change, Reason(ReasonKind.TROUBLE, (error.message,)), selection)
    if strict and store is not None and predictor.trouble:
        return _unordered(query, change, predictor.trouble, selection)
    text = sources.of_change(query.cases, change) if sources is not None else None
    if predictor.bundle is None and predictor.state.history.tick == 0 and text is None:
        why = predictor.trouble or Reason(ReasonKind.NO_HISTORY)
        return _unordered(query, change, why, selection)
    scored = score_cases(predictor, replace(query, text=text))
    draft = Plan((), change, _origin(predictor, scored, sources), steps=scored.steps)
    if selection is None:
        draft = replace(draft, cases=_planned(scored))
    else:
        draft = _selecting(predictor, scored, draft, selection=selection, store=store, rules=rules)
    return ScoredPlan(draft, scored.query, scored, predictor.model, predictor.state)


def ordered_plan(predictor: Predictor, query: Query, change: Change) -> Plan:
    """Order the cases of a run by a predictor at hand; the sources are not read."""
    if predictor.bundle is None and predictor.state.history.tick == 0:
        why = predictor.trouble or Reason(ReasonKind.NO_HISTORY)
        return original_order(query.cases, change, why)
    scored = score_cases(predictor, query)
    return Plan(_planned(scored), change, _origin(predictor, scored, None), steps=scored.steps)


def _unordered(
    query: Query, change: Change, why: Reason, selection: Selection | None
) -> ScoredPlan:
    return ScoredPlan(original_order(query.cases, change, why, selection), query)


def original_order(
    cases: Sequence[str], change: Change, why: Reason, selection: Selection | None = None
) -> Plan:
    """Return the plan that leaves different cases in their order, for a reason; all run."""
    reasons = (Reason(ReasonKind.ORIGINAL_ORDER),)
    decision = None if selection is None else Reason(ReasonKind.EVERYTHING_RUNS)
    rows = (
        PlannedCase(case, rank, 0.0, 0.0, selected=True, reasons=reasons, decision=decision)
        for rank, case in enumerate(cases, 1)
    )
    draft = Plan(tuple(rows), change, Origin(fallback=why))
    if selection is None:
        return draft
    promise = select_all(cases, selection, why).promise
    return replace(draft, promise=promise, mode="shadow" if selection.shadow else "select")


def _selecting(
    predictor: Predictor,
    scored: ScoredCases,
    draft: Plan,
    *,
    selection: Selection,
    store: Store | None,
    rules: Rules | None,
) -> Plan:
    """Return a plan with what it leaves out."""
    from testopt.selection.trust import apply_trust, check_learning

    trust = None
    if store is not None and rules is not None:
        selection, trust = apply_trust(selection, store, rules, predictor.bundle)
    choice = _chosen(predictor, scored, draft.change, selection, store)
    check_learning(choice, selection, store)
    scored = scored.led_by(choice.forced)
    return replace(
        draft,
        cases=_planned(scored, choice),
        steps=scored.steps,
        promise=choice.promise,
        mode="shadow" if selection.shadow else "select",
        trust=trust,
        explored=choice.explored,
        shadow=selection.shadow,
    )


def _chosen(
    predictor: Predictor,
    scored: ScoredCases,
    change: Change,
    selection: Selection,
    store: Store | None,
) -> Choice:
    """Return what is left out, and what may be promised of that."""
    from testopt.selection.trust import evidence_now

    query = scored.query
    why = why_all(change, selection)
    if why:
        return select_all(query.cases, selection, why)
    forced = forced_cases(
        query, scored.features, selection, history=predictor.state.history.tick > 0
    )
    candidates = Candidates(query.cases, scored.score, scored.seconds, forced)
    return choose(candidates, selection, evidence_now(predictor.bundle, store))


def _planned(scored: ScoredCases, choice: Choice | None = None) -> tuple[PlannedCase, ...]:
    """Return the cases in their order, with what became of each where some may be left out."""
    if choice is not None:
        return _decided(scored, choice)
    cases, why = scored.query.cases, scored.reasons
    p, seconds, lead = scored.p.tolist(), scored.seconds.tolist(), scored.lead.tolist()
    places = enumerate(scored.order.tolist(), 1)
    return tuple(
        PlannedCase(cases[i], rank, p[i], seconds[i], selected=True, reasons=why[i], lead=lead[i])
        for rank, i in places
    )


def _decided(scored: ScoredCases, choice: Choice) -> tuple[PlannedCase, ...]:
    # lists: to read one value of an array takes ten times as long
    cases, order = scored.query.cases, scored.order
    columns = (
        scored.p, scored.seconds, choice.selected, scored.score, choice.propensity, choice.runs,
        scored.lead,
    )  # fmt: skip
    rows = zip(order.tolist(), *(column[order].tolist() for column in columns), strict=True)
    planned = []
    for rank, (i, p, seconds, selected, score, propensity, runs, lead) in enumerate(rows, 1):
        forced, decision = choice.forced.get(cases[i]), choice.decisions[i]
        reasons = _reasons(cases[i], scored.reasons[i], choice, decision, runs=runs)
        planned.append(
            PlannedCase(
                cases[i], rank, p, seconds, selected, reasons, score, propensity,
                must_run=forced is not None, runs=runs, decision=decision or reasons[0], lead=lead,
            )
        )  # fmt: skip
    return tuple(planned)


def _reasons(
    case: str, own: tuple[Reason, ...], choice: Choice, decision: Reason | None, *, runs: bool
) -> tuple[Reason, ...]:
    """Return the reasons of a case for running it, or for leaving it out."""
    if not runs:
        clear = choice.clear.get(case)
        return left_out((decision, clear if clear != decision else None), own)
    first = choice.forced.get(case) or choice.affected.get(case)
    return own if first is None else (first, *(reason for reason in own if reason != first))


def _origin(predictor: Predictor, scored: ScoredCases, sources: Sources | None) -> Origin:
    """Return where the order comes from."""
    text = scored.query.text
    return Origin(
        bundle="" if predictor.model is None else predictor.model.bundle_id,
        untrained=predictor.untrained,
        by_failures=predictor.state.history.tick > 0,
        by_closeness=text is not None,
        closeness=_closeness(sources, text),
        stale=predictor.stale,
        level=predictor.level,
    )


def _closeness(sources: Sources | None, text: Texts | None) -> Reason | None:
    """Return what weighs the closeness to the change, which no history of the project tells."""
    if sources is None or text is None:
        return None
    pretrained = sources.pretrained
    if pretrained.model is None:
        return Reason(ReasonKind.CLOSENESS_BY_HAND, (pretrained.trouble,))
    if text.weigher is None:
        return Reason(ReasonKind.CLOSENESS_BY_HAND_LANGUAGE)
    return Reason(ReasonKind.CLOSENESS_BY_MODEL, (pretrained.name, pretrained.projects))
