"""Relevance feedback: what the tests nearest to a change have in common finds more of them."""

from __future__ import annotations

import numpy as np
from builders import make_query

from testopt.schema import FileChange
from testopt.similarity.affinity import FIRST, features
from testopt.similarity.name_texts import name_texts

CASES = (
    "tests/a.py::test_parse_table_header",  # named like the change
    "tests/b.py::test_header_alignment",  # shares a word with the first one only
    "tests/c.py::test_colour_of_links",
    "tests/d.py::test_nothing_at_all",
)


def columns(tokens, cases=CASES):
    return features(name_texts(make_query(cases, FileChange("lib/core.rs", tokens=tokens))))


def test_a_case_like_the_nearest_one_comes_before_strangers():
    found = columns("parse_table")
    assert found["words"][1] == found["words"][2] == 0.0
    assert found["feedback"][0] == 1.0
    assert found["feedback"][1] > 10 * max(found["feedback"][2:])
    assert found["feedback_rank"].tolist()[:2] == sorted(found["feedback_rank"])[:2]


def test_where_nothing_is_near_nothing_comes_back():
    found = columns("unheard_of")
    assert np.unique(found["prior"]).size == 1
    assert not found["feedback"].any()
    assert np.unique(found["feedback_rank"]).size == 1


def test_the_order_of_the_cases_decides_nothing():
    like = [f"tests/t{i}.py::test_parse_table_{i % 7}" for i in range(3 * FIRST)]
    cases = (*like, *CASES)
    forth, back = columns("parse_table", cases), columns("parse_table", cases[::-1])
    assert forth["feedback"].any()
    for name in ("feedback", "feedback_rank"):
        np.testing.assert_array_equal(forth[name], back[name][::-1])
