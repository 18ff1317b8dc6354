"""How risky is a change? Learns from the project's own commits and the defects traced to them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import numpy as np

from testopt.code.paths import is_code
from testopt.errors import DataError
from testopt.risk.catchers import find_catchers
from testopt.risk.mined_metrics import facts_of, metrics_by_name, touched_files
from testopt.risk.model import defects, frame_of, measure_history, model_of
from testopt.risk.places import find_places
from testopt.risk.values import FileRisk, HunkRisk, Risk, RiskPart, RiskReport

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pandas as pd

    from testopt.risk.change_metrics import CommitFacts, TouchedFile
    from testopt.risk.model import MeasuredHistory, TrainedRiskModel
    from testopt.schema import Change
    from testopt.store import Store

__all__ = ["change_risk", "defects", "frame_of"]

_FILES: Final = 20  # of a change that are shown
_HUNKS: Final = 5  # of a file that are shown
_DETAILED: Final = 20  # changes whose places and tests are looked up


def change_risk(
    *,
    store: Store,
    changes: Mapping[str, Change],
    repo: Path | None = None,
    author_features: bool = True,
    seed: int = 0,
    now: datetime | None = None,
) -> RiskReport:
    """Return the risk of changes, the riskiest first.

    The commits that are asked for do not teach the model that judges them, unless they are more
    than a fifth of the history. The riskiest 20 changes come with their places and tests.

    Parameters
    ----------
    store : Store
        With mined commits and traced labels.
    changes : mapping of str to Change
        By name; the full hash of a commit, or what else the user shall read.
    repo : Path, optional
        Repository to read the changed lines from; without it files have no hunks.
    author_features : bool
        Let metrics of the author count.
    seed : int
        Of training.
    now : datetime, optional
        Time of changes that have none (uncommitted ones).

    Returns
    -------
    RiskReport

    Raises
    ------
    EmptyStoreError
        When no commits were mined, or no defects were traced.
    DataError
        When a change is not known.
    """
    for name, change in changes.items():
        if not change.known:
            raise DataError(f"{name}: what changed is not known: {change.why}")
    measured = measure_history(store, changes)
    trained = model_of(
        store, measured, judged=list(changes), author_features=author_features, seed=seed
    )
    judge = _Judge(measured, trained, (now or datetime.now(UTC)).timestamp())
    risks = sorted(judge.risks(changes), key=lambda r: (-r.probability, r.name))
    detailed = risks[:_DETAILED]
    if repo is not None:
        detailed = [judge.with_hunks(risk, changes[risk.name], repo) for risk in detailed]
    detailed = _with_tests(store, detailed, changes)
    return RiskReport(
        (*detailed, *risks[_DETAILED:]), compared=len(trained.recent), **trained.facts
    )


class _Judge:
    """A model, and the history at the end of which it judges."""

    def __init__(self, measured: MeasuredHistory, trained: TrainedRiskModel, clock: float) -> None:
        self._measured, self._trained, self._clock = measured, trained, clock
        self._at = {sha: i for i, sha in enumerate(measured.shas)}

    def risks(self, changes: Mapping[str, Change]) -> list[Risk]:
        """Return the risk of changes; of a mined commit as it was then, not as of today."""
        measured, model = self._measured, self._trained.model
        facts = [facts_of(change, now=self._clock) for change in changes.values()]
        files = [touched_files(change.files) for change in changes.values()]
        rows = [measured.state.measure(f, own) for f, own in zip(facts, files, strict=True)]
        for i, name in enumerate(changes):
            if name in self._at:
                at = self._at[name]
                facts[i], rows[i] = measured.facts[at], measured.rows[at]
        frame = frame_of(facts, rows)
        p = model.predict_proba(frame)[:, -1]
        parts = model.contributions(frame)
        shown = self._files(facts, files)
        return [
            self._risk(name, float(p[i]), self._parts(parts.iloc[i], rows[i]), shown[i], len(own))
            for i, (name, own) in enumerate(zip(changes, files, strict=True))
        ]

    def _risk(
        self,
        name: str,
        p: float,
        parts: tuple[RiskPart, ...],
        files: tuple[FileRisk, ...],
        n_files: int,
    ) -> Risk:
        recent = self._trained.recent
        below = float(np.searchsorted(recent, p)) / len(recent) if recent else None
        return Risk(name, p, below, parts, files, n_files)

    def _parts(self, found: pd.Series[float], row: Sequence[float]) -> tuple[RiskPart, ...]:
        values, typical = metrics_by_name(row), self._trained.typical
        parts = [
            RiskPart(str(name), values.get(str(name)), float(v), typical.get(str(name)))
            for name, v in found.items()
        ]
        parts.sort(key=lambda part: (part.metric != "base", -abs(part.log_odds), part.metric))
        return tuple(parts)

    def _files(
        self, facts: Sequence[CommitFacts], files: Sequence[Sequence[TouchedFile]]
    ) -> list[tuple[FileRisk, ...]]:
        """Return the riskiest of each change's files with the most lines, each judged alone."""
        largest = [
            sorted(own, key=lambda f: -((f.added or 0) + (f.deleted or 0)))[:_FILES]
            for own in files
        ]
        pairs = [(of, file) for of, own in zip(facts, largest, strict=True) for file in own]
        p = iter(self._alone(pairs))
        found = [[FileRisk(f.path, next(p), f.added, f.deleted) for f in own] for own in largest]
        return [tuple(sorted(own, key=lambda f: (-f.probability, f.path))) for own in found]

    def _alone(self, pairs: Sequence[tuple[CommitFacts, TouchedFile]]) -> list[float]:
        """Return the probability of each file (or part of one) as if it had changed alone."""
        if not pairs:
            return []
        rows = [self._measured.state.measure(facts, [file]) for facts, file in pairs]
        frame = frame_of([facts for facts, _ in pairs], rows)
        return [float(v) for v in self._trained.model.predict_proba(frame)[:, -1]]

    def with_hunks(self, risk: Risk, change: Change, repo: Path) -> Risk:
        """Return a risk with the riskiest places of its files, each judged as if alone."""
        shown = {f.path for f in risk.files}
        facts = facts_of(change, now=self._clock)
        touched = {f.path: f for f in touched_files(change.files)}
        places = find_places(repo, change, [f for f in change.files if f.path in shown])
        files = []
        for file in risk.files:
            own = places.get(file.path, ())
            whole = touched[file.path]
            parts = [(facts, replace(whole, added=x.added, deleted=x.deleted)) for x in own]
            hunks = [
                HunkRisk(x.first, x.last, x.name, p, x.added, x.deleted)
                for x, p in zip(own, self._alone(parts), strict=True)
            ]
            hunks.sort(key=lambda h: (-h.probability, h.first))
            files.append(replace(file, hunks=tuple(hunks[:_HUNKS])))
        return replace(risk, files=tuple(files))


def _with_tests(store: Store, risks: Sequence[Risk], changes: Mapping[str, Change]) -> list[Risk]:
    """Return risks with the tests of their files, and the files that none is known to catch."""
    program = {
        risk.name: [
            f.path
            for f in touched_files(changes[risk.name].files)
            if is_code(f.path) and not f.is_test and f.status != "D"
        ]
        for risk in risks
    }
    catchers = find_catchers(store, [path for paths in program.values() for path in paths])
    if not catchers.known:
        return list(risks)
    out = []
    for risk in risks:
        own = set(program[risk.name])
        files = tuple(
            replace(f, tests=catchers.shown(f.path), n_tests=len(catchers.of(f.path)))
            if f.path in own
            else f
            for f in risk.files
        )
        uncaught = tuple(p for p in program[risk.name] if not catchers.of(p))
        out.append(replace(risk, files=files, uncaught=uncaught))
    return out
