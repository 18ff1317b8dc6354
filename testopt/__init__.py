"""testopt: order and select tests for each change, and point at risky changes.

The public API is imported on first use, so that ``import testopt`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# Public name -> module that defines it. Twelve or fewer, each public on purpose.
_PUBLIC = {
    "ChangeRiskClassifier": "testopt.risk.classifier",
    "FailureRanker": "testopt.ranking.ranker",
    "Plan": "testopt.schema",
    "Settings": "testopt.settings",
    "Store": "testopt.store",
    "TestoptError": "testopt.errors",
    "backtest": "testopt.api",
    "rank": "testopt.api",
    "run_features": "testopt.api",
}

__all__ = [
    "ChangeRiskClassifier",
    "FailureRanker",
    "Plan",
    "Settings",
    "Store",
    "TestoptError",
    "__version__",
    "backtest",
    "rank",
    "run_features",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for (PEP 562)."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'testopt' has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
