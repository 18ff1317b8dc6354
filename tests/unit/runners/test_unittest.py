"""Plans as arguments of unittest."""

from __future__ import annotations

import subprocess
import sys

import pytest

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
