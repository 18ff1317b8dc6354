"""Why a case is ranked where it is, by rule from its features."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from testopt.reasons import Reason, ReasonKind
from testopt.similarity.call_graph import FAR

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from testopt.features.run_features import RunFeatures

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
    features: RunFeatures, *, cofailure: Mapping[int, Reason] | None = None
) -> list[tuple[Reason, ...]]:
    """Return the reasons of each case: the strongest evidence, then its past.

    Parameters
    ----------
    features : RunFeatures
        Features of the cases of a run.
    cofailure : mapping of int to Reason, optional
        Row -> what the changed things did to the case before, from `CoFailure.reasons`.
    """
    past: list[tuple[Reason, ...]] = [(reason,) for reason in _past(features)]
    for i, reason in (cofailure or {}).items():
        (own,) = past[i]
        if reason.kind is ReasonKind.FAILED_WITH_VARIANT:  # which never really happened
            past[i] = (own, reason)
        else:
            past[i] = (reason,) if own.kind is ReasonKind.FAILED else (reason, own)
    close = _closeness(features)
    for i in np.flatnonzero(features.in_change > 0).tolist():
        close[i] = (Reason(ReasonKind.TEST_CHANGED),)
    for i in np.flatnonzero(_names_nothing(features)).tolist():
        if not close[i]:
            past[i] = (*past[i], Reason(ReasonKind.NAMES_NOTHING_CHANGED))
    return [near + own for near, own in zip(close, past, strict=True)]


def _names_nothing(features: RunFeatures) -> NDArray[np.bool_]:
    """Tell which cases are known to lead to nothing that changed by any name or import."""
    column = features.column
    near = np.nan_to_num(column("words_share")) >= _CLOSE
    far: NDArray[np.bool_] = (column("hops") >= FAR) & (column("import_hops") > 1.0) & ~near
    return far


def _past(features: RunFeatures) -> list[Reason]:
    executions, fails = features.executions.tolist(), features.failures.tolist()
    since = features.runs_since_failure.tolist()
    stranger, fresh = features.is_new.tolist(), features.failing_in_parent.tolist()
    new, failed_last = Reason(ReasonKind.NEW_CASE), Reason(ReasonKind.FAILED_LAST)
    never: dict[int, Reason] = {}  # most cases never failed: those of as many runs share a reason
    found = []
    for i, runs in enumerate(executions):
        if stranger[i]:
            found.append(new)
        elif fresh[i]:
            found.append(failed_last)
        elif since[i] != since[i]:  # NaN: it never did
            if runs not in never:
                never[runs] = Reason(ReasonKind.NEVER_FAILED, (runs,))
            found.append(never[runs])
        else:
            found.append(Reason(ReasonKind.FAILED, (fails[i], runs, int(since[i]))))
    return found


def _closeness(features: RunFeatures) -> list[tuple[Reason, ...]]:
    """Return what brings each case close to the change: one signal, or none."""
    column = {name: features.column(name) for name in _CLOSENESS if name != "imports"}
    column["imports"] = (features.column("import_hops") == 1.0).astype(np.float32)
    signals = np.nan_to_num(np.column_stack([column[name] for name in _CLOSENESS]))
    if not len(signals):
        return []
    choices = [*((reason,) for reason in _CLOSENESS.values()), ()]
    best = np.where(signals.max(axis=1) >= _CLOSE, signals.argmax(axis=1), len(_CLOSENESS))
    return [choices[i] for i in best.tolist()]
