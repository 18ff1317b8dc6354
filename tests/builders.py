"""What tests of many modules set up: features of a run from facts."""

import numpy as np

from testopt.features.run_features import NAMES, RunFeatures


def run_features(
    n, *, executions=0, failures=0, runs_since_failure=np.nan, ticks_since_failure=np.nan,
    age_ticks=np.nan, seconds=np.nan, **columns,
):  # fmt: skip
    """Return features of `n` cases: facts, and further columns of the matrix by name."""
    runs, fails = np.broadcast_to(executions, n), np.broadcast_to(failures, n)
    logs = {
        "executions": runs, "runs_since_failure": runs_since_failure, "age_ticks": age_ticks,
        "ticks_since_failure": ticks_since_failure,
    }  # fmt: skip
    known = {name: np.log2(1.0 + np.asarray(values)) for name, values in logs.items()}
    known["failure_rate"] = np.where(runs > 0, (fails + 0.5) / (runs + 2.0), np.nan)
    matrix = np.full((n, len(NAMES)), np.nan, np.float32)
    for name, values in {**known, "seconds_log": np.log2(seconds), **columns}.items():
        matrix[:, NAMES.index(name)] = values
    return RunFeatures(matrix)
