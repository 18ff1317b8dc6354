"""The model for repositories never seen: fitted, packed, loaded; damaged, it is left out."""

import json

import numpy as np
import pytest

from testopt.errors import BundleError
from testopt.learning.forest import Forest
from testopt.similarity.affinity import NAMES
from testopt.similarity.closeness_model import LEFT_OUT, ClosenessModel, direction, fit_closeness
from testopt.similarity.pretrained import (
    MAX_BYTES,
    PretrainedModel,
    load_pretrained,
    pack_pretrained,
    pretrained_folder,
)
from testopt.store.bundle import MANIFEST, pack

ALL = ("prior", "hops", "words_share", "calls_share")


def rows(seed=0, runs=60, cases=40):
    """Runs in which what is few hops away fails, whatever the untrained blend says."""
    random = np.random.default_rng(seed)
    x = random.random((runs * cases, len(ALL))).astype(np.float32)
    x[:, 1] = random.integers(1, 10, len(x))
    return x, x[:, 1] + random.normal(0, 0.5, len(x)) < 2.0


@pytest.fixture(scope="module")
def fitted():
    x, y = rows()
    return fit_closeness(x, y, np.ones(len(y)), ALL)


@pytest.fixture
def folder(tmp_path, fitted):
    for name, data in pack_pretrained(*fitted, {"projects": {"a": {}, "b": {}}}).items():
        (tmp_path / name).write_bytes(data)
    return tmp_path


def columns(x):
    return {name: x[:, j] for j, name in enumerate(ALL)}


def test_it_learns_what_the_blend_does_not_know(fitted):
    x, y = rows(seed=1, runs=1)
    close = fitted[0].closeness(columns(x))
    assert close.min() == 0.0
    assert close.max() <= 1.0
    blend = x[:, 0]
    assert close[y].mean() - close[~y].mean() > blend[y].mean() - blend[~y].mean() + 0.1


def test_no_signal_is_turned_round(fitted):
    x = np.tile(np.float32([0.3, 4.0, 0.5, 0.5]), (200, 1))
    x[:100, 1], x[100:, 2] = np.linspace(10, 1, 100), np.linspace(0, 1, 100)
    margin = fitted[0].forest.margin(x)
    assert (np.diff(margin[:100]) >= 0).all()
    assert (np.diff(margin[100:]) >= 0).all()
    assert margin[99] > margin[0]


def test_a_change_that_nothing_is_near_to_orders_nothing(fitted):
    x, _ = rows(runs=1)
    x[:, 0] = 0.0
    assert not fitted[0].closeness(columns(x)).any()
    x[:, 0] = np.nan
    assert not fitted[0].closeness(columns(x)).any()


def test_directions():
    assert direction("words_share") == 1
    assert direction("words_rank") == direction("hops") == direction("edited") == -1
    assert direction("prior") == direction("in_change") == 1


def test_the_same_rows_make_the_same_bytes(fitted):
    x, y = rows()
    again = fit_closeness(x, y, np.ones(len(y)), ALL)
    assert pack_pretrained(*again, {"seed": 0}) == pack_pretrained(*fitted, {"seed": 0})


def test_what_is_packed_is_loaded(folder, fitted):
    found = load_pretrained(folder)
    assert found.trouble == ""
    assert found.projects == 2
    assert len(found.name) == 12
    x, _ = rows(runs=1)
    np.testing.assert_array_equal(
        found.model.closeness(columns(x)), fitted[0].closeness(columns(x))
    )


def test_one_byte_altered_or_a_file_missing_is_told(folder):
    forest = folder / "forest.npz"
    whole = forest.read_bytes()
    for damaged in (whole[:-1], whole[:99] + bytes([whole[99] ^ 1]) + whole[100:], b""):
        forest.write_bytes(damaged)
        found = load_pretrained(folder)
        assert found.model is None
        assert "checksum differs" in found.trouble
    forest.unlink()
    assert "lacks forest.npz" in load_pretrained(folder).trouble
    (folder / MANIFEST).write_bytes(b"{")
    assert "manifest.json is damaged" in load_pretrained(folder).trouble
    assert "no manifest.json" in load_pretrained(folder / "nowhere").trouble


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"names": ["prior", "of_yesterday"]}, "other features"),
        ({"names": ["words_share"]}, "other features"),
        ({"names": ["prior", 3]}, "damaged"),
        ({"names": "prior"}, "damaged"),
        ({"kind": "ranker"}, "damaged"),
        ({"prior_weight": 0.0}, "damaged"),
        ({"prior_weight": "6"}, "damaged"),
        ({"names": ["prior"]}, "forest takes other features"),
    ],
)
def test_a_manifest_that_does_not_fit_is_told(folder, change, said):
    manifest = {**json.loads((folder / MANIFEST).read_bytes()), **change}
    files = {name: (folder / name).read_bytes() for name in manifest.pop("files")}
    (folder / MANIFEST).write_bytes(pack(manifest, files)[MANIFEST])
    found = load_pretrained(folder)
    assert found.model is None
    assert said in found.trouble


def test_it_judges_the_language_that_it_learnt_on():
    model = object()
    one = PretrainedModel(model, "abc", 7)
    assert one.model_for(["tests/test_a.py", "tests/test_b.py", "conf.toml"]) is model
    assert one.model_for(["src/test/java/ATest.java", "tools/test_b.py"]) is None
    assert one.model_for([]) is None
    assert PretrainedModel().model_for(["tests/test_a.py"]) is None


def test_too_large_a_model_is_not_packed(fitted):
    with pytest.raises(BundleError, match="allowed"):
        pack_pretrained(fitted[0], "x" * MAX_BYTES, {})


def test_an_empty_forest_leaves_the_untrained_order():
    nothing = np.zeros(0, np.int32)
    none = Forest(nothing, nothing, np.zeros(0), nothing, nothing, np.zeros(0, bool), 1)
    close = ClosenessModel(("prior",), none).closeness({"prior": np.array([0.2, 0.9, 0.5])})
    np.testing.assert_allclose(close, [0.0, 0.7, 0.3])


def test_the_one_that_comes_with_testopt_can_be_used():
    found = load_pretrained()
    assert found.trouble == ""
    assert found.projects >= 5
    assert set(found.model.names) == set(NAMES) - LEFT_OUT
    files = [path for path in pretrained_folder().iterdir() if path.is_file()]
    assert {path.name for path in files} == {MANIFEST, "forest.npz", "forest.txt"}
    assert sum(path.stat().st_size for path in files) <= MAX_BYTES
