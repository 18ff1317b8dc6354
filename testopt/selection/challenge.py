"""Compares the challenger with the live model on runs that neither has learnt from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from testopt.errors import BundleError
from testopt.ranking.validation import apfdc_by_run
from testopt.reasons import words
from testopt.selection.bundle_registry import load_bundle
from testopt.selection.plan_log_file import load
from testopt.selection.policy import Policy
from testopt.selection.promotion import LEVEL, evidence_against
from testopt.selection.standing import Trial
from testopt.selection.takeover import Canary, Contender, judged

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from testopt.features.training_set import TrainingSet
    from testopt.selection.bundle import Bundle
    from testopt.selection.standing import Standing
    from testopt.store import Store


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Youngest runs, and what a model of the older ones said of them.

    ``first`` is the position of the first of these runs, ``p`` P(case fails) of their rows.
    """

    first: int
    p: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Challenge:
    """The live model, and the trial with the runs that came since."""

    champion: Contender
    trial: Trial


def challenge(
    store: Store,
    standing: Standing,
    rows: TrainingSet,
    times: NDArray[np.float64],
    held_out: HeldOut | None,
) -> Challenge:
    """Compare the present challenger with the live model on the runs that neither knows.

    Where there is no challenger yet, a model of older runs stands for it, if it knows at least what
    the live one knows.

    Parameters
    ----------
    store : Store
    standing : Standing
    rows : TrainingSet
        Of the whole history.
    times : ndarray, shape (n_runs,)
        Of the runs, in seconds since 1970.
    held_out : HeldOut or None
    """
    if not standing.bundle:
        return Challenge(Contender(), Trial())
    try:
        live = load_bundle(store, standing.bundle)
    except BundleError as error:
        trouble = f"the live one cannot be used: {error.message}"
        return Challenge(Contender(standing.bundle, trouble=trouble), Trial())
    known = _last(live)
    champion = Contender(
        standing.bundle,
        int(live.manifest.get("failing_runs", 0)),
        int((times > known).sum()),
        f"the live one has no say: {words(live.too_young)}" if live.too_young else "",
        standing.held,
    )
    trial = standing.trial
    if trial.champion != standing.bundle:
        trial = Trial()
    trial = replace(trial, champion=standing.bundle)
    if champion.trouble:
        return Challenge(champion, trial)
    return Challenge(champion, _judged(store, live, trial, rows, times, held_out))


def _judged(
    store: Store,
    live: Bundle,
    trial: Trial,
    rows: TrainingSet,
    times: NDArray[np.float64],
    held_out: HeldOut | None,
) -> Trial:
    if trial.bundle:
        try:
            other = load_bundle(store, trial.bundle)
        except BundleError:
            return Trial(champion=trial.champion)
        first = int(np.searchsorted(times, max(trial.judged, _last(other), _last(live)), "right"))
        part = _from(rows, first)
        p = other.probability(part.features.matrix)
    elif held_out is not None and times[held_out.first] > _last(live):
        part, p = _from(rows, held_out.first), held_out.p
    else:
        return trial
    if not len(part.y):
        return trial
    real = ~rows.is_seeded[rows.y].all()  # where there are real failures, seeded ones do not count
    own = np.flatnonzero(~part.is_seeded) if real else np.arange(len(part.y))
    part, p = part.at(own), p[own]
    new = apfdc_by_run(p, part)
    old = apfdc_by_run(live.probability(part.features.matrix), part)
    return judged(trial, (new - old).tolist())


def _from(rows: TrainingSet, first: int) -> TrainingSet:
    return rows.at(slice(int(np.searchsorted(rows.run, first, side="left")), None))


def _last(bundle: Bundle) -> float:
    return datetime.fromisoformat(bundle.manifest["window"]["last"]).timestamp()


def canary_of(store: Store, trial: Trial) -> Canary:
    """Return what the plans of a challenger showed since it began to plan a share of the changes.

    Parameters
    ----------
    store : Store
    trial : Trial

    Raises
    ------
    StoreError
        When a table cannot be read.
    """
    since = datetime.fromtimestamp(trial.since, UTC)
    runs = store.read("runs", columns=["run_id"], where=[("seen", ">=", since)])
    ids = runs["run_id"].to_pylist()
    where: list[Any] = [("run_id", "in", ids)]
    rows = store.read("predictions", columns=["run_id", "policy"], where=where)
    pairs = rows.group_by(["run_id", "policy"]).aggregate([]).to_pylist()
    own = {r["run_id"] for r in pairs if Policy.parse(r["policy"]).bundle == trial.bundle}
    outcomes = [v for v in load(store).outcomes if v.run_id in own]
    missed = sum(v.missed for v in outcomes)
    too_many = evidence_against(outcomes) >= 1.0 / LEVEL
    trouble = f"its plans missed {missed} of {len(outcomes)} regressions" if too_many else ""
    return Canary(len(own), len(ids), trouble)
