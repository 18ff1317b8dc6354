"""How risky a change is, by a model of the project's own commits and the defects traced to them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import numpy as np

from testopt.code.paths import is_code
from testopt.errors import DataError
from testopt.risk.catching_tests import find_catching_tests
from testopt.risk.changed_regions import find_changed_regions
from testopt.risk.mined_metrics import change_facts, metrics_by_name, touched_files
from testopt.risk.model import defective_commits, measure_history, metrics_frame, trained_model
from testopt.risk.values import FileRisk, HunkRisk, MetricContribution, Risk, RiskReport

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pandas as pd

    from testopt.risk.change_metrics import ChangeFacts, TouchedFile
    from testopt.risk.model import MeasuredHistory, TrainedRiskModel
    from testopt.schema import Change
    from testopt.store import Store

__all__ = ["change_risk", "defective_commits", "metrics_frame"]

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
    forgotten = store.forgotten()
    changes = {
        name: replace(change, author=forgotten.author(change.author or ""))
        for name, change in changes.items()
    }
    history = measure_history(store, changes)
    model = trained_model(
        store, history, excluded=list(changes), author_features=author_features, seed=seed
    )
    assessor = _ChangeAssessor(history, model, (now or datetime.now(UTC)).timestamp())
    risks = sorted(assessor.risks(changes), key=lambda r: (-r.probability, r.name))
    detailed = risks[:_DETAILED]
    if repo is not None:
        detailed = [assessor.with_hunks(risk, changes[risk.name], repo) for risk in detailed]
    detailed = _with_catching_tests(store, detailed, changes)
    return RiskReport(
        (*detailed, *risks[_DETAILED:]), compared=len(model.recent_probabilities), **model.facts
    )


class _ChangeAssessor:
    """A model, and the history at the end of which it judges."""

    def __init__(self, history: MeasuredHistory, trained: TrainedRiskModel, now: float) -> None:
        self._history, self._trained, self._now = history, trained, now
        self._rows_by_sha = {sha: i for i, sha in enumerate(history.shas)}

    def risks(self, changes: Mapping[str, Change]) -> list[Risk]:
        """Return the risk of changes; of a mined commit as it was then, not as of today."""
        history, model = self._history, self._trained.model
        facts = [change_facts(change, now=self._now) for change in changes.values()]
        files = [touched_files(change.files) for change in changes.values()]
        rows = [history.state.measure(f, touched) for f, touched in zip(facts, files, strict=True)]
        for i, name in enumerate(changes):
            if name in self._rows_by_sha:
                row = self._rows_by_sha[name]
                facts[i], rows[i] = history.facts[row], history.rows[row]
        frame = metrics_frame(facts, rows)
        p = model.predict_proba(frame)[:, -1]
        contributions = model.contributions(frame)
        file_risks = self._files(facts, files)
        return [
            self._risk(
                name,
                float(p[i]),
                self._contributions(contributions.iloc[i], rows[i]),
                file_risks[i],
                len(touched),
            )
            for i, (name, touched) in enumerate(zip(changes, files, strict=True))
        ]

    def _risk(
        self,
        name: str,
        p: float,
        parts: tuple[MetricContribution, ...],
        files: tuple[FileRisk, ...],
        n_files: int,
    ) -> Risk:
        recent = self._trained.recent_probabilities
        percentile = float(np.searchsorted(recent, p)) / len(recent) if recent else None
        return Risk(name, p, percentile, parts, files, n_files)

    def _contributions(
        self, log_odds: pd.Series[float], row: Sequence[float]
    ) -> tuple[MetricContribution, ...]:
        values, typical = metrics_by_name(row), self._trained.medians
        parts = [
            MetricContribution(str(name), values.get(str(name)), float(v), typical.get(str(name)))
            for name, v in log_odds.items()
        ]
        parts.sort(key=lambda part: (part.metric != "base", -abs(part.log_odds), part.metric))
        return tuple(parts)

    def _files(
        self, facts: Sequence[ChangeFacts], files: Sequence[Sequence[TouchedFile]]
    ) -> list[tuple[FileRisk, ...]]:
        """Return the riskiest of each change's files with the most lines, each judged alone."""
        largest = [
            sorted(touched, key=lambda f: -((f.added or 0) + (f.deleted or 0)))[:_FILES]
            for touched in files
        ]
        pairs = [
            (change, file)
            for change, touched in zip(facts, largest, strict=True)
            for file in touched
        ]
        probabilities = iter(self._single_probabilities(pairs))
        risks = [
            [FileRisk(f.path, next(probabilities), f.added, f.deleted) for f in touched]
            for touched in largest
        ]
        return [tuple(sorted(touched, key=lambda f: (-f.probability, f.path))) for touched in risks]

    def _single_probabilities(
        self, pairs: Sequence[tuple[ChangeFacts, TouchedFile]]
    ) -> list[float]:
        """Return the probability of each file (or part of one) as if it had changed alone."""
        if not pairs:
            return []
        rows = [self._history.state.measure(facts, [file]) for facts, file in pairs]
        frame = metrics_frame([facts for facts, _ in pairs], rows)
        return [float(v) for v in self._trained.model.predict_proba(frame)[:, -1]]

    def with_hunks(self, risk: Risk, change: Change, repo: Path) -> Risk:
        """Return a risk with the riskiest places of its files, each judged as if alone."""
        shown = {f.path for f in risk.files}
        facts = change_facts(change, now=self._now)
        touched = {f.path: f for f in touched_files(change.files)}
        regions = find_changed_regions(repo, change, [f for f in change.files if f.path in shown])
        files = []
        for file in risk.files:
            in_file = regions.get(file.path, ())
            touched_file = touched[file.path]
            parts = [
                (facts, replace(touched_file, added=x.added, deleted=x.deleted)) for x in in_file
            ]
            hunks = [
                HunkRisk(x.first, x.last, x.name, p, x.added, x.deleted)
                for x, p in zip(in_file, self._single_probabilities(parts), strict=True)
            ]
            hunks.sort(key=lambda h: (-h.probability, h.first))
            files.append(replace(file, hunks=tuple(hunks[:_HUNKS])))
        return replace(risk, files=tuple(files))


def _with_catching_tests(
    store: Store, risks: Sequence[Risk], changes: Mapping[str, Change]
) -> list[Risk]:
    """Return risks with the tests of their files, and the files that none is known to catch."""
    source_paths = {
        risk.name: [
            f.path
            for f in touched_files(changes[risk.name].files)
            if is_code(f.path) and not f.is_test and f.status != "D"
        ]
        for risk in risks
    }
    catching = find_catching_tests(
        store, [path for paths in source_paths.values() for path in paths]
    )
    if not catching.known:
        return list(risks)
    out = []
    for risk in risks:
        in_risk = set(source_paths[risk.name])
        files = tuple(
            replace(f, tests=catching.likeliest(f.path), n_tests=len(catching.for_path(f.path)))
            if f.path in in_risk
            else f
            for f in risk.files
        )
        uncaught = tuple(p for p in source_paths[risk.name] if not catching.for_path(p))
        out.append(replace(risk, files=files, uncaught=uncaught))
    return out
