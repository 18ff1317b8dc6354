"""Looks for a feature that knows the outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from testopt.features.run_features import NAMES
from testopt.learning.metrics import roc_auc
from testopt.quality.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testopt.features.training_set import TrainingSet

_ROWS: Final = 20_000
_FAILING_RUNS: Final = 10
_KNOWS: Final = 0.999  # area under the ROC curve of one feature alone


def check_leaks(rows: TrainingSet, seed: int) -> Iterator[Finding]:
    """Yield a doubt where one feature alone tells all failures of cases that passed before.

    What goes on failing is told by the last outcome, and no leak.
    """
    fresh = rows.at(np.flatnonzero(~rows.features.failing_last))
    part = fresh.thinned(_ROWS, seed)
    if len(np.unique(part.run[part.y])) < _FAILING_RUNS or part.y.all():
        return
    matrix = part.features.matrix
    found = [(name, roc_auc(part.y, np.nan_to_num(matrix[:, i], nan=-1.0)))
             for i, name in enumerate(NAMES)]  # fmt: skip
    know = [(name, auc) for name, auc in found if max(auc, 1.0 - auc) >= _KNOWS]
    if know:
        names = tuple(f"{name} ({max(auc, 1.0 - auc):.4f})" for name, auc in know)
        text = f"{names[0]} tells nearly all new failures alone: it may know the outcome"
        fix = "see that changes and times are those before the run"
        yield Finding("leak", "doubt", text, len(know), names, fix)
