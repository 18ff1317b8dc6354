"""Why a case stands where it stands, by rule from its features, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def reasons(x: NDArray[np.float32], names: Sequence[str]) -> list[str]:
    """Return one short sentence for each case, the strongest evidence that applies.

    Parameters
    ----------
    x : ndarray of float32, shape (n, n_features)
        Features as the model reads them.
    names : sequence of str
        Names of the columns.
    """
    column = {name: x[:, j] for j, name in enumerate(names)}
    executions = _count(column["executions"])
    since = _count(column["runs_since_failure"])
    fails = np.rint(column["failure_rate"] * (executions + 2.0) - 0.5)
    words = []
    for i in range(len(x)):
        if np.isnan(column["failure_rate"][i]):
            words.append("new case")
        elif column["failing_in_parent"][i] == 1.0:
            words.append("failed in the previous run")
        elif not np.isnan(since[i]):
            words.append(
                f"failed in {fails[i]:.0f} of {executions[i]:.0f} runs, last {_ago(since[i])}"
            )
        else:
            words.append(f"never failed in {executions[i]:.0f} runs")
    return words


def _count(logs: NDArray[Any]) -> NDArray[Any]:
    count: NDArray[Any] = np.rint(np.exp2(logs) - 1.0)
    return count


def _ago(runs: float) -> str:
    return "time it ran" if runs < 1 else f"{runs + 1:.0f} runs ago"
