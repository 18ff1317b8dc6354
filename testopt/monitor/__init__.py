"""Whether a selection can be trusted: what plans would have missed and saved, or did."""

from __future__ import annotations

import math
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from testopt.errors import BundleError, EmptyStoreError
from testopt.monitor.calibration import Calibration, calibration_of
from testopt.monitor.missed_and_saved import (
    Miss,
    PlanGroup,
    SelectReport,
    groups_of,
    misses_of,
    select_of,
)
from testopt.monitor.rows import plan_rows
from testopt.monitor.unjudged import (
    unjudged_calibration,
    unjudged_drift,
    unjudged_fallback,
    unjudged_misses,
    unjudged_missing,
)
from testopt.selection import plan_log
from testopt.selection.bundle_registry import current_bundle
from testopt.selection.job_history import StrangeJob, strange_jobs
from testopt.selection.kept_plans import PastPlans, past_plans, waiting_line
from testopt.selection.promotion import Rules
from testopt.selection.standing import selection_rolled_back
from testopt.selection.trust import trust_now

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from testopt.selection.bundle import Bundle
    from testopt.selection.plan_log_tables import PlanHistory
    from testopt.selection.policy import Policy
    from testopt.selection.promotion import Trust
    from testopt.store import Store

__all__ = ["Monitor", "monitor"]

_LAST: Final = 50  # plans of which it is counted how many fell back
_SHARE: Final = 0.1  # of them: more is trouble


@dataclass(frozen=True, slots=True)
class Monitor:
    """What became of the plans.

    Attributes
    ----------
    trust : Trust
        Where the selection stands.
    runs, plans : int
        Runs judged, and those of them that had a plan that could leave cases out.
    shadow : tuple of PlanGroup
        Plans of runs in which every case ran, all together first, then by what decided.
    seeded : PlanGroup or None
        The same for runs of seeded faults, and for plans whose promise rests on these.
    select : SelectReport or None
        Runs that did leave cases out.
    misses : tuple of Miss
        Regressions of which nothing was selected, oldest first.
    calibration : Calibration or None
        Of the probabilities of plans by a bundle.
    drift : str
        What has changed; empty where nothing has.
    fallbacks : tuple of (str, int)
        Why plans among the last 50 were in the original order, and how many.
    last_plans : int
        How many plans that was looked for in.
    kept : PastPlans
        What is missing of the results of plans that were kept for runs.
    strange_jobs : tuple of StrangeJob
        Jobs of plans whose past another job has, so that nothing shows what these miss.
    troubles : mapping of str to str
        What is wrong, in words, by the gate that it fails.
    unjudged : mapping of str to str
        What is needed, in words, by the gate of which nothing can be said yet: it neither fails
        nor is it fine.
    """

    trust: Trust
    runs: int
    plans: int
    shadow: tuple[PlanGroup, ...]
    seeded: PlanGroup | None
    select: SelectReport | None
    misses: tuple[Miss, ...]
    calibration: Calibration | None
    drift: str
    fallbacks: tuple[tuple[str, int], ...]
    last_plans: int
    kept: PastPlans
    strange_jobs: tuple[StrangeJob, ...]
    troubles: Mapping[str, str]
    unjudged: Mapping[str, str]


def monitor(
    *,
    store: Store,
    rules: Rules | None = None,
    since: datetime | None = None,
    seed: int = 0,
    repo: Path | None = None,
    now: datetime | None = None,
) -> Monitor:
    """Join the plans of past runs with what came of them.

    All is read from the tables, and the log of plans that plans read is made anew.

    Parameters
    ----------
    store : Store
    rules : Rules, optional
        Of promotion.
    since : datetime, optional
        Report on runs from then on; where the selection stands follows from all.
    seed : int
        Of the bootstrap.
    repo : Path, optional
        Repository, which knows the cases that are gone.
    now : datetime, optional
        What has not come by then, long after the rest of its run, is missing; default now.

    Returns
    -------
    Monitor

    Raises
    ------
    EmptyStoreError
        When no plan was ever recorded.
    StoreError
        When a table cannot be read.
    """
    rules = rules or Rules()
    log, history = plan_log.rebuild(store)
    kept = past_plans(store, now=now or datetime.now(UTC), repo=repo, since=since)
    if not history.policies:
        raise _no_plan(kept)
    window = _Window.of(history, since, seed)
    return _report(store, log, history, rules, window, kept)


