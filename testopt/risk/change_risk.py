"""How risky a change is, by a model of the project's own commits and the defects traced to them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import numpy as np

from testopt.code.paths import is_code
from testopt.errors import DataError
from testopt.risk.catching_tests import find_catching_tests
from testopt.risk.change_metrics import NAMES, WORDS, with_lines
from testopt.risk.changed_regions import find_changed_regions, read_changed_files
from testopt.risk.inert_files import FileEffects, effects_in, file_effects
from testopt.risk.known_history import explained, known_history, unknown_files
from testopt.risk.measured_history import files_alone, measure_history, without
from testopt.risk.mined_metrics import change_facts, metrics_by_name, touched_files
from testopt.risk.model import MonthlyModels, metrics_frame, month_of
from testopt.risk.riskiest_lines import riskiest_lines
from testopt.risk.similar_culprits import similar_culprits
from testopt.risk.values import FileRisk, HunkRisk, LineRisk, MetricContribution, Risk, RiskReport
from testopt.risk.version_changes import version_kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pandas as pd

    from testopt.risk.change_metrics import ChangeFacts, TouchedFile
    from testopt.risk.measured_history import FileRows, MeasuredHistory
    from testopt.risk.model import TrainedRiskModel
    from testopt.risk.version_changes import VersionKind
    from testopt.schema import Change
    from testopt.store import Store

__all__ = ["change_risk"]

_HUNKS: Final = 5  # of a file that are shown
_LINES: Final = 10  # of a change that are shown
_COMPARED: Final = 3  # changes that are compared with past ones
# What the lines say beside the metrics, in log-odds. Measured against culprits that authors named:
# turned conditions -.10 +- .31 (19 of 64 in samples of five repositories, 20.1 expected; of 111 of
# the same size in seventeen none, 3.3 expected), so no more than what orders changes of a size;
# versions of the project -.14 +- .38, of dependencies .07 +- .37.
_LOG_ODDS: Final = {"turned": 0.1, "version_bump": 0.0, "dependency_update": 0.0}
_NONE: Final = FileEffects()
_DETAILED: Final = 20  # changes whose places and tests are looked up


def change_risk(
    *,
    store: Store,
    changes: Mapping[str, Change],
    repo: Path | None = None,
    author_features: bool = True,
    seed: int = 0,
    now: datetime | None = None,
    detailed: int = _DETAILED,
) -> RiskReport:
    """Return the risk of changes, the riskiest first.

    Each is judged by the model of its month, which knows nothing of what came later, so that its
    risk is the same whatever else is asked for.

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
    detailed : int
        How many of the riskiest come with their places and tests.

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
    effects = _effects(repo, changes)
    commits = [name for name, change in changes.items() if name == change.head]
    words = explained(store, repo, commits)
    inert = {name: effect.inert for name, effect in effects.items()}
    history = measure_history(store, changes, inert, words)
    models = MonthlyModels(store, history, author_features=author_features, seed=seed)
    time = (now or datetime.now(UTC)).timestamp()
    assessor = _ChangeAssessor(history, models, effects, words, time)
    risks = sorted(assessor.risks(changes), key=lambda r: (-r.probability, r.name))
    first = risks[:detailed]
    if repo is not None:
        first = [assessor.with_hunks(risk, changes[risk.name], repo) for risk in first]
    first = _with_catching_tests(store, first, changes)
    first = assessor.with_similar(store, first, changes, repo)
    models.save()
    youngest = assessor.youngest
    return RiskReport(
        (*first, *risks[detailed:]),
        compared=len(youngest.recent_probabilities),
        **youngest.facts,
        **known_history(store, repo),
    )


def _effects(repo: Path | None, changes: Mapping[str, Change]) -> dict[str, FileEffects]:
    """Return what each change did to its files, as far as it is known."""
    if repo is None:
        return {}
    commits = [name for name, change in changes.items() if name == change.head]
    found = file_effects(repo, commits)
    others = {name: change for name, change in changes.items() if name != change.head}
    return {**found, **{name: effects_in(repo, change) for name, change in others.items()}}


