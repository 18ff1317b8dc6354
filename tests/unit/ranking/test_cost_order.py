"""Where the value of an order falls by a tenth, and how the cases of one function are spread."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from testopt.ranking.cost_order import ALIKE, CROWD, run_order, spread, steps


@given(st.lists(st.floats(1e-9, 1e6), max_size=40))
def test_between_two_steps_values_are_alike(values):
    falling = np.sort(np.array(values))[::-1]
    found = steps(falling)
    assert found == sorted(set(found))
    assert found[:1] == ([0] if values else [])
    for first, after in zip(found, [*found, len(values)][1:], strict=True):
        assert (falling[first:after] >= ALIKE * falling[first]).all()
        assert after == len(values) or falling[after] < ALIKE * falling[first]


def test_many_cases_of_one_function_do_not_keep_another_waiting():
    cases = [*(f"t.py::test_a[{i}]" for i in range(50)), "t.py::test_b", "t.py::test_c"]
    priority = np.array([*np.linspace(0.61, 0.6, 50), 0.35, 0.05])
    seconds = np.full(52, 0.001)
    found = spread(priority, seconds, cases, exponent=0.5)
    order = [cases[i] for i in run_order(found, seconds, cases, exponent=0.5)]
    assert order.index("t.py::test_b") < CROWD
    assert order.index("t.py::test_c") == 51
    parts = [case for case in order if "test_a" in case]
    assert parts == cases[:50]  # their own order stays
    assert found[0] == priority[0]
    assert found[int(CROWD)] == priority[int(CROWD)] / 2


def test_cases_of_different_functions_are_left_as_they_are():
    priority = np.array([0.3, 0.2])
    assert spread(priority, np.ones(2), ["a", "b"], exponent=1.0).tolist() == priority.tolist()
    assert spread(np.zeros(0), np.zeros(0), [], exponent=1.0).size == 0
