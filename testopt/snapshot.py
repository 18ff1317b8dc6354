"""What the store keeps beside its tables: feature state as of a run, and registered bundles.

A plan reads these and at most a few newer runs, never the whole history.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from testopt.bundle import MANIFEST, Bundle, bundle_id, dump_arrays, load_arrays, unpack
from testopt.errors import BundleError, EmptyStoreError, StoreError
from testopt.features.cases import split_case
from testopt.features.frames import VARIANT_KINDS, RunFrame, frames
from testopt.features.pipeline import NAMES, FeatureState, feature_hash
from testopt.measured import RanLines
from testopt.reasons import Reason, ReasonKind
from testopt.recent import real_runs, recent
from testopt.shipped import load_shipped
from testopt.sources.casetext import CaseTexts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from testopt.features.frames import Query
    from testopt.features.texts import Texts
    from testopt.schema import Change
    from testopt.shipped import Shipped
    from testopt.store import Store

CATCH_UP_RUNS: Final = 50
_COMMITS: Final = 5  # whose cases are planned where none are named
_READ_RUNS: Final = 3  # of these, whose sources are read
_CATCH_UP_RESULTS: Final = 50_000  # more would cost an ingestion time and memory
PATIENCE: Final = 20.0  # of training and backtest, which nobody waits for at a prompt
_CURRENT: Final = "models/current.json"
_VERSION: Final = "runs.version"
_NO_VERSION: Final = np.array(-2)
_SOURCES: Final = "state/sources.npz"
_SHA: Final = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


@dataclass(frozen=True, slots=True)
class Current:
    """Feature state for a plan.

    Attributes
    ----------
    state : FeatureState
    stale : tuple of Reason
        Why the state is not the whole truth; empty when it is.
    version : int
        Version of the table ``runs`` that it is caught up with.
    behind : bool
        Whether more runs are new than were read.
    """

    state: FeatureState
    stale: tuple[Reason, ...] = ()
    version: int = -1
    behind: bool = False


def _state_name() -> str:
    return f"state/features-{feature_hash()}.npz"


def history(
    store: Store, *, until: datetime | None = None, sources: Sources | None = None
) -> Iterator[RunFrame]:
    """Yield the runs of the store in time order.

    Parameters
    ----------
    store : Store
    until : datetime, optional
        Leave out later runs.
    sources : Sources, optional
        Adds what the sources say of each run, where its commits are known.
    """
    where = [("time", "<=", until)] if until is not None else []
    for frame in _frames(store, store.read("runs", where=where), everything=until is None):
        if sources is None:
            yield frame
        else:
            yield replace(frame, query=sources.add(frame.query))


class Sources:
    """What the sources say of runs; indexed files are kept beside the tables.

    Parameters
    ----------
    repo : Path
        Top folder of the repository, or a bare one.
    store : Store, optional
        Where the index is kept, and what the cases ran when their coverage was measured.
    patience : float
        How many times longer than a plan to wait for git.
    shipped : Shipped, optional
        The model that weighs closeness; default: the one that comes with testopt.
    """

    def __init__(
        self,
        repo: Path,
        store: Store | None = None,
        *,
        patience: float = 1.0,
        shipped: Shipped | None = None,
    ) -> None:
        coverage = None if store is None else RanLines(repo, store)
        self._reader = CaseTexts(repo, patience=patience, coverage=coverage)
        self.shipped = load_shipped() if shipped is None else shipped
        self._store = store
        data = store.read_blob(_SOURCES) if store is not None else None
        if data is not None:
            # a cache: what is damaged or of another version is read from git again
            with suppress(BundleError, KeyError, ValueError, IndexError):
                self._reader.index.load(load_arrays(data))
        self._known = len(self._reader.index)

    def add(self, query: Query) -> Query:
        """Return the query with the text of its cases and of its change."""
        run = query.run
        if not (run.commit and _SHA.fullmatch(run.commit)):
            return query
        base = run.base if run.base and _SHA.fullmatch(run.base) else f"{run.commit}^"
        text = self._reader.read(query.cases, base=base, commit=run.commit, time=run.time)
        return replace(query, text=self._judged(text))

    def of_change(self, cases: Sequence[str], change: Change) -> Texts | None:
        """Return the text of some cases and of a change that git knows or the disk holds."""
        if not change.known or not change.base:
            return None
        return self._judged(self._reader.read(cases, base=change.base, commit=change.head))

    def _judged(self, text: Texts | None) -> Texts | None:
        return None if text is None else replace(text, judge=self.shipped.judge_of(text.paths))

    def keep(self) -> None:
        """Keep the index for the next plan, where it has grown."""
        index = self._reader.index
        if self._store is None or len(index) == self._known:
            return
        with suppress(StoreError):
            self._store.write_blob(_SOURCES, dump_arrays(index.dump(index.objects())))


def _frames(store: Store, runs: Any, *, everything: bool) -> Iterator[RunFrame]:
    ids = runs["run_id"].to_pylist()
    where = [] if everything else [("run_id", "in", ids)]
    results = store.read(
        "results",
        columns=["run_id", "case_id", "outcome", "duration_s", "attempt"],
        where=where,
        dictionary=["run_id", "case_id", "outcome"],
    )
    return frames(runs, results, store.read("run_changes", where=where))


def save_state(store: Store, state: FeatureState, *, version: int) -> None:
    """Keep the feature state for the next plan, as of a version of the table ``runs``."""
    store.write_blob(_state_name(), dump_arrays({**state.dump(), _VERSION: np.array(version)}))


def current(
    store: Store,
    bundle: Bundle | None = None,
    *,
    now: datetime | None = None,
    sources: Sources | None = None,
) -> Current:
    """Return the feature state, caught up with the runs that came since it was kept.

    Parameters
    ----------
    store : Store
    bundle : Bundle, optional
        Its state serves where the store keeps none that is newer.
    now : datetime, optional
        Runs at or after this time are left out.
    sources : Sources, optional
        Tells which functions the last few of the new runs changed; that takes time.
    """
    version = store.version("runs")
    state, kept_version = _kept(store, bundle)
    if version == kept_version:
        return Current(state, version=version)
    runs = store.read("runs", columns=["run_id", "time", "kind", "environment_failure"])
    rows = [r for r in runs.to_pylist() if _is_history(r)]
    known = state.known(map(_key, rows))
    new = sorted((r for r in rows if r["run_id"] not in known), key=_key)
    if now is not None:
        new = [r for r in new if r["time"] < now]
    stale = []
    if len(known) != state.history.tick:
        stale.append(Reason(ReasonKind.OLDER_RUNS_ARRIVED))
    if len(new) > CATCH_UP_RUNS:
        stale.append(Reason(ReasonKind.RUNS_UNREAD, (CATCH_UP_RUNS, len(new))))
    read = {r["run_id"] for r in new[-_READ_RUNS:]} if sources is not None else ()
    for frame in _chosen(store, [r["run_id"] for r in new[-CATCH_UP_RUNS:]]):
        if sources is not None and frame.query.run.run_id in read:
            state.update(replace(frame, query=sources.add(frame.query)))
        else:
            state.update(frame)
    state.finish()  # what is in the store is over, whatever its clock said
    return Current(state, tuple(stale), version, behind=len(new) > CATCH_UP_RUNS)


def keep_up(store: Store, *, runs: int, results: int, sources: Sources | None = None) -> None:
    """Bring the kept state up to date with a few new runs; larger gaps wait for training.

    The state is a cache of the tables: when it cannot be made or written, nothing is lost, and
    the next plan reads the runs themselves.

    Parameters
    ----------
    store : Store
    runs, results : int
        How many were appended just now.
    sources : Sources, optional
        See `current`.
    """
    with suppress(StoreError):
        recent(store)
    if not 0 < runs <= CATCH_UP_RUNS or results > _CATCH_UP_RESULTS:
        return
    with suppress(StoreError):
        found = current(store, sources=sources)
        if not found.behind:
            save_state(store, found.state, version=found.version)


def _is_history(row: Mapping[str, Any]) -> bool:
    return row["kind"] not in VARIANT_KINDS and row["environment_failure"] is not True


def _key(row: Mapping[str, Any]) -> tuple[float, str]:
    return (row["time"].timestamp(), row["run_id"])


def _chosen(store: Store, ids: list[str]) -> Iterator[RunFrame]:
    if not ids:
        return iter(())
    return _frames(store, store.read("runs", where=[("run_id", "in", ids)]), everything=False)


def _kept(store: Store, bundle: Bundle | None) -> tuple[FeatureState, int]:
    """Return the newer of the state beside the tables and that of the bundle, and its version."""
    candidates = [] if bundle is None else [bundle.state]
    data = store.read_blob(_state_name())
    if data is not None:
        with suppress(BundleError):  # a cache: it is made again from the tables
            candidates.append(load_arrays(data))
    for arrays in sorted(candidates, key=FeatureState.age):
        try:
            version = int(arrays.get(_VERSION, _NO_VERSION))
            return FeatureState.load({k: v for k, v in arrays.items() if k != _VERSION}), version
        except (KeyError, ValueError, IndexError, TypeError):
            continue
    return FeatureState(), int(_NO_VERSION)


def register(store: Store, files: Mapping[str, bytes]) -> str:
    """Write a bundle into the store and make it the current one; return its id."""
    name = bundle_id(json.loads(files[MANIFEST]))
    for file in [*(f for f in files if f != MANIFEST), MANIFEST]:
        store.write_blob(f"models/{name}/{file}", files[file])
    store.write_blob(_CURRENT, json.dumps({"bundle": name}).encode())
    return name


def current_bundle(store: Store) -> Bundle | None:
    """Return the current bundle, or None when none is registered.

    Raises
    ------
    BundleError
        When it is damaged.
    """
    try:
        data = store.read_blob(_CURRENT)
        if data is None:
            return None
        name = str(json.loads(data)["bundle"])
        bundle = unpack(
            lambda file: store.read_blob(f"models/{name}/{file}"), features=feature_hash()
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        raise BundleError(f"{_CURRENT} is damaged", "run: testopt train") from None
    except StoreError as error:
        raise BundleError(error.message, error.hint) from error
    if bundle.forest.n_features != len(NAMES):
        raise BundleError("the bundle's forest takes other features", "run: testopt train")
    if bundle.bundle_id != name:
        raise BundleError("manifest.json of the bundle was altered", "run: testopt train")
    return bundle


def recent_cases(store: Store, root: Path | None = None) -> tuple[list[str], int]:
    """Return the case ids of the last runs that really happened, and how many the last run had.

    A run may be of a part of the suite only: so the cases are those of the last ``_COMMITS``
    commits, with all their jobs and shards.

    Parameters
    ----------
    store : Store
    root : Path, optional
        Top folder of the repository: cases of earlier commits whose file or function is gone from
        there are left out; so are those of a file that has been run since, where it is not known.

    Returns
    -------
    tuple of list of str and int
        Sorted ids, with those that plans left out; the number of those at the last commit.

    Raises
    ------
    EmptyStoreError
        When the store holds no run.
    """
    commits = _cases_by_commit(store)
    found = set(commits[0])
    words = lru_cache(None)(lambda file: _words_of(root, file))
    for cases in commits[1:]:
        files = {_file_of(case) for case in found}
        functions = {split_case(case)[0] for case in found}
        for case in cases:
            function, file = split_case(case)[0], _file_of(case)
            if "::" not in case or function in functions:
                continue  # a file that could not be collected, or other parameters now
            known = words(file)
            there = file not in files if known is None else function.rpartition("::")[2] in known
            if there:
                found.add(case)
    return sorted(found), len(commits[0])


def _cases_by_commit(store: Store) -> list[set[str]]:
    """Return the cases of the last ``_COMMITS`` commits, the last one first."""
    commit_of: dict[str, str] = {}
    groups: dict[str, set[str]] = {}
    for run in real_runs(store):
        group = run["commit"] or run["run_id"]
        if group in groups or len(groups) < _COMMITS:
            commit_of[run["run_id"]] = group
            groups.setdefault(group, set())
    if not groups:
        raise EmptyStoreError("the store holds no runs", "read some first: testopt ingest PATH")
    for run_id, case in _planned_or_run(store, list(commit_of)):
        groups[commit_of[run_id]].add(case)
    return list(groups.values())


def _file_of(case: str) -> str:
    """Return what stands before the first colons of an id: its file or class."""
    return case.partition("::")[0]


def _words_of(root: Path | None, file: str) -> frozenset[str] | None:
    """Return the words of a file, none where it is gone; None where there is no looking into it."""
    if root is None or not file.endswith(".py") or ".." in file:
        return None
    try:
        return frozenset(re.findall(r"\w+", (root / file).read_text("utf-8", "replace")))
    except OSError:
        return frozenset()


def cases_of(store: Store, run_ids: Sequence[str]) -> list[str]:
    """Return the case ids of some runs, sorted, with those that their plans left out."""
    return sorted({case for _, case in _planned_or_run(store, run_ids)})


def _planned_or_run(store: Store, run_ids: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield run and case of all results and predictions of some runs."""
    names = ["run_id", "case_id"]
    for table in ("results", "predictions"):
        where = [("run_id", "in", list(run_ids))]
        rows = store.read(table, columns=names, where=where, dictionary=names)
        yield from zip(*(rows[name].to_pylist() for name in names), strict=True)
