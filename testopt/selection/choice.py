"""Which cases run: those that must, those with a high score, and those drawn to go on learning."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from testopt.durations import format_duration
from testopt.reasons import Reason, ReasonKind, words
from testopt.schema import Promise
from testopt.selection.threshold import recall_estimate, recall_threshold

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from testopt.schema import Selection
    from testopt.selection.evidence import Evidence


@dataclass(frozen=True, slots=True)
class Candidates:
    """Cases to choose from; all arrays of shape (n,).

    Attributes
    ----------
    cases : sequence of str
    score : ndarray of float64
        From `testopt.selection.score`.
    seconds : ndarray
        Expected durations.
    forced : mapping of str to Reason
        Cases that must run, each with its reason.
    """

    cases: Sequence[str]
    score: NDArray[np.float64]
    seconds: NDArray[np.float64]
    forced: Mapping[str, Reason]

    def among(self, named: Mapping[str, Reason]) -> NDArray[np.bool_]:
        """Return which of the cases are named, shape (n,)."""
        return np.fromiter((case in named for case in self.cases), bool, len(self.cases))


@dataclass(frozen=True, slots=True)
class Choice:
    """What became of the candidates; see `testopt.schema.PlannedCase` for the arrays.

    ``forced`` and ``affected`` say why a case must run, and why the change could affect it;
    ``clear`` why it could not. ``decisions`` say of each candidate why it is selected or left
    out, None where nothing but its place among the others does.
    """

    selected: NDArray[np.bool_]
    runs: NDArray[np.bool_]
    propensity: NDArray[np.float64]
    promise: Promise
    decisions: Sequence[Reason | None]
    forced: Mapping[str, Reason] = field(default_factory=dict)
    explored: bool = False
    affected: Mapping[str, Reason] = field(default_factory=dict)
    clear: Mapping[str, Reason] = field(default_factory=dict)


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
    promise, kept = _kept(candidates, selection, evidence)
    kept |= must
    left_out = _left_out(candidates, selection, promise, kept)
    selected, budget = kept, _budget(candidates, selection)
    if candidates.seconds[kept].sum() > budget:
        selected, floor = _within(candidates, kept, must, budget)
        left_out |= _over_budget(candidates, kept & ~selected, must, floor=floor, budget=budget)
        promise = _estimated(selection, evidence, floor, budget)
        if candidates.seconds[must].sum() > budget:
            promise = replace(
                promise, why=f"{promise.why}; the cases that must run alone take longer"
            )
    if selection.most_left_out is not None:
        before, most = selected, selection.most_left_out
        selected, promise = _within_step(candidates, before, promise, most)
        left_out |= _kept_by_step(candidates, selected & ~before, most)
    choice = Choice(
        selected,
        selected,
        selected.astype(float),
        promise,
        _decisions(candidates, selection, promise, left_out),
        candidates.forced,
        affected=selection.affected or {},
        clear=selection.clear,
    )
    return _drawn(candidates, selection, choice)


def select_all(cases: Sequence[str], selection: Selection, why: Reason) -> Choice:
    """Return the choice of all cases, for one reason."""
    all_cases = np.ones(len(cases), bool)
    recall = selection.recall if selection.case_recall is None else selection.case_recall
    promise = Promise(recall or 1.0, "none", why=f"everything runs: {words(why)}")
    decision = Reason(ReasonKind.EVERYTHING_RUNS)
    return Choice(all_cases, all_cases, all_cases.astype(float), promise, [decision] * len(cases))


def _left_out(
    candidates: Candidates, selection: Selection, promise: Promise, kept: NDArray[np.bool_]
) -> dict[int, Reason]:
    """Return why cases are not among those that a promise keeps, by position."""
    positions = np.flatnonzero(~kept).tolist()
    threshold = promise.threshold
    if threshold is None:
        unconnected = Reason(ReasonKind.NOT_AFFECTED)
        return {i: selection.clear.get(candidates.cases[i], unconnected) for i in positions}
    score = candidates.score.tolist()
    return {i: Reason(ReasonKind.BELOW_THRESHOLD, (score[i], threshold)) for i in positions}


def _over_budget(
    candidates: Candidates,
    dropped: NDArray[np.bool_],
    must: NDArray[np.bool_],
    *,
    floor: float,
    budget: float,
) -> dict[int, Reason]:
    """Return why cases are left out that a budget leaves no time for, by position."""
    room = _room(candidates, must, budget)
    score, seconds = candidates.score.tolist(), candidates.seconds.tolist()
    return {
        i: Reason(ReasonKind.LONGER_THAN_BUDGET, (seconds[i], room))
        if seconds[i] > room
        else Reason(ReasonKind.OVER_BUDGET, (score[i], floor, budget))
        for i in np.flatnonzero(dropped).tolist()
    }


def _decisions(
    candidates: Candidates, selection: Selection, promise: Promise, left_out: Mapping[int, Reason]
) -> list[Reason | None]:
    """Return why each case is selected or left out."""
    threshold, affected = promise.threshold, selection.affected or {}
    otherwise = None if left_out else Reason(ReasonKind.EVERYTHING_RUNS)
    found: list[Reason | None] = []
    for i, (case, score) in enumerate(
        zip(candidates.cases, candidates.score.tolist(), strict=True)
    ):
        reason = candidates.forced.get(case) or left_out.get(i)
        if reason is None and threshold is not None and score >= threshold:
            reason = Reason(ReasonKind.SCORE_REACHED, (score, threshold))
        found.append(reason or otherwise or affected.get(case))
    return found


def _kept(
    candidates: Candidates, selection: Selection, evidence: Evidence
) -> tuple[Promise, NDArray[np.bool_]]:
    """Return what may be promised, and the cases that this keeps."""
    promises = [
        recall_threshold(evidence, recall, by_case=by_case)
        for recall, by_case in ((selection.recall, False), (selection.case_recall, True))
        if recall is not None
    ]
    size = len(candidates.cases)
    affected = selection.affected
    if promises:
        promise = min(promises, key=lambda p: -math.inf if p.threshold is None else p.threshold)
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
    room = _room(candidates, must, budget)
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


def _within_step(
    candidates: Candidates, selected: NDArray[np.bool_], promise: Promise, most: float
) -> tuple[NDArray[np.bool_], Promise]:
    """Select the highest scores as well, so that at most a share of the cases is left out."""
    out = np.flatnonzero(~selected)
    more = len(out) - math.floor(most * len(selected) + 1e-9)
    promise = replace(promise, cap=most)
    if more <= 0:
        return selected, promise
    floor = float(np.sort(candidates.score[out])[-more])
    promise = replace(promise, floor=floor, why=f"{promise.why}; at most {most:.0%} are left out")
    return selected | (candidates.score >= floor), promise


def _kept_by_step(
    candidates: Candidates, kept: NDArray[np.bool_], most: float
) -> dict[int, Reason]:
    """Return why cases run that a threshold or a budget would leave out, by position."""
    score = candidates.score.tolist()
    positions = np.flatnonzero(kept).tolist()
    return {i: Reason(ReasonKind.KEPT_BY_STEP, (score[i], most)) for i in positions}


def _room(candidates: Candidates, must: NDArray[np.bool_], budget: float) -> float:
    """Return the seconds that those which must run leave to the others."""
    return max(budget - float(candidates.seconds[must].sum()), 0.0)


def _estimated(selection: Selection, evidence: Evidence, floor: float, budget: float) -> Promise:
    """Return what the evidence says of a budget that leaves out what a promise would keep."""
    recall, by_case = selection.recall, False
    if selection.case_recall is not None and recall is None:
        recall, by_case = selection.case_recall, True
    estimate = recall_estimate(evidence, floor, recall=recall, by_case=by_case)
    return replace(estimate, why=f"within {format_duration(budget)}, {estimate.why}")


def _drawn(candidates: Candidates, selection: Selection, choice: Choice) -> Choice:
    """Return the choice with the cases that run by draw."""
    left = ~choice.selected
    if selection.shadow:
        all_cases = np.ones(len(left), bool)
        return replace(choice, runs=all_cases, propensity=all_cases.astype(float))
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
