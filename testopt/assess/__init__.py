"""How risky is a change? Learns from the project's own commits and the defects traced to them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import numpy as np

from testopt.assess.catchers import find_catchers
from testopt.assess.model import defects, frame_of, measure_history, model_of
from testopt.assess.places import find_places
from testopt.errors import DataError
from testopt.estimators.budget import budget_factor
from testopt.features.paths import is_code
from testopt.features.replay import facts_of, named, touched_files
from testopt.risks import FileRisk, HunkRisk, Risk, RiskPart, RiskReport

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from testopt.assess.model import Measured, Trained
    from testopt.features.kamei import CommitFacts, TouchedFile
    from testopt.schema import Change
    from testopt.store import Store

__all__ = ["assess", "defects", "frame_of"]

_FILES: Final = 20  # of a change that are shown
_HUNKS: Final = 5  # of a file that are shown
_DETAILED: Final = 20  # changes whose places and tests are looked up


def assess(
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
            raise DataError(f"the change {name} is not known: {change.why}")
    measured = measure_history(store, changes)
    trained = model_of(
        store, measured, judged=list(changes), author_features=author_features, seed=seed
    )
    judge = _Judge(measured, trained, (now or datetime.now(UTC)).timestamp())
    risks = sorted(
        (judge.risk(name, change) for name, change in changes.items()),
        key=lambda r: (-r.probability, r.name),
    )
    detailed = risks[:_DETAILED]
    if repo is not None:
        detailed = [judge.with_hunks(risk, changes[risk.name], repo) for risk in detailed]
    detailed = _with_tests(store, detailed, changes)
    return RiskReport(
        (*detailed, *risks[_DETAILED:]), compared=len(trained.recent), **trained.facts
    )


class _Judge:
    """A model, and the history at the end of which it judges."""

    def __init__(self, measured: Measured, trained: Trained, clock: float) -> None:
        self._measured, self._trained, self._clock = measured, trained, clock
        self._at = {sha: i for i, sha in enumerate(measured.shas)}

    def risk(self, name: str, change: Change) -> Risk:
        """Return the risk of a change; of a mined commit as it was then, not as of today."""
        facts, files = facts_of(change, now=self._clock), touched_files(change.files)
        measured, trained = self._measured, self._trained
        if name in self._at:
            facts, row = measured.facts[self._at[name]], measured.rows[self._at[name]]
        else:
            row = measured.state.measure(facts, files)
        frame = frame_of([facts], [row])
        p = float(trained.model.predict_proba(frame)[0, -1])
        values = named(row)
        parts = [
            RiskPart(
                str(metric), values.get(str(metric)), float(v), trained.typical.get(str(metric))
            )
            for metric, v in trained.model.contributions(frame).iloc[0].items()
        ]
        parts.sort(key=lambda part: (part.metric != "base", -abs(part.log_odds), part.metric))
        recent = trained.recent
        below = float(np.searchsorted(recent, p)) / len(recent) if recent else None
        shown = self._files(facts, files)
        budget = budget_factor(below)
        return Risk(name, p, below, tuple(parts), shown, len(files), budget=budget)

    def _files(self, facts: CommitFacts, files: Sequence[TouchedFile]) -> tuple[FileRisk, ...]:
        """Return the riskiest of the files with the most changed lines, each judged alone."""
        largest = sorted(files, key=lambda f: -((f.added or 0) + (f.deleted or 0)))[:_FILES]
        p = self._alone(facts, largest)
        found = [
            FileRisk(f.path, float(v), f.added, f.deleted) for f, v in zip(largest, p, strict=True)
        ]
        return tuple(sorted(found, key=lambda f: (-f.probability, f.path)))

    def _alone(self, facts: CommitFacts, files: Sequence[TouchedFile]) -> Sequence[float]:
        """Return the probability of each file (or part of one) as if it had changed alone."""
        if not files:
            return ()
        rows = [self._measured.state.measure(facts, [file]) for file in files]
        p = self._trained.model.predict_proba(frame_of([facts] * len(rows), rows))
        return [float(v) for v in p[:, -1]]

    def with_hunks(self, risk: Risk, change: Change, repo: Path) -> Risk:
        """Return a risk with the riskiest places of its files, each judged as if alone."""
        shown = {f.path for f in risk.files}
        facts = facts_of(change, now=self._clock)
        touched = {f.path: f for f in touched_files(change.files)}
        places = find_places(repo, change, [f for f in change.files if f.path in shown])
        files = []
        for file in risk.files:
            own = places.get(file.path, ())
            parts = [replace(touched[file.path], added=x.added, deleted=x.deleted) for x in own]
            hunks = [
                HunkRisk(x.first, x.last, x.name, p, x.added, x.deleted)
                for x, p in zip(own, self._alone(facts, parts), strict=True)
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
