"""Trains anew when that is needed, and says why, or why not."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from testopt.errors import BundleError
from testopt.pluralize import pluralize
from testopt.selection import OLD_RUNS
from testopt.selection.bundle_registry import last_trained, load_bundle
from testopt.selection.challenge import canary_of
from testopt.selection.decisions import Decider, Decision
from testopt.selection.plan_log import broken_promise
from testopt.selection.plan_log_file import load
from testopt.selection.standing import Standing, changing, read_standing
from testopt.selection.takeover import LOGGED, after_canary

if TYPE_CHECKING:
    from testopt.selection.takeover import Outcome
    from testopt.store import Store

# As many failing runs more as are known, as a share. On 174 failing runs of a CI history APFDc is
# .685 where models are trained anew at .15, .687 at .5 and at 1, on 933 of another one .966, .966
# and .967: to train more often gains nothing.
GROWTH: Final = 0.5
FEWEST: Final = 10  # new failing runs; new runs, where plans drift


@dataclass(frozen=True, slots=True)
class Need:
    """Whether to train: the reasons for it, or the one against; ``runs`` came since the last."""

    reasons: tuple[str, ...] = ()
    why_not: str = ""
    runs: int = 0

    @property
    def is_there(self) -> bool:
        """Whether a training is needed."""
        return bool(self.reasons)


def need_to_train(store: Store) -> Need:
    """Say whether a training is needed: no usable model, drift, misses, age, new failing runs.

    Parameters
    ----------
    store : Store

    Raises
    ------
    StoreError
        When a table cannot be read.
    """
    try:
        standing = read_standing(store)
        live = load_bundle(store, standing.bundle) if standing.bundle else None
        trouble = "" if live else "there is no model yet"
    except BundleError as error:
        standing, live, trouble = Standing(), None, error.message
    newest = last_trained(store, standing)
    last = newest[0] if newest else datetime.fromtimestamp(0, UTC)
    known = newest[1] if newest else 0
    runs, failing = _since(store, last)
    if live is None:
        if not failing:
            return Need(
                why_not="no case has failed yet, so that there is nothing to learn", runs=runs
            )
        return Need((trouble,), runs=runs)
    if not runs:
        return Need(why_not="no run has come since the last training")
    log = load(store)
    drift = (log.drift or broken_promise(log)) if runs >= FEWEST else ""
    enough = max(FEWEST, math.ceil(GROWTH * known))
    reasons = [
        *([drift] if drift else []),
        *([f"{runs} runs have come since the last training"] if runs >= OLD_RUNS else []),
        *([f"{failing} new failing runs beside {known}"] if failing >= enough else []),
    ]
    if reasons:
        return Need(tuple(reasons), runs=runs)
    return Need(
        why_not=f"no drift; {pluralize(runs, 'new run')} ({OLD_RUNS} are enough), {failing} of "
        f"them failing ({enough} are enough)",
        runs=runs,
    )


def _since(store: Store, last: datetime) -> tuple[int, int]:
    """Return how many runs came after a time, and how many of these failed by what they tested."""
    columns = ["failed", "error", "environment_failure"]
    rows = store.read("runs", columns=columns, where=[("time", ">", last)]).to_pylist()
    bad = [r for r in rows if r["failed"] + r["error"] and r["environment_failure"] is not True]
    return len(rows), len(bad)


def settle_canary(store: Store, decider: Decider | None = None) -> Outcome | None:
    """End the trial of a model that has planned its share of the changes for long enough.

    Returns
    -------
    Outcome or None
        None where no model plans a share, or the trial goes on.
    """
    author = (decider or Decider()).author
    try:
        trial = read_standing(store).trial
    except BundleError:
        return None
    if not trial.canary:
        return None
    outcome = after_canary(trial, canary_of(store, trial))
    if outcome.step not in LOGGED:
        return None
    with changing(store) as step:
        if step.now.trial != trial:
            return None  # another process was faster
        before = step.now.bundle
        live = outcome.step == "live"
        new = step.now.with_live(trial.bundle) if live else step.now.without(trial.bundle)
        decision = Decision(
            kind=LOGGED[outcome.step], why=outcome.why, author=author, bundle=trial.bundle,
            before=before,
        )  # fmt: skip
        step.write(new, decision)
    return outcome
