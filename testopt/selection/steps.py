"""How much a selection may leave out before shadow has shown that it keeps its promise: steps.

A step is a share of the cases of a run: those with the lowest scores. A run of everything confirms
the plans since the one before it: enough of them without a miss lead one step up, a miss leads one
step down.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from testopt.selection.promotion import PlanOutcome

# Most of the cases of a run that may be left out. Up to .8 none of the 127 regressions of two
# replayed projects was missed. Shares of the time missed one and saved less: the few cases that
# take long fill them up. What imports connect with a change of sqlparse are all cases, so that to
# run these as well would have saved nothing there.
STEPS: Final = (0.0, 0.2, 0.4, 0.6, 0.8)
# Plans confirmed without a miss that lead one step up. Where three regressions in ten are foreseen
# by nothing, 10, 20 and 40 missed 12, 9 and 6 % in 300 runs; where all are foreseen 40 save a
# thirtieth less than 20. To draw more changes than one in twenty did not help.
CONFIRMATIONS: Final = 40
EVIDENCE: Final = 19  # regressions before a first step: what a promise of 0.95 needs
_FIRST: Final = 1


class FullRun(NamedTuple):
    """A run of everything, in seconds since 1970, and the plans since the one before it."""

    time: float
    plans: int


@dataclass(frozen=True, slots=True)
class Step:
    """Where a selection stands on its way out of shadow.

    Attributes
    ----------
    at : int
        Position in ``STEPS``.
    confirmed : int
        Plans without a miss since it came there that a full run has confirmed.
    missed : float or None
        When the last miss was known that led a step down, in seconds since 1970.
    """

    at: int = _FIRST
    confirmed: int = 0
    missed: float | None = None

    @property
    def most(self) -> float:
        """Share of the cases that may be left out, in 0..1."""
        return STEPS[self.at]

    @property
    def next(self) -> float | None:
        """The share that comes next; None on the last step."""
        return STEPS[self.at + 1] if self.at + 1 < len(STEPS) else None


def step_now(
    full: Iterable[FullRun], outcomes: Iterable[PlanOutcome], *, anew: bool = False
) -> Step:
    """Replay full runs and misses, and say where they lead.

    Parameters
    ----------
    full : iterable of FullRun
    outcomes : iterable of PlanOutcome
        Regressions. One that the step alone caught leads nowhere, but the count begins anew.
    anew : bool
        Whether it begins after a rollback, with nothing left out.

    Returns
    -------
    Step
    """
    troubles: dict[float, bool] = {}
    for outcome in outcomes:
        if outcome.missed or outcome.averted:
            troubles[outcome.known] = troubles.get(outcome.known, False) or outcome.missed
    step = Step(0 if anew else _FIRST)
    confirmed = {run.time: run.plans for run in full}
    for time in sorted(confirmed.keys() | troubles.keys()):
        if time not in troubles:
            step = _confirmed(step, confirmed[time])
        elif troubles[time]:
            step = Step(max(step.at - 1, 0), 0, time)
        else:
            step = replace(step, confirmed=0)
    return step


def _confirmed(step: Step, plans: int) -> Step:
    if step.confirmed + plans >= CONFIRMATIONS and step.next is not None:
        return Step(step.at + 1, 0, step.missed)
    return replace(step, confirmed=step.confirmed + plans)
