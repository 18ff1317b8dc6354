"""A bundle is data with checksums; anything else is refused before it is parsed."""

import io
import json
import time
import zipfile

import numpy as np
import pytest

from testopt.errors import BundleError
from testopt.ranking.orderings import ORDERINGS
from testopt.selection.bundle import unpack
from testopt.store.arrays import dump_arrays, load_arrays
from testopt.store.bundle import MANIFEST, pack


def files(**more):
    leaf = {
        "roots": np.zeros(1, np.int32), "feature": np.full(1, -1, np.int32),
        "threshold": np.array([0.5]), "left": np.zeros(1, np.int32),
        "right": np.zeros(1, np.int32), "nan_left": np.zeros(1, bool), "n_features": np.array(2),
    }  # fmt: skip
    line = {
        "mean": np.zeros(2), "scale": np.ones(2), "weight": np.array([0.25, 0.0]),
        "intercept": np.array([0.5]),
    }  # fmt: skip
    return pack(
        {"features": "abc", "calibration": [0.0, 1.0], **more},
        {
            "forest.npz": dump_arrays(leaf),
            "linear.npz": dump_arrays(line),
            "state.npz": dump_arrays({"a": np.arange(3)}),
        },
    )


def test_round_trip():
    bundle = unpack(files().get, features="abc")
    assert bundle.probability(np.zeros((2, 2)))[0] == pytest.approx(1 / (1 + np.exp(-0.5)))
    assert bundle.log_odds(np.array([[2.0, 0.0]]))[0] == pytest.approx(0.5 * (0.5 + 0.5 + 0.5))
    assert bundle.state["a"].tolist() == [0, 1, 2]
    assert len(bundle.bundle_id) == 12


def test_the_weights_of_orderings_come_with_the_bundle():
    name = ORDERINGS[3].name
    bundle = unpack(files(experts={"runs": 7, "gains": {name: 2.5}}).get, features="abc")
    assert bundle.ordering_weights.runs == 7
    assert ORDERINGS[bundle.ordering_weights.current(sources=False).argmax()].name == name
    assert unpack(files().get, features="abc").ordering_weights.runs == 0


@pytest.mark.parametrize(
    "damage",
    [
        [],
        {"runs": 3},
        {"runs": "x", "gains": {}},
        {"runs": 1, "gains": {ORDERINGS[0].name: "nan"}},
        {"runs": 1, "gains": {ORDERINGS[0].name: []}},
    ],
)
def test_damaged_weights_are_refused(damage):
    with pytest.raises(BundleError, match="experts are damaged"):
        unpack(files(experts=damage).get, features="abc")


def test_same_content_same_bytes_at_any_time(monkeypatch):
    first = files()
    monkeypatch.setattr(time, "time", lambda: 1e9)
    assert files() == first


def test_the_manifest_is_written_last():
    assert list(files())[-1] == MANIFEST


@pytest.mark.parametrize("name", ["forest.npz", "linear.npz", "state.npz"])
@pytest.mark.parametrize(
    "damage", [lambda d: d[:-1], lambda d: d[:20] + b"x" + d[21:], lambda d: b""]
)
def test_altered_files_are_refused_by_checksum(name, damage):
    made = files()
    made[name] = damage(made[name])
    with pytest.raises(BundleError, match=f"{name} of the bundle is damaged"):
        unpack(made.get, features="abc")


def test_missing_file():
    made = files()
    del made["state.npz"]
    with pytest.raises(BundleError, match=r"lacks state\.npz"):
        unpack(made.get, features="abc")


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        (None, "no manifest"),
        (b"", "damaged"),
        (b"[1]", "damaged"),
        (b'{"format": 1, "files": []}', "does not list"),
        (b'{"format": 99, "files": {}}', "format 99"),
        (b"[" * 100_000, "damaged"),
    ],
)
def test_bad_manifests(manifest, words):
    with pytest.raises(BundleError, match=words):
        unpack(lambda name: manifest, features="abc")


def test_other_features_are_refused():
    with pytest.raises(BundleError, match="other features"):
        unpack(files().get, features="xyz")


def test_pickle_inside_an_array_file_is_not_loaded():
    buffer = io.BytesIO()
    np.savez(buffer, a=np.array([{"a": 1}], dtype=object))
    with pytest.raises(BundleError, match="damaged"):
        load_arrays(buffer.getvalue())


def test_a_zip_bomb_is_refused_before_it_is_unpacked(monkeypatch):
    monkeypatch.setattr("testopt.store.arrays.MAX_BYTES", 1_000)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", b"\0" * 100_000)
    with pytest.raises(BundleError, match="larger than allowed"):
        load_arrays(buffer.getvalue())


def test_a_bad_calibration_is_refused():
    made = files()
    manifest = json.loads(made[MANIFEST])
    manifest["calibration"] = ["a", None]
    made[MANIFEST] = json.dumps(manifest).encode()
    with pytest.raises(BundleError, match="calibration"):
        unpack(made.get, features="abc")
