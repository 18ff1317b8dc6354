"""What plans missed and saved: in shadow, where all is known, and where cases were left out."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from testopt.durations import is_measured
from testopt.learning.metrics import wilson
from testopt.selection.propensity import WeightedRecall, weighted_recall

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import NDArray

    from testopt.monitor.rows import PlanRows
    from testopt.selection.misses import PastRun, RegressedCase
    from testopt.selection.plan_log_tables import PlanHistory
    from testopt.selection.policy import Policy


@dataclass(frozen=True, slots=True)
class Share:
    """A count of a total, with the 95 % interval of the share (Wilson 1927)."""

    count: int
    of: int
    low: float
    high: float

    @classmethod
    def make(cls, count: int, of: int) -> Share:
        """Return the share with its interval; 0 to 1 where the total is 0."""
        return cls(count, of, *wilson(count, of))


@dataclass(frozen=True, slots=True)
class PlanGroup:
    """Plans that could leave cases out, of runs in which every case ran all the same.

    Attributes
    ----------
    mode, bundle : str
    recall : float or None
        What was asked for.
    seeded : bool
        Whether that rested on seeded faults. All four are those of the group; empty for all
        plans together.
    runs : int
    caught : Share
        Regressions with a regressing case selected.
    cases : Share
        Regressing cases that were selected.
    false_greens : Share
        Runs in which a regression would have stayed hidden, of those that would have looked
        green: no selected case failed.
    kept : Share
        Cases selected.
    timed : Share
        Cases of which a duration is known that is not 0.
    seconds, saved_s : float
        Time of the runs, and of the cases that would have been left out.
    """

    mode: str
    bundle: str
    recall: float | None
    seeded: bool
    runs: int
    caught: Share
    cases: Share
    false_greens: Share
    kept: Share
    timed: Share
    seconds: float
    saved_s: float


@dataclass(frozen=True, slots=True)
class SelectReport:
    """Runs that left cases out, beside the runs of everything that were drawn.

    Attributes
    ----------
    runs, explored : int
        Runs in mode select; those of them in which everything ran.
    executed, left_out, refreshed : int
        Cases that ran, that did not, and that ran by the draw alone.
    timed : Share
        Cases of which a duration is known that is not 0.
    seconds, saved_s : float
        Time of the cases that ran; estimated time of those left out.
    realised : Share
        Regressions caught, of those known by now: misses are found by later runs, so that it is
        too high until then.
    explored_recall : Share
        Regressions with a regressing case selected in the runs that were drawn: unbiased.
    weighted : WeightedRecall or None
        Recall on cases from all that ran by a draw, weighted by inverse propensity; None where
        nothing regressed.
    """

    runs: int
    explored: int
    executed: int
    left_out: int
    refreshed: int
    timed: Share
    seconds: float
    saved_s: float
    realised: Share
    explored_recall: Share
    weighted: WeightedRecall | None


@dataclass(frozen=True, slots=True)
class Miss:
    """A regression of which no failing case was selected.

    Attributes
    ----------
    run_id : str
        Whose change is charged.
    commit : str or None
    mode : str
        What was done then.
    time : float
        In seconds since 1970.
    cases : tuple of str
    found_in : str
        Run that found it: the same where every case ran.
    candidates : tuple of (str, str or None, float)
        Run, commit and how likely it caused it; one where it is certain.
    """

    run_id: str
    commit: str | None
    mode: str
    time: float
    cases: tuple[str, ...]
    found_in: str
    candidates: tuple[tuple[str, str | None, float], ...]


def groups_of(
    history: PlanHistory, policies: Mapping[str, Policy], rows: PlanRows
) -> tuple[tuple[PlanGroup, ...], PlanGroup | None]:
    """Judge the plans of runs in which every case ran.

    Parameters
    ----------
    history : PlanHistory
    policies : mapping of str to Policy
        By run_id, in the order of `rows.run`.
    rows : PlanRows

    Returns
    -------
    tuple of PlanGroup, and PlanGroup or None
        All together and by mode, bundle, recall and evidence; then runs of seeded faults.
    """
    counter = _PlanCounter(history, policies, rows)
    shadow: dict[_Key, list[str]] = defaultdict(list)
    seeded = []
    for run_id, policy in policies.items():
        if run_id not in history.selecting or (policy.mode == "select" and not policy.explored):
            continue
        if counter.run[run_id].made_from is not None:
            seeded.append(run_id)
            continue
        mode = "explored" if policy.mode == "select" else policy.mode
        shadow[_Key(mode, policy.bundle, policy.recall or 0.0, policy.seeded)].append(run_id)
    parts = [counter.group(ids, key) for key, ids in sorted(shadow.items())]
    run_ids = [run_id for ids in shadow.values() for run_id in ids]
    together = [counter.group(run_ids)] if run_ids else []
    return (*together, *parts), counter.group(seeded) if seeded else None


class _Key(NamedTuple):
    """What plans have in common; empty for all of them."""

    mode: str = ""
    bundle: str = ""
    recall: float = 0.0
    seeded: bool = False


_ALL: Final = _Key()


class _PlanCounter:
    """Counts over the plans of some runs."""

    def __init__(
        self, history: PlanHistory, policies: Mapping[str, Policy], rows: PlanRows
    ) -> None:
        self.run: dict[str, PastRun] = {run.run_id: run for run in history.runs}
        self._causes = history.by_cause()
        self._rows = rows
        self._place = {run_id: i for i, run_id in enumerate(policies)}

    def rows_of(self, ids: Collection[str]) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Return which rows are of these runs."""
        wanted = np.zeros(len(self._place) + 1, bool)
        wanted[[self._place[run_id] for run_id in ids]] = True
        return wanted[self._rows.run]

    def regressed(self, run_id: str) -> list[bool]:
        """Return for each regressing case of a run whether it was selected."""
        predictions = self.run[run_id].predictions
        return [predictions[c.case_id].selected for c in self._causes.get(run_id, ())]

    def looks_green(self, run_id: str) -> bool:
        """Tell whether no selected case failed in a run."""
        run = self.run[run_id]
        return not any(
            case in run.predictions and run.predictions[case].selected for case in run.failed
        )

    def caught(self, ids: Collection[str]) -> Share:
        """Return the share of regressions with a regressing case selected."""
        kept = [any(cases) for run_id in ids if (cases := self.regressed(run_id))]
        return Share.make(sum(kept), len(kept))

    def group(self, ids: Collection[str], key: _Key = _ALL) -> PlanGroup:
        """Judge some plans together."""
        of_group = self.rows_of(ids)
        selected, took = self._rows.selected[of_group], np.nan_to_num(self._rows.seconds[of_group])
        cases = [kept for run_id in ids for kept in self.regressed(run_id)]
        green = [run_id for run_id in ids if self.looks_green(run_id)]
        hidden = [c for run_id in green if (c := self.regressed(run_id)) and not any(c)]
        return PlanGroup(
            key.mode,
            key.bundle,
            key.recall or None,
            key.seeded,
            len(ids),
            self.caught(ids),
            Share.make(sum(cases), len(cases)),
            Share.make(len(hidden), len(green)),
            Share.make(int(selected.sum()), len(selected)),
            _timed(took),
            float(took.sum()),
            float(took[~selected].sum()),
        )


