"""Which regressions under a selection count as evidence, and when."""

from dataclasses import replace

from testopt.selection.plan_log_file import PlanLog
from testopt.selection.plan_log_tables import LoggedPlan
from testopt.selection.policy import Policy
from testopt.selection.promotion import PlanOutcome


def plan(time, **policy):
    return LoggedPlan(f"r{time}", time, Policy(**{"mode": "select", **policy}), 10, 3, ())


def verdict(time, source):
    return PlanOutcome(f"r{time}", time, missed=source == "late", scores=(0.5,), source=source)


def test_what_a_selection_finds_counts_when_everything_has_run_again():
    found = tuple(verdict(t, s) for t, s in ((1, "selected"), (2, "late"), (3, "selected")))
    log = PlanLog(plans=(plan(1), plan(2), plan(3)), outcomes=found)
    assert [v.run_id for v in log.unbiased_outcomes] == ["r2"]
    explored = replace(log, plans=(*log.plans, plan(2, explored=True)))
    assert [v.run_id for v in explored.unbiased_outcomes] == ["r1", "r2"]
    shadowed = replace(log, plans=(*log.plans, plan(4, mode="shadow")))
    assert shadowed.unbiased_outcomes == found
