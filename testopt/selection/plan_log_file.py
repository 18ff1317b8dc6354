"""The file that holds the log of plans: JSON, checked when it is read."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from testopt.learning.drift import BINS
from testopt.selection import PLAN_LOG
from testopt.selection.plan_log_tables import LoggedPlan
from testopt.selection.policy import Policy
from testopt.selection.promotion import PlanOutcome
from testopt.selection.steps import FullRun

if TYPE_CHECKING:
    from collections.abc import Mapping

    from testopt.store import Store

_FORMAT: Final = 1
# What is kept of each, the newest; the tables hold the rest.
_SEEN: Final = 1000
_PLANS: Final = 200
_OUTCOMES: Final = 2000
_SCORES: Final = 16
_FULL: Final = 200
_MOST_CASES: Final = 1 << 31
_SOURCES: Final = frozenset({"shadow", "explored", "selected", "late"})


@dataclass(frozen=True, slots=True)
class PlanLog:
    """The log of plans; every part oldest first.

    Attributes
    ----------
    seen : tuple of (str, float)
        Id and time of the runs judged.
    first : float or None
        Time of the first plan that could leave cases out.
    plans : tuple of LoggedPlan
        Such plans.
    outcomes : tuple of PlanOutcome
        By the time at which they were known.
    drift : str
        What has changed among the newest plans; empty where nothing has.
    full : tuple of FullRun
        Runs of everything that came after a plan that could leave cases out.
    """

    seen: tuple[tuple[str, float], ...] = ()
    first: float | None = None
    plans: tuple[LoggedPlan, ...] = ()
    outcomes: tuple[PlanOutcome, ...] = ()
    drift: str = ""
    full: tuple[FullRun, ...] = ()

    @property
    def unbiased_outcomes(self) -> tuple[PlanOutcome, ...]:
        """The outcomes that are evidence for a threshold.

        What a selection finds at once are regressions that were easy to foresee: until everything
        has run again, and shown the others, they would make a threshold too lax.
        """
        last_full_run = max(
            (p.time for p in self.plans if p.policy.explored or p.policy.mode != "select"),
            default=-math.inf,
        )
        return tuple(v for v in self.outcomes if v.source != "selected" or v.known <= last_full_run)

    def since(self, time: float) -> int:
        """Return how many runs came after a time, in seconds since 1970."""
        return sum(at > time for _, at in self.seen)


def load(store: Store) -> PlanLog:
    """Return what is kept; nothing where there is nothing, or it cannot be read."""
    data = store.read_blob(PLAN_LOG)
    if data is None:
        return PlanLog()
    try:
        return _parse(json.loads(data))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return PlanLog()  # a cache: it is made again from the tables


def save(store: Store, log: PlanLog) -> None:
    """Keep the newest part of a log of plans.

    Raises
    ------
    StoreError
        When it cannot be written.
    """
    document = {
        "format": _FORMAT,
        "seen": log.seen[-_SEEN:],
        "first": log.first,
        "drift": log.drift,
        "full": log.full[-_FULL:],
        "plans": [_fields(plan) | {"policy": plan.policy.dump()} for plan in log.plans[-_PLANS:]],
        "verdicts": [
            _fields(outcome) | {"scores": outcome.scores[:_SCORES]}
            for outcome in log.outcomes[-_OUTCOMES:]
        ],
    }
    store.write_blob(PLAN_LOG, json.dumps(document, separators=(",", ":")).encode())


def _fields(value: LoggedPlan | PlanOutcome) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__slots__}


def _parse(document: Mapping[str, Any]) -> PlanLog:
    if document["format"] != _FORMAT:
        return PlanLog()
    first = document["first"]
    return PlanLog(
        tuple((str(run_id), _time(at)) for run_id, at in document["seen"]),
        None if first is None else _time(first),
        tuple(_plan(row) for row in document["plans"]),
        tuple(_verdict(row) for row in document["verdicts"]),
        str(document["drift"]),
        # older versions keep none
        tuple(FullRun(_time(at), int(plans)) for at, plans in document.get("full", ())),
    )


def _plan(row: Mapping[str, Any]) -> LoggedPlan:
    histogram = tuple(int(n) for n in row["histogram"])
    if len(histogram) != BINS or not all(0 <= n < _MOST_CASES for n in histogram):
        raise ValueError("a histogram is damaged")
    return LoggedPlan(
        str(row["run_id"]),
        _time(row["time"]),
        Policy.parse(row["policy"]),
        int(row["cases"]),
        int(row["selected"]),
        histogram,
    )


def _verdict(row: Mapping[str, Any]) -> PlanOutcome:
    scores, source = tuple(float(s) for s in row["scores"]), row["source"]
    allowed = float(row["allowed"])
    if source not in _SOURCES or any(map(math.isnan, scores)) or not 0.0 <= allowed <= 1.0:
        raise ValueError("a verdict is damaged")
    missed, averted = bool(row["missed"]), bool(row.get("averted", False))
    return PlanOutcome(
        str(row["run_id"]), _time(row["known"]), missed, allowed, scores, source, averted=averted
    )


def _time(value: Any) -> float:
    time = float(value)
    if not math.isfinite(time):
        raise ValueError("a time is not a number")
    return time
