"""The plan for a change: cases in the order in which they should run, each with its reasons."""

from __future__ import annotations

from testopt.plan.planner import original_order, plan
from testopt.plan.rows import prediction_rows

__all__ = ["original_order", "plan", "prediction_rows"]
