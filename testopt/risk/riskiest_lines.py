"""Which added lines of a change a later fix is likeliest to change.

A logistic model over the facts of `testopt.risk.line_features`, learnt by `scripts/bench/lines.py`
on lines that later fixes of the same commit, as their authors named it, deleted.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files as package_files
from typing import TYPE_CHECKING, Final

import numpy as np

from testopt.risk.line_features import FEATURES, added_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from testopt.risk.line_features import AddedLine, ChangedText

WEIGHTS: Final = "line_weights.json"


@dataclass(frozen=True, slots=True)
class ScoredLine:
    """An added line; ``score`` are log-odds above those of the mean line of its change."""

    line: AddedLine
    score: float


def riskiest_lines(files: Sequence[ChangedText]) -> list[ScoredLine]:
    """Return the added lines of a change that hold code, the riskiest first.

    Parameters
    ----------
    files : sequence of ChangedText
        All files of the change.
    """
    lines = added_lines(files)
    if not lines:
        return []
    score = np.array([line.features for line in lines]) @ _weights()
    score -= score.mean()
    scored = [
        ScoredLine(line, round(float(value), 6))
        for line, value in zip(lines, score, strict=True)
        if line.is_code
    ]
    return sorted(scored, key=lambda s: (-s.score, s.line.path, s.line.number))


@cache
def _weights() -> NDArray[np.float64]:
    text = (package_files("testopt.risk") / WEIGHTS).read_text("utf-8")
    weights = json.loads(text)["weights"]
    return np.array([weights[name] for name in FEATURES], np.float64)