def _no_plan(kept: PastPlans) -> EmptyStoreError:
    waiting = [*kept.waiting, *kept.open]
    if not waiting:
        return EmptyStoreError(
            "no plan has been recorded yet",
            "record some: run pytest --testopt=shadow for some days",
        )
    return EmptyStoreError(
        f"no plan has results: {waiting_line(waiting)}",
        "read them with the --run-id and --job of the plan: testopt ingest PATH --run-id ID",
    )


@dataclass(frozen=True, slots=True)
class _Window:
    """The runs to report on: what decided, by run_id, from a time on; and the seed."""

    start: float
    runs: int
    policies: dict[str, Policy]
    seed: int

    @classmethod
    def of(cls, history: PlanHistory, since: datetime | None, seed: int) -> _Window:
        start = -math.inf if since is None else since.timestamp()
        times = {run.run_id: run.time for run in history.runs}
        recent = {i: p for i, p in history.policies.items() if times[i] >= start}
        return cls(start, sum(time >= start for time in times.values()), recent, seed)


def _report(
    store: Store,
    log: plan_log.PlanLog,
    history: PlanHistory,
    rules: Rules,
    window: _Window,
    kept: PastPlans,
) -> Monitor:
    recent = window.policies
    rows = plan_rows(store, list(recent))
    groups, seeded = groups_of(history, recent, rows)
    calibration = calibration_of(rows, list(recent.values()), seed=window.seed)
    fallbacks, last_plans = _fallbacks(history)
    strange = strange_jobs(store, list(recent)[-_LAST:])
    troubles = {
        "misses": plan_log.broken_promise(log, level=rules.level, since=window.start),
        "calibration": "" if calibration is None else calibration.trouble,
        "drift": log.drift,
        "fallback": _too_often(fallbacks, last_plans),
        "missing": kept.trouble,
        "jobs": "; ".join(job.words for job in strange),
    }
    regressions = sum(one.known >= window.start for one in log.outcomes)
    unjudged = {
        "misses": "see jobs" if strange else unjudged_misses(regressions, rules),
        "calibration": unjudged_calibration(calibration),
        "drift": unjudged_drift(log),
        "fallback": unjudged_fallback(last_plans, _SHARE),
        "missing": unjudged_missing(kept.plans + len(kept.waiting)),
    }
    return Monitor(
        trust=trust_now(log, rules, _bundle(store), selection_rolled_back(store)),
        runs=window.runs,
        plans=len(history.selecting & recent.keys()),
        shadow=groups,
        seeded=seeded,
        select=select_of(history, recent, rows),
        misses=misses_of(history, recent),
        calibration=calibration,
        drift=log.drift,
        fallbacks=fallbacks,
        last_plans=last_plans,
        kept=kept,
        strange_jobs=strange,
        troubles={gate: text for gate, text in troubles.items() if text},
        unjudged={gate: why for gate, why in unjudged.items() if why and not troubles[gate]},
    )


def _bundle(store: Store) -> Bundle | None:
    with suppress(BundleError):
        return current_bundle(store)
    return None


def _fallbacks(history: PlanHistory) -> tuple[tuple[tuple[str, int], ...], int]:
    planned = [history.policies[r.run_id] for r in history.runs if r.run_id in history.policies]
    last: list[Policy] = planned[-_LAST:]
    why = Counter(policy.fell_back for policy in last if policy.fell_back)
    return tuple(why.most_common()), len(last)


def _too_often(fallbacks: tuple[tuple[str, int], ...], plans: int) -> str:
    total = sum(count for _, count in fallbacks)
    if total < max(_SHARE * plans, 1):
        return ""
    return f"{total} of the last {plans} plans fell back to the original order: {fallbacks[0][0]}"
