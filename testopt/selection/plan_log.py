"""The log of plans that could leave cases out, each with its outcome, kept beside the tables.

The tables ``predictions``, ``results`` and ``runs`` are the truth, from which `rebuild` reads it
all. A plan reads the small file that `update_log` keeps, run by run, never the tables.
"""

from __future__ import annotations

import math
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, get_args

import numpy as np

from testopt.errors import SettingsError, StoreError
from testopt.learning.drift import rise_of_rate, shift
from testopt.selection import STALE_RUNS
from testopt.selection.failure_level import update_level
from testopt.selection.plan_log_file import PlanLog, load, save
from testopt.selection.plan_log_tables import is_real, logged_plans, read_plan_history
from testopt.selection.promotion import (
    LEVEL,
    PlanOutcome,
    Promote,
    Rules,
    SelectionRecord,
    evidence_against,
)
from testopt.selection.steps import FullRun

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from testopt.selection.misses import CasePrediction, RegressedCase
    from testopt.selection.plan_log_tables import LoggedPlan, PlanHistory
    from testopt.selection.policy import Policy
    from testopt.settings import Settings
    from testopt.store import Store

__all__ = [
    "LateMisses",
    "PlanLog",
    "broken_promise",
    "drift_of",
    "late_misses",
    "plan_outcomes",
    "rebuild",
    "rules_of",
    "selection_record",
    "stale_of",
    "update_log",
]

CATCH_UP_RUNS: Final = 50  # judged after one recording; more come after the next ones
_WINDOW: Final = 200  # plans and outcomes among which drift is looked for
_LAST: Final = 5  # plans that tell which bundle is live
_ALLOWED: Final = 0.05  # share of regressions missed, where a plan does not say


def rules_of(settings: Settings) -> Rules:
    """Return the rules of promotion that the settings name.

    Raises
    ------
    SettingsError
        For a value that makes no sense.
    """
    rules = Rules(
        settings.promote,  # type: ignore[arg-type]
        settings.shadow_days,
        settings.shadow_regressions,
        settings.rollback_level,
    )
    if rules.promote not in get_args(Promote):
        raise SettingsError(
            f"setting 'promote' is {rules.promote!r}", "it takes auto, gradual, always or never"
        )
    if not 0.0 < rules.level < 1.0:
        raise SettingsError(
            f"setting 'rollback_level' is {rules.level:g}", "it takes a number between 0 and 1"
        )
    return rules


def selection_record(log: PlanLog, rolled_back: float | None = None) -> SelectionRecord:
    """Return the evidence for or against a promotion; `rolled_back` by hand, in seconds."""
    last = log.plans[-1].time if log.plans else None
    return SelectionRecord(log.first, last, log.outcomes, log.drift, log.full, rolled_back)


def stale_of(log: PlanLog, trained: datetime | None) -> str:
    """Say that a bundle is out of date; empty where it is not, or there is none."""
    runs = 0 if trained is None else log.since(trained.timestamp())
    if runs <= STALE_RUNS:
        return ""
    return f"the bundle is stale, {runs} runs have come since it was trained (testopt train)"


def broken_promise(log: PlanLog, *, level: float = LEVEL, since: float = -math.inf) -> str:
    """Say that more regressions were missed than was promised; empty where that may be chance.

    Parameters
    ----------
    log : PlanLog
    level : float
        Of the test, `testopt.selection.promotion.evidence_against`.
    since : float
        Leave out what was known before, in seconds since 1970.
    """
    regressions = [v for v in log.outcomes if v.known >= since]
    if evidence_against(regressions) < 1.0 / level:
        return ""
    missed, allowed = sum(v.missed for v in regressions), sum(v.allowed for v in regressions)
    return (
        f"{missed} of {len(regressions)} regressions missed where {allowed:.1f} are allowed "
        f"(beyond chance at level {level:g})"
    )


