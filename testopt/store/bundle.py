"""A bundle: a versioned model as a few files of plain data, each with its size and SHA-256.

``manifest.json`` is checked first, every other file against it before it is parsed. Nothing in
a bundle is code: JSON, text, Markdown, and npz without pickle.
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zipfile
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from testopt.errors import BundleError
from testopt.learning.calibration import sigmoid
from testopt.learning.forest import Forest
from testopt.learning.linear import Linear
from testopt.ranking.orderings import FIRST_FAILING, OrderingWeights, too_young
from testopt.selection.evidence import Evidence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from numpy.typing import NDArray

    from testopt.reasons import Reason

FORMAT_VERSION: Final = 1  # 1: first format (0.1.0)
MANIFEST: Final = "manifest.json"
EVIDENCE: Final = "evidence.json"
MAX_FILE_BYTES: Final = 1 << 30
MAX_MANIFEST_BYTES: Final = 4 << 20
MAX_CALIBRATION: Final = 1e6
# What zipfile and numpy raise for bytes that are no archive of arrays.
_UNREADABLE: Final = (
    ValueError, OSError, EOFError, KeyError, MemoryError, RuntimeError, struct.error, zlib.error,
    zipfile.BadZipFile,
)  # fmt: skip


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
    ordering_weights : OrderingWeights
        What the ways of ordering have gained on runs that the model had not seen.
    evidence : Evidence
        Past regressions, with the scores that were predicted before them.
    """

    manifest: dict[str, Any]
    forest: Forest
    linear: Linear
    calibration: tuple[float, float]
    state: dict[str, NDArray[Any]]
    ordering_weights: OrderingWeights = field(default_factory=OrderingWeights)
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


def bundle_id(manifest: Mapping[str, Any]) -> str:
    """Return the identity that follows from a manifest."""
    return hashlib.sha256(_json(manifest)).hexdigest()[:12]


def pack(manifest: Mapping[str, Any], files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return all files of a bundle; the manifest comes last, so that writing it commits.

    Parameters
    ----------
    manifest : mapping
        Everything but the format version and the files.
    files : mapping of str to bytes
        Contents by name.
    """
    listed = {
        name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in sorted(files.items())
    }
    whole = {"format": FORMAT_VERSION, **manifest, "files": listed}
    return {**files, MANIFEST: _json(whole)}


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
    manifest = _manifest(read(MANIFEST))
    if manifest.get("features") != features:
        raise BundleError("the bundle was trained on other features", "run: testopt train")
    forest = Forest.load(load_arrays(_checked(manifest, "forest.npz", read)))
    linear = Linear.load(load_arrays(_checked(manifest, "linear.npz", read)), forest.n_features)
    state = load_arrays(_checked(manifest, "state.npz", read))
    line = manifest.get("calibration")
    floats = isinstance(line, list) and [type(v) for v in line] == [float, float]
    if line is None or not floats or not all(abs(v) < MAX_CALIBRATION for v in line):
        raise BundleError("the bundle's calibration is damaged", "run: testopt train")
    evidence = _evidence(manifest, read)
    ordering_weights = _ordering_weights(manifest)
    return Bundle(manifest, forest, linear, (line[0], line[1]), state, ordering_weights, evidence)


def read_checked(
    read: Callable[[str], bytes | None], names: Iterable[str]
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return the manifest of a bundle and some of its files, whole and unaltered.

    Parameters
    ----------
    read : callable
        Returns the content of a file of the bundle, or None.
    names : iterable of str
        The files.

    Raises
    ------
    BundleError
        When one is missing, altered, too large, or the bundle has another format.
    """
    manifest = _manifest(read(MANIFEST))
    return manifest, {name: _checked(manifest, name, read) for name in names}


def _evidence(manifest: Mapping[str, Any], read: Callable[[str], bytes | None]) -> Evidence:
    if EVIDENCE not in manifest["files"]:
        return Evidence()
    data = _checked(manifest, EVIDENCE, read)
    try:
        if len(data) > MAX_MANIFEST_BYTES:
            raise ValueError("it is larger than allowed")
        return Evidence.from_dict(json.loads(data))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise BundleError(f"{EVIDENCE} is damaged: {error}", "run: testopt train") from None


def _ordering_weights(manifest: Mapping[str, Any]) -> OrderingWeights:
    if "experts" not in manifest:
        return OrderingWeights()
    try:
        return OrderingWeights.from_dict(manifest["experts"])
    except (ValueError, TypeError, KeyError, AttributeError):
        raise BundleError("the bundle's experts are damaged", "run: testopt train") from None


def dump_arrays(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return arrays as npz bytes that depend on nothing but the arrays."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **dict(arrays))
    return buffer.getvalue()


def load_arrays(data: bytes) -> dict[str, NDArray[Any]]:
    """Read npz bytes without pickle, at most ``MAX_FILE_BYTES`` of arrays.

    Raises
    ------
    BundleError
        When the bytes are no such file.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(member.file_size for member in archive.infolist()) > MAX_FILE_BYTES:
                raise BundleError("an array file is larger than allowed")
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except _UNREADABLE as error:
        raise BundleError(f"an array file is damaged: {error}") from None


def _manifest(data: bytes | None) -> dict[str, Any]:
    hint = "train a new one: testopt train"
    if data is None:
        raise BundleError("the bundle has no manifest.json", hint)
    try:
        manifest = json.loads(data[: MAX_MANIFEST_BYTES + 1])
        version, files = manifest["format"], manifest["files"]
        sound = isinstance(files, dict) and all(
            isinstance(f, dict) and "sha256" in f and "bytes" in f for f in files.values()
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BundleError(f"manifest.json is damaged: {error}", hint) from None
    if not sound:
        raise BundleError("manifest.json does not list its files", hint)
    if version != FORMAT_VERSION:
        raise BundleError(
            f"the bundle has format {version!r}, this testopt reads {FORMAT_VERSION}",
            "use the testopt that wrote it, or train a new one: testopt train",
        )
    return dict(manifest)


def _checked(manifest: Mapping[str, Any], name: str, read: Callable[[str], bytes | None]) -> bytes:
    hint = "restore the bundle, or train a new one: testopt train"
    entry = manifest["files"].get(name)
    data = read(name) if entry else None
    if data is None:
        raise BundleError(f"the bundle lacks {name}", hint)
    altered = len(data) != entry["bytes"] or hashlib.sha256(data).hexdigest() != entry["sha256"]
    if altered or len(data) > MAX_FILE_BYTES:
        raise BundleError(f"{name} of the bundle is damaged: its checksum differs", hint)
    return data


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=True).encode() + b"\n"
