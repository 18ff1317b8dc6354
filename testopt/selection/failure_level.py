"""How many cases failed in real runs since a bundle was trained, beside how many it expected.

A bundle that learnt from seeded faults, or from other times, may be right about the order and wrong
about how often cases fail. The runs that come correct it: all probabilities move by one factor
(in odds), which orders and selections do not depend on.
"""

from __future__ import annotations

import json
import math
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from testopt.errors import BundleError, StoreError
from testopt.learning.calibration import sigmoid
from testopt.schema import FAILING
from testopt.selection.standing import read_standing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from testopt.selection.policy import Policy
    from testopt.store import Store

_NAME: Final = "state/failure-level.json"
_FORMAT: Final = 1
_KEPT: Final = 200  # runs, the newest
# Failures that have been seen as often as expected before the first run. Of .5, 1 and 2 the last
# was within a factor of 1.5 and of 2 most often, from 5 to 40 runs on two replayed projects.
_PRIOR: Final = 2.0
_EDGE: Final = 1e-6  # probabilities are stored in 32 bits


@dataclass(frozen=True, slots=True)
class FailureLevel:
    """Real runs that a bundle planned.

    Attributes
    ----------
    bundle : str
        Its id.
    runs : dict of str to (float, int)
        Expected and observed number of failing cases by run_id, oldest first.
    """

    bundle: str = ""
    runs: Mapping[str, tuple[float, int]] = field(default_factory=dict)

    @property
    def shift(self) -> float:
        """What is added to the log-odds of the bundle's probabilities."""
        expected = sum(e for e, _ in self.runs.values())
        failed = sum(f for _, f in self.runs.values())
        return math.log((failed + _PRIOR) / (expected + _PRIOR))


def load_level(store: Store | None, bundle: str) -> FailureLevel:
    """Return what is known of a bundle; nothing where nothing is, or it cannot be read."""
    none = FailureLevel(bundle)
    try:
        data = None if store is None else store.read_blob(_NAME)
        document = json.loads(data) if data is not None else {}
        if document.get("format") != _FORMAT or document["bundle"] != bundle:
            return none
        runs = {str(run): _counts(*row) for run, row in document["runs"].items()}
    except (StoreError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return none  # a cache: the next runs make it again
    return FailureLevel(bundle, runs)


def _counts(expected: Any, failed: Any) -> tuple[float, int]:
    if not (0.0 <= float(expected) < math.inf and int(failed) >= 0):
        raise ValueError("a count is damaged")
    return float(expected), int(failed)


def update_level(store: Store, policies: Mapping[str, Policy], new: Sequence[str]) -> None:
    """Count what failed in new real runs; nothing is lost where that cannot be done now.

    Parameters
    ----------
    store : Store
    policies : mapping of str to Policy
        What decided, by run_id, of the runs that had a plan.
    new : sequence of str
        Run ids, oldest first.
    """
    passing_by = _on_trial(store)
    planned = [
        run for run in new if run in policies and policies[run].bundle not in ("", passing_by)
    ]
    if not planned:
        return
    bundle = policies[planned[-1]].bundle
    own = {run: policies[run].level for run in planned if policies[run].bundle == bundle}
    with suppress(StoreError):
        runs = {**load_level(store, bundle).runs, **_measured(store, own)}
        document = {
            "format": _FORMAT,
            "bundle": bundle,
            "runs": dict(list(runs.items())[-_KEPT:]),
        }
        store.write_blob(_NAME, json.dumps(document, separators=(",", ":")).encode())


def _on_trial(store: Store) -> str:
    """Return the bundle that plans a few changes, whose runs would take the place of the others."""
    with suppress(BundleError):
        return read_standing(store).trial.bundle
    return ""


def _measured(store: Store, levels: Mapping[str, float]) -> dict[str, tuple[float, int]]:
    """Return expected and observed failures of runs, of the cases that have an outcome.

    ``levels`` says by what each run's probabilities were shifted when they were stored.
    """
    rows = _outcomes(store, list(levels))
    p = np.clip(rows["probability"].to_numpy(), _EDGE, 1.0 - _EDGE).astype(np.float64)
    failed, runs = rows["failed"].to_numpy(zero_copy_only=False), rows["run_id"].to_pylist()
    place = {run: i for i, run in enumerate(levels)}
    of = np.fromiter((place[run] for run in runs), np.int64, len(runs))
    unshifted = shifted(p, -np.fromiter(levels.values(), float, len(levels))[of])
    expected = np.bincount(of, unshifted, len(levels)).tolist()
    observed = np.bincount(of, failed, len(levels)).astype(int).tolist()
    counts, there = zip(expected, observed, strict=True), set(runs)
    return {run: count for run, count in zip(levels, counts, strict=True) if run in there}


def _outcomes(store: Store, runs: Sequence[str]) -> pa.Table:
    """Return run_id, probability and whether it failed for each planned case that ran."""
    import pyarrow as pa
    import pyarrow.compute as pc

    keys, where = ["run_id", "case_id"], [("run_id", "in", list(runs))]
    planned = store.read("predictions", columns=[*keys, "probability"], where=where)
    results = store.read("results", columns=[*keys, "outcome", "attempt"], where=where)
    last = results.sort_by("attempt").group_by(keys, use_threads=False)
    ended = last.aggregate([("outcome", "last")])
    ended = ended.filter(pc.not_equal(ended["outcome_last"], "skipped"))
    joined = planned.join(ended, keys, join_type="inner")
    bad = pc.is_in(joined["outcome_last"], value_set=pa.array(sorted(FAILING)))
    return joined.append_column("failed", bad)


def shifted(p: NDArray[np.float64], shift: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """Return probabilities with `shift` added to their log-odds, shape as given."""
    inside = np.clip(p, _EDGE, 1.0 - _EDGE)
    return sigmoid(np.log(inside / (1.0 - inside)) + shift)
