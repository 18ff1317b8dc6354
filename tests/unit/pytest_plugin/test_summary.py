"""What is said of the first cases fits the terminal, and says which case it is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from testopt.pytest_plugin.summary import _first_lines, _fitted, _shortened

CASE = "tests/unit/test_iterutils.py::TestX::test_chunked_bytes"


def test_reasons_are_given_as_far_as_there_is_room():
    why = ["calls what was changed", "never failed in 3 runs"]
    assert _fitted("t.py::a", why, 60) == "t.py::a - calls what was changed; never failed in 3 runs"
    assert _fitted("t.py::a", why, 50) == "t.py::a - calls what was changed"
    assert _fitted(CASE, why, 60) == "…tils.py::TestX::test_chunked_bytes - calls what was changed"
    assert _fitted(CASE, why, 0) == f"{CASE} - calls what was changed; never failed in 3 runs"


def test_a_long_id_loses_folders_and_then_the_end_of_its_parameters():
    assert _shortened(CASE, len(CASE)) == CASE
    assert _shortened(CASE, 30) == "…py::TestX::test_chunked_bytes"
    assert _shortened(f"{CASE}[abc-def]", 40) == "….py::TestX::test_chunked_bytes[abc-def]"
    assert _shortened(f"{CASE}[a::b{'x' * 99}]", 30) == "test_chunked_bytes[a::bxxxxxx…"


def test_cases_without_a_reason_have_no_line():
    first = [("a", ["one"]), ("b", []), ("c", ["two"])]
    assert list(_first_lines(first, 70)) == ["first: a - one", "       c - two"]
    assert list(_first_lines([], 70)) == []


@given(
    st.text(st.characters(codec="ascii", categories=["L", "P"]), min_size=1, max_size=200),
    st.lists(st.text("words ", min_size=1, max_size=120), min_size=1, max_size=3),
    st.integers(60, 200),
)
def test_a_line_fits(case, reasons, width):
    (line,) = _first_lines([(case, reasons)], width)
    assert len(line) <= width
