"""Whether a selection may leave cases out: its promotion out of shadow, and its way back.

Plans are first logged in shadow, where everything runs. What became of them is a sequence of
judged regressions; `promotion` replays it and says where it leads. Nothing is decided twice: the
same log of plans gives the same answer everywhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from testopt.selection.steps import CONFIRMATIONS, EVIDENCE, step_now

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from testopt.selection.steps import FullRun

State = Literal["shadow", "gradual", "select", "rolled back"]
Promote = Literal["auto", "gradual", "always", "never"]
DAY_S: Final = 86_400.0
LEVEL: Final = 0.05  # of the test of misses, unless a setting says otherwise
# Miss rates against which the promised one is weighed, as steps from it to one.
_WORSE: Final = np.array([0.05, 0.1, 0.2, 0.4, 0.7])


@dataclass(frozen=True, slots=True)
class Rules:
    """When a selection is trusted.

    Attributes
    ----------
    promote : {"auto", "gradual", "always", "never"}
        By the rules, with or without steps before them, or whatever they say.
    days, regressions : float, int
        Least time in shadow, and least regressions judged in it.
    level : float
        Level of the test that ends a promotion: the chance, over all time, to end that of a
        selection which keeps its promise.
    """

    promote: Promote = "auto"
    days: float = 14.0
    regressions: int = 30
    level: float = LEVEL


@dataclass(frozen=True, slots=True)
class PlanOutcome:
    """One regression under a plan that could leave cases out.

    Attributes
    ----------
    run_id : str
        Run whose change caused it.
    known : float
        When it was known, in seconds since 1970: later than the run for a miss found late.
    missed : bool
        Whether no regressing case was selected.
    averted : bool
        Whether one was selected only because no more than a share of the cases was to be left out.
    allowed : float
        Share of regressions that the plan might miss: one minus the recall asked for.
    scores : tuple of float
        Selection scores that the plan gave to the regressing cases, highest first; ``inf`` for one
        that had to run whatever its score. Empty where none was logged.
    source : {"shadow", "explored", "selected", "late"}
        How it is known: all cases ran in shadow or because the change was drawn, a selected or
        refreshed case failed, or a later run found a case that had been left out.
    """

    run_id: str
    known: float
    missed: bool
    allowed: float = 0.05
    scores: tuple[float, ...] = ()
    source: str = "shadow"
    averted: bool = False


@dataclass(frozen=True, slots=True)
class SelectionRecord:
    """What became of the plans so far.

    Attributes
    ----------
    first, last : float or None
        Times of the first and the last plan that could leave cases out, in seconds since 1970.
    outcomes : tuple of PlanOutcome
        Regressions in the order in which they became known; none on seeded faults.
    drift : str
        What has changed between the last runs and those before; empty where nothing has.
    full : tuple of FullRun
        Runs of everything, which showed what had been left out before them.
    rolled_back : float or None
        When somebody rolled the selection back by hand, in seconds since 1970.
    """

    first: float | None = None
    last: float | None = None
    outcomes: tuple[PlanOutcome, ...] = ()
    drift: str = ""
    full: tuple[FullRun, ...] = ()
    rolled_back: float | None = None


@dataclass(frozen=True, slots=True)
class Trust:
    """Where a selection stands, in one line, with the counts since it was last in shadow.

    ``state`` is ``shadow`` before the promotion and after one that misses have ended (``fallen``),
    ``gradual`` while at most the share ``most`` of the cases may be left out, ``select`` while
    nothing but the promise decides, and ``rolled back`` while something stands in the way.
    """

    state: State
    why: str
    regressions: int = 0
    misses: int = 0
    days: float = 0.0
    fallen: bool = False
    most: float | None = None

    @property
    def selects(self) -> bool:
        """Whether cases may be left out."""
        return self.state in {"gradual", "select"}


def promotion(record: SelectionRecord, rules: Rules | None = None, *, stale: str = "") -> Trust:
    """Say whether cases may be left out.

    A selection is promoted when it has been in shadow for the time and the regressions that the
    rules ask for, and has not missed more of these than it was allowed to. Before that it may
    leave out a share of the cases that grows in steps, where the rules are gradual. It goes back
    into shadow, to begin anew, when somebody rolls it back by hand, and when its misses since then
    are beyond what is allowed by a test at ``rules.level`` (`evidence_against`); a stale bundle or
    drift stops it for as long as they last.

    Parameters
    ----------
    record : SelectionRecord
        What became of the plans so far.
    rules : Rules, optional
    stale : str
        Why the bundle is out of date; empty where it is not.

    Returns
    -------
    Trust
    """
    rules = rules or Rules()
    if record.rolled_back is not None and rules.promote != "never":
        return _after_rollback(record, record.rolled_back, rules, stale)
    return _by_rules(record, rules, stale)


def _by_rules(record: SelectionRecord, rules: Rules, stale: str, *, anew: bool = False) -> Trust:
    """Say the same where nobody has rolled it back, or since then (`anew`)."""
    if rules.promote in {"always", "never"}:
        return _forced(rules, record)
    start, promoted, since = _replay(record, rules)
    if promoted is not None:
        trust = _promoted(record, promoted, since)
    else:
        trust = _in_shadow(record, rules, start=start, since=since)
        if rules.promote == "gradual":
            trust = _in_steps(record, trust, start, anew=anew or trust.fallen)
    trouble = stale or record.drift
    if trouble and trust.selects:
        return replace(trust, state="rolled back", why=f"everything runs: {trouble}", most=None)
    return trust


def _replay(
    record: SelectionRecord, rules: Rules
) -> tuple[float | None, float | None, list[PlanOutcome]]:
    """Return when the last time in shadow began, when it ended, and what was judged since.

    What counts is what the promise alone would have missed, whatever a step has averted.
    """
    start, promoted = record.first, None
    since: list[PlanOutcome] = []
    outcomes = (replace(v, missed=v.missed or v.averted) for v in record.outcomes)
    for outcome in sorted(outcomes, key=lambda v: (v.known, v.run_id)):
        if promoted is None and _earned(since, rules, start=start, now=outcome.known):
            promoted, since = outcome.known, []
        since.append(outcome)
        acts = promoted is not None or rules.promote == "gradual"
        if acts and evidence_against(since) >= 1.0 / rules.level:
            start, promoted, since = outcome.known, None, []
    if promoted is None and _earned(since, rules, start=start, now=record.last):
        promoted, since = record.last, []
    return start, promoted, since


def _earned(
    since: Sequence[PlanOutcome], rules: Rules, *, start: float | None, now: float | None
) -> bool:
    if start is None or now is None or now - start < rules.days * DAY_S:
        return False
    allowed = sum(v.missed for v in since) <= sum(v.allowed for v in since)
    return allowed and len(since) >= rules.regressions


def evidence_against(outcomes: Sequence[PlanOutcome]) -> float:
    """Return how strongly regressions speak against what was allowed.

    An e-process: the likelihood ratio of a few higher miss rates, averaged, to the allowed rate.
    Where misses are no more frequent than allowed, it exceeds 1/a at any time, ever, with
    probability a at most (Ville's inequality; Waudby-Smith and Ramdas 2024), so that it may be
    looked at after every regression.

    Parameters
    ----------
    outcomes : sequence of PlanOutcome
        In the order in which they became known.

    Returns
    -------
    float
        1 for no evidence; 20 rejects at level 0.05.
    """
    missed = np.array([v.missed for v in outcomes], bool)
    allowed = np.clip([v.allowed for v in outcomes], 1e-6, 1.0 - 1e-6)[:, None]
    worse = allowed + _WORSE * (1.0 - allowed)
    ratio: NDArray[np.float64] = np.where(
        missed[:, None], worse / allowed, (1.0 - worse) / (1.0 - allowed)
    )
    return float(np.exp(np.log(ratio).sum(axis=0)).mean())


def _after_rollback(record: SelectionRecord, at: float, rules: Rules, stale: str) -> Trust:
    """Return where a selection stands that somebody rolled back: it begins anew, by the rules."""
    since = tuple(v for v in record.outcomes if v.known > at)
    newer = replace(record, first=at, outcomes=since, rolled_back=None)
    rules = replace(rules, promote="auto") if rules.promote == "always" else rules
    trust = _by_rules(newer, rules, stale, anew=True)
    if trust.selects or trust.fallen:
        return trust
    return replace(trust, why=f"{trust.why}; rolled back by hand on {_day(at)}", fallen=True)


def _forced(rules: Rules, record: SelectionRecord) -> Trust:
    n, misses = len(record.outcomes), sum(v.missed for v in record.outcomes)
    if rules.promote == "always":
        return Trust("select", "selecting as the setting promote = always asks for", n, misses)
    return Trust("shadow", "in shadow: the setting promote = never keeps it there", n, misses)


def _promoted(record: SelectionRecord, promoted: float, since: Sequence[PlanOutcome]) -> Trust:
    n, misses = len(since), sum(v.missed for v in since)
    days = (max(record.last or promoted, promoted) - promoted) / DAY_S
    why = f"selecting since {_day(promoted)}: {misses} of {n} regressions missed"
    return Trust("select", why, n, misses, days)


def _in_steps(record: SelectionRecord, shadow: Trust, start: float | None, *, anew: bool) -> Trust:
    """Return where a selection stands that is still in shadow but for a share of the cases."""
    begin = -math.inf if start is None or not anew else start
    full = (run for run in record.full if run.time > begin)
    step = step_now(full, (v for v in record.outcomes if v.known > begin), anew=anew)
    if step.most:
        why = f"at most {step.most:.0%} of the cases are left out"
    elif step.missed is not None:
        why = f"everything runs since the miss of {_day(step.missed)}"
    else:
        why = f"everything runs since {_day(begin)}" + (" for its misses" if shadow.fallen else "")
    if step.next is not None:
        why += f"; {step.next:.0%} after {CONFIRMATIONS} confirmed plans ({step.confirmed} so far)"
    state: State = "gradual" if step.most else "shadow"
    return replace(shadow, state=state, why=why, most=step.most or None)


def needs_evidence(trust: Trust, regressions: int) -> Trust:
    """Return a step as shadow where too few past regressions, also seeded ones, speak for it."""
    if regressions >= EVIDENCE:
        return trust
    why = f"in shadow: a first step needs {EVIDENCE} past regressions, and there are {regressions}"
    return replace(trust, state="shadow", why=why, most=None)


def _in_shadow(
    record: SelectionRecord, rules: Rules, *, start: float | None, since: Sequence[PlanOutcome]
) -> Trust:
    n, misses = len(since), sum(v.missed for v in since)
    days = 0.0 if start is None else max((record.last or start) - start, 0.0) / DAY_S
    why = f"in shadow: {n} of {rules.regressions} regressions, {days:.0f} of {rules.days:g} days"
    allowed = sum(v.allowed for v in since)
    if misses > allowed:
        why += f", {misses} missed where {allowed:.1f} are allowed"
    fallen = start is not None and record.first is not None and start > record.first
    if start is not None and fallen:
        why += f"; rolled back on {_day(start)} for its misses"
    return Trust("shadow", why, n, misses, days, fallen)


def _day(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"