def drift_of(log: PlanLog) -> str:
    """Say what has changed among the newest plans of a bundle; empty where nothing has."""
    rise = rise_of_rate([v.missed for v in log.outcomes[-_WINDOW:]])
    if rise is not None:
        return f"regressions are missed more often among the last {rise[0]} (p = {rise[1]:.2g})"
    # of the last few plans, a share of which may be made by a model on trial
    last = Counter(p.policy.bundle for p in log.plans[-_LAST:])
    newest = last.most_common(1)[0][0] if last else ""
    own = [p.histogram for p in log.plans[-_WINDOW:] if p.policy.bundle == newest]
    moved = shift(np.array(own)) if own else None
    if moved is None:
        return ""
    size, index, p = moved
    return f"probabilities of the last {size} plans have shifted (PSI {index:.2f}, p = {p:.2g})"


def update_log(store: Store) -> None:
    """Judge the runs that have come since; where that cannot be done now, nothing is lost."""
    with suppress(StoreError):
        if store.version("predictions") < 0:
            return
        log = load(store)
        rows = [row for row in logged_plans(store) if is_real(row)]
        known = {run_id for run_id, _ in log.seen}
        oldest = log.seen[0][1] if log.seen else -math.inf
        new = [r["run_id"] for r in rows if r["time"].timestamp() >= oldest]
        new = [run_id for run_id in new if run_id not in known]
        if not new:
            return
        # a store that has never been looked at: what lies far back is for `rebuild`
        now = new[:CATCH_UP_RUNS] if log.seen else new[-CATCH_UP_RUNS:]
        passed = new if not log.seen else now
        seen = [(r["run_id"], r["time"].timestamp()) for r in rows if r["run_id"] in set(passed)]
        history = read_plan_history(store, rows, set(now))
        save(store, _extended(log, history, seen))
        update_level(store, history.policies, now)


def rebuild(store: Store) -> tuple[PlanLog, PlanHistory]:
    """Judge all runs anew from the tables, and keep the result for the next plan.

    Returns
    -------
    tuple of PlanLog and PlanHistory
        What is kept; all that was found, also of seeded variants, which are not.

    Raises
    ------
    StoreError
        When a table cannot be read. Where the result cannot be kept, nothing is lost.
    """
    rows = logged_plans(store)
    history = read_plan_history(store, rows, {row["run_id"] for row in rows})
    seen = [(r["run_id"], r["time"].timestamp()) for r in rows if is_real(r)]
    log = _extended(PlanLog(), history, seen)
    with suppress(StoreError):
        save(store, log)
        update_level(store, history.policies, [run_id for run_id, _ in log.seen[-CATCH_UP_RUNS:]])
    return log, history


@dataclass(frozen=True, slots=True)
class LateMisses:
    """Failures that are not of the run in which they were found.

    Attributes
    ----------
    found : frozenset of (str, str)
        Run and case: no regressions of that run.
    owners : mapping of str to PlanOutcome
        The regressions that they belong to, by the run that caused them, with the scores that
        its plan gave to all their cases then.
    """

    found: frozenset[tuple[str, str]]
    owners: Mapping[str, PlanOutcome]


def late_misses(store: Store, *, until: datetime | None = None) -> LateMisses:
    """Find the misses that later runs brought to light, for evidence that is gathered anew.

    Parameters
    ----------
    store : Store
    until : datetime, optional
        Leave out later runs.

    Raises
    ------
    StoreError
        When a table cannot be read.
    """
    rows = [row for row in logged_plans(store) if until is None or row["time"] <= until]
    history = read_plan_history(store, rows, {row["run_id"] for row in rows})
    late = [
        case
        for run_id, cases in history.by_cause().items()
        for case in cases
        if case.late and run_id in history.selecting
    ]
    owners = {history.runs[case.cause].run_id for case in late}
    return LateMisses(
        frozenset((history.runs[case.found].run_id, case.case_id) for case in late),
        {v.run_id: v for v in plan_outcomes(history) if v.run_id in owners},
    )


