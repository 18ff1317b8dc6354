"""When a model that was just trained takes the place of the live one.

The challenger is compared with the live model on runs that neither has learnt from: the difference
of APFDc, run by run, each run once. Bets on these differences are evidence at any time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal

from testopt.pluralize import pluralize
from testopt.selection import STALE_RUNS
from testopt.selection.standing import Trial

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from testopt.selection.decisions import DecisionKind
    from testopt.selection.standing import Standing

LEVEL: Final = 0.05  # chance, over all time, to replace a live model by one that is no better
CANARY_PLANS: Final = 10  # by the new model, before it plans all changes
CANARY_RUNS: Final = 100  # recorded meanwhile: where plans are not recorded, that is enough
# Shares of the capital that are bet on each difference, which lies in -1..1. On differences with a
# mean of .02 and a deviation of .1 the best bet is 1 or more, on wider ones less.
_BETS: Final = (0.1, 0.2, 0.4, 0.6, 0.9)
# A live model that has learnt from half of the failing runs is outgrown. Models trained anew when
# the history has doubled lose nothing to those at 15 % (docs/benchmarks.md, "When to train again").
OUTGROWN: Final = 2.0

Step = Literal["live", "canary", "refused", "challenger", "waits"]
LOGGED: Final[Mapping[str, DecisionKind]] = {
    "live": "promoted",
    "canary": "canary",
    "refused": "refused",
}


@dataclass(frozen=True, slots=True)
class Contender:
    """A model, as far as a takeover goes; ``failing`` runs it has learnt from.

    ``since`` counts the runs that came after the last one that it knows, ``trouble`` says why it
    cannot be used, and ``held`` that somebody went back to it.
    """

    bundle: str = ""
    failing: int = 0
    since: int = 0
    trouble: str = ""
    held: bool = False


@dataclass(frozen=True, slots=True)
class Canary:
    """What the plans of a challenger showed: how many, of how many runs, and what is wrong."""

    plans: int = 0
    runs: int = 0
    trouble: str = ""

    @property
    def is_over(self) -> bool:
        """Whether enough has been seen."""
        return self.plans >= CANARY_PLANS or self.runs >= CANARY_RUNS


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes of a challenger: the step, in words why, and the bundle that takes it."""

    step: Step
    why: str
    bundle: str


def judged(trial: Trial, differences: Iterable[float]) -> Trial:
    """Return a trial with the evidence of more runs.

    Each bet multiplies its capital by ``1 + b d``. Where the mean difference is not above 0 the
    capital is a supermartingale, and so is the mean over several bets: it exceeds 1/a at any time,
    ever, with probability a at most (Ville's inequality; Waudby-Smith and Ramdas 2024, "Estimating
    means of bounded random variables by betting"). Bets on the opposite tell what is worse.

    Parameters
    ----------
    trial : Trial
    differences : iterable of float
        Challenger's APFDc minus the live model's, by run, in the order of time.
    """
    wealth = list(trial.wealth or (1.0,) * len(_BETS))
    against = list(trial.against or (1.0,) * len(_BETS))
    runs, total = trial.runs, trial.mean * trial.runs
    for one in differences:
        d = min(max(float(one), -1.0), 1.0)
        wealth = [w * (1.0 + b * d) for w, b in zip(wealth, _BETS, strict=True)]
        against = [w * (1.0 - b * d) for w, b in zip(against, _BETS, strict=True)]
        runs, total = runs + 1, total + d
    return replace(
        trial,
        wealth=tuple(wealth),
        against=tuple(against),
        runs=runs,
        mean=total / max(runs, 1),
    )


def evidence(wealth: tuple[float, ...]) -> float:
    """Return the mean capital: 1 for no evidence; 20 rejects at level 0.05."""
    return sum(wealth) / len(wealth) if wealth else 1.0


def is_beyond_chance(wealth: tuple[float, ...]) -> bool:
    """Tell whether the evidence of bets is beyond chance, whenever it is looked at."""
    return evidence(wealth) >= 1.0 / LEVEL


