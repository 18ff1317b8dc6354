"""Quality of orders against values worked out by hand."""

import numpy as np
import pytest

from testopt.learning.metrics import (
    apfd,
    apfdc,
    expected_calibration_error,
    first_failure,
    napfd,
    recall_at,
)

FAILED = np.array([False, True, False, True])
SECONDS = np.array([1.0, 2.0, 3.0, 4.0])


def test_apfd_by_hand():
    # positions 2 and 4 of 4, two faults: 1 - 6/8 + 1/8
    assert apfd(FAILED) == pytest.approx(0.375)


def test_apfdc_by_hand():
    # done after 3 s and 10 s of 10: ((10-3+1) + (10-10+2)) / (2 * 10)
    assert apfdc(FAILED, SECONDS) == pytest.approx(0.5)


def test_apfdc_equals_apfd_when_costs_are_equal():
    assert apfdc(FAILED, np.ones(4)) == pytest.approx(apfd(FAILED))


def test_napfd_by_hand():
    # first half of the time: 5 of 10 s, cases 1 and 2 (1 + 2 s); one of two faults at position 2
    assert napfd(FAILED, SECONDS, 0.5) == pytest.approx(0.5 - 2 / (2 * 2) + 0.5 / 4)
    assert napfd(FAILED, SECONDS, 0.05) == 0.0


def test_first_failure_and_recall():
    assert first_failure(FAILED, SECONDS) == 3.0
    assert recall_at(FAILED, SECONDS, 0.3) == 0.5
    assert recall_at(FAILED, SECONDS, 1.0) == 1.0


def test_calibration_error():
    y = np.array([False] * 90 + [True] * 10)
    assert expected_calibration_error(y, np.full(100, 0.1), bins=1) == pytest.approx(0.0)
    assert expected_calibration_error(y, np.full(100, 0.6), bins=1) == pytest.approx(0.5)
