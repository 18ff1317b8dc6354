"""Replayed variants of several projects as arrays, for training and judging the cold-start model.

Only variants teach: there the change is small and known, and what fails in it and not in the
commit beneath is its doing. What is kept of one names neither project nor case.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from testopt import code, features, git, impact, similarity
from testopt.errors import BundleError
from testopt.features.pipeline import FeatureState
from testopt.features.run_history import history
from testopt.learning.metrics import apfdc
from testopt.ranking.baselines import BASELINES, baseline_orders, expected_seconds
from testopt.similarity.affinity import affinity_matrix
from testopt.similarity.case_sources import Sources
from testopt.similarity.pretrained import PretrainedModel
from testopt.store.arrays import dump_arrays, load_arrays

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from numpy.typing import NDArray

    from testopt.features.frames import RunFrame
    from testopt.store import Store

PATIENCE = 60.0  # times as long as a plan waits for git
BROAD = 0.6  # where most cases fail, which ones do not says nothing of the change
FLOOR_S = 1e-3
ROOMS = (code, features, git, impact, similarity)  # their code makes the examples


@dataclass(frozen=True)
class Example:
    """A failing variant of a commit; arrays over the cases that count.

    Attributes
    ----------
    x : ndarray of float32, shape (n, len(affinity.NAMES))
        Closeness of the change to each case, by hand-set weights, without any history.
    failed, old : ndarray of bool, shape (n,)
        What fails in the variant and not in the commit; what is older than the commit.
    seconds : ndarray of float64, shape (n,)
        What each case took.
    simple : ndarray of int32, shape (len(BASELINES), n)
        The orders that anyone could use, which know the history of the project.
    commit : ndarray of uint8
        What it is a variant of.
    ran : ndarray of float32, shape (n,)
        Share of the change that each case ran when coverage was measured at an earlier commit; NaN
        where it was not.
    expected : ndarray of float64, shape (n,)
        What each case took before.
    """

    x: NDArray[np.float32]
    failed: NDArray[np.bool_]
    old: NDArray[np.bool_]
    seconds: NDArray[np.float64]
    simple: NDArray[np.int32]
    commit: NDArray[np.uint8]
    ran: NDArray[np.float32]
    expected: NDArray[np.float64]

    @property
    def base(self) -> bytes:
        """What it is a variant of."""
        return self.commit.tobytes()

    def quality(self, order: NDArray[Any], failed: NDArray[np.bool_]) -> float:
        """Return the APFDc of an order for some failures."""
        return apfdc(failed[order], self.seconds[order] + FLOOR_S)

    def by_score(self, score: NDArray[Any], seed: int) -> NDArray[np.int64]:
        """Return the order by falling score; ties fall at random."""
        return np.lexsort((np.random.default_rng(seed).random(len(score)), -score))

    def optimum(self, failed: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return the best possible order."""
        return np.lexsort((self.seconds, ~failed))


def read_examples(
    store: Store, repo: Path, cache: Path, progress: Callable[[int], None]
) -> list[Example]:
    """Return the failing variants that a backfill left in a store, in the order of time.

    Parameters
    ----------
    store : Store
    repo : Path
        The repository that was replayed; it holds the variants.
    cache : Path
        Folder in which what was read is kept, one file for each variant.
    progress : callable
        Called with the number of examples so far.
    """
    cache.mkdir(parents=True, exist_ok=True)
    sources = Sources(repo, store, patience=PATIENCE, pretrained=PretrainedModel())
    past, state, found = _Past(), FeatureState(), []
    for frame in history(store):
        broken = past.broken(frame) if frame.is_variant else past.add(frame)
        if broken is not None:
            file = cache / f"{frame.query.run.run_id}.npz"
            example = _kept(file)
            if example is None:
                example = _example(_as_of_commit(frame, past), *broken, state, sources)
                file.write_bytes(_dumped(example))
            found.append(example)
            progress(len(found))
        state.update(frame)
    return found


class _Past:
    """The commits replayed so far: what failed in each, and which cases were there before it."""

    def __init__(self) -> None:
        self._failing: dict[str, set[str]] = {}
        self._older: dict[str, frozenset[str]] = {}
        self._known: set[str] = set()
        self.times: dict[str, datetime] = {}

    def add(self, frame: RunFrame) -> None:
        commit = frame.query.run.commit or ""
        failing = {c for c, f in zip(frame.query.cases, frame.failed, strict=True) if f}
        self.times.setdefault(commit, frame.query.run.time)
        if commit not in self._failing:
            self._older[commit] = frozenset(self._known)
            self._failing[commit] = set()
        self._failing[commit] |= failing
        self._known.update(frame.query.cases)

    def broken(self, frame: RunFrame) -> tuple[NDArray[np.bool_], ...] | None:
        """Return which cases count, which broke, and which are old; None if too few or many."""
        base, cases = frame.query.run.base or "", frame.query.cases
        if base not in self._failing:
            return None
        before = np.array([case in self._failing[base] for case in cases], bool)
        count = ~frame.skipped & ~before
        broken = frame.failed & count
        if not broken.any() or broken.sum() > BROAD * count.sum():
            return None
        return count, broken, np.array([case in self._older[base] for case in cases], bool)


def _as_of_commit(frame: RunFrame, past: _Past) -> RunFrame:
    """Return a variant at the time of its commit, whose own coverage is then not known."""
    run = frame.query.run
    return replace(
        frame, query=replace(frame.query, run=replace(run, time=past.times[run.base or ""]))
    )


def _example(
    frame: RunFrame,
    count: NDArray[np.bool_],
    broken: NDArray[np.bool_],
    old: NDArray[np.bool_],
    state: FeatureState,
    sources: Sources,
) -> Example:
    query = replace(frame.query, text=None)
    known = state.read(query).at(count)
    seconds = expected_seconds(known)
    orders = baseline_orders(known, seconds, seed=len(known))
    query = sources.add(frame.query)
    ran = np.full(len(count), np.nan, np.float32)
    if query.text is not None and query.text.ran is not None:
        ran = query.text.ran
        query = replace(query, text=replace(query.text, ran=None))
    return Example(
        affinity_matrix(query)[count],
        broken[count],
        old[count],
        np.nan_to_num(frame.seconds.astype(np.float64)).clip(0.0)[count],
        np.array([orders[name] for name in BASELINES], np.int32),
        np.frombuffer((frame.query.run.base or "").encode(), np.uint8),
        ran[count],
        seconds,
    )


def _dumped(example: Example) -> bytes:
    arrays = {f.name: getattr(example, f.name) for f in fields(Example)}
    return dump_arrays({**arrays, "code": np.frombuffer(_code(), np.uint8)})


@cache
def _code() -> bytes:
    """Return the identity of the code that reads examples: what another one read is of no use."""
    files = (f for room in ROOMS for f in Path(room.__path__[0]).glob("*.py"))
    return hashlib.sha256(b"".join(f.read_bytes() for f in sorted(files))).digest()


def _kept(file: Path) -> Example | None:
    """Return what was read before, where the features are still the same."""
    try:
        arrays = load_arrays(file.read_bytes())
    except (OSError, BundleError):
        return None
    if arrays.pop("code", np.zeros(0)).tobytes() != _code():
        return None
    return Example(**arrays)


def strict_failures(examples: Sequence[Example]) -> list[NDArray[np.bool_]]:
    """Return what a change to old code breaks: old cases, in the first variant of each commit."""
    seen: set[bytes] = set()
    out = []
    for example in examples:
        first = example.base not in seen
        seen.add(example.base)
        out.append(example.failed & example.old & first)
    return out
