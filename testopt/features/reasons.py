"""Why a case stands where it stands, by rule from its features."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from testopt.features.calls import FAR
from testopt.reasons import Reason, ReasonKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

# Signals of closeness from 0 to 1, most as a share of the run's largest, and what each shows.
_CLOSENESS: Final = {
    "ran_change": Reason(ReasonKind.RAN_CHANGE),
    "calls_share": Reason(ReasonKind.CALLS_CHANGE),
    "owners_together_share": Reason(ReasonKind.EDITED_WITH_FUNCTIONS),
    "lines_together_share": Reason(ReasonKind.EDITED_WITH_LINES),
    "words_share": Reason(ReasonKind.SHARES_WORDS),
    "owners_said_share": Reason(ReasonKind.SHARES_MESSAGES),
    "imports": Reason(ReasonKind.IMPORTS_CHANGED),
}
_CLOSE: Final = 0.5  # of the run's largest: what counts as close


def reasons(
    x: NDArray[np.float32], names: Sequence[str], *, cofailure: Mapping[int, Reason] | None = None
) -> list[tuple[Reason, ...]]:
    """Return the reasons of each case: the strongest evidence, then its past.

    Parameters
    ----------
    x : ndarray of float32, shape (n, n_features)
        Features as the model reads them.
    names : sequence of str
        Names of the columns.
    cofailure : mapping of int to Reason, optional
        Row -> what the changed things did to the case before, from `CoFailure.reasons`.
    """
    column = {name: x[:, j] for j, name in enumerate(names)}
    past: list[tuple[Reason, ...]] = [(reason,) for reason in _past(column)]
    for i, reason in (cofailure or {}).items():
        (own,) = past[i]
        past[i] = (reason,) if own.kind is ReasonKind.FAILED else (reason, own)
    close = _closeness(column)
    for i in np.flatnonzero(column["in_change"] > 0).tolist():
        close[i] = (Reason(ReasonKind.TEST_CHANGED),)
    for i in np.flatnonzero(_names_nothing(column)).tolist():
        if not close[i]:
            past[i] = (*past[i], Reason(ReasonKind.NAMES_NOTHING_CHANGED))
    return [near + own for near, own in zip(close, past, strict=True)]


def _names_nothing(column: Mapping[str, NDArray[Any]]) -> NDArray[np.bool_]:
    """Tell which cases are known to lead to nothing that changed by any name or import."""
    near = np.nan_to_num(column["words_share"]) >= _CLOSE
    far: NDArray[np.bool_] = (column["hops"] >= FAR) & (column["import_hops"] > 1.0) & ~near
    return far


def _past(column: Mapping[str, NDArray[Any]]) -> list[Reason]:
    executions = _count(column["executions"])
    fails = np.rint(column["failure_rate"] * (executions + 2.0) - 0.5)
    since = _count(column["runs_since_failure"]).tolist()
    stranger = np.isnan(column["failure_rate"]).tolist()
    fresh = (column["failing_in_parent"] == 1.0).tolist()
    new, failed_last = Reason(ReasonKind.NEW_CASE), Reason(ReasonKind.FAILED_LAST)
    found = []
    for i, runs in enumerate(executions.tolist()):
        if stranger[i]:
            found.append(new)
        elif fresh[i]:
            found.append(failed_last)
        elif since[i] != since[i]:  # NaN: it never did
            found.append(Reason(ReasonKind.NEVER_FAILED, (int(runs),)))
        else:
            values = (int(fails[i]), int(runs), int(since[i]))
            found.append(Reason(ReasonKind.FAILED, values))
    return found


def _closeness(column: Mapping[str, NDArray[Any]]) -> list[tuple[Reason, ...]]:
    """Return what brings each case close to the change: one signal, or none."""
    column = {**column, "imports": (column["import_hops"] == 1.0).astype(np.float32)}
    signals = np.nan_to_num(np.column_stack([column[name] for name in _CLOSENESS]))
    if not len(signals):
        return []
    choices = [*((reason,) for reason in _CLOSENESS.values()), ()]
    best = np.where(signals.max(axis=1) >= _CLOSE, signals.argmax(axis=1), len(_CLOSENESS))
    return [choices[i] for i in best.tolist()]


def _count(logs: NDArray[Any]) -> NDArray[Any]:
    count: NDArray[Any] = np.rint(np.exp2(logs) - 1.0)
    return count
