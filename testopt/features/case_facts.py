"""The past of each case of a run as counts, seconds and flags."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class CaseFacts:
    """What earlier runs tell of each case; all arrays of shape (n,).

    A tick is one run of history; an execution is one run in which the case took part.

    Attributes
    ----------
    executions, failures : ndarray of int32
        How often the case was executed, and how often it failed then.
    runs_since_failure : ndarray of float32
        Its executions since the last failure, 0 where the last one failed; NaN without a failure.
    ticks_since_failure : ndarray of float32
        Ticks from its last failure to this run; NaN without a failure.
    age_ticks : ndarray of float32
        Ticks from its first execution to this run; NaN without an execution.
    seconds : ndarray of float32
        How long it took so far, a decayed geometric mean; NaN where that was never measured.
    failing_last : ndarray of bool
        Whether its last execution failed, wherever that was.
    has_parent : ndarray of bool
        Whether a run of an ancestor is known.
    failing_in_parent : ndarray of bool
        Whether it failed in the nearest run of an ancestor.
    ran_before_parent : ndarray of bool
        Whether its last execution was before the nearest run of an ancestor.
    """

    executions: NDArray[np.int32]
    failures: NDArray[np.int32]
    runs_since_failure: NDArray[np.float32]
    ticks_since_failure: NDArray[np.float32]
    age_ticks: NDArray[np.float32]
    seconds: NDArray[np.float32]
    failing_last: NDArray[np.bool_]
    has_parent: NDArray[np.bool_]
    failing_in_parent: NDArray[np.bool_]
    ran_before_parent: NDArray[np.bool_]

    @property
    def is_new(self) -> NDArray[np.bool_]:
        """Whether no run has executed the case yet."""
        return np.asarray(self.executions == 0)

    @property
    def failure_rate(self) -> NDArray[np.float64]:
        """(failures + 0.5) / (executions + 2); NaN for a new case."""
        rate: NDArray[Any] = (self.failures + 0.5) / (self.executions + 2.0)
        return np.where(self.is_new, np.nan, rate)
