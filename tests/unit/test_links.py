"""How much of a change a case ran, as numbers."""

from datetime import UTC, datetime

import numpy as np

from testopt.features.frames import Query
from testopt.features.links import NAMES, Links, links_features
from testopt.schema import FileChange, Run


def told(ran, changed, *paths):
    cases = [*ran, "never measured"]
    query = Query(Run("r", datetime(2026, 1, 1, tzinfo=UTC)), cases, tuple(map(FileChange, paths)))
    found = links_features(query, Links(ran, changed))
    assert found.shape == (len(cases), len(NAMES))
    assert np.isnan(found[-1]).all()
    return found[:-1].tolist()


def test_files_and_lines_that_ran():
    ran = {
        "all": {"a.py": frozenset({3, 4, 9})},
        "half": {"a.py": frozenset({4, 8})},
        "elsewhere": {"a.py": frozenset({1})},
        "other file": {"b.py": frozenset({3})},
        "nothing": {},
    }
    expected = [[1, 1], [1, 0.5], [1, 0], [0, 0], [0, 0]]
    assert told(ran, {"a.py": [range(3, 5)]}, "a.py") == expected


def test_lines_that_come_in_count_for_their_neighbours():
    ran = {"before": {"a.py": frozenset({4})}, "away": {"a.py": frozenset({6})}}
    assert told(ran, {"a.py": [range(5, 5)]}, "a.py") == [[1, 0.5], [1, 0]]


def test_a_file_that_changed_since_has_no_lines():
    ((file, share),) = told({"x": {"a.py": frozenset({4})}}, {}, "a.py")
    assert file == 1.0
    assert np.isnan(share)


def test_the_file_that_was_run_most_counts():
    ran = {"x": {"a.py": frozenset({1}), "b.py": frozenset({1, 2})}}
    changed = {"a.py": [range(1, 3)], "b.py": [range(1, 3)], "c.py": [range(1, 9)]}
    assert told(ran, changed, "a.py", "b.py") == [[1, 1]]