def _extended(log: PlanLog, history: PlanHistory, seen: Iterable[tuple[str, float]]) -> PlanLog:
    variants = {run.run_id for run in history.runs if run.made_from is not None}
    outcomes = {v.run_id: v for v in log.outcomes}
    for new in plan_outcomes(history):
        if new.run_id not in variants:
            outcomes[new.run_id] = _merged(outcomes.get(new.run_id), new)
    plans = [p for p in history.plans if p.run_id not in variants]
    all_plans = sorted([*log.plans, *plans], key=lambda p: (p.time, p.run_id))
    times = [p.time for p in plans]
    full = _confirming(log, history, all_plans)
    updated = PlanLog(
        seen=tuple(sorted([*log.seen, *seen], key=lambda s: (s[1], s[0]))),
        first=min([*times, *([log.first] if log.first is not None else [])], default=None),
        plans=tuple(all_plans),
        outcomes=tuple(sorted(outcomes.values(), key=lambda v: (v.known, v.run_id))),
        full=full,
    )
    return replace(updated, drift=drift_of(updated))


def _confirming(
    log: PlanLog, history: PlanHistory, plans: Sequence[LoggedPlan]
) -> tuple[FullRun, ...]:
    """Return the runs of everything after which it is known what the plans before them missed."""
    planned = np.array([plan.time for plan in plans])
    found = {run.time: run for run in log.full}
    for time in sorted(set(history.full) - found.keys()):
        last = max((t for t in found if t < time), default=-math.inf)
        confirmed = int(((planned > last) & (planned <= time)).sum())
        if confirmed:
            found[time] = FullRun(time, confirmed)
    return tuple(found[time] for time in sorted(found))


def plan_outcomes(history: PlanHistory) -> list[PlanOutcome]:
    """Return one outcome for each regression under a plan that could leave cases out.

    A miss that was found late is the regression of the run that caused it, with the scores that
    its plan gave to the cases then.
    """
    by_id = {run.run_id: run for run in history.runs}
    outcomes = []
    for run_id, cases in history.by_cause().items():
        if run_id in history.selecting:
            policy, predictions = history.policies[run_id], by_id[run_id].predictions
            known = min(history.runs[c.found].time for c in cases)
            outcomes.append(_outcome(run_id, cases, predictions, policy, known=known))
    return outcomes


def _outcome(
    run_id: str,
    cases: Sequence[RegressedCase],
    predictions: Mapping[str, CasePrediction],
    policy: Policy,
    *,
    known: float,
) -> PlanOutcome:
    own = [predictions[case.case_id] for case in cases]
    missed = not any(prediction.selected for prediction in own)
    late = missed and all(case.late for case in cases)
    scores = tuple(sorted((_score(prediction, policy) for prediction in own), reverse=True))
    at_once = "explored" if policy.explored else "shadow" if policy.mode != "select" else "selected"
    return PlanOutcome(
        run_id,
        known,
        missed,
        _ALLOWED if policy.allowed is None else policy.allowed,
        scores,
        "late" if late else at_once,
        averted=not missed and scores[0] < _stored(policy.threshold),
    )


def _score(prediction: CasePrediction, policy: Policy) -> float:
    """Return the score of a case; infinite for one that was kept in spite of it."""
    least = _stored(policy.threshold if policy.floor is None else policy.floor)
    score = -math.inf if prediction.score is None else prediction.score
    kept = prediction.selected and (least == -math.inf or score < least)
    return math.inf if kept else score


def _stored(threshold: float | None) -> float:
    """Return a threshold to compare scores with, which are stored in 32 bits."""
    return -math.inf if threshold is None else float(np.float32(threshold))


def _merged(old: PlanOutcome | None, new: PlanOutcome) -> PlanOutcome:
    """Return the outcome of a regression of which more cases were found later."""
    if old is None:
        return new
    scores = tuple(sorted((*old.scores, *new.scores), reverse=True))
    missed = old.missed and new.missed
    kept = (not v.missed and not v.averted for v in (old, new))
    return replace(old, missed=missed, scores=scores, averted=not missed and not any(kept))
