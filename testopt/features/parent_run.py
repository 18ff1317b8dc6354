"""Which cases failed in the run that a run descends from: same branch and job, else its base."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from testopt.schema import Run

    Parent = tuple[int, NDArray[np.int32]]  # tick of a run, and the cases that fail there

HEADS_KEPT: Final = 512  # branches and commits remembered, the latest ones


class ParentRuns:
    """Failing cases at the latest run of each branch and at each recent commit, by job.

    A case that a run left out keeps what its ancestor said of it: unknown is not passed.
    """

    def __init__(self) -> None:
        self._heads: dict[str, tuple[int, NDArray[np.int32]]] = {}

    def parent(self, run: Run) -> Parent | None:
        """Return the tick of the nearest ancestor run and the cases that fail there.

        Returns
        -------
        tuple of int and ndarray, or None
            None where no ancestor is known.
        """
        for key in _ancestors(run):
            if key in self._heads:
                return self._heads[key]
        return None

    def update(
        self, run: Run, tick: int, cases: NDArray[np.int32], failed: NDArray[np.bool_]
    ) -> None:
        """Remember what fails after `run`; `cases` are those that were executed."""
        parent = self.parent(run)
        failing = cases[failed]
        if parent is not None:
            # Python's sets: numpy's functions for them import numpy.ma
            still = set(parent[1].tolist()) - set(cases.tolist()) | set(failing.tolist())
            failing = np.array(sorted(still), np.int32)
        for key in _places(run):
            self._heads.pop(key, None)
            self._heads[key] = (tick, failing.astype(np.int32))
        while len(self._heads) > HEADS_KEPT:
            self._heads.pop(next(iter(self._heads)))

    def dump(self) -> dict[str, NDArray[Any]]:
        """Return the state as arrays."""
        ticks = [tick for tick, _ in self._heads.values()]
        failing = [cases for _, cases in self._heads.values()]
        return {
            "keys": np.frombuffer(json.dumps(list(self._heads)).encode(), np.uint8),
            "ticks": np.asarray(ticks, np.int64),
            "ends": np.cumsum([len(f) for f in failing], dtype=np.int64),
            "cases": np.concatenate([*failing, np.zeros(0, np.int32)]).astype(np.int32),
        }

    @classmethod
    def load(cls, state: dict[str, NDArray[Any]]) -> ParentRuns:
        """Rebuild from what `dump` returned."""
        parents = cls()
        keys = json.loads(state["keys"].tobytes())
        parts = np.split(state["cases"], state["ends"][:-1]) if keys else []
        for key, tick, cases in zip(keys, state["ticks"].tolist(), parts, strict=True):
            parents._heads[key] = (tick, cases)
        return parents


def _ancestors(run: Run) -> list[str]:
    keys = [_key("branch", run.job, run.branch or "")]
    if run.base:
        keys.append(_key("commit", run.job, run.base))
    return keys


def _places(run: Run) -> list[str]:
    keys = [_key("branch", run.job, run.branch or "")]
    # what ran on edits does not stand for the commit below them; of older runs that is not known
    if run.commit and not (run.tree and run.base == run.commit):
        keys.append(_key("commit", run.job, run.commit))
    return keys


def _key(kind: str, job: str, name: str) -> str:
    return json.dumps([kind, job, name])
