"""Lists of cases, as users write them and as pytest prints them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from testopt.cli.case_list import read_cases
from testopt.errors import InputFileError

IDS = ["tests/test_a.py::TestC::test_x", "tests/test_a.py::test_a"]

GO_LISTING = """TestA
BenchmarkB
ExampleC
ok  \tx.org/m/p\t0.004s
?   \tx.org/m\t[no test files]
TestA
ok  \tx.org/m/q\t0.1s
"""


@pytest.fixture
def given(tmp_path):
    def read(text: str, **more):
        (tmp_path / "list").write_bytes(text.encode())
        return read_cases(str(tmp_path / "list"), **more)

    return read


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("a\nb\n", ["a", "b"]),
        ("a\r\nb\r\n\r\n2 tests collected in 0.01s\r\n", ["a", "b"]),
        ('["a", "b"]', ["a", "b"]),
        ("[]", []),
        ("[chromium] web/a.spec.ts::x\n", ["[chromium] web/a.spec.ts::x"]),
        ("\nno tests collected (2 deselected) in 0.00s\n", []),
        ("\n==== ERRORS ====\n___ ERROR collecting tests/a.py ___\nwords\n", []),
        ("!!!!!!! Interrupted: 1 error during collection !!!!!!!\n", []),
        (GO_LISTING, ["x.org/m/p::TestA", "x.org/m/p::ExampleC", "x.org/m/q::TestA"]),
        ("a-b::basic it\na-b tests::x\n", ["a-b::basic::it", "a-b::tests::x"]),
        (
            "a-b::bin/c:\n    it\na-b:\n    tests::x (skipped)\n",
            ["a-b::bin/c::it", "a-b::tests::x"],
        ),
        ("src/a.test.ts > b > c d\n", ["src/a.test.ts::b > c d"]),
        ("adds numbers\ntakes away\n", ["adds numbers", "takes away"]),
        ("t.py::t[a: 1]\nt.py::t[== b ==]\n", ["t.py::t[a: 1]", "t.py::t[== b ==]"]),
    ],
)
def test_ids_and_nothing_else(given, text, ids):
    assert given(text) == ids


@pytest.mark.integration
@pytest.mark.parametrize(
    ("options", "listed"),
    [
        (["-q"], True),
        (["-q", "-v"], False),
        (["-qq"], False),
        (["-qqq"], False),
        ([], False),
        (["-v"], False),
        (["-vv", "--no-header"], False),
    ],
    ids=str,
)
def test_what_pytest_prints_is_a_list_or_refused(tmp_path, given, with_plugin, options, listed):
    (tmp_path / "tests").mkdir()
    text = "class TestC:\n    def test_x(self): '''<x>'''\ndef test_a(): pass\n"
    (tmp_path / "tests" / "test_a.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--collect-only", *options]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    if listed:
        assert given(done.stdout) == IDS
    else:
        with pytest.raises(InputFileError, match="one case id per line") as raised:
            given(done.stdout)
        assert "--collect-only -q" in raised.value.hint


def test_ids_begin_at_the_folder_that_has_their_files(tmp_path, given, monkeypatch):
    for name in ("tests/test_a.py", "one/tests/test_a.py", "one/tests/test_b.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    text = "tests/test_a.py::t[x]\n"
    assert given(text, root=tmp_path) == ["tests/test_a.py::t[x]"]
    monkeypatch.chdir(tmp_path / "one")
    assert given(text, root=tmp_path) == ["one/tests/test_a.py::t[x]"]
    assert given("../tests/test_a.py::t\n", root=tmp_path) == ["tests/test_a.py::t"]
    # relative to the top, where not all files are there from here
    whole = ["tests/test_a.py::t", "one/tests/test_b.py::t"]
    assert given("\n".join(whole), root=tmp_path) == whole
    assert given("org.x.FooTest::a\n", root=tmp_path) == ["org.x.FooTest::a"]
