"""What is known of the cases of a run before it starts: facts, and the matrix that models read."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from testopt.features import affinity, change, cofailure, history

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

NAMES: Final = (*history.NAMES, *change.NAMES, *affinity.NAMES, *cofailure.NAMES)
_COLUMN: Final = {name: j for j, name in enumerate(NAMES)}


def feature_hash() -> str:
    """Return the identity of the feature set: models of another one are refused."""
    return hashlib.sha256("\n".join(NAMES).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class RunFeatures:
    """Features of the cases of a run, or of the rows of many; all facts are of shape (n,).

    The facts are those that somebody reads who is no model; a model reads the matrix.

    Attributes
    ----------
    matrix : ndarray of float32, shape (n, len(NAMES))
        The columns of ``NAMES``, NaN where unknown.
    """

    matrix: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.matrix)

    def at(self, rows: slice | NDArray[Any]) -> RunFeatures:
        """Return some of the rows."""
        return RunFeatures(self.matrix[rows])

    @staticmethod
    def concatenate(parts: Sequence[RunFeatures]) -> RunFeatures:
        """Return the rows of all parts, one part after the other."""
        empty = np.zeros((0, len(NAMES)), np.float32)
        return RunFeatures(np.concatenate([empty, *(part.matrix for part in parts)]))

    def column(self, name: str) -> NDArray[np.float32]:
        """Return a column of the matrix."""
        return self.matrix[:, _COLUMN[name]]

    @property
    def executions(self) -> NDArray[np.float64]:
        """How many runs executed the case."""
        return np.exp2(np.nan_to_num(self.column("executions").astype(np.float64))) - 1.0

    @property
    def failures(self) -> NDArray[np.float64]:
        """How many of its executions failed."""
        runs = self.executions
        rate = np.nan_to_num(self.column("failure_rate").astype(np.float64))
        return np.where(runs > 0, (rate * (runs + 2.0) - 0.5).clip(0.0), 0.0)

    @property
    def failure_rate(self) -> NDArray[np.float64]:
        """(failures + 0.5) / (executions + 2); NaN where it was never executed."""
        return self.column("failure_rate").astype(np.float64)

    @property
    def runs_since_failure(self) -> NDArray[np.float64]:
        """Executions of the case since its last failure; NaN where it never failed."""
        return np.exp2(self.column("runs_since_failure").astype(np.float64)) - 1.0

    @property
    def ticks_since_failure(self) -> NDArray[np.float64]:
        """Runs of the suite from its last failure to this one; NaN where it never failed."""
        return np.exp2(self.column("ticks_since_failure").astype(np.float64)) - 1.0

    @property
    def age_ticks(self) -> NDArray[np.float64]:
        """Runs of the suite from its first execution to this one; NaN where there was none."""
        return np.exp2(self.column("age_ticks").astype(np.float64)) - 1.0

    @property
    def seconds(self) -> NDArray[np.float64]:
        """How long the case took so far, with what starting one costs; NaN where unknown."""
        return np.exp2(self.column("seconds_log").astype(np.float64))

    @property
    def effort(self) -> NDArray[np.float32]:
        """What its text tells of its duration (`testopt.features.effort`); NaN where unknown."""
        return self.column("effort")

    @property
    def closeness(self) -> NDArray[np.float64]:
        """How close it is to the change without any training, 0..1; 0 where unknown."""
        return np.nan_to_num(self.column("prior").astype(np.float64)).clip(0.0, 1.0)

    @property
    def source_read(self) -> NDArray[np.bool_]:
        """Whether the sources of change and case were read, not their names alone."""
        return ~np.isnan(self.column("in_change"))

    @property
    def sources_read(self) -> bool:
        """Whether the sources of any case were read."""
        return bool(self.source_read.any())

    @property
    def in_change(self) -> NDArray[np.float32]:
        """1 where the change edits the case, 0.5 for a fixture or helper beside it, else 0."""
        return np.nan_to_num(self.column("in_change"))

    @property
    def is_new(self) -> NDArray[np.bool_]:
        """Whether no run has executed the case yet."""
        return np.asarray(self.executions == 0.0)

    @property
    def failing_last(self) -> NDArray[np.bool_]:
        """Whether its last execution failed, wherever that was."""
        return np.asarray(self.column("failing_last") == 1.0)

    @property
    def has_parent(self) -> NDArray[np.bool_]:
        """Whether a run of an ancestor is known."""
        return ~np.isnan(self.column("failing_in_parent"))

    @property
    def failing_in_parent(self) -> NDArray[np.bool_]:
        """Whether it failed in the nearest run of an ancestor."""
        return np.asarray(self.column("failing_in_parent") == 1.0)

    @property
    def ran_before_parent(self) -> NDArray[np.bool_]:
        """Whether its last execution was before the nearest run of an ancestor."""
        since_run, since_parent = (self.column(f"ticks_since_{of}") for of in ("run", "parent"))
        return np.asarray(since_run > since_parent)
