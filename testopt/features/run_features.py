"""What is known of the cases of a run before it starts: facts, and the matrix that models read.

There were 147 features; 80 of them went at once, for .002 at most. Mean APFDc without them less
that with them, over rolling predictions, with its 95 % interval (bootstrap over failing runs):

================================= ======= =================
regressions of sqlparse, all      -.0001  -.0025 to +.0027
regressions of sqlparse, strict   -.0011  -.0039 to +.0017
regressions of boltons, all       +.0002  -.0000 to +.0006
regressions of boltons, strict    +.0013  -.0000 to +.0040
sqlparse, names, changes hidden   +.0025  -.0003 to +.0065
one CI job of dune-common         -.0003  -.0017 to +.0013
another such job                  +.0006  -.0002 to +.0017
dune-common, all jobs             -.0008  -.0015 to -.0001
ABB-IOFROL                        -.0015  -.0071 to +.0049
================================= ======= =================

Dropped: the rank within the run of each of 22 similarities (their shares of the largest stay) and
three more ranks; means over class and file and largest values over files; hours beside ticks; ticks
since a function, class or file failed; neighbours one and eight places off; how long ago and how
alike the likeliest run was; entropy, folders and tests of a change; failures with folders by
function, and all of those as shares of the largest. Measured and not added: more decays of the
failure rate, ranks of each number of the past, a listwise objective (softmax over the cases of a
failing run), 1 / m as weight of m failures of a run, and failing runs with twice as many passing
ones alone; on dune-common, ABB-IOFROL and sqlparse each is level or worse.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from testopt.features import change, cofailure, history
from testopt.features.case_facts import CaseFacts
from testopt.similarity import affinity

if TYPE_CHECKING:
    from numpy.typing import NDArray

NAMES: Final = (*history.NAMES, *change.NAMES, *affinity.LEARNT, *cofailure.NAMES)
_COLUMN: Final = {name: j for j, name in enumerate(NAMES)}


def feature_hash() -> str:
    """Return the identity of the feature set: models of another one are refused."""
    return hashlib.sha256("\n".join(NAMES).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class RunFeatures(CaseFacts):
    """Features of the cases of a run, or of the rows of many; all facts are of shape (n,).

    The facts are those that somebody reads who is no model; a model reads the matrix.

    Attributes
    ----------
    source_read : ndarray of bool
        Whether the sources of change and case were read, not their names alone.
    matrix : ndarray of float32, shape (n, len(NAMES))
        The columns of ``NAMES``, NaN where unknown.
    """

    source_read: NDArray[np.bool_]
    matrix: NDArray[np.float32]

    @classmethod
    def of(cls, past: CaseFacts, matrix: NDArray[np.float32], *, sources_read: bool) -> RunFeatures:
        """Return the features of a run, of whose cases all sources were read or none."""
        facts = {field.name: getattr(past, field.name) for field in fields(past)}
        return cls(**facts, source_read=np.full(len(matrix), sources_read), matrix=matrix)

    def __len__(self) -> int:
        return len(self.matrix)

    def at(self, rows: slice | NDArray[Any]) -> RunFeatures:
        """Return some of the rows."""
        return RunFeatures(*(getattr(self, field.name)[rows] for field in fields(self)))

    @staticmethod
    def concatenate(parts: list[RunFeatures]) -> RunFeatures:
        """Return the rows of all parts, one part after the other.

        The list is emptied on the way: a long history does not fit into memory twice.
        """
        end = sum(len(part) for part in parts)
        out = _unfilled(end)
        names = [field.name for field in fields(RunFeatures)]
        while parts:
            part = parts.pop()
            start = end - len(part)
            for name in names:
                getattr(out, name)[start:end] = getattr(part, name)
            end = start
        return out

    def column(self, name: str) -> NDArray[np.float32]:
        """Return a column of the matrix."""
        return self.matrix[:, _COLUMN[name]]

    @property
    def sources_read(self) -> bool:
        """Whether the sources of any case were read."""
        return bool(self.source_read.any())

    @property
    def in_change(self) -> NDArray[np.float32]:
        """1 where the change edits the case, 0.5 for a fixture or helper beside it, else 0."""
        return np.nan_to_num(self.column("in_change"))

    @property
    def effort(self) -> NDArray[np.float32]:
        """What its text tells of its duration (`testopt.code.effort`); NaN where unknown."""
        return self.column("effort")

    @property
    def closeness(self) -> NDArray[np.float64]:
        """How close it is to the change without any training, 0..1; 0 where unknown."""
        return np.nan_to_num(self.column("prior").astype(np.float64)).clip(0.0, 1.0)


def _unfilled(n: int) -> RunFeatures:
    """Return room for the features of `n` cases."""
    return RunFeatures(
        executions=np.empty(n, np.int32),
        failures=np.empty(n, np.int32),
        runs_since_failure=np.empty(n, np.float32),
        ticks_since_failure=np.empty(n, np.float32),
        age_ticks=np.empty(n, np.float32),
        seconds=np.empty(n, np.float32),
        failing_last=np.empty(n, np.bool_),
        has_parent=np.empty(n, np.bool_),
        failing_in_parent=np.empty(n, np.bool_),
        ran_before_parent=np.empty(n, np.bool_),
        source_read=np.empty(n, np.bool_),
        matrix=np.empty((n, len(NAMES)), np.float32),
    )
