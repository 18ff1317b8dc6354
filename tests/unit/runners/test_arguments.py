"""Plans in the syntax of test runners."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys

import pytest

from testopt.errors import UsageError
from testopt.runners.arguments import RUNNERS, from_folder, runner_lines


def lines(form: str, *cases: str) -> list[str]:
    return runner_lines(form, cases).decode().splitlines()


def test_pytest_takes_the_ids_as_they_are():
    assert lines("pytest", "tests/a.py::t[x y]", "b.py::C::u") == [
        "tests/a.py::t[x y]",
        "b.py::C::u",
    ]
    assert runner_lines("pytest", ["a.py::t[\udcff]"]) == b"a.py::t[\xff]\n"


@pytest.mark.integration
def test_unittest_runs_the_names(tmp_path):
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "__init__.py").touch()
    (tmp_path / "pkg" / "test_a.py").write_text(
        "import unittest\n\nclass C(unittest.TestCase):\n"
        "    def test_x(self): pass\n    def test_y(self): self.fail()\n"
    )
    names = lines("unittest", "pkg/test_a.py::C::test_x", "pkg.test_a.C::test_x")
    assert names == ["pkg.test_a.C.test_x"]
    done = subprocess.run(
        [sys.executable, "-m", "unittest", *names], cwd=tmp_path, capture_output=True, check=False
    )
    assert done.returncode == 0
    assert b"Ran 1 test" in done.stderr


def test_go_runs_each_package_with_its_own_pattern():
    found = lines("go", "m/a::TestX/sub_1", "m/a::TestX/sub_2", "m/a::TestY", "m/b::TestZ(1)$")
    first, second = map(shlex.split, found)
    assert first == ["m/a", "-run", "^(TestX|TestY)$"]
    assert second[0] == "m/b"
    assert re.fullmatch(second[2], "TestZ(1)$")


def test_surefire_joins_the_methods_of_a_class():
    found = lines(
        "surefire", "org.x.FooTest::a", "org.x.FooTest::b[1]", "org.x.FooTest::b(int)[2]",
        "org.x.BarTest::with space, and comma", "org.x.BazTest.c",
    )  # fmt: skip
    assert found == ["-Dtest=org.x.FooTest#a+b,org.x.BarTest#with*space**and*comma,org.x.BazTest#c"]


def test_gradle_names_each_method_once():
    found = lines("gradle", "org.x.FooTest::a[1]", "org.x.FooTest::a[2]", "org.x.FooTest::b")
    assert found == ["--tests", "org.x.FooTest.a", "--tests", "org.x.FooTest.b"]


def test_patterns_match_the_names_and_nothing_else():
    names = ["adds (1+1)", "C# | C++", "a/b"]
    (jest,) = lines("jest", *(f"src/x.test.js::{name}" for name in names))
    option, expression = lines("nextest", *(f"crate::mod::{name}" for name in names))
    assert option == "-E"
    rust = expression.removeprefix("test(/").removesuffix("/)").replace("\\/", "/")
    for pattern in (jest.removeprefix("--testNamePattern="), rust):
        assert all(re.search(pattern, name) for name in names)
        assert not any(re.search(pattern, name) for name in ("adds (1+1) more", "C", "b", "aab"))
    assert re.search(rust, "mod::a/b")


@pytest.mark.parametrize("form", sorted(RUNNERS))
def test_no_case_is_no_argument(form):
    assert runner_lines(form, []) == b""


@pytest.mark.parametrize("form", sorted(set(RUNNERS) - {"surefire"}))
def test_a_line_break_is_refused(form):
    with pytest.raises(UsageError, match="line break"):
        runner_lines(form, ["a::b\nc"])


def test_parameters_with_a_line_break_stand_for_their_function():
    cases = ["a.py::t[1]", "a.py::u[x\ny]", "a.py::u[x\rz]"]
    assert runner_lines("pytest", cases) == b"a.py::t[1]\na.py::u\n"


def test_pytest_gets_the_function_where_no_other_process_has_the_parameters():
    assert lines("pytest", "a.py::t[<A object at 0x…>]", "a.py::t[<A object at 0x…>]#2") == [
        "a.py::t"
    ]
    assert lines("pytest", "a.py::t[<A object at 0x7f1234567890>]") == ["a.py::t"]
    assert lines("pytest", "a.py::t[0x7f1234567890]") == ["a.py::t[0x7f1234567890]"]


@pytest.mark.parametrize(
    ("form", "case", "expected"),
    [
        ("pytest", "one/tests/a.py::t[x/y]", "tests/a.py::t[x/y]"),
        ("pytest", "two/a.py::t", "../two/a.py::t"),
        ("pytest", "b.py", "../b.py"),
        ("pytest", "a.yaml::mail x@y", "../a.yaml::mail x@y"),
        ("unittest", "one/tests/a.py::C::t", "tests/a.py::C::t"),
        ("pytest", "tests.a.C::t", "tests.a.C::t"),
        ("go", "m/a::TestX", "m/a::TestX"),
    ],
)
def test_names_begin_where_the_runner_is_started(form, case, expected):
    assert from_folder(form, [case], "one", is_file="a.yaml".__eq__) == [expected]
    assert from_folder(form, [case], "") == [case]
