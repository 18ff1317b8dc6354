"""The feature state that is kept beside the tables, and caught up with the runs since.

A plan reads it and at most a few newer runs, never the whole history.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from testopt.errors import BundleError, StoreError
from testopt.features.pipeline import FeatureState
from testopt.features.run_features import feature_hash
from testopt.features.run_history import frames_with
from testopt.reasons import Reason, ReasonKind
from testopt.schema import VARIANT_KINDS
from testopt.store.arrays import dump_arrays, load_arrays
from testopt.store.run_summary import read_run_summary

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    import pyarrow as pa
    from numpy.typing import NDArray

    from testopt.features.frames import RunFrame
    from testopt.similarity.case_sources import Sources
    from testopt.store import Store

CATCH_UP_RUNS: Final = 50
_READ_RUNS: Final = 3  # of these, whose sources are read
_CATCH_UP_RESULTS: Final = 50_000  # more would cost an ingestion time and memory
_VERSION: Final = "runs.version"
_NO_VERSION: Final = np.array(-2)


@dataclass(frozen=True, slots=True)
class CurrentState:
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


def save_state(store: Store, state: FeatureState, *, version: int) -> None:
    """Keep the feature state for the next plan, as of a version of the table ``runs``.

    One that knows a case which was forgotten meanwhile is not kept.
    """
    with store.writing():
        if not store.forgotten().among(state.history.table.ids):
            arrays = {**state.dump(), _VERSION: np.array(version)}
            store.write_blob(_state_name(), dump_arrays(arrays))


def current_state(
    store: Store,
    trained: Mapping[str, NDArray[Any]] | None = None,
    *,
    now: datetime | None = None,
    sources: Sources | None = None,
) -> CurrentState:
    """Return the feature state, caught up with the runs that came since it was kept.

    Parameters
    ----------
    store : Store
    trained : mapping of str to ndarray, optional
        State that a bundle keeps: it serves where the store keeps none that is newer.
    now : datetime, optional
        Runs at or after this time are left out.
    sources : Sources, optional
        Tells which functions the last few of the new runs changed; that takes time.

    Raises
    ------
    BundleError
        When the trained state is needed, and damaged.
    """
    version = store.version("runs")
    state, state_version = _newest_state(store, trained)
    if version == state_version:
        return CurrentState(state, version=version)
    runs = store.read("runs")
    told = runs.select(["run_id", "time", "kind", "environment_failure"]).to_pylist()
    rows = [{**r, "at": at} for at, r in enumerate(told) if _is_history(r)]
    applied = state.applied_runs(map(_key, rows))
    new = sorted((r for r in rows if r["run_id"] not in applied), key=_key)
    if now is not None:
        new = [r for r in new if r["time"] < now]
    stale = []
    if len(applied) != state.history.tick:
        stale.append(Reason(ReasonKind.OLDER_RUNS_ARRIVED))
    if len(new) > CATCH_UP_RUNS:
        stale.append(Reason(ReasonKind.RUNS_UNREAD, (CATCH_UP_RUNS, len(new))))
    read = {r["run_id"] for r in new[-_READ_RUNS:]} if sources is not None else ()
    for frame in _frames(store, runs, new[-CATCH_UP_RUNS:], with_patches=sources is not None):
        if sources is not None and frame.query.run.run_id in read:
            state.update(replace(frame, query=sources.add(frame.query)))
        else:
            state.update(frame)
    state.finish()  # what is in the store is over, whatever its clock said
    return CurrentState(state, tuple(stale), version, behind=len(new) > CATCH_UP_RUNS)


def _frames(
    store: Store, runs: pa.Table, rows: Sequence[Mapping[str, Any]], *, with_patches: bool
) -> Iterator[RunFrame]:
    if not rows:
        return iter(())
    import pyarrow as pa

    parts = [runs.slice(row["at"], 1) for row in rows]  # to filter would import 65 ms of kernels
    return frames_with(store, pa.concat_tables(parts), with_patches=with_patches)


def update_state(store: Store, *, runs: int, results: int, sources: Sources | None = None) -> None:
    """Bring the kept state up to date with a few new runs; larger gaps wait for training.

    The state is a cache of the tables: when it cannot be made or written, nothing is lost, and
    the next plan reads the runs themselves.

    Parameters
    ----------
    store : Store
    runs, results : int
        How many were appended just now.
    sources : Sources, optional
        See `current_state`.
    """
    with suppress(StoreError):
        read_run_summary(store)
    if not 0 < runs <= CATCH_UP_RUNS or results > _CATCH_UP_RESULTS:
        return
    with suppress(StoreError):
        current = current_state(store, sources=sources)
        if not current.behind:
            save_state(store, current.state, version=current.version)


def _is_history(row: Mapping[str, Any]) -> bool:
    return row["kind"] not in VARIANT_KINDS and row["environment_failure"] is not True


def _key(row: Mapping[str, Any]) -> tuple[float, str]:
    return (row["time"].timestamp(), row["run_id"])


def _newest_state(
    store: Store, trained: Mapping[str, NDArray[Any]] | None
) -> tuple[FeatureState, int]:
    """Return the newer of the state beside the tables and the trained one, and its version."""
    candidates = [] if trained is None else [trained]
    data = store.read_blob(_state_name())
    if data is not None:
        with suppress(BundleError):  # a cache: it is made again from the tables
            candidates.append(load_arrays(data))
    for arrays in sorted(candidates, key=FeatureState.age):
        try:
            version = int(arrays.get(_VERSION, _NO_VERSION))
            return FeatureState.load({k: v for k, v in arrays.items() if k != _VERSION}), version
        except (ValueError, TypeError) as error:
            if arrays is trained:
                raise BundleError(f"state.npz is damaged: {error}", "run: testopt train") from None
    return FeatureState(), int(_NO_VERSION)
