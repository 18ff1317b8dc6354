"""The linear part of the ranker: what it adds up to, outliers, samples, damaged files."""

import numpy as np
import pytest

from testopt.errors import BundleError
from testopt.learning import linear
from testopt.learning.calibration import sigmoid
from testopt.learning.linear import Linear


def data(n=4000):
    random = np.random.default_rng(3)
    x = random.normal(size=(n, 3)).astype(np.float32)
    x[:, 2] = 7.0  # says nothing
    y = random.random(n) < sigmoid(1.5 * x[:, 0] - 2.0)
    x[random.random(n) < 0.1, 1] = np.nan
    return x, y


def test_contributions_add_up_to_the_log_odds():
    x, y = data()
    model = Linear.fit(x, y, np.ones(len(y)))
    assert np.allclose(model.contributions(x).sum(axis=1) + model.intercept, model.margin(x))
    assert model.contributions(x)[:, 2].tolist() == [0.0] * len(y)
    assert abs(model.weight[0]) > 5 * abs(model.weight[1])


def test_an_outlier_counts_no_more_than_the_limit():
    x, y = data()
    model = Linear.fit(x, y, np.ones(len(y)))
    far, farther = np.array([[1e3, 0, 7]]), np.array([[1e9, 0, 7]])
    assert model.margin(far) == model.margin(farther)
    assert np.isfinite(model.margin(np.array([[np.inf, np.nan, -np.inf]]))).all()


def test_a_sample_of_the_passing_rows_stands_for_all(monkeypatch):
    x, y = data(20_000)
    whole = Linear.fit(x, y, np.ones(len(y)))
    monkeypatch.setattr(linear, "MAX_ROWS", 9000)
    part = Linear.fit(x, y, np.ones(len(y)))
    assert sigmoid(part.margin(x)).mean() == pytest.approx(sigmoid(whole.margin(x)).mean(), rel=0.1)
    assert np.corrcoef(part.margin(x), whole.margin(x))[0, 1] > 0.99


def test_what_was_kept_is_what_comes_back():
    x, y = data()
    model = Linear.fit(x, y, np.ones(len(y)))
    assert Linear.load(model.dump(), 3).margin(x).tolist() == model.margin(x).tolist()


@pytest.mark.parametrize(
    "damage",
    [
        {"mean": np.zeros(2)},
        {"weight": np.array([1.0, np.nan, 0.0])},
        {"weight": np.zeros(3, np.float32)},
        {"scale": np.array([1.0, 0.0, 1.0])},
        {"intercept": np.zeros(0)},
    ],
)
def test_damaged_arrays_are_refused(damage):
    sound = {
        "mean": np.zeros(3), "scale": np.ones(3), "weight": np.zeros(3), "intercept": np.zeros(1)
    }  # fmt: skip
    with pytest.raises(BundleError, match="damaged"):
        Linear.load({**sound, **damage}, 3)
    del sound["weight"]
    with pytest.raises(BundleError, match="lacks"):
        Linear.load(sound, 3)
