"""LightGBM is given a text only after it was read here, and it is the same forest."""

import lightgbm
import numpy as np
import pytest

from testopt.errors import BundleError
from testopt.learning.lightgbm_text import checked_text


def booster(rounds=8, **parameters):
    random = np.random.default_rng(0)
    x = random.normal(size=(300, 4))
    x[random.random(x.shape) < 0.1] = np.nan
    y = (np.nan_to_num(x[:, 0]) + np.nan_to_num(x[:, 1]) ** 2 > 0.5).astype(float)
    usual = {"objective": "binary", "verbosity": -1, "num_leaves": 7, "num_threads": 1}
    return lightgbm.train({**usual, **parameters}, lightgbm.Dataset(x, y), rounds), x


@pytest.mark.parametrize(
    "parameters",
    [{}, {"extra_trees": True, "bagging_fraction": 0.7}, {"min_data_in_leaf": 400}],
)
def test_it_is_the_same_forest(parameters):
    model, x = booster(**parameters)
    again = lightgbm.Booster(model_str=checked_text(model.model_to_string(), 4))
    for how in ({"raw_score": True}, {"pred_contrib": True}):
        assert np.array_equal(again.predict(x, **how), model.predict(x, **how))


@pytest.fixture(scope="module")
def text():
    return booster()[0].model_to_string()


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ("left_child=", "left_child=-9"),
        ("left_child=", "left_child=1e9 "),
        ("left_child=", "right_child="),
        ("right_child=", "right_child=0 "),
        ("split_feature=", "split_feature=9"),
        ("split_feature=", "split_feature=-1"),
        ("split_feature=", "split_feature=0.5 "),
        ("num_leaves=7", "num_leaves=1000000000"),
        ("num_leaves=7", "num_leaves=-7"),
        ("num_leaves=7", "num_leaves=6"),
        ("num_leaves=7", "num_leaves=7_0"),
        ("num_cat=0", "num_cat=1"),
        ("is_linear=0", "is_linear=1"),
        ("decision_type=", "decision_type=1"),
        ("leaf_value=", "leaf_value=nan "),
        ("leaf_value=", "leaf_value=1e999 "),
        ("leaf_value=", "x="),
        ("leaf_count=", "leaf_count=-"),
        ("threshold=", "threshold= "),
        ("max_feature_idx=3", "max_feature_idx=2147483647"),
        ("num_class=1", "num_class=1000000"),
        ("objective=binary", "objective=multiclass"),
        ("version=v4", "version=v3"),
        ("Tree=0", "Tree=0\nTree=0"),
    ],
)
def test_what_is_damaged_never_reaches_the_parser(text, was, becomes):
    assert was in text
    with pytest.raises(BundleError, match="a forest is damaged"):
        checked_text(text.replace(was, becomes, 1), 4)


@pytest.mark.parametrize("noise", ["", "tree", "\0", "Tree=0\n" * 9])
def test_what_is_no_forest_is_refused(noise):
    with pytest.raises(BundleError, match="a forest is damaged"):
        checked_text(noise, 4)


def test_names_of_files_among_the_parameters_are_left_out(text):
    hostile = text.replace("[machines: ]", "[machine_list_filename: /etc/passwd]")
    assert "passwd" not in checked_text(hostile, 4)
