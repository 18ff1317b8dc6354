"""What came of past alarms: each commit as it was judged at the time, beside what is known now."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from testopt.errors import EmptyStoreError
from testopt.risk.label_latency import found_share
from testopt.risk.measured_history import counted_labels, first_fixes
from testopt.risk.mined_metrics import COMMIT_COLUMNS, FILE_COLUMNS, mined_commits
from testopt.schema import Change, FileChange
from testopt.store.examined import read_examined

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from testopt.risk.values import Risk
    from testopt.store import Store

_DAYS: Final = 365.0  # before the last examined commit; each month has a model
_MOST: Final = 2_000  # commits
_TOLD: Final = 0.5  # of the defects of a commit's age are found: then a clean one counts as clean
_DAY_S: Final = 86_400.0

Outcome = Literal["defect", "clean", "open"]


@dataclass(frozen=True, slots=True)
class PastScore:
    """A commit as it was judged at the time, and what is known of it now.

    ``outcome`` is ``defect`` where a later fix was traced to the commit, ``open`` where it is too
    young to tell or `testopt szz` has not looked, else ``clean``. ``alarm`` is None where too few
    commits came before to say.
    """

    sha: str
    month: str
    probability: float
    percentile: float | None
    alarm: bool | None
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class AlarmCounts:
    """Changes by what was said and what came: ``right + wrong + too_young == alarms``.

    ``told`` are changes whose outcome is known, with an alarm or without, ``defects`` those of
    them that introduced one, ``missed`` those of these without an alarm.
    """

    changes: int
    alarms: int
    right: int
    wrong: int
    too_young: int
    told: int
    defects: int
    missed: int


@dataclass(frozen=True, slots=True)
class ExaminedPast:
    """The commits that alarms are counted of, oldest first, and what is known of all of them."""

    changes: dict[str, Change]
    outcomes: Mapping[str, Outcome]
    times: Mapping[str, float]


def examined_past(store: Store) -> ExaminedPast:
    """Return the commits of the last year that was examined and later ones.

    Raises
    ------
    EmptyStoreError
        When no fix was traced.
    """
    fixed = first_fixes(counted_labels(store, store.read("labels")))
    since, until = _examined(store, fixed)
    commits = store.read("commits", columns=COMMIT_COLUMNS)
    times, changes = {}, {}
    for sha, facts, files in mined_commits(
        commits, store.read("file_changes", columns=FILE_COLUMNS)
    ):
        times[sha] = facts.time
        if files and not facts.is_merge and facts.time > max(since, until - _DAYS * _DAY_S):
            changes[sha] = Change(
                files=tuple(
                    FileChange(f.path, f.added, f.deleted, f.status, old_path=f.old_path)
                    for f in files
                ),
                head=sha,
            )
    known = {sha: time for sha, time in fixed.items() if sha in times}
    return ExaminedPast(
        dict(list(changes.items())[-_MOST:]), _outcomes(known, times, since, until), times
    )


def _examined(store: Store, fixed: Mapping[str, float]) -> tuple[float, float]:
    """Return since when and until when fixes were traced."""
    examined = read_examined(store)
    if examined is None:
        if not fixed:
            raise EmptyStoreError(
                "nothing is known of what came of past changes: no fix is traced", "testopt szz"
            )
        return -np.inf, max(fixed.values())
    since = examined.since.timestamp() if examined.since else -np.inf
    return since, examined.until.timestamp()


def past_scores(
    past: ExaminedPast,
    risks: Iterable[Risk],
    *,
    over: float | None = None,
    over_percentile: float = 0.9,
) -> list[PastScore]:
    """Return what came of commits that were judged, the oldest first.

    Parameters
    ----------
    past : ExaminedPast
    risks : iterable of Risk
        Of the changes of `past`, as `change_risk` returns them.
    over : float, optional
        Probability above which a change is an alarm; None: `over_percentile` tells.
    over_percentile : float
        Share of the changes before that an alarm is riskier than.
    """
    scores = [
        PastScore(
            risk.name,
            f"{datetime.fromtimestamp(past.times[risk.name], UTC):%Y-%m}",
            risk.probability,
            risk.percentile,
            _alarm(risk, over, over_percentile),
            past.outcomes[risk.name],
        )
        for risk in risks
    ]
    return sorted(scores, key=lambda score: (past.times[score.sha], score.sha))


def _alarm(risk: Risk, over: float | None, over_percentile: float) -> bool | None:
    if over is not None:
        return risk.probability > over
    return None if risk.percentile is None else risk.percentile > over_percentile


def _outcomes(
    fixed: Mapping[str, float], times: Mapping[str, float], since: float, until: float
) -> dict[str, Outcome]:
    """Return what is known of each commit, of which `times` tells when it was made."""
    known = [(times[s], t) for s, t in fixed.items() if times[s] >= since and t <= until]
    written, found = np.array(known, np.float64).reshape(-1, 2).T
    delay = np.maximum(found - written, 0.0) / _DAY_S
    seen = np.maximum((until - written) / _DAY_S, delay)
    ages = (until - np.array(list(times.values()), np.float64)) / _DAY_S
    share = found_share(delay, seen, ages)
    return {
        sha: "defect"
        if sha in fixed
        else "clean"
        if part >= _TOLD and times[sha] >= since
        else "open"
        for sha, part in zip(times, share, strict=True)
    }


def count_alarms(scores: Sequence[PastScore]) -> AlarmCounts:
    """Count what was said of commits, and what came of them."""
    of_alarms = Counter(score.outcome for score in scores if score.alarm)
    of_all = Counter(score.outcome for score in scores)
    return AlarmCounts(
        changes=len(scores),
        alarms=of_alarms.total(),
        right=of_alarms["defect"],
        wrong=of_alarms["clean"],
        too_young=of_alarms["open"],
        told=of_all["defect"] + of_all["clean"],
        defects=of_all["defect"],
        missed=of_all["defect"] - of_alarms["defect"],
    )


def by_month(scores: Sequence[PastScore]) -> dict[str, AlarmCounts]:
    """Count alarms month by month, the oldest first."""
    months: dict[str, list[PastScore]] = {}
    for score in scores:
        months.setdefault(score.month, []).append(score)
    return {month: count_alarms(of_month) for month, of_month in months.items()}


def alarm_dict(counts: AlarmCounts) -> dict[str, Any]:
    """Return counts as plain values, with the share of right ones."""
    judged = counts.right + counts.wrong
    return {
        "changes": counts.changes,
        "alarms": counts.alarms,
        "right": counts.right,
        "wrong": counts.wrong,
        "too_young": counts.too_young,
        "told": counts.told,
        "defects": counts.defects,
        "missed": counts.missed,
        "precision": counts.right / judged if judged else None,
        "recall": counts.right / counts.defects if counts.defects else None,
    }
