"""Plans as arguments of unittest."""

from __future__ import annotations

import subprocess
import sys

import pytest

from testopt.errors import UsageError
from testopt.runners.arguments import arguments_for
from testopt.runners.protocol import Request
from testopt.runners.registry import RUNNERS
from tests.builders import printed


@pytest.mark.integration
def test_unittest_runs_the_names(tmp_path):
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "__init__.py").touch()
    (tmp_path / "pkg" / "test_a.py").write_text(
        "import unittest\n\nclass C(unittest.TestCase):\n"
        "    def test_x(self): pass\n    def test_y(self): self.fail()\n"
    )
    names = printed("unittest", "pkg/test_a.py::C::test_x", "pkg.test_a.C::test_x")
    assert names == ["pkg.test_a.C.test_x"]
    done = subprocess.run(
        [sys.executable, "-m", "unittest", *names], cwd=tmp_path, capture_output=True, check=False
    )
    assert done.returncode == 0
    assert b"Ran 1 test" in done.stderr


def test_a_subtest_is_its_test():
    assert printed("unittest", "tests.test_a.T::test_sub (i=1)", "tests.test_a.T::test_sub") == [
        "tests.test_a.T.test_sub"
    ]


def test_names_begin_where_unittest_is_started(tmp_path):
    case = "one/tests/a.py::C::t"
    assert printed("unittest", case, root=tmp_path, folder="one") == ["tests.a.C.t"]
    assert printed("unittest", case, root=tmp_path) == ["one.tests.a.C.t"]


def test_a_method_is_not_named_beside_its_module():
    cases = ["a/test_a.py::T::test_x", "a/test_b.py::T::test_x", "a.test_c.T::test_x"]
    assert printed("unittest", *cases, whole=["a/test_a.py", "a/test_new.py"]) == [
        "a.test_new",
        "a.test_a",
        "a.test_b.T.test_x",
        "a.test_c.T.test_x",
    ]
    assert printed("unittest", "a.test_c.T::test_x", "a.test_c.T") == ["a.test_c.T"]


def test_what_unittest_cannot_reach_is_said(tmp_path):
    cases = ["one/test_a.py::T::t", "two/test_a.py::T::t"]
    request = Request(cases=cases, root=tmp_path, folder="one")
    found = arguments_for(RUNNERS["unittest"], request)
    assert found.text == b"test_a.T.t\n"
    assert "1 case outside of the working folder" in found.notes[0]
    with pytest.raises(UsageError, match="reaches no module outside"):
        printed("unittest", cases[1], root=tmp_path, folder="one")


def test_titles_are_none_of_unittest():
    assert not RUNNERS["unittest"].fits("widget.test.js::Load widget via link")
    assert not RUNNERS["unittest"].fits("unittest.suite._ErrorHolder::setUpClass (test_a.T)")
    assert RUNNERS["unittest"].fits("tests.test_a.T::test_sub [a message] (i=1)")


def test_functions_of_pytest_are_none_of_unittest():
    assert not RUNNERS["unittest"].fits("tests/test_a.py::test_x")


def test_everything_is_no_filter_and_nothing_runs_no_test():
    assert printed("unittest", "a.test_a.T::t", everything=True) == []
    assert printed("unittest") == ["-h"]


def test_a_name_is_no_option():
    assert not RUNNERS["unittest"].fits("-x/test_a.py::T::t")
    assert not RUNNERS["unittest"].is_test_file("-x/test_a.py")
