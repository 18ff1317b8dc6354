"""The compiled forest answers exactly as LightGBM does, and trusts no file."""

import lightgbm
import numpy as np
import pytest

from testopt.errors import BundleError
from testopt.learning.forest import Forest


def booster(*, missing: bool, seed: int = 0):
    random = np.random.default_rng(seed)
    x = random.normal(size=(600, 5))
    if missing:
        x[random.random(x.shape) < 0.2] = np.nan
    y = (np.nan_to_num(x[:, 0]) + np.nan_to_num(x[:, 1]) ** 2 > 0.5).astype(float)
    parameters = {"objective": "binary", "verbosity": -1, "num_leaves": 15, "seed": seed}
    return lightgbm.train(parameters, lightgbm.Dataset(x, y), 25), random


@pytest.mark.parametrize("missing_in_training", [True, False])
@pytest.mark.parametrize("missing_in_prediction", [True, False])
def test_equals_lightgbm(missing_in_training, missing_in_prediction):
    model, random = booster(missing=missing_in_training)
    x = random.normal(size=(400, 5)) * 3
    if missing_in_prediction:
        x[random.random(x.shape) < 0.3] = np.nan
    forest = Forest.from_lightgbm(model.dump_model())
    assert np.allclose(forest.margin(x), model.predict(x, raw_score=True), atol=1e-12, rtol=0)


def test_single_precision_goes_the_way_of_double_precision():
    model, random = booster(missing=True)
    forest = Forest.from_lightgbm(model.dump_model())
    beside = forest.threshold[forest.feature >= 0][:50].astype(np.float32)
    x = random.choice(beside, (500, 5))  # on thresholds, which single precision rounds
    x[random.random(x.shape) < 0.3] = np.nan
    assert np.array_equal(forest.margin(x), forest.margin(x.astype(np.float64)))


def test_survives_dump_and_load():
    model, random = booster(missing=True)
    x = random.normal(size=(50, 5))
    forest = Forest.from_lightgbm(model.dump_model())
    assert np.array_equal(Forest.load(forest.dump()).margin(x), forest.margin(x))


def test_no_rows_and_wrong_columns():
    forest = Forest.from_lightgbm(booster(missing=False)[0].dump_model())
    assert forest.margin(np.zeros((0, 5))).shape == (0,)
    with pytest.raises(ValueError, match="expected 5 columns"):
        forest.margin(np.zeros((3, 4)))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("left", np.zeros_like),  # a cycle
        ("right", lambda a: a + 10_000),
        ("feature", lambda a: a + 5),
        ("roots", lambda a: a - 1),
        ("roots", lambda a: a[::-1]),  # trees that are not one behind the other
        ("threshold", lambda a: a[:-1]),
        ("n_features", lambda a: "many"),
        ("left", lambda a: None),
    ],
)
def test_hostile_arrays_are_refused(name, change):
    arrays = Forest.from_lightgbm(booster(missing=False)[0].dump_model()).dump()
    arrays[name] = change(arrays[name])
    if arrays[name] is None:
        del arrays[name]
    with pytest.raises(BundleError):
        Forest.load(arrays)
