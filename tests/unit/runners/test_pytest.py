"""Plans as arguments of pytest."""

from __future__ import annotations

import pytest

from tests.builders import printed


def test_ids_stay_as_they_are():
    ids = ["tests/a.py::t[x y]", "b.py::C::u", "a.py::t[\udcff]", "docs/a.rst::a.rst"]
    assert printed("pytest", *ids) == ids


def test_parameters_with_a_line_break_stand_for_their_function():
    cases = ["a.py::t[1]", "a.py::u[x\ny]", "a.py::u[x\rz]"]
    assert printed("pytest", *cases) == ["a.py::t[1]", "a.py::u"]


def test_the_function_stands_where_no_other_process_has_the_parameters():
    cases = ["a.py::t[<A object at 0x…>]", "a.py::t[<A object at 0x…>]#2"]
    assert printed("pytest", *cases) == ["a.py::t"]
    assert printed("pytest", "a.py::t[<A object at 0x7f1234567890>]") == ["a.py::t"]
    assert printed("pytest", "a.py::t[0x7f1234567890]") == ["a.py::t[0x7f1234567890]"]


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("one/tests/a.py::t[x/y]", "tests/a.py::t[x/y]"),
        ("two/a.py::t", "../two/a.py::t"),
        ("b.py", "../b.py"),
        ("a.yaml::mail x@y", "../a.yaml::mail x@y"),
    ],
)
def test_names_begin_where_pytest_is_started(case, expected, tmp_path):
    (tmp_path / "a.yaml").touch()
    assert printed("pytest", case, root=tmp_path, folder="one") == [expected]
    assert printed("pytest", case, root=tmp_path) == [case]
