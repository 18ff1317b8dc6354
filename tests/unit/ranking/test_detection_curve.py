"""What each share of the time shows, against values worked out by hand."""

import numpy as np
import pytest

from testopt.ranking.detection_curve import detection_curve


def run(*outcomes):
    failed = np.array(outcomes, bool)
    return failed, np.ones(len(failed))


def test_the_course_of_two_runs_by_hand():
    made = detection_curve([run(1, 0, 0, 0, 0, 0, 0, 0, 0, 1), run(0, 0, 0, 0, 1, 0, 0, 0, 0, 0)])
    by_share = dict(zip(made.shares, zip(made.seen, made.found, strict=True), strict=True))
    assert by_share[0.05] == (0, 0)
    assert by_share[0.1] == (0.5, 0.25)
    assert by_share[0.5] == (1, 0.75)
    assert by_share[1.0] == (1, 1)


def test_how_much_time_shows_most_failing_runs():
    runs = [run(*(i == at for i in range(100))) for at in range(100)]
    enough = dict(detection_curve(runs).enough)
    assert enough == {0.9: pytest.approx(0.9), 0.95: pytest.approx(0.95), 0.99: pytest.approx(0.99)}


def test_one_run_alone_has_one_answer():
    assert {share for _, share in detection_curve([run(0, 1)]).enough} == {1.0}
