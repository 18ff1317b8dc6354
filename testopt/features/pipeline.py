"""All features of a run in one pass: the same code for training, backtest and plan."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from testopt.features import change
from testopt.features.cofailure import CoFailure
from testopt.features.history import HistoryState
from testopt.features.run_features import RunFeatures
from testopt.features.state_check import check_state
from testopt.similarity.affinity import closeness_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from testopt.features.frames import RunFrame
    from testopt.similarity.query import Query

_TAKEN: Final = 512  # runs remembered by id
_LATE_S: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A state in the midst of a history: its arrays, and the runs that it has not taken in yet.

    ``running`` were not over, ``variants`` are those of the last commit that had some.
    """

    arrays: dict[str, NDArray[Any]]
    running: tuple[RunFrame, ...] = ()
    variants: tuple[RunFrame, ...] = ()


class FeatureState:
    """What the features of the next run are read from.

    Attributes
    ----------
    history : HistoryState
        The past of every case.
    cofailure : CoFailure
        What failed when the same files were changed.
    """

    def __init__(
        self,
        history: HistoryState | None = None,
        cofailure: CoFailure | None = None,
        waiting: tuple[tuple[RunFrame, ...], tuple[RunFrame, ...]] = ((), ()),
    ) -> None:
        self.history = history or HistoryState()
        self.cofailure = cofailure or CoFailure()
        running, variants = map(list, waiting)
        self._running: list[RunFrame] = running  # had begun, and were not over, at the last run
        self._variants: list[RunFrame] = variants  # of the last commit that had some
        self._applied: dict[str, float] = {}  # when each of the last runs began, by id

    def applied_runs(self, runs: Iterable[tuple[float, str]]) -> set[str]:
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
        if not self._applied:  # kept by an earlier version
            return {name for began, name in runs if (began, name) <= last}
        since = last[0] - _LATE_S
        if self.history.tick > len(self._applied):  # some are forgotten
            since = max(since, min(self._applied.values()))
        return {name for began, name in runs if name in self._applied or began < since}

    def read(self, query: Query) -> RunFeatures:
        """Return the features of a run about to start.

        Runs that are not over by then say nothing yet.
        """
        self._finish(query.run.time.timestamp())
        facts, past = self.history.read(query)
        closeness = closeness_of(query)
        of_change = np.asarray(change.change_features(query.files), np.float32)
        parts = [
            past,
            np.broadcast_to(of_change, (len(past), len(of_change))),
            closeness.matrix,
            self.cofailure.read(query),
        ]
        return RunFeatures.of(facts, np.hstack(parts), sources_read=closeness.effort is not None)

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

    def pass_by(self, frame: RunFrame) -> None:
        """Take in a run as `read` and `update` do, without features of its cases."""
        self._finish(frame.query.run.time.timestamp())
        self.history.admit(frame.query)
        self.update(frame)

    def _finish(self, now: float = np.inf) -> None:
        """Take in the runs that were over at a time, in the order in which they ended."""
        over = [frame for frame in self._running if frame.known_at <= now]
        if not over:
            return
        self._running = [frame for frame in self._running if frame.known_at > now]
        for frame in sorted(over, key=lambda frame: frame.known_at):
            self.history.update(frame)
            lives = self.history.lives(frame.query)
            self.cofailure.update(frame, lives, tick=self.history.tick - 1)
            self._applied[frame.query.run.run_id] = frame.query.run.time.timestamp()
        for run_id in list(self._applied)[:-_TAKEN]:
            del self._applied[run_id]

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
        return self._arrays()

    def snapshot(self) -> Snapshot:
        """Return the state as it is, with the runs that wait; `resume` goes on from there."""
        return Snapshot(self._arrays(), tuple(self._running), tuple(self._variants))

    @classmethod
    def resume(cls, snapshot: Snapshot) -> FeatureState:
        """Return a state of its own that goes on where `snapshot` was taken."""
        copies = {name: array.copy() for name, array in snapshot.arrays.items()}
        return cls.load(copies, (snapshot.running, snapshot.variants))

    def _arrays(self) -> dict[str, NDArray[Any]]:
        history = {f"history.{k}": v for k, v in self.history.dump().items()}
        taken = np.frombuffer(json.dumps(self._applied).encode(), np.uint8)
        cofailure = {f"cofailure.{k}": v for k, v in self.cofailure.dump().items()}
        return {**history, **cofailure, "taken.runs": taken}

    @staticmethod
    def age(arrays: Mapping[str, NDArray[Any]]) -> float:
        """Return a number that is smaller for what `dump` returned later in a history."""
        clock = arrays.get("history.clock")
        sound = clock is not None and clock.shape == (2,) and clock.dtype == np.float64
        return -float(clock[0]) if clock is not None and sound else 0.0

    @classmethod
    def load(
        cls,
        arrays: Mapping[str, NDArray[Any]],
        waiting: tuple[tuple[RunFrame, ...], tuple[RunFrame, ...]] = ((), ()),
    ) -> FeatureState:
        """Rebuild from what `dump` returned, trusting nothing.

        Raises
        ------
        ValueError
            When the arrays are not those of a state; the message says which one is not.
        """
        check_state(arrays)
        parts: dict[str, dict[str, NDArray[Any]]] = {"history": {}, "cofailure": {}, "taken": {}}
        for name, array in arrays.items():
            family, _, rest = name.partition(".")
            parts[family][rest] = array
        state = cls(
            HistoryState.load(parts["history"]), CoFailure.load(parts["cofailure"]), waiting
        )
        if "runs" in parts["taken"]:
            taken = json.loads(parts["taken"]["runs"].tobytes())
            state._applied = {str(name): float(began) for name, began in taken.items()}
        return state
