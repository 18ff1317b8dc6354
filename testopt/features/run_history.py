"""The runs of the store in time order, as frames that feature state is made from."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from testopt.features.frames import RunFrame, frames
from testopt.schema import TABLES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    import pyarrow as pa

    from testopt.similarity.case_sources import Sources
    from testopt.store import Store


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
    runs, with_patches = store.read("runs", where=where), sources is not None
    for frame in _frames(store, runs, whole_store=until is None, with_patches=with_patches):
        if sources is None:
            yield frame
        else:
            yield replace(frame, query=sources.add(frame.query))


def frames_of(
    store: Store, run_ids: Sequence[str], *, with_patches: bool = False
) -> Iterator[RunFrame]:
    """Yield some runs in time order.

    Parameters
    ----------
    store : Store
    run_ids : sequence of str
    with_patches : bool
        Whether the text of changes that are in no commit is read.
    """
    if not run_ids:
        return iter(())
    runs = store.read("runs", where=[("run_id", "in", list(run_ids))])
    return frames_with(store, runs, with_patches=with_patches)


def frames_with(store: Store, runs: pa.Table, *, with_patches: bool = False) -> Iterator[RunFrame]:
    """Yield the runs whose rows of the table ``runs`` are given, in time order."""
    return _frames(store, runs, whole_store=False, with_patches=with_patches)


def _frames(
    store: Store, runs: pa.Table, *, whole_store: bool, with_patches: bool
) -> Iterator[RunFrame]:
    ids = runs["run_id"].to_pylist()
    where = [] if whole_store else [("run_id", "in", ids)]
    results = store.read(
        "results",
        columns=["run_id", "case_id", "outcome", "duration_s", "attempt"],
        where=where,
        dictionary=["run_id", "case_id", "outcome"],
        unfinished=not whole_store,  # that their rows have come is known
    )
    left_out = () if with_patches else ("patch",)
    columns = [column for column in TABLES["run_changes"] if column not in left_out]
    changes = store.read("run_changes", columns=columns, where=where, unfinished=not whole_store)
    return frames(runs, results, changes)
