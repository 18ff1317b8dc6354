"""Fit, calibrate, validate by time; write a bundle and make it the current one."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from testopt.errors import BundleError, DataError, EmptyStoreError
from testopt.features.replay import History, replay
from testopt.features.run_features import NAMES, feature_hash
from testopt.features.state_store import save_state
from testopt.features.training_set import TrainingSet, read_rows
from testopt.pluralize import pluralize
from testopt.pool import THIS_PROCESS
from testopt.quality import QualityReport, check_data
from testopt.quality.leaks import check_leaks
from testopt.ranking.ranker import FailureRanker
from testopt.ranking.rolling import FIT_ROWS
from testopt.ranking.validation import Validation, validate
from testopt.schema import SCHEMA_VERSION, TABLES
from testopt.selection.bundle import EVIDENCE
from testopt.selection.bundle_registry import current_window, write_bundle
from testopt.selection.challenge import HeldOut, canary_of, challenge
from testopt.selection.decisions import Decider, Decision
from testopt.selection.evidence import KEPT, Evidence, Regression
from testopt.selection.plan_log import late_misses
from testopt.selection.plan_log_file import load
from testopt.selection.simulation import rolling_evidence
from testopt.selection.standing import Standing, changing, read_standing
from testopt.selection.takeover import LOGGED, Contender, Outcome, after, evidence, take_over
from testopt.similarity.pretrained import load_pretrained
from testopt.store.arrays import dump_arrays
from testopt.store.bundle import pack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from testopt.features.frames import RunFrame
    from testopt.features.pipeline import FeatureState
    from testopt.pool import Pool, Task
    from testopt.selection.challenge import Challenge
    from testopt.selection.promotion import PlanOutcome
    from testopt.selection.takeover import Step
    from testopt.store import Store

_LIBRARIES: Final = ("lightgbm", "numpy", "scikit-learn", "pyarrow", "deltalake")
_VALIDATION_SHARE: Final = 0.2
_MAX_ROWS: Final = 1_000_000  # whose features are kept
_LEARNT: Final = [table for table in TABLES if table != "decisions"]


@dataclass(frozen=True, slots=True)
class TrainReport:
    """What was trained, and how it did on the youngest runs, which it had not seen.

    ``validation`` is None where there was too little to validate on; ``disturbed_runs`` failed
    because of their environment and were not learnt from. ``promoted`` says whether it is the
    live bundle now, ``before`` which one was, and ``before_runs`` how many runs that one knows.
    ``step`` and ``why`` say what became of it (`testopt.selection.takeover`), ``quality`` what is
    doubtful about the data.
    """

    bundle_id: str
    runs: int
    failing_runs: int
    cases: int
    rows: int
    first: datetime
    last: datetime
    validation: Validation | None
    disturbed_runs: int = 0
    promoted: bool = True
    before: str = ""
    before_runs: int = 0
    step: Step = "live"
    why: str = ""
    quality: QualityReport = field(default_factory=QualityReport)


@dataclass(frozen=True, slots=True, kw_only=True)
class Takeover:
    """How a model becomes the live one.

    Attributes
    ----------
    decider : Decider
        Who trains, and by which settings.
    reason : str
        Why.
    at_once : bool
        Whether it is live without a trial.
    share : float
        Of the changes that it plans before that.
    """

    decider: Decider = field(default_factory=Decider)
    reason: str = "asked for"
    at_once: bool = False
    share: float = 0.1


def train(
    *,
    store: Store,
    as_of: datetime | None = None,
    repo: Path | None = None,
    seed: int = 0,
    takeover: Takeover | None = None,
    pool: Pool = THIS_PROCESS,
    progress: Callable[[int, int], None] | None = None,
) -> TrainReport:
    """Fit the ranker on the store's runs and register the bundle.

    Parameters
    ----------
    store : Store
    as_of : datetime, optional
        Use only runs up to this time. The bundle is kept beside the live one then, which may know
        more.
    repo : Path, optional
        Repository that holds the commits of the runs: its sources are read.
    seed : int
        Same data, same seed: same bundle.
    takeover : Takeover, optional
        How it becomes the live one; with `as_of` never.
    pool : Pool
        Where runs are read and models are fitted; the bundle is the same.
    progress : callable, optional
        Called with runs read and all runs.

    Returns
    -------
    TrainReport

    Raises
    ------
    EmptyStoreError
        When the store holds no run.
    DataError
        When the data hold an error (`testopt.quality`). When no case ever failed, or every one
        always did: there is nothing to learn. When a case was forgotten since the runs were read.
    """
    checked = _checked(store, as_of)
    version_read, cases = store.version("runs"), _cases_by_run(store)
    late = late_misses(store, until=as_of)
    share = min(1.0, _MAX_ROWS / max(int(np.sum(cases)), 1))
    read = partial(_read, share=share, seed=seed, late=late.found)
    parts, state = replay(History(store, repo, as_of), read, pool, progress=progress)
    seen = _TrainingRuns.joined([runs for _, runs in parts])
    taken = [part for part, _ in parts]
    parts.clear()  # a long history does not fit into memory twice
    rows = TrainingSet.concatenate(taken)
    _check(rows, seen)
    fitted = _ask_fit(rows, seed, pool)
    checked = checked.with_more(check_leaks(rows, seed))
    held_out = _held_out(rows, seen, seed, pool)
    validation = _validated(rows, held_out)
    evidence = _evidence(store, rows, seen, late.owners, seed=seed, pool=pool)
    ranker = fitted.result()
    files = _files(ranker, state, seen, evidence)
    failing = len(np.unique(rows.run[rows.y]))
    manifest = _manifest(store, ranker, seen, validation, seed) | {
        "failing_runs": failing,
        "closeness": "" if repo is None else load_pretrained().name,  # what weighed it
        "data": _digest(rows, seen),
        "code": _code(),
    }
    before, before_runs = current_window(store)
    with store.writing():  # nothing is forgotten meanwhile
        _check_forgotten(store, state)
        bundle_id = write_bundle(store, pack(manifest, files))
        trained = _Trained(bundle_id, manifest, as_of, takeover or Takeover())
        outcome, is_live = _register(store, trained, rows, np.array(seen.times), held_out)
    if as_of is None:
        save_state(store, state, version=version_read)
    return TrainReport(
        bundle_id, len(seen.ids), failing, len(state.history.table),
        len(rows.y), seen.first, seen.last, validation, seen.disturbed,
        is_live, before, before_runs, outcome.step, outcome.why, checked,
    )  # fmt: skip


def _checked(store: Store, until: datetime | None) -> QualityReport:
    """Look at the data; what is wrong with them refuses a training."""
    report = check_data(store, until=until)
    if report.errors:
        first = report.errors[0]
        more = f" (and {len(report.errors) - 1} more)" if len(report.errors) > 1 else ""
        hint = f"{first.fix}; " if first.fix else ""
        raise DataError(f"{first.message}{more}", f"{hint}see all of it: testopt train --check")
    return report


@dataclass(frozen=True, slots=True)
class _Trained:
    """A bundle that was written, and how it is to become live."""

    bundle: str
    manifest: Mapping[str, Any]
    as_of: datetime | None
    takeover: Takeover


def _register(
    store: Store,
    new: _Trained,
    rows: TrainingSet,
    times: NDArray[np.float64],
    held_out: HeldOut | None,
) -> tuple[Outcome, bool]:
    """Log what was trained, and return what becomes of it, and whether it is live now."""
    if new.as_of is not None:
        outcome = Outcome("waits", "it was trained as of an earlier time", new.bundle)
        with changing(store) as step:
            step.note(_trained(new, step.now.bundle, {}))
            return outcome, step.now.bundle == new.bundle
    found = challenge(store, _standing(store), rows, times, held_out)
    with changing(store) as step:
        before = step.now.bundle
        outcome = _outcome(store, new, found)
        trial = found.trial
        shown = {"runs": trial.runs, "mean": trial.mean, "evidence": evidence(trial.wealth)}
        details = {"step": outcome.step, "why": outcome.why, **shown}
        step.note(_trained(new, before, details))
        standing = after(step.now, outcome, found.trial, new.bundle,
                         last=float(times[-1]), share=new.takeover.share)  # fmt: skip
        decision = Decision(
            kind=LOGGED.get(outcome.step, "trained"), why=outcome.why,
            author=new.takeover.decider.author, bundle=outcome.bundle, before=before,
            details={"takeover": shown},
        )  # fmt: skip
        if outcome.step in LOGGED and (standing.bundle, outcome.step) != (before, "live"):
            step.write(standing, decision)
        elif standing != step.now:
            step.write(standing, None)
        return outcome, standing.bundle == new.bundle


def _standing(store: Store) -> Standing:
    try:
        return read_standing(store)
    except BundleError:
        return Standing()  # it will be written anew


def _outcome(store: Store, new: _Trained, found: Challenge) -> Outcome:
    if new.bundle == found.champion.bundle:
        return Outcome("live", "it is the live one already", new.bundle)
    if new.takeover.at_once:
        return Outcome("live", new.takeover.reason, new.bundle)
    contender = Contender(new.bundle, int(new.manifest["failing_runs"]))
    canary = canary_of(store, found.trial) if found.trial.canary else None
    share = new.takeover.share
    return take_over(found.champion, contender, found.trial, share=share, canary=canary)


def _trained(new: _Trained, before: str, takeover: Mapping[str, Any]) -> Decision:
    kept = ("data", "tables", "window", "code", "seed", "validation")
    details = {
        "settings": dict(new.takeover.decider.settings),
        "as_of": None if new.as_of is None else new.as_of.isoformat(),
        "parents": [before] if before and before != new.bundle else [],
        "takeover": takeover,
        **{name: new.manifest[name] for name in kept},
    }
    runs = pluralize(new.manifest["window"]["runs"], "run")
    return Decision(
        kind="trained", why=f"{new.takeover.reason}; on {runs}",
        author=new.takeover.decider.author, bundle=new.bundle, before=before, details=details,
    )  # fmt: skip


def _digest(rows: TrainingSet, seen: _TrainingRuns) -> str:
    """Return the version of the data: a checksum of all that is learnt from."""
    found = hashlib.sha256("\0".join(seen.ids).encode("utf-8", "surrogatepass"))
    for array in (rows.run, rows.y, rows.weight, rows.features.matrix):
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()[:16]


def _code() -> dict[str, str]:
    """Return the version of the code: that of the package, and a checksum of its sources."""
    top = Path(__file__).parent
    found = hashlib.sha256()
    for path in sorted(top.rglob("*.py")):
        found.update(path.relative_to(top).as_posix().encode() + b"\0" + path.read_bytes())
    return {"testopt": version("testopt"), "sources": found.hexdigest()[:16]}


def _check_forgotten(store: Store, state: FeatureState) -> None:
    if store.forgotten().among(state.history.table.ids):
        raise DataError(
            "the model knows a case that was forgotten during the training",
            "train again: testopt train",
        )


def _cases_by_run(store: Store) -> NDArray[Any]:
    """Return how many cases each run of the store has."""
    runs = store.read("runs", columns=["cases"])
    if not runs.num_rows:
        raise EmptyStoreError("the store holds no runs", "read some first: testopt ingest PATH")
    counts: NDArray[Any] = runs["cases"].to_numpy()
    return counts


class _TrainingRuns:
    """The runs that go through training: ids and times, for the manifest.

    ``late`` are (run, case) that failed because of an earlier run, which left the case out;
    ``failed_late`` says so of the failing cases of such a run, by its position.
    """

    def __init__(self, late: frozenset[tuple[str, str]] = frozenset()) -> None:
        self.ids: list[str] = []
        self.seeded: list[bool] = []
        self.late = late
        self.failed_late: dict[int, list[bool]] = {}
        self.variants = 0
        self.disturbed = 0
        self.times: list[float] = []
        self.first = self.last = datetime.fromtimestamp(0, UTC)

    @classmethod
    def joined(cls, parts: Sequence[_TrainingRuns]) -> _TrainingRuns:
        """Return the runs of all parts of a history, oldest first."""
        whole = cls()
        for part in parts:
            before = len(whole.ids)
            whole.failed_late |= {before + i: cases for i, cases in part.failed_late.items()}
            whole.first = whole.first if before else part.first
            whole.last = part.last
            whole.ids += part.ids
            whole.seeded += part.seeded
            whole.times += part.times
            whole.variants += part.variants
            whole.disturbed += part.disturbed
        return whole

    def watch(self, frames: Iterable[RunFrame]) -> Iterator[RunFrame]:
        """Yield the runs, and take them down."""
        for frame in frames:
            run = frame.query.run
            self.first = run.time if not self.ids else self.first
            self.last = run.time
            self.ids.append(run.run_id)
            self.seeded.append(frame.is_variant)
            self.times.append(run.time.timestamp())
            self.variants += frame.is_variant
            bad = np.flatnonzero(frame.failed & ~frame.skipped).tolist() if self.late else ()
            cases = [(run.run_id, frame.query.cases[i]) in self.late for i in bad]
            if any(cases):
                self.failed_late[len(self.seeded) - 1] = cases
            self.disturbed += frame.is_disturbed
            yield frame


def _read(
    first: int,
    frames: Iterable[RunFrame],
    state: FeatureState,
    *,
    share: float,
    seed: int,
    late: frozenset[tuple[str, str]],
) -> tuple[TrainingSet, _TrainingRuns]:
    """Return the rows of a part of the history, and its runs."""
    seen = _TrainingRuns(late)
    rows = read_rows(seen.watch(frames), state, first=first, share=share, seed=seed)
    seen.late = frozenset()
    return rows, seen


def _check(rows: TrainingSet, seen: _TrainingRuns) -> None:
    if not len(rows.y):
        raise EmptyStoreError("no run has a result to learn from", "testopt ingest PATH")
    if not rows.y.any() or rows.y.all():
        what = "no case ever failed" if not rows.y.any() else "every case failed in every run"
        raise DataError(
            f"{what} in {pluralize(len(seen.ids), 'run')}: there is nothing to learn yet",
            "ingest more runs, or make some from past commits: testopt backfill",
        )


def _ask_fit(rows: TrainingSet, seed: int, pool: Pool) -> Task[FailureRanker]:
    part = rows.thinned(FIT_ROWS, seed)
    return pool.submit(
        _fit, seed, part.features.matrix, part.y, part.weight, part.run, ~part.is_seeded
    )


def _fit(
    seed: int,
    x: NDArray[np.float32],
    y: NDArray[np.bool_],
    weight: NDArray[np.float32],
    run: NDArray[np.int32],
    calibrates: NDArray[np.bool_],
) -> FailureRanker:
    ranker = FailureRanker(random_state=seed)
    return ranker.fit(x, y, sample_weight=weight, groups=run, calibrates=calibrates)


def _held_out(rows: TrainingSet, seen: _TrainingRuns, seed: int, pool: Pool) -> HeldOut | None:
    """Return the youngest runs with what a model of the others says; None for too few failures."""
    first = int(len(seen.ids) * (1 - _VALIDATION_SHARE))
    older, at = rows.before(first), int(np.searchsorted(rows.run, first, side="left"))
    if not older.y.any() or older.y.all() or not rows.y[at:].any():
        return None
    ranker = _ask_fit(older, seed, pool).result()
    young = rows.at(slice(at, None))
    return HeldOut(first, ranker.predict_proba(young.features.matrix)[:, -1])


def _validated(rows: TrainingSet, held_out: HeldOut | None) -> Validation | None:
    if held_out is None:
        return None
    at = int(np.searchsorted(rows.run, held_out.first, side="left"))
    return validate(held_out.p, rows.at(slice(at, None)))


def _evidence(
    store: Store,
    rows: TrainingSet,
    seen: _TrainingRuns,
    owners: Mapping[str, PlanOutcome],
    *,
    seed: int,
    pool: Pool,
) -> Evidence:
    """Return past regressions; one of which cases were found late has what its plan said then."""
    late = np.zeros(len(rows.y), bool)
    for run, cases in seen.failed_late.items():
        late[np.flatnonzero((rows.run == run) & rows.y)] = cases
    found = rolling_evidence(rows, np.array(seen.seeded), excluded=late, seed=seed, pool=pool)
    position = {run_id: i for i, run_id in enumerate(seen.ids)}
    for run_id, outcome in owners.items():
        if run_id in position:
            scores = outcome.scores or (-np.inf,)  # what no threshold would have caught
            found[position[run_id]] = Regression.of(np.array(scores))
    log = load(store)
    unsettled = {v.run_id for v in log.outcomes} - {v.run_id for v in log.unbiased_outcomes}
    known = (found[i] for i in sorted(found) if seen.ids[i] not in unsettled)
    return Evidence(tuple(known)[-KEPT:])


def _files(
    ranker: FailureRanker, state: FeatureState, seen: _TrainingRuns, evidence: Evidence
) -> dict[str, bytes]:
    runs = io.StringIO()
    for run_id in seen.ids:
        runs.write(json.dumps(run_id) + "\n")
    return {
        "ranker.txt": ranker.booster_.model_to_string().encode(),
        "forest.npz": dump_arrays(ranker.forest_.dump()),
        "linear.npz": dump_arrays(ranker.linear_.dump()),
        "state.npz": dump_arrays(state.dump()),
        "runs.jsonl": runs.getvalue().encode(),
        EVIDENCE: json.dumps(evidence.to_dict(), separators=(",", ":")).encode(),
    }


def _manifest(
    store: Store,
    ranker: FailureRanker,
    seen: _TrainingRuns,
    validation: Validation | None,
    seed: int,
) -> dict[str, Any]:
    return {
        "kind": "ranker",
        "schema": SCHEMA_VERSION,
        "features": feature_hash(),
        "feature_names": list(NAMES),
        "tables": {table: store.version(table) for table in _LEARNT},
        "window": {
            "first": seen.first.isoformat(),
            "last": seen.last.isoformat(),
            "runs": len(seen.ids),
            "variants": seen.variants,
            "disturbed": seen.disturbed,
        },
        "libraries": {name: version(name) for name in _LIBRARIES},
        "parameters": ranker.get_params(),
        "seed": seed,
        "calibration": list(ranker.calibration_),
        "validation": None if validation is None else validation.as_dict(),
    }
