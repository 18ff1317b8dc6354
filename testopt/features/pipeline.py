"""All features of a run in one pass: the same code for training, backtest and plan."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from testopt.features import affinity, change, cofailure
from testopt.features.affinity import TextAffinity
from testopt.features.cofailure import CoFailure
from testopt.features.history import HistoryState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from testopt.features.frames import Query, RunFrame

_TAKEN: Final = 512  # runs remembered by id
_LATE_S: Final = 86_400.0
NAMES: Final = (*HistoryState.names, *change.NAMES, *affinity.NAMES, *cofailure.NAMES)


def feature_hash() -> str:
    """Return the identity of the feature set: models of another one are refused."""
    return hashlib.sha256("\n".join(NAMES).encode()).hexdigest()[:16]


class FeatureState:
    """What the features of the next run are read from.

    Attributes
    ----------
    history : HistoryState
        The past of every case.
    cofailure : CoFailure
        What failed when the same files were changed.
    """

    names = NAMES

    def __init__(
        self, history: HistoryState | None = None, cofailure: CoFailure | None = None
    ) -> None:
        self.history = history or HistoryState()
        self.cofailure = cofailure or CoFailure()
        self._affinity = TextAffinity()
        self._variants: list[RunFrame] = []  # of the last commit that had some
        self._running: list[RunFrame] = []  # had begun, and were not over, at the last run
        self._taken: dict[str, float] = {}  # when each of the last runs began, by id

    def known(self, runs: Iterable[tuple[float, str]]) -> set[str]:
        """Return the ids of the runs that have been taken in, as far as can be told.

        Runs come late: a long job that began before a short one ends after it. Which of the last
        runs were taken in is remembered; of those that began more than a day before the last one
        it is believed.

        Parameters
        ----------
        runs : iterable of (float, str)
            When each began, in seconds since 1970, and its id.
        """
        if not self.history.tick:
            return set()
        last = (self.history.last_time, self.history.last_run)
        if not self._taken:  # kept by an earlier version
            return {name for began, name in runs if (began, name) <= last}
        since = last[0] - _LATE_S
        if self.history.tick > len(self._taken):  # some are forgotten
            since = max(since, min(self._taken.values()))
        return {name for began, name in runs if name in self._taken or began < since}

    def read(self, query: Query) -> NDArray[np.float32]:
        """Return the features of a run about to start, shape (n_cases, len(NAMES)).

        Runs that are not over by then say nothing yet.
        """
        self._finish(query.run.time.timestamp())
        past = self.history.read(query)
        whole = np.asarray(change.change_features(query.files), np.float32)
        parts = [
            past,
            np.broadcast_to(whole, (len(past), len(whole))),
            self._affinity.read(query),
            self.cofailure.read(query),
        ]
        return np.hstack(parts)

    def update(self, frame: RunFrame) -> None:
        """Take in a run; disturbed ones teach nothing.

        What a variant breaks tells which cases go with a change, and nothing else: it is no
        history. The other variants of its commit, which share its answer, do not see it.
        """
        if frame.is_disturbed:
            return
        if not frame.is_variant:
            self._take_variants()
            self._running.append(frame)
            self._finish(frame.query.run.time.timestamp())
            return
        if self._variants and self._variants[0].query.run.base != frame.query.run.base:
            self._take_variants()
        self._variants.append(frame)

    def _finish(self, now: float = np.inf) -> None:
        """Take in the runs that were over at a time, in the order in which they ended."""
        over = [frame for frame in self._running if frame.known_at <= now]
        if not over:
            return
        self._running = [frame for frame in self._running if frame.known_at > now]
        for frame in sorted(over, key=lambda frame: frame.known_at):
            self.history.update(frame)
            self.cofailure.update(frame)
            self._taken[frame.query.run.run_id] = frame.query.run.time.timestamp()
        for run_id in list(self._taken)[:-_TAKEN]:
            del self._taken[run_id]

    def finish(self) -> None:
        """Take in all that is waiting: every run is over."""
        self._finish()
        self._take_variants()

    def _take_variants(self) -> None:
        for frame in self._variants:
            self.cofailure.update(frame)
        self._variants.clear()

    def dump(self) -> dict[str, NDArray[Any]]:
        """Return the state as arrays, for a file without pickle."""
        self.finish()
        history = {f"history.{k}": v for k, v in self.history.dump().items()}
        taken = np.frombuffer(json.dumps(self._taken).encode(), np.uint8)
        cofailure = {f"cofailure.{k}": v for k, v in self.cofailure.dump().items()}
        return {**history, **cofailure, "taken.runs": taken}

    @staticmethod
    def age(arrays: Mapping[str, NDArray[Any]]) -> float:
        """Return a number that is smaller for what `dump` returned later in a history."""
        clock = arrays.get("history.clock")
        sound = clock is not None and clock.shape == (2,) and clock.dtype == np.float64
        return -float(clock[0]) if clock is not None and sound else 0.0

    @classmethod
    def load(cls, arrays: Mapping[str, NDArray[Any]]) -> FeatureState:
        """Rebuild from what `dump` returned."""
        parts: dict[str, dict[str, NDArray[Any]]] = {"history": {}, "cofailure": {}, "taken": {}}
        for name, array in arrays.items():
            family, _, rest = name.partition(".")
            parts[family][rest] = array
        state = cls(HistoryState.load(parts["history"]), CoFailure.load(parts["cofailure"]))
        if "runs" in parts["taken"]:
            taken = json.loads(parts["taken"]["runs"].tobytes())
            state._taken = {str(name): float(began) for name, began in taken.items()}
        return state


def thinning(y: NDArray[np.bool_], most: int, seed: int) -> tuple[NDArray[np.bool_], float]:
    """Choose all failing rows and a sample of the passing ones, at most about `most` rows.

    Parameters
    ----------
    y : ndarray of bool, shape (n,)
        Whether each row failed.
    most : int
        Rows to keep; of the passing ones at least a quarter of this.
    seed : int
        Seed of the sample.

    Returns
    -------
    tuple of ndarray of bool, shape (n,), and float
        Which rows to keep, and the share of the passing rows that this is.
    """
    passing = int((~y).sum())
    room = max(most - int(y.sum()), most // 4)
    if passing <= room:
        return np.ones(len(y), bool), 1.0
    share = room / passing
    return y | (np.random.default_rng(seed).random(len(y)) < share), share


@dataclass(frozen=True, slots=True)
class Matrix:
    """Rows of many runs, oldest first.

    Attributes
    ----------
    x : ndarray of float32, shape (n, n_features)
    y : ndarray of bool, shape (n,)
        Whether the case failed.
    run : ndarray of int32, shape (n,)
        Position of the run of each row, not decreasing.
    weight : ndarray of float32, shape (n,)
        How many rows each one stands for; 0: predicted, and not learnt from.
    made : ndarray of bool, shape (n,)
        Whether the fault of its run was made: how many cases fail there says nothing of how
        many fail otherwise.
    cut : ndarray of bool, shape (n,)
        Whether its run stopped early: what fails there is what stopped it, so that the order it
        ran in looks bad, and no order can be judged by it.
    """

    x: NDArray[np.float32]
    y: NDArray[np.bool_]
    run: NDArray[np.int32]
    weight: NDArray[np.float32]
    made: NDArray[np.bool_]
    cut: NDArray[np.bool_]

    def at(self, rows: slice | NDArray[Any]) -> Matrix:
        """Return some of the rows."""
        return Matrix(
            self.x[rows], self.y[rows], self.run[rows], self.weight[rows], self.made[rows],
            self.cut[rows],
        )  # fmt: skip

    def before(self, run: int) -> Matrix:
        """Return the rows of runs earlier than the one at position `run`."""
        return self.at(slice(0, int(np.searchsorted(self.run, run, side="left"))))

    def learnable(self) -> Matrix:
        """Return the rows that are learnt from."""
        keep = self.weight > 0
        return self if keep.all() else self.at(keep)

    def thinned(self, most: int, seed: int = 0) -> Matrix:
        """Return all failing rows and a sample of the passing ones, at most about `most` rows.

        Which rows are kept depends on the position of a row alone, so that rows added later
        change nothing but the share.
        """
        keep, share = thinning(self.y, most, seed)
        if share == 1.0:
            return self
        weight = np.where(self.y, self.weight, self.weight / share).astype(np.float32)
        return replace(self, weight=weight).at(keep)


def matrix(
    frames: Iterable[RunFrame], state: FeatureState, *, share: float = 1.0, seed: int = 0
) -> Matrix:
    """Read the features of each run and then update the state, run by run.

    Parameters
    ----------
    frames : iterable of RunFrame
        Oldest first.
    state : FeatureState
        Moved past the last run.
    share : float
        Share of the passing rows to keep, each standing for 1 / share; failing ones all stay.
    seed : int
        Seed of the sampling.

    Returns
    -------
    Matrix
        Skipped cases have no row, nor have the cases of runs that their environment failed.
    """
    random = np.random.default_rng(seed)
    parts: list[tuple[NDArray[Any], NDArray[np.bool_]]] = []
    flags: list[tuple[bool, bool]] = []
    for frame in frames:
        rows = ~frame.skipped & (not frame.is_disturbed)
        if share < 1.0:
            rows &= frame.failed | (random.random(len(rows)) < share)
        parts.append((state.read(frame.query)[rows], frame.failed[rows]))
        flags.append((frame.is_variant, frame.is_cut))
        state.update(frame)
    state.finish()
    x = np.concatenate([np.zeros((0, len(NAMES)), np.float32), *(x for x, _ in parts)])
    y = np.concatenate([np.zeros(0, bool), *(y for _, y in parts)])
    run = np.repeat(np.arange(len(parts), dtype=np.int32), [len(y) for _, y in parts])
    made, cut = np.array(flags, bool).reshape(-1, 2)[run].T
    return Matrix(x, y, run, np.where(y, 1.0, 1.0 / share).astype(np.float32), made, cut)