def take_over(
    champion: Contender, new: Contender, trial: Trial, *, share: float, canary: Canary | None = None
) -> Outcome:
    """Say what becomes of a model that was just trained.

    It is live at once where no other one can be used, or where the live one is out of date and not
    the better one beyond chance; otherwise when the challengers are better beyond chance, after a
    share of the changes was planned by it.

    Parameters
    ----------
    champion : Contender
        The live model.
    new : Contender
    trial : Trial
        The evidence of challengers so far, with the newest runs.
    share : float
        Of the changes that a challenger plans before it is live; 0: none.
    canary : Canary, optional
        What the plans of the challenger showed that does so.
    """
    if not champion.bundle or champion.trouble:
        return Outcome("live", champion.trouble or "no model was live", new.bundle)
    if trial.canary:
        return after_canary(trial, canary or Canary())
    worse = is_beyond_chance(trial.against)
    old = _outdated(champion, new)
    if old and not worse:
        return Outcome("live", f"{old}, and the new one is not worse: {figure(trial)}", new.bundle)
    if is_beyond_chance(trial.wealth):
        return Outcome("canary" if share else "live", said(trial), new.bundle)
    return Outcome("refused" if worse else "challenger", said(trial), new.bundle)


def after(
    standing: Standing, outcome: Outcome, trial: Trial, new: str, *, last: float, share: float
) -> Standing:
    """Return the standing after an outcome.

    Parameters
    ----------
    standing : Standing
    outcome : Outcome
    trial : Trial
        With the evidence of the newest runs.
    new : str
        The bundle that was just trained, on runs up to `last`, in seconds since 1970.
    share : float
        Of the changes that a canary plans.
    """
    if outcome.step == "live" and outcome.bundle == standing.bundle:
        return standing
    if outcome.step == "live":
        live = standing.with_live(outcome.bundle)
        if outcome.bundle == new:
            return live
        return replace(live, trial=Trial(new, outcome.bundle, judged=last))
    if outcome.step == "refused":
        return replace(standing, trial=Trial(new, standing.bundle, judged=last))
    kept = new if outcome.step in {"challenger", "canary"} else trial.bundle
    now = replace(trial, bundle=kept, champion=standing.bundle, judged=last)
    if outcome.step == "canary":
        now = replace(now, canary=share, since=datetime.now(UTC).timestamp())
    return replace(standing, trial=now)


def after_canary(trial: Trial, canary: Canary) -> Outcome:
    """Say what becomes of a challenger that plans a share of the changes."""
    seen = f"{pluralize(canary.plans, 'plan')} by it in {pluralize(canary.runs, 'run')}"
    if canary.trouble or is_beyond_chance(trial.against):
        return Outcome("refused", f"{canary.trouble or said(trial)}; {seen}", trial.bundle)
    if canary.is_over:
        return Outcome("live", f"{said(trial)}; {seen}", trial.bundle)
    return Outcome("waits", f"it plans {trial.canary:.0%} of the changes; {seen}", trial.bundle)


def _outdated(champion: Contender, new: Contender) -> str:
    """Say why a live model is out of date; empty where it is not."""
    if champion.held:
        return ""
    if champion.since > STALE_RUNS:
        return f"the live one is {champion.since} runs old"
    if new.failing >= OUTGROWN * champion.failing:
        return f"the live one knows {champion.failing} failing runs, the new one {new.failing}"
    return ""


def said(trial: Trial) -> str:
    """Say what the comparison has shown so far."""
    if not trial.runs:
        return figure(trial)
    if is_beyond_chance(trial.wealth):
        return f"better beyond chance: {figure(trial)}"
    if is_beyond_chance(trial.against):
        return f"worse beyond chance: {figure(trial)}"
    least = math.ceil(1.0 / LEVEL)
    weight = f"evidence {evidence(trial.wealth):.1f} of {least}"
    return f"not better beyond chance: {figure(trial)} ({weight})"


def figure(trial: Trial) -> str:
    """Return the mean difference, and on how many runs."""
    if not trial.runs:
        return "no failing run has come yet that neither has learnt from"
    runs = pluralize(trial.runs, "failing run")
    return f"APFDc {trial.mean:+.3f} on {runs} that neither had learnt from"