@dataclass(frozen=True, slots=True)
class _Judged:
    """A change as the model of its month sees it."""

    facts: ChangeFacts
    row: Sequence[float]
    files: FileRows
    month: int
    n_files: int
    kind: VersionKind | None = None


def _unexplained(row: Sequence[float]) -> list[float]:
    """Return metrics of a change that raises versions alone: its words explain nothing.

    They are notes on what is new elsewhere, mostly of a bot. Of 1,607 such changes of 17
    repositories 21 were culprits; their words order these by chance (AUC .51, of other small
    changes .61). With them 26 are to be expected, without them 21.
    """
    return [0.0 if name == WORDS else value for name, value in zip(NAMES, row, strict=True)]


class _ChangeAssessor:
    """The models of a history, and the changes that they judge."""

    def __init__(
        self,
        history: MeasuredHistory,
        models: MonthlyModels,
        effects: Mapping[str, FileEffects],
        words: Mapping[str, int],
        now: float,
    ) -> None:
        self._history, self._models, self._effects, self._now = history, models, effects, now
        self._words = words
        self._rows_by_sha = {sha: i for i, sha in enumerate(history.shas)}
        self._judged: dict[str, _Judged] = {}

    @property
    def youngest(self) -> TrainedRiskModel:
        """The model of the youngest change."""
        return self._models.at(max(judged.month for judged in self._judged.values()))

    def risks(self, changes: Mapping[str, Change]) -> list[Risk]:
        """Return the risk of changes; of a mined commit as it was then, not as of today."""
        self._judged = {name: self._measure(name, change) for name, change in changes.items()}
        by_month: dict[int, list[str]] = {}
        for name, judged in self._judged.items():
            by_month.setdefault(judged.month, []).append(name)
        return [risk for month, names in by_month.items() for risk in self._of_month(month, names)]

    def _measure(self, name: str, change: Change) -> _Judged:
        history, effects = self._history, self._effects.get(name, _NONE)
        if name in self._rows_by_sha:
            facts = history.facts[self._rows_by_sha[name]]
            row, alone = history.judged[name], history.files_alone[name]
        else:
            facts = change_facts(change, now=self._now, words=self._words.get(name, math.nan))
            files, inert = touched_files(change.files), effects.inert
            alone = files_alone(history.state, facts, files, inert)
            row = history.state.measure(facts, without(files, inert))
        kind = version_kind([f.path for f in change.files], effects.versions)
        if kind is not None:
            row, alone = _unexplained(row), [(f, _unexplained(metrics)) for f, metrics in alone]
        return _Judged(facts, row, alone, month_of(facts.time), len(change.files), kind)

    def _of_month(self, month: int, names: Sequence[str]) -> list[Risk]:
        trained, judged = self._models.at(month), [self._judged[name] for name in names]
        frame = metrics_frame([j.facts for j in judged], [j.row for j in judged])
        p = _probabilities(trained, frame)
        contributions = trained.model.contributions(frame)
        pairs = [(j.facts, row) for j in judged for _, row in j.files]
        alone = iter(_alone(trained, pairs))
        recent = trained.recent_probabilities
        risks = []
        for i, (name, j) in enumerate(zip(names, judged, strict=True)):
            effects = self._effects.get(name, _NONE)
            said = _said(effects, j)
            risk = _shifted(p[i], sum(part.log_odds for part in said))
            files = [_file_risk(f, next(alone), effects) for f, _ in j.files]
            files.sort(key=lambda f: (-f.probability, f.path))
            percentile = float(np.searchsorted(recent, risk)) / len(recent) if recent else None
            parts = (*_contributions(contributions.iloc[i], j.row, trained.medians), *said)
            unknown = unknown_files(j.files)
            risks.append(
                Risk(name, risk, percentile, parts, tuple(files), j.n_files, unknown=unknown)
            )
        return risks

    def with_hunks(self, risk: Risk, change: Change, repo: Path) -> Risk:
        """Return a risk with the riskiest places of its files, each judged as if alone."""
        judged = self._judged[risk.name]
        trained = self._models.at(judged.month)
        rows = {file.path: (file, row) for file, row in judged.files}
        in_rows = [f for f in change.files if f.path in rows]
        changed = read_changed_files(repo, change, in_rows)
        regions = find_changed_regions(changed, change, in_rows)
        inert = self._effects.get(risk.name, _NONE).inert
        texts = [file for file in changed.changed_texts() if file.path not in inert]
        lines = [
            LineRisk(s.line.path, s.line.number, s.line.function, s.line.text, s.score)
            for s in riskiest_lines(texts)
        ]
        files = []
        for file in risk.files:
            in_file = regions.get(file.path, ())
            touched, row = rows[file.path]
            parts = [(judged.facts, with_lines(row, touched, x.added, x.deleted)) for x in in_file]
            hunks = [
                HunkRisk(x.first, x.last, x.name, p, x.added, x.deleted)
                for x, p in zip(in_file, _alone(trained, parts), strict=True)
            ]
            expected = _expected(hunks, [line for line in lines if line.path == file.path])
            hunks.sort(key=lambda h: (-expected[h], -h.probability, h.first))
            files.append(replace(file, hunks=tuple(hunks[:_HUNKS])))
        return replace(risk, files=tuple(files), lines=tuple(lines[:_LINES]))

    def with_similar(
        self, store: Store, risks: Sequence[Risk], changes: Mapping[str, Change], repo: Path | None
    ) -> list[Risk]:
        """Return risks, the first with the past commits most like it that introduced a defect."""
        if repo is None:
            return list(risks)
        wanted = {
            risk.name: (changes[risk.name], self._judged[risk.name].facts.time)
            for risk in risks[:_COMPARED]
        }
        found = similar_culprits(store, repo, wanted)
        return [replace(risk, similar=found.get(risk.name, ())) for risk in risks]


