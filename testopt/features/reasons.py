"""Why a case stands where it stands, by rule from its features, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

# Signals of closeness as a share of the run's largest, and what each says.
_CLOSENESS: Final = {
    "calls_share": "calls what was changed",
    "owners_together_share": "was edited together with the changed functions before",
    "lines_together_share": "was edited together with the changed lines before",
    "words_share": "shares words with the change",
    "imports": "imports a changed file",
}
_CLOSE: Final = 0.5  # of the run's largest: what counts as close


def reasons(x: NDArray[np.float32], names: Sequence[str]) -> list[str]:
    """Return one short sentence for each case: the strongest evidence, then its past.

    Parameters
    ----------
    x : ndarray of float32, shape (n, n_features)
        Features as the model reads them.
    names : sequence of str
        Names of the columns.
    """
    column = {name: x[:, j] for j, name in enumerate(names)}
    past, close = _past(column), _closeness(column)
    changed = column["in_change"] > 0
    return [
        "; ".join(
            filter(None, ["the test itself was changed" if changed[i] else close[i], past[i]])
        )
        for i in range(len(x))
    ]


def _past(column: Mapping[str, NDArray[Any]]) -> list[str]:
    executions = _count(column["executions"])
    since = _count(column["runs_since_failure"])
    fails = np.rint(column["failure_rate"] * (executions + 2.0) - 0.5)
    stranger = np.isnan(column["failure_rate"])
    fresh = column["failing_in_parent"] == 1.0
    words = []
    for i, runs in enumerate(executions.tolist()):
        if stranger[i]:
            words.append("new case")
        elif fresh[i]:
            words.append("failed in the previous run")
        elif np.isnan(since[i]):
            words.append(f"never failed in {runs:.0f} runs")
        else:
            words.append(f"failed in {fails[i]:.0f} of {runs:.0f} runs, last {_ago(since[i])}")
    return words


def _closeness(column: Mapping[str, NDArray[Any]]) -> list[str]:
    """Say what brings a case close to the change, for those that are close."""
    signals = np.nan_to_num(np.column_stack([column[name] for name in _CLOSENESS]))
    if not len(signals):
        return []
    texts = np.array([*_CLOSENESS.values(), ""], object)
    best = np.where(signals.max(axis=1) >= _CLOSE, signals.argmax(axis=1), len(_CLOSENESS))
    said: list[str] = texts[best].tolist()
    return said


def _count(logs: NDArray[Any]) -> NDArray[Any]:
    count: NDArray[Any] = np.rint(np.exp2(logs) - 1.0)
    return count


def _ago(runs: float) -> str:
    return "time it ran" if runs < 1 else f"{runs + 1:.0f} runs ago"
