"""Plans as arguments of pytest."""

from __future__ import annotations

import pytest

from testopt.errors import UsageError
from testopt.runners.arguments import arguments_for
from testopt.runners.protocol import Request
from testopt.runners.registry import RUNNERS
from tests.builders import printed


def test_ids_stay_as_they_are():
    ids = ["tests/a.py::t[x y]", "b.py::C::u", "a.py::t[\udcff]", "docs/a.rst::a.rst"]
    assert printed("pytest", *ids) == ids


def test_parameters_with_a_line_break_stand_for_their_function():
    cases = ["a.py::t[1]", "a.py::u[x\ny]", "a.py::u[x\rz]"]
    assert printed("pytest", *cases) == ["a.py::t[1]", "a.py::u"]
    (note, _) = arguments_for(RUNNERS["pytest"], Request(cases=cases)).notes
    assert note == "the whole functions of 2 cases that no other process can name"


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


@pytest.mark.parametrize(
    ("cases", "whole", "expected"),
    [
        (["a.py::t", "b.py::t", "a.py::u"], ["a.py"], ["a.py", "b.py::t"]),
        (["a.py::t"], ["new.py"], ["new.py", "a.py::t"]),
        (["b.py::t", "a.py::t", "a.py"], [], ["b.py::t", "a.py"]),
        (["a.py::t[1]", "a.py::t[x\ny]", "a.py::t[2]"], [], ["a.py::t"]),
        (["a.py::C::t", "a.py::C", "a.py::CC::t"], [], ["a.py::C", "a.py::CC::t"]),
        (["a.py::t[a::b]", "a.py::t[a]"], [], ["a.py::t[a::b]", "a.py::t[a]"]),
    ],
)
def test_no_argument_stands_inside_of_another(cases, whole, expected):
    assert printed("pytest", *cases, whole=whole) == expected


def test_everything_is_no_filter_and_nothing_runs_no_test():
    assert printed("pytest", "a.py::t", everything=True) == []
    assert printed("pytest") == ["--collect-only", "-qq"]


def test_a_case_without_a_file_lets_everything_run():
    request = Request(cases=["tests/test_a.py::t", "pkg.test_a.C::t"])
    found = arguments_for(RUNNERS["pytest"], request)
    assert found.text == b""
    assert found.notes[0].startswith("no file is known of 1 case, such as 'pkg.test_a.C::t'")
    with pytest.raises(UsageError, match="no file is known of 1 case"):
        printed("pytest", "pkg.test_a.C::t", exact=True)


@pytest.mark.parametrize("name", ["-x.py::t", "@x.py"])
def test_a_name_is_no_option(name):
    assert printed("pytest", name) == [f"./{name}"]


def test_a_module_is_the_file_that_other_cases_have(tmp_path):
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "test_b.py").touch()
    cases = ["tests/test_a.py::C::t", "tests.test_a.C::u[1]", "pkg.test_b::v"]
    assert printed("pytest", *cases, known=cases, root=tmp_path) == [
        "tests/test_a.py::C::t",
        "tests/test_a.py::C::u[1]",
        "pkg/test_b.py::v",
    ]
