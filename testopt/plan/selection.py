"""Which cases run: those that must, those with a high score, and those drawn to go on learning."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from testopt.durations import readable
from testopt.estimators.threshold import recall_estimate, recall_threshold
from testopt.schema import Promise

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from testopt.estimators.evidence import Evidence
    from testopt.schema import Selection


@dataclass(frozen=True, slots=True)
class Candidates:
    """Cases to choose from; all arrays of shape (n,).

    Attributes
    ----------
    cases : sequence of str
    score : ndarray of float64
        From `testopt.estimators.selection_score`.
    seconds : ndarray
        Expected durations.
    forced : mapping of str to str
        Cases that must run, each with its reason.
    """

    cases: Sequence[str]
    score: NDArray[np.float64]
    seconds: NDArray[np.float64]
    forced: Mapping[str, str]

    def among(self, named: Mapping[str, str]) -> NDArray[np.bool_]:
        """Return which of the cases are named, shape (n,)."""
        return np.fromiter((case in named for case in self.cases), bool, len(self.cases))


@dataclass(frozen=True, slots=True)
class Choice:
    """What became of the candidates; see `testopt.schema.PlannedCase` for the arrays.

    ``forced`` and ``affected`` say why a case must run, and why the change could affect it.
    """

    selected: NDArray[np.bool_]
    runs: NDArray[np.bool_]
    propensity: NDArray[np.float64]
    promise: Promise
    forced: Mapping[str, str] = field(default_factory=dict)
    explored: bool = False
    affected: Mapping[str, str] = field(default_factory=dict)


def choose(candidates: Candidates, selection: Selection, evidence: Evidence) -> Choice:
    """Choose the cases that run.

    What is selected is fixed by scores, rules and durations, before any order: of two recalls
    the higher one selects all that the lower one does. Then draws add cases, so that what would
    have been missed is measured.

    Parameters
    ----------
    candidates : Candidates
    selection : Selection
        What the user asks.
    evidence : Evidence
        Past regressions.

    Returns
    -------
    Choice
    """
    must = candidates.among(candidates.forced)
    promise, selected = _kept(candidates, selection, evidence)
    selected |= must
    budget = _budget(candidates, selection)
    if candidates.seconds[selected].sum() > budget:
        selected, floor = _within(candidates, selected, must, budget)
        promise = _estimated(selection, evidence, floor, budget)
        if candidates.seconds[must].sum() > budget:
            promise = replace(
                promise, why=f"{promise.why}; the cases that must run alone take longer"
            )
    sure = selected.astype(float)
    choice = Choice(
        selected, selected, sure, promise, candidates.forced, affected=selection.affected or {}
    )
    return _drawn(candidates, selection, choice)


def everything(cases: Sequence[str], selection: Selection, why: str) -> Choice:
    """Return the choice of all cases, for one reason."""
    whole = np.ones(len(cases), bool)
    asked = selection.recall if selection.case_recall is None else selection.case_recall
    promise = Promise(asked or 1.0, "none", why=f"everything runs: {why}")
    return Choice(whole, whole, whole.astype(float), promise)


def _kept(
    candidates: Candidates, selection: Selection, evidence: Evidence
) -> tuple[Promise, NDArray[np.bool_]]:
    """Return what may be promised, and the cases that this keeps."""
    asked = [
        recall_threshold(evidence, recall, by_case=by_case)
        for recall, by_case in ((selection.recall, False), (selection.case_recall, True))
        if recall is not None
    ]
    size = len(candidates.cases)
    affected = selection.affected
    if asked:
        promise = min(asked, key=lambda p: -math.inf if p.threshold is None else p.threshold)
        kept = np.ones(size, bool)
        if promise.threshold is not None:
            kept = candidates.score >= promise.threshold
        return promise, kept if affected is None else kept | candidates.among(affected)
    if affected is not None:
        why = "every case that coverage and imports connect with the change is selected"
        return Promise(1.0, "none", why=why), candidates.among(affected)
    return Promise(1.0, "none", why="everything runs: the budget allows it"), np.ones(size, bool)


def _budget(candidates: Candidates, selection: Selection) -> float:
    """Return the most seconds that the selected cases may take."""
    budget = math.inf if selection.budget_s is None else selection.budget_s
    if selection.fraction is not None:
        budget = min(budget, selection.fraction * float(candidates.seconds.sum()))
    return budget * (1.0 + 1e-9)


def _within(
    candidates: Candidates, kept: NDArray[np.bool_], must: NDArray[np.bool_], budget: float
) -> tuple[NDArray[np.bool_], float]:
    """Return the highest scores that fit into the time, and the score from which all are in.

    A case that takes longer than all the time there is leaves its place to others.
    """
    seconds, score = candidates.seconds, candidates.score
    room = max(budget - float(seconds[must].sum()), 0.0)
    free = np.flatnonzero(kept & ~must)
    fits = free[seconds[free] <= room]
    by_id = np.argsort(np.argsort(np.array([candidates.cases[i] for i in fits], object)))
    order = fits[np.lexsort((by_id, seconds[fits], -score[fits]))]
    taken = order[np.cumsum(seconds[order]) <= room]
    chosen = must.copy()
    chosen[taken] = True
    out = order[len(taken) :] if len(taken) < len(order) else np.setdiff1d(free, fits)
    floor = float(np.nextafter(score[out].max(), np.inf)) if len(out) else -math.inf
    return chosen, floor


def _estimated(selection: Selection, evidence: Evidence, floor: float, budget: float) -> Promise:
    """Return what the evidence says of a budget that leaves out what a promise would keep."""
    asked, by_case = selection.recall, False
    if selection.case_recall is not None and asked is None:
        asked, by_case = selection.case_recall, True
    made = recall_estimate(evidence, floor, recall=asked, by_case=by_case)
    return replace(made, why=f"within {readable(budget)}, {made.why}")


def _drawn(candidates: Candidates, selection: Selection, choice: Choice) -> Choice:
    """Return the choice with the cases that run by draw."""
    left = ~choice.selected
    if selection.shadow:
        whole = np.ones(len(left), bool)
        return replace(choice, runs=whole, propensity=whole.astype(float))
    explored = bool(left.any()) and draw("explore", selection.key) < selection.explore
    again = np.zeros(len(left), bool)
    for i in np.flatnonzero(left).tolist():
        again[i] = draw("refresh", selection.key, candidates.cases[i]) < selection.refresh
    chance = selection.explore + (1.0 - selection.explore) * selection.refresh
    return replace(
        choice,
        runs=choice.selected | again | explored,
        propensity=np.where(left, chance, 1.0),
        explored=explored,
    )


def draw(*parts: str) -> float:
    """Return a number in 0..1, exclusive of 1, that follows from some texts alone."""
    text = "\0".join(parts).encode("utf-8", "surrogatepass")
    number = int.from_bytes(hashlib.blake2b(text, digest_size=6).digest(), "big")
    return number / 2.0**48
