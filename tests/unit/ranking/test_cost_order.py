"""Where the value of an order falls by a tenth."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from testopt.ranking.cost_order import ALIKE, steps


@given(st.lists(st.floats(1e-9, 1e6), max_size=40))
def test_between_two_steps_values_are_alike(values):
    falling = np.sort(np.array(values))[::-1]
    found = steps(falling)
    assert found == sorted(set(found))
    assert found[:1] == ([0] if values else [])
    for first, after in zip(found, [*found, len(values)][1:], strict=True):
        assert (falling[first:after] >= ALIKE * falling[first]).all()
        assert after == len(values) or falling[after] < ALIKE * falling[first]