def _expected(hunks: Sequence[HunkRisk], lines: Sequence[LineRisk]) -> dict[HunkRisk, float]:
    """Return how much of what a fix will change is to be expected in each place of a file."""
    expected = dict.fromkeys(hunks, 0.0)
    for line in lines:
        for hunk in hunks:
            if hunk.first <= line.line <= hunk.last:
                expected[hunk] += math.exp(line.score)
    return expected


def _alone(
    trained: TrainedRiskModel, pairs: Sequence[tuple[ChangeFacts, Sequence[float]]]
) -> list[float]:
    """Return the probability of each file (or part of one) as if it had changed alone."""
    if not pairs:
        return []
    return _probabilities(
        trained, metrics_frame([facts for facts, _ in pairs], [row for _, row in pairs])
    )


def _probabilities(trained: TrainedRiskModel, frame: pd.DataFrame) -> list[float]:
    """Return the probability of each row, the same to the last digit however many there are."""
    return [round(float(v), 12) for v in trained.model.predict_proba(frame)[:, -1]]


def _said(effects: FileEffects, judged: _Judged) -> tuple[MetricContribution, ...]:
    """Return what the lines of a change add to its log-odds, beside its metrics."""
    turned = any(f.path in effects.turned and not f.is_test for f, _ in judged.files)
    kinds = (*(("turned",) if turned else ()), *((judged.kind,) if judged.kind else ()))
    return tuple(MetricContribution(kind, 1.0, _LOG_ODDS[kind]) for kind in kinds)


def _file_risk(file: TouchedFile, p: float, effects: FileEffects) -> FileRisk:
    if file.path in effects.turned and not file.is_test:
        p = _shifted(p, _LOG_ODDS["turned"])
    inert = file.path in effects.inert
    return FileRisk(file.path, p, file.added, file.deleted, inert=inert)


def _shifted(p: float, log_odds: float) -> float:
    """Return a probability with so many log-odds more."""
    odds = p * math.exp(log_odds)
    return round(odds / (odds + 1.0 - p), 12) if log_odds else p


def _contributions(
    log_odds: pd.Series[float], row: Sequence[float], typical: Mapping[str, float]
) -> tuple[MetricContribution, ...]:
    values = metrics_by_name(row)
    parts = [
        MetricContribution(
            str(name), _known(values.get(str(name))), float(v), typical.get(str(name))
        )
        for name, v in log_odds.items()
    ]
    parts.sort(key=lambda part: (part.metric != "base", -abs(part.log_odds), part.metric))
    return tuple(parts)


def _known(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value


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
