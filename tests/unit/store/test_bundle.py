"""A bundle is data with checksums; anything else is refused before it is parsed."""

import io
import json
import os
import time
import zipfile

import numpy as np
import pytest
from builders import make_frame, make_query, make_run, new_store

from testopt.errors import BundleError, StoreError
from testopt.features.pipeline import FeatureState
from testopt.features.state_store import current_state
from testopt.selection.bundle import unpack
from testopt.selection.bundle_registry import current_bundle
from testopt.store.arrays import dump_arrays, load_arrays
from testopt.store.bundle import MANIFEST, pack

WINDOW = {"first": "2026-01-01T00:00:00+00:00", "last": "2026-01-02T00:00:00+00:00", "runs": 3}


def history():
    """Return the state of the features after a few runs, as arrays."""
    state = FeatureState()
    for at, failing in enumerate(["a", "", "b"]):
        query = make_query(["t.py::a", "t.py::b", "u.py::K::c"], "s.py", run=make_run(f"r{at}", at))
        state.update(make_frame(query, {f"t.py::{failing}"}))
    return state.dump()


STATE = history()


def files(*, state=STATE, **more):
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
        {"features": "abc", "calibration": [0.0, 1.0], "window": WINDOW, **more},
        {
            "forest.npz": dump_arrays(leaf),
            "linear.npz": dump_arrays(line),
            "state.npz": dump_arrays(state),
        },
    )


def test_round_trip():
    bundle = unpack(files().get, features="abc")
    assert bundle.probability(np.zeros((2, 2)))[0] == pytest.approx(1 / (1 + np.exp(-0.5)))
    assert bundle.log_odds(np.array([[2.0, 0.0]]))[0] == pytest.approx(0.5 * (0.5 + 0.5 + 0.5))
    assert bundle.state["history.clock"].tolist() == STATE["history.clock"].tolist()
    assert len(bundle.bundle_id) == 12


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