def _timed(seconds: NDArray[np.float64]) -> Share:
    return Share.make(sum(map(is_measured, seconds.tolist())), len(seconds))


def select_of(
    history: PlanHistory, policies: Mapping[str, Policy], rows: PlanRows
) -> SelectReport | None:
    """Judge the runs that left cases out; None where there are none.

    Parameters
    ----------
    history : PlanHistory
    policies : mapping of str to Policy
        By run_id, in the order of `rows.run`.
    rows : PlanRows
    """
    runs = [i for i, p in policies.items() if p.mode == "select" and i in history.selecting]
    if not runs:
        return None
    counter = _PlanCounter(history, policies, rows)
    explored = [run_id for run_id in runs if policies[run_id].explored]
    of_group, drawn = counter.rows_of(runs), counter.rows_of(explored)
    executed, took = rows.executed[of_group], np.nan_to_num(rows.seconds[of_group])
    by_draw = of_group & ~drawn & rows.executed & ~rows.selected
    left = rows.propensity[of_group & ~rows.selected]
    return SelectReport(
        runs=len(runs),
        explored=len(explored),
        executed=int(executed.sum()),
        left_out=int((~executed).sum()),
        refreshed=int(by_draw.sum()),
        timed=_timed(took),
        seconds=float(took[executed].sum()),
        saved_s=float(took[~executed].sum()),
        realised=counter.caught(runs),
        explored_recall=counter.caught(explored),
        weighted=_weighted(history, set(runs), float(left.min()) if len(left) else 1.0),
    )


def _weighted(history: PlanHistory, runs: Collection[str], least: float) -> WeightedRecall | None:
    """Weight the regressing cases that their own run executed; what others found is no draw."""
    selected, propensity = 0, []
    for run_id, cases in history.by_cause().items():
        for case in cases if run_id in runs else ():
            prediction = history.runs[case.cause].predictions[case.case_id]
            if case.late:
                continue
            if prediction.selected:
                selected += 1
            else:
                propensity.append(prediction.propensity or 1.0)
    if not selected and not propensity:
        return None
    return weighted_recall(selected, np.array(propensity), least_propensity=least)


def misses_of(history: PlanHistory, policies: Mapping[str, Policy]) -> tuple[Miss, ...]:
    """Return the regressions that plans missed, oldest first; none on seeded faults.

    Parameters
    ----------
    history : PlanHistory
    policies : mapping of str to Policy
        Of the runs to report on, by run_id.
    """
    misses = []
    for run_id, cases in history.by_cause().items():
        policy, run = policies.get(run_id), history.runs[cases[0].cause]
        if policy is None or run_id not in history.selecting or run.made_from is not None:
            continue
        if not any(run.predictions[case.case_id].selected for case in cases):
            misses.append(_miss(history, run, policy.mode, cases))
    return tuple(sorted(misses, key=lambda m: (m.time, m.run_id)))


def _miss(history: PlanHistory, run: PastRun, mode: str, cases: list[RegressedCase]) -> Miss:
    first = min(cases, key=lambda c: c.found)
    candidates = [(history.runs[at], share) for at, share in first.candidates]
    return Miss(
        run.run_id,
        run.commit,
        mode,
        run.time,
        tuple(case.case_id for case in cases),
        history.runs[first.found].run_id,
        tuple((r.run_id, r.commit, share) for r, share in candidates),
    )
