"""What families of features add up to is the model's answer, and each gets its share."""

import numpy as np
import pytest

from testopt.features.run_features import NAMES
from testopt.learning.contributions import MAX_FAMILIES, contributions
from testopt.ranking.families import families

random = np.random.default_rng(0)


def test_a_sum_gives_each_family_its_own_part():
    row, background = np.array([3.0, 1.0, 5.0]), np.zeros((4, 3))
    base, values = contributions(
        lambda x: x @ np.array([1.0, 2.0, 4.0]), row, background, [[0, 1], [2]]
    )
    assert base == 0.0
    assert values.tolist() == [5.0, 20.0]


def test_they_add_up_whatever_the_model_is():
    row, background = random.normal(size=6), random.normal(size=(8, 6))
    groups = [[0], [1, 4], [2, 5], [3]]

    def model(x):
        return np.sin(x[:, 0] * x[:, 1]) + np.maximum(x[:, 2], x[:, 3]) * x[:, 4] - x[:, 5] ** 2

    base, values = contributions(model, row, background, groups)
    assert base == pytest.approx(model(background).mean())
    assert base + values.sum() == pytest.approx(model(row[None, :])[0])


def test_a_product_is_shared_and_an_idle_family_gets_nothing():
    row, background = np.array([1.0, 1.0, 7.0]), np.zeros((2, 3))
    _, values = contributions(lambda x: x[:, 0] * x[:, 1], row, background, [[0], [1], [2]])
    assert values.tolist() == [0.5, 0.5, 0.0]


def test_what_cannot_be_computed_is_refused():
    row = np.zeros(20)
    for background, groups in ((np.zeros((0, 20)), [[0]]), (row[None], [[i] for i in range(20)])):
        with pytest.raises(ValueError, match="groups"):
            contributions(lambda x: x[:, 0], row, background, groups)


def test_every_feature_is_of_one_of_few_families():
    found = families(NAMES)
    assert sorted(c for columns in found.values() for c in columns) == list(range(len(NAMES)))
    assert 5 < len(found) <= MAX_FAMILIES
    position = NAMES.index
    assert position("failure_rate") in found["its own failures and age"]
    assert position("seconds_log") in found["how long it takes"]
    assert position("calls_share") in found["calls and imports of what changed"]
    assert position("lines_together_share") in found["edited together with the change"]
    assert position("words_share") in found["words shared with the change"]
    assert position("change_lines") in found["size and kind of the change"]
    assert position("failed_with_path_case") in found["failures when the same was changed"]
