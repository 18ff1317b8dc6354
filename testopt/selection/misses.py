"""Which change made a case fail, where cases may have been left out in between.

A case regresses when it fails and passed in the nearest ancestor run of the same job that
executed it, at most ``REACH`` runs back. Runs between the two that did not execute it may have
caused it as well: `regressions` tells which did, or names the candidates.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from testopt.store.same_code import same_code

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

REACH: Final = 20  # runs back
CERTAIN: Final = 0.9  # share of the odds that singles a change out
_LEAST_ODDS: Final = 1e-6


@dataclass(frozen=True, slots=True)
class CasePrediction:
    """What a plan said of one case: whether to keep it, how likely it fails, its score."""

    selected: bool
    probability: float
    propensity: float | None = None
    score: float | None = None


@dataclass(frozen=True, slots=True)
class PastRun:
    """A run, as far as the cases go that ever failed.

    Attributes
    ----------
    run_id, job : str
    time : float
        In seconds since 1970.
    branch, commit, base : str or None
    changed : frozenset of str
        Paths that the change touched; empty where it is unknown too.
    failed, passed : collection of str
        Cases by their last attempt. The others were not executed.
    predictions : mapping of str to CasePrediction
        The plan of the run; empty where none was made.
    made_from : str or None
        Of a seeded variant: the run whose change it has altered.
    tree : str or None
        Of the files that were tested; see `testopt.store.same_code`.
    """

    run_id: str
    time: float
    job: str = ""
    branch: str | None = None
    commit: str | None = None
    base: str | None = None
    changed: frozenset[str] = frozenset()
    failed: Collection[str] = frozenset()
    passed: Collection[str] = frozenset()
    predictions: Mapping[str, CasePrediction] = field(default_factory=lambda: MappingProxyType({}))
    made_from: str | None = None
    tree: str | None = None

    @property
    def edited(self) -> bool:
        """Whether it ran on changes that are in no commit."""
        return self.commit is not None and self.base == self.commit and bool(self.changed)


@dataclass(frozen=True, slots=True)
class RegressedCase:
    """One case that began to fail, and the runs whose change may have caused it.

    Attributes
    ----------
    case_id : str
    found : int
        Position of the run in which it failed.
    cause : int
        Position of the run to which it is attributed.
    candidates : tuple of (int, float)
        Positions of runs and how likely each is the cause, likeliest first; one where it is
        certain.
    """

    case_id: str
    found: int
    cause: int
    candidates: tuple[tuple[int, float], ...]

    @property
    def late(self) -> bool:
        """Whether another run than the one that caused it had to find it."""
        return self.found != self.cause


def parents(runs: Sequence[PastRun]) -> list[int | None]:
    """Return the position of the run that each descends from.

    That is the last run of its job on its branch, else the last one at its base commit; of a
    seeded variant the run that it was made from.

    Parameters
    ----------
    runs : sequence of PastRun
        Oldest first.
    """
    heads: dict[tuple[str, str, str], int] = {}
    place: dict[str, int] = {}
    found: list[int | None] = []
    for at, run in enumerate(runs):
        place[run.run_id] = at
        if run.made_from is not None:
            found.append(place.get(run.made_from))
            continue
        branch = (run.job, "branch", run.branch or "")
        base = (run.job, "commit", run.base or "")
        found.append(heads.get(branch, heads.get(base) if run.base else None))
        heads[branch] = at
        # what ran on edits does not stand for the commit below them
        if run.commit and not (run.tree and run.base == run.commit):
            heads[run.job, "commit", run.commit] = at
    return found


def with_ancestors(parent: Sequence[int | None], at: Collection[int]) -> set[int]:
    """Return the positions of some runs and of those they descend from, ``REACH`` runs back.

    Parameters
    ----------
    parent : sequence of int or None
        From `parents`.
    at : collection of int
        Positions of runs.
    """
    found = set(at)
    for start in at:
        back, steps = parent[start], 0
        while back is not None and steps < REACH:
            found.add(back)
            back, steps = parent[back], steps + 1
    return found


def regressions(
    runs: Sequence[PastRun], *, only: Collection[int] | None = None
) -> Iterator[RegressedCase]:
    """Yield the cases that regressed, run by run.

    Where several changes lie between the last pass and the failure, those drop out that changed
    nothing; if one of the others changed the file of the case, it is the cause; else the odds
    that their plans gave to the case decide, where they single one out. Where they do not, the
    likeliest change is charged: one that left the case out, if together they are likelier than
    the one that found it.

    Parameters
    ----------
    runs : sequence of PastRun
        Oldest first.
    only : collection of int, optional
        Positions of the runs in which to look for failures; default all.

    Yields
    ------
    RegressedCase
        Not for cases that both failed and passed with the same code: these are flaky.
    """
    parent = parents(runs)
    codes = _codes(runs)
    flaky = _flaky(runs, codes)
    for at, run in enumerate(runs):
        if only is not None and at not in only:
            continue
        for case in sorted(run.failed):
            if (run.job, codes[at], case) in flaky:
                continue
            between = _since_pass(runs, parent, at, case)
            if between is not None:
                yield _attribute(runs, parent, case, [at, *between])


def _codes(runs: Sequence[PastRun]) -> list[str | None]:
    return same_code(
        [run.tree for run in runs], [run.commit for run in runs], [run.edited for run in runs]
    )


def _flaky(
    runs: Sequence[PastRun], codes: Sequence[str | None]
) -> set[tuple[str, str | None, str]]:
    seen: dict[tuple[str, str | None, str], bool] = {}
    flaky: set[tuple[str, str | None, str]] = set()
    for run, code in zip(runs, codes, strict=True):
        if code is None:
            continue
        for cases, failed in ((run.failed, True), (run.passed, False)):
            for case in cases:
                key = (run.job, code, case)
                if seen.setdefault(key, failed) != failed:
                    flaky.add(key)
    return flaky


def _since_pass(
    runs: Sequence[PastRun], parent: Sequence[int | None], at: int, case: str
) -> list[int] | None:
    """Return the ancestors that did not execute a case since it passed, nearest first."""
    between: list[int] = []
    back = parent[at]
    while back is not None and len(between) < REACH:
        if case in runs[back].failed:
            return None
        if case in runs[back].passed:
            return between
        between.append(back)
        back = parent[back]
    return None


def _attribute(
    runs: Sequence[PastRun], parent: Sequence[int | None], case: str, candidates: list[int]
) -> RegressedCase:
    found = candidates[0]
    left = [c for c in candidates if _changed_something(runs, parent[c], c)] or candidates[:1]
    file = case.partition("::")[0]
    own = [c for c in left if file in runs[c].changed]
    if len(own) == 1:
        left = own
    odds = [_odds(runs[c].predictions.get(case)) for c in left]
    shares = sorted(zip(left, (o / sum(odds) for o in odds), strict=True), key=lambda s: -s[1])
    if shares[0][1] >= CERTAIN:
        cause = _planned(runs, case, shares[0][0], candidates)
        return RegressedCase(case, found, cause, ((cause, 1.0),))
    others = [s for s in shares if s[0] != found]
    cause = others[0][0] if sum(share for _, share in others) > 1 / 2 else found
    return RegressedCase(case, found, _planned(runs, case, cause, candidates), tuple(shares))


def _planned(runs: Sequence[PastRun], case: str, cause: int, candidates: Sequence[int]) -> int:
    """Return the run of the same change that planned the case: parts of a suite plan their own."""
    same = (
        c
        for c in (cause, *reversed(candidates))
        if case in runs[c].predictions and runs[c].commit == runs[cause].commit is not None
    )
    return next(same, cause)


def _changed_something(runs: Sequence[PastRun], before: int | None, at: int) -> bool:
    run = runs[at]
    if before is not None and run.tree and runs[before].tree:
        return run.tree != runs[before].tree
    if before is None or run.commit is None or run.edited:
        return True
    return run.commit != runs[before].commit or runs[before].edited


def _odds(prediction: CasePrediction | None) -> float:
    p = 0.0 if prediction is None else min(max(prediction.probability, 0.0), 1.0 - _LEAST_ODDS)
    return max(p / (1.0 - p), _LEAST_ODDS)