def npz(*members, compression=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for at, member in enumerate(members):
            archive.writestr(f"{at}.npy", member)
    return buffer.getvalue()


def npy(header, data=b""):
    """Return the file of an array whose header says what it likes."""
    text = repr(header).encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data


ARRAY = {"descr": "<f8", "fortran_order": False, "shape": (1,)}


@pytest.mark.parametrize(
    "data",
    [
        npz(b"\0" * 100_000, compression=zipfile.ZIP_DEFLATED),  # a bomb
        npz(*[npy(ARRAY, bytes(8))] * 257),
        npz(npy(ARRAY, bytes(7))),
        npz(npy({**ARRAY, "shape": (10**12,)}, bytes(8))),
        npz(npy({**ARRAY, "shape": (10**12,), "descr": "<U0"})),  # no bytes, and no end
        npz(npy({**ARRAY, "shape": (-1,)}, bytes(8))),
        npz(npy({**ARRAY, "shape": (1,) * 40}, bytes(8))),
        npz(npy({**ARRAY, "descr": [("a", "<f8")]}, bytes(8))),
        npz(npy({**ARRAY, "descr": "<c8"}, bytes(8))),
        npz(b"\x93NUMPY\x02\x00"),
        npz(b""),
    ],
)
def test_arrays_that_are_no_plain_numbers_or_larger_than_their_file_are_refused(data):
    with pytest.raises(BundleError, match="an array file is damaged"):
        load_arrays(data)


def test_arrays_survive_dump_and_load():
    made = {
        "matrix": np.asfortranarray(np.arange(6.0).reshape(2, 3)), "one": np.array(-2),
        "none": np.zeros(0, bool),
    }  # fmt: skip
    again = load_arrays(dump_arrays(made))
    assert {name: (a.tolist(), a.dtype) for name, a in again.items()} == {
        name: (a.tolist(), a.dtype) for name, a in made.items()
    }
    assert all(array.flags.writeable for array in again.values())


def damages(array):
    """Yield what an array must not be, one kind of damage after the other."""
    yield np.zeros(array.shape, np.float16)
    yield np.stack([array, array])
    if array.dtype.kind in "fiu" and len(array):
        limits = np.finfo(array.dtype) if array.dtype.kind == "f" else np.iinfo(array.dtype)
        yield np.full_like(array, limits.min)
    if array.dtype.kind == "f":
        yield np.full_like(array, -np.inf)


# What may hold any number, names of things or characters, is checked in its size alone.
@pytest.mark.parametrize("name", sorted(STATE))
def test_each_array_of_a_state_is_checked_though_the_checksums_fit(name):
    free = {"cofailure.targets", "cofailure.things", "cofailure.last", "cofailure.hits"}
    for damaged in damages(STATE[name]):
        if damaged.dtype == np.float16 or (name not in free and STATE[name].dtype != np.uint8):
            if np.array_equal(damaged, STATE[name]) and damaged.dtype == STATE[name].dtype:
                continue  # it was all zeros
            with pytest.raises(BundleError, match=r"state\.npz is damaged"):
                unpack(files(state={**STATE, name: damaged}).get, features="abc")


@pytest.mark.parametrize(
    "damage",
    [
        {"history.clock": np.array([1e300, 0.0])},
        {"history.clock": np.array([1.5, 0.0])},
        {"history.table.ids": np.frombuffer(b"\xff" * 25, np.uint8)},
        {"history.table.ends": np.array([25, 8, 7], np.uint32)},
        {"history.table.renamed": np.frombuffer(b'{"a": 1}', np.uint8)},
        {"history.case.runs": STATE["history.case.runs"][:-1]},
        {"history.lineage.keys": np.frombuffer(b"[" * 9_999, np.uint8)},
        {"history.lineage.keys": np.frombuffer(b"[1]", np.uint8)},
        {"history.siblings.run_sets": np.array([0, 0, 5])},
        {"history.last_run": np.frombuffer(b"\xff", np.uint8)},
        {"cofailure.sizes": STATE["cofailure.sizes"] + 1},
        {"cofailure.hits": np.zeros((1, 7), np.uint32)},
        {"taken.runs": np.frombuffer(b"[1]", np.uint8)},
        {"taken.runs": np.frombuffer(b'{"a": 1e999}', np.uint8)},
        {"taken.runs": np.frombuffer(b'{"a": []}', np.uint8)},
    ],
)
def test_arrays_of_a_state_that_do_not_fit_together_are_refused(damage):
    with pytest.raises(BundleError, match=r"state\.npz is damaged"):
        unpack(files(state={**STATE, **damage}).get, features="abc")


@pytest.mark.parametrize(
    "damage",
    [
        {"window": None},
        {"window": {**WINDOW, "runs": "3"}},
        {"window": {**WINDOW, "runs": -1}},
        {"window": {**WINDOW, "last": 7}},
        {"window": {**WINDOW, "last": "2026-01-01"}},
        {"failing_runs": "many"},
        {"failing_runs": None},
    ],
)
def test_a_manifest_of_other_types_is_refused(damage):
    with pytest.raises(BundleError, match="window is damaged"):
        unpack(files(**damage).get, features="abc")


def test_a_bad_calibration_is_refused():
    made = files()
    manifest = json.loads(made[MANIFEST])
    manifest["calibration"] = ["a", None]
    made[MANIFEST] = json.dumps(manifest).encode()
    with pytest.raises(BundleError, match="calibration"):
        unpack(made.get, features="abc")


def test_a_pipe_is_no_file_of_a_store(tmp_path):
    store = new_store(tmp_path)
    store.write_blob("models/current.json", b"{}")
    place = tmp_path / "store" / "models" / "current.json"
    place.unlink()
    os.mkfifo(place)
    with pytest.raises(BundleError, match="is not a file but a pipe"):
        current_bundle(store)


def test_a_plain_file_of_a_store_has_a_size_that_memory_has(tmp_path, monkeypatch):
    store = new_store(tmp_path)
    store.write_blob("state/a.json", b"12345")
    monkeypatch.setattr("testopt.store.location._MAX_BYTES", 4)
    with pytest.raises(StoreError, match="larger than allowed"):
        store.read_blob("state/a.json")


def test_a_trained_state_whose_arrays_do_not_fit_says_so_when_it_is_needed(tmp_path):
    alone = {"history.file.rate", "history.file.seconds"}
    short = {name: STATE[name][:0] if name in alone else STATE[name] for name in STATE}
    with pytest.raises(BundleError, match=r"state\.npz is damaged"):
        current_state(new_store(tmp_path), short)
