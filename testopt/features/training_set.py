"""The rows that models learn from: features of many runs, each with its outcome."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from testopt.features.run_features import RunFeatures
from testopt.learning.sampling import sample_rows

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from testopt.features.frames import RunFrame
    from testopt.features.pipeline import FeatureState


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """Rows of many runs, oldest first.

    Attributes
    ----------
    features : RunFeatures
        As they were before the run of each row.
    y : ndarray of bool, shape (n,)
        Whether the case failed.
    run : ndarray of int32, shape (n,)
        Position of the run of each row, not decreasing.
    weight : ndarray of float32, shape (n,)
        How many rows each one stands for; 0: predicted, and not learnt from.
    is_seeded : ndarray of bool, shape (n,)
        Whether the fault of its run was seeded: how many cases fail there says nothing of how
        many fail otherwise.
    stopped_early : ndarray of bool, shape (n,)
        Whether its run stopped early: what fails there is what stopped it, so that the order it
        ran in looks bad, and no order can be judged by it.
    """

    features: RunFeatures
    y: NDArray[np.bool_]
    run: NDArray[np.int32]
    weight: NDArray[np.float32]
    is_seeded: NDArray[np.bool_]
    stopped_early: NDArray[np.bool_]

    @classmethod
    def of_run(
        cls, position: int, frame: RunFrame, features: RunFeatures, kept: NDArray[np.bool_]
    ) -> TrainingSet:
        """Return the rows of one run, for the cases that are kept; each has the weight 1."""
        n = int(kept.sum())
        return cls(
            features.at(kept),
            frame.failed[kept],
            np.full(n, position, np.int32),
            np.ones(n, np.float32),
            np.full(n, frame.is_variant),
            np.full(n, frame.stopped_early),
        )

    @staticmethod
    def concatenate(parts: list[TrainingSet]) -> TrainingSet:
        """Return the rows of all parts, one part after the other.

        The list is emptied on the way: a long history does not fit into memory twice.
        """
        y = np.concatenate([np.zeros(0, bool), *(part.y for part in parts)])
        run = np.concatenate([np.zeros(0, np.int32), *(part.run for part in parts)])
        weight = np.concatenate([np.zeros(0, np.float32), *(part.weight for part in parts)])
        is_seeded = np.concatenate([np.zeros(0, bool), *(part.is_seeded for part in parts)])
        early = np.concatenate([np.zeros(0, bool), *(part.stopped_early for part in parts)])
        features = [part.features for part in parts]
        parts.clear()
        return TrainingSet(
            RunFeatures.concatenate(features), y, run, weight, is_seeded, stopped_early=early
        )

    def at(self, rows: slice | NDArray[Any]) -> TrainingSet:
        """Return some of the rows."""
        return TrainingSet(
            self.features.at(rows), self.y[rows], self.run[rows], self.weight[rows],
            self.is_seeded[rows], self.stopped_early[rows],
        )  # fmt: skip

    def before(self, run: int) -> TrainingSet:
        """Return the rows of runs earlier than the one at position `run`."""
        return self.at(slice(0, int(np.searchsorted(self.run, run, side="left"))))

    def learnable(self) -> TrainingSet:
        """Return the rows that are learnt from."""
        keep = self.weight > 0
        return self if keep.all() else self.at(keep)

    def thinned(self, most: int, seed: int = 0) -> TrainingSet:
        """Return all failing rows and a sample of the passing ones, at most about `most` rows.

        Which rows are kept depends on the position of a row alone, so that rows added later
        change nothing but the share.
        """
        keep, share = sample_rows(self.y, most, seed)
        if share == 1.0:
            return self
        weight = np.where(self.y, self.weight, self.weight / share).astype(np.float32)
        return replace(self, weight=weight).at(keep)


def read_training_set(
    frames: Iterable[RunFrame], state: FeatureState, *, share: float = 1.0, seed: int = 0
) -> TrainingSet:
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
    TrainingSet
        Skipped cases have no row, nor have the cases of runs that their environment failed.
    """
    rows = read_rows(frames, state, share=share, seed=seed)
    state.finish()
    return rows


def read_rows(
    frames: Iterable[RunFrame],
    state: FeatureState,
    *,
    first: int = 0,
    share: float = 1.0,
    seed: int = 0,
) -> TrainingSet:
    """Do as `read_training_set` does for a part of the history; more runs come after it.

    Parameters
    ----------
    frames, state, share, seed
        As for `read_training_set`.
    first : int
        Position of the first run in the whole history.
    """
    parts = []
    for position, frame in enumerate(frames, first):
        kept = frame.learnt
        if share < 1.0:
            random = np.random.default_rng((seed, position))
            kept &= frame.failed | (random.random(len(kept)) < share)
        parts.append(TrainingSet.of_run(position, frame, state.read(frame.query), kept))
        state.update(frame)
    rows = TrainingSet.concatenate(parts)
    return replace(rows, weight=np.where(rows.y, 1.0, 1.0 / share).astype(np.float32))
