"""Every case of a plan says why it stands where it stands."""

import numpy as np
import pytest

from testopt.features.pipeline import NAMES
from testopt.features.reasons import reasons


def row(**values):
    x = np.full((1, len(NAMES)), np.nan, np.float32)
    x[0, NAMES.index("executions")] = 0
    for name, value in values.items():
        x[0, NAMES.index(name)] = value
    return x


def seen(runs, fails):
    return {"executions": np.log2(1 + runs), "failure_rate": (fails + 0.5) / (runs + 2)}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "new case"),
        (seen(9, 0), "never failed in 9 runs"),
        (
            {**seen(9, 4), "runs_since_failure": np.log2(1 + 2)},
            "failed in 4 of 9 runs, last 3 runs ago",
        ),
        ({**seen(9, 4), "runs_since_failure": 0.0}, "failed in 4 of 9 runs, last time it ran"),
        ({**seen(9, 4), "failing_in_parent": 1.0}, "failed in the previous run"),
        ({**seen(9, 0), "in_change": 1.0}, "the test itself was changed; never failed in 9 runs"),
        ({"calls_share": 0.9, "words_share": 0.6}, "calls what was changed; new case"),
        ({"words_share": 0.4}, "new case"),
    ],
)
def test_words(values, words):
    assert reasons(row(**values), NAMES) == [words]


def test_no_cases():
    assert reasons(np.zeros((0, len(NAMES)), np.float32), NAMES) == []
