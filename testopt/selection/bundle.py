"""A bundle that is ready to predict: its models, the state of the features, past regressions."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from testopt.errors import BundleError, OutdatedBundleError
from testopt.features.state_check import check_state
from testopt.learning.calibration import sigmoid
from testopt.learning.forest import Forest
from testopt.learning.linear import Linear
from testopt.ranking.orderings import FIRST_FAILING, too_young
from testopt.selection.evidence import Evidence
from testopt.store.arrays import load_arrays
from testopt.store.bundle import (
    MANIFEST,
    MAX_MANIFEST_BYTES,
    bundle_id,
    checked_file,
    read_manifest,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from testopt.reasons import Reason

EVIDENCE: Final = "evidence.json"
MAX_CALIBRATION: Final = 1e6


@dataclass(frozen=True, slots=True)
class Bundle:
    """A model that is ready to predict.

    Attributes
    ----------
    manifest : dict
        Format version, feature hash, table versions, training window, library versions, seed,
        validation, and the files with their sizes and checksums.
    forest : Forest
        Compiled trees.
    linear : Linear
        Logistic regression on the same features.
    calibration : tuple of float
        Intercept and slope in log-odds.
    state : dict of str to ndarray
        Feature state after the last training run.
    evidence : Evidence
        Past regressions, with the scores that were predicted before them.
    """

    manifest: dict[str, Any]
    forest: Forest
    linear: Linear
    calibration: tuple[float, float]
    state: dict[str, NDArray[Any]]
    evidence: Evidence = field(default_factory=Evidence)

    @property
    def bundle_id(self) -> str:
        """Identity of the bundle: the start of the checksum of its manifest."""
        return bundle_id(self.manifest)

    @property
    def too_young(self) -> Reason | None:
        """Why its model has no say yet; None where it has one."""
        return too_young(self.manifest.get("failing_runs", FIRST_FAILING))

    def probability(self, x: NDArray[Any]) -> NDArray[np.float64]:
        """Return P(case fails) for rows of features, shape (n,)."""
        return sigmoid(self.log_odds(x))

    def log_odds(self, x: NDArray[Any]) -> NDArray[np.float64]:
        """Return the calibrated log-odds that a case fails, shape (n,)."""
        intercept, slope = self.calibration
        margin = 0.5 * (self.forest.margin(x) + self.linear.margin(x))
        return np.asarray(intercept + slope * margin)


def unpack(read: Callable[[str], bytes | None], *, features: str) -> Bundle:
    """Check and load a bundle.

    Parameters
    ----------
    read : callable
        Returns the content of a file of the bundle, or None.
    features : str
        Identity of the feature set that the caller computes.

    Returns
    -------
    Bundle

    Raises
    ------
    BundleError
        When a file is missing, altered, too large, or of another format or feature set.
    """
    manifest = read_manifest(read(MANIFEST))
    if manifest.get("features") != features:
        raise OutdatedBundleError("the bundle was trained on other features", "run: testopt train")
    forest = Forest.load(_arrays(manifest, "forest.npz", read))
    linear = Linear.load(_arrays(manifest, "linear.npz", read), forest.n_features)
    state = _arrays(manifest, "state.npz", read)
    try:
        check_state(state)
    except ValueError as error:
        raise BundleError(f"state.npz is damaged: {error}", "run: testopt train") from None
    check_window(manifest)
    line = manifest.get("calibration")
    floats = isinstance(line, list) and [type(v) for v in line] == [float, float]
    if line is None or not floats or not all(abs(v) < MAX_CALIBRATION for v in line):
        raise BundleError("the bundle's calibration is damaged", "run: testopt train")
    evidence = _evidence(manifest, read)
    return Bundle(manifest, forest, linear, (line[0], line[1]), state, evidence)


def _arrays(
    manifest: Mapping[str, Any], name: str, read: Callable[[str], bytes | None]
) -> dict[str, NDArray[Any]]:
    return load_arrays(checked_file(manifest, name, read), name)


def check_window(manifest: Mapping[str, Any]) -> None:
    """Check what the manifest says of the runs that it was trained on."""
    try:
        window, failing = manifest["window"], manifest.get("failing_runs", FIRST_FAILING)
        counts = {type(failing), type(window["runs"])}
        zones = [datetime.fromisoformat(window[end]).utcoffset() for end in ("first", "last")]
        if counts != {int} or min(failing, window["runs"]) < 0 or None in zones:
            raise ValueError("it is not a window of runs")
    except (ValueError, TypeError, KeyError) as error:
        raise BundleError(
            f"the bundle's window is damaged: {error!r:.80}", "run: testopt train"
        ) from None


def _evidence(manifest: Mapping[str, Any], read: Callable[[str], bytes | None]) -> Evidence:
    if EVIDENCE not in manifest["files"]:
        return Evidence()
    data = checked_file(manifest, EVIDENCE, read)
    try:
        if len(data) > MAX_MANIFEST_BYTES:
            raise ValueError("it is larger than allowed")
        return Evidence.from_dict(json.loads(data))
    except (
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        OverflowError,
        RecursionError,
    ) as error:
        raise BundleError(f"{EVIDENCE} is damaged: {error}", "run: testopt train") from None
