"""Which gates of the monitor cannot be judged yet, and what each of them needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from testopt.learning.drift import WINDOWS
from testopt.monitor.calibration import LEAST_FAILURES, LEAST_RUNS
from testopt.pluralize import pluralize

if TYPE_CHECKING:
    from testopt.monitor.calibration import Calibration
    from testopt.selection.plan_log import PlanLog
    from testopt.selection.promotion import Rules

LEAST_PLANS: Final = 2 * WINDOWS[0]  # the newest are compared with as many before them


def unjudged_misses(regressions: int, rules: Rules) -> str:
    """Say that too few regressions were judged; as many are asked for as before a promotion."""
    return _too_few(regressions, rules.regressions, "regression")


def unjudged_calibration(found: Calibration | None) -> str:
    """Say that too few runs, or too few failures, tell whether probabilities come true."""
    runs = 0 if found is None else found.runs
    if found is None or runs < LEAST_RUNS:
        return _too_few(runs, LEAST_RUNS, "run", "of everything with a plan by a bundle")
    if found.is_judged:
        return ""
    so_far = f"{found.expected:.1f} and {found.failed} so far"
    return f"needs {LEAST_FAILURES:g} failures, expected or seen ({so_far})"


def unjudged_drift(log: PlanLog) -> str:
    """Say that too few plans of one bundle could leave cases out."""
    newest = log.plans[-1].policy.bundle if log.plans else ""
    plans = sum(plan.policy.bundle == newest for plan in log.plans)
    return _too_few(plans, LEAST_PLANS, "plan", "by one bundle that could leave cases out")


def unjudged_fallback(plans: int, share: float) -> str:
    """Say that there are too few plans to see a share of them."""
    return _too_few(plans, round(1 / share), "plan")


def unjudged_missing(plans: int) -> str:
    """Say that no plan was kept for a run."""
    return _too_few(plans, 1, "plan", "kept for a run (select --run-id)")


def _too_few(count: int, least: int, noun: str, which: str = "") -> str:
    if count >= least:
        return ""
    return f"needs {pluralize(least, noun)}{which and ' ' + which} ({count} so far)"
