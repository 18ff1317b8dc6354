"""What is code, what only looks changed."""

import pytest

from testopt.code.lines import code_mask, line_identifiers, only_reformatted, same_program, tokens


@pytest.mark.parametrize(
    ("language", "text", "mask"),
    [
        ("python", ["x = 1", "# note", "", "  # note"], [1, 0, 0, 0]),
        ("python", ['"""Doc', "goes on", '"""', "x = 1"], [0, 0, 0, 1]),
        ("python", ['x = """text', "y"], [1, 1]),
        ("c", ["/* a", " * b", " */ int x;", "// c", "}"], [0, 0, 1, 0, 0]),
        ("c", ["#include <a.h>", "int x; /* opened", "still", "*/", "int y;"], [1, 1, 0, 0, 1]),
        ("c", ['s = "/*";', "int y;"], [1, 1]),
        ("ruby", ["# x", "x"], [0, 1]),
        ("haskell", ["-- x", "{- y", "-}", "z"], [0, 0, 0, 1]),
        ("other", ["# title", "--", "word"], [1, 0, 1]),
    ],
)
def test_code_mask(language, text, mask):
    assert code_mask(text, language) == [bool(m) for m in mask]


def test_tokens_leave_comments_out_and_keep_strings_whole():
    found = tokens(['f("a // b", x) // note', "/* one", "two */ y", "'#' # z"], "java")
    assert found == ["f", "(", '"a // b"', ",", "x", ")", "y", "'#'", "#", "z"]


@pytest.mark.parametrize(
    ("language", "old", "new", "same"),
    [
        ("c", ["if (a) {", "  b();"], ["if (a)", "{", "b();"], True),
        ("c", ["b();"], ["c();"], False),
        ("c", ["b(); // x"], ["b(); // y"], True),
        ("python", ["    f(a,", "      b)"], ["    f(a, b)"], True),
        ("python", ["    return x"], ["return x"], False),
        ("python", ["# x"], ["    # y"], True),
    ],
)
def test_only_reformatted(language, old, new, same):
    assert only_reformatted(old, new, language) is same


def test_same_program():
    assert same_program('def f():\n    "doc"\n    return 1\n', "def f():\n  return (1)\n") is False
    assert same_program('def f():\n    "a"\n    return 1\n', 'def f():\n  "b"\n  return (1)\n')
    assert not same_program("x = 1\n", "x = 2\n")
    assert not same_program("x = (\n", "x = (\n")
    assert not same_program("x = 1\0", "x = 1")


def test_names():
    assert line_identifiers(["foo(bar1, x, _y2)"]) == ["foo", "bar1", "_y2"]
