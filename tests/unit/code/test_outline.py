"""Outlines: where definitions begin and end."""

from __future__ import annotations

import pytest

from testopt.code.outline import enclosing, outline

PYTHON = '''\
"""Module."""
import os

LIMIT = 3


@pytest.mark.parametrize("x", [
    1,
])
def test_one(x):
    def inner():
        return x
    assert inner()


class TestTwo(Base):
    size: int = 2

    @property
    async def both(self):
        return """
def not_indented_text
"""

    def last(self):
        pass


def after(): return 1
'''


def spans(text, path):
    return {d.name: (d.first, d.last) for d in outline(text, path)}


def test_python_definitions_have_their_decorators_and_reach_to_the_next():
    assert spans(PYTHON, "a.py") == {
        "LIMIT": (4, 6),
        "test_one": (7, 15),
        "test_one.inner": (11, 15),
        "TestTwo": (16, 28),
        "TestTwo.both": (19, 24),
        "TestTwo.last": (25, 28),
        "after": (29, 30),
    }


@pytest.mark.parametrize("method", ["__call__", "__iter__", "__eq__", "__repr__"])
def test_what_syntax_calls_goes_by_its_class(method):
    found = outline(f"class A:\n    def {method}(self):\n        pass\n", "a.py")
    assert [d.call_name for d in found] == ["A", "A"]
    assert [d.call_name for d in outline(f"def {method}(self):\n    pass\n", "a.py")] == [method]
    plain = outline("class A:\n    def __private(self):\n        pass\n", "a.py")
    assert [d.call_name for d in plain] == ["A", "__private"]


def test_kinds_and_the_name_a_constructor_goes_by():
    found = outline("class A:\n    def __init__(self):\n        pass\n\nB = 1\n", "a.py")
    assert [(d.call_name, d.is_class, d.is_value) for d in found] == [
        ("A", True, False), ("A", False, False), ("B", False, True),
    ]  # fmt: skip


JAVA = "public class A {\n  @Test\n  public void testB() {\n    int x = f(3);\n  }\n}\n"
GO = "func (s *T) Foo(a int) error {\n\treturn x\n}\n\nfunc TestBar(t *testing.T) {\n}\n"
SCRIPT = "describe('abc', () => {\n  it('does x', () => {\n  });\n});\nfunction g(a) {\n}\n"
GTEST = "TEST(Foo, bar) {\n}\nint main(int a)\n{\n  return f(a);\n}\n"
RUST = "impl T {\n    #[test]\n    fn works() {\n    }\n}\n"


@pytest.mark.parametrize(
    ("path", "text", "names"),
    [
        ("A.java", JAVA, {"A": (1, 7), "A.testB": (2, 7)}),
        ("a.go", GO, {"Foo": (1, 4), "TestBar": (5, 7)}),
        ("a.js", SCRIPT, {"abc": (1, 4), "abc.does x": (2, 4), "g": (5, 7)}),
        ("a.cc", GTEST, {"Foo.bar": (1, 2), "main": (3, 7)}),
        ("a.rs", RUST, {"T": (1, 6), "T.works": (2, 6)}),
    ],
)
def test_other_languages_by_their_indentation(path, text, names, monkeypatch):
    monkeypatch.setattr("testopt.code.outline.read_definitions", lambda *_: None)
    outline.cache_clear()
    assert spans(text, path) == names


def test_enclosing_finds_the_innermost_definition_of_each_line():
    assert [d.name for d in enclosing(PYTHON, "a.py", range(12, 13))] == ["test_one.inner"]
    assert [d.name for d in enclosing(PYTHON, "a.py", range(17, 20))] == [
        "TestTwo", "TestTwo.both",
    ]  # fmt: skip
    assert [d.name for d in enclosing(PYTHON, "a.py", range(8, 8))] == ["test_one"]
    assert enclosing(PYTHON, "a.py", range(1, 2)) == []


@pytest.mark.parametrize("text", ["", "\n", "def", "class (:\n  @\n@", "x" * 10_000])
def test_broken_text_has_an_empty_outline(text):
    assert outline(text, "a.py") == ()


TEXTS = '''\
def test_parse():
    text = """a = 1
b = 2
def inner(): "quoted" \\"""
class Inner:
    """
    assert parse(text)  # it's "fine"


def test_more():
    other = \'\'\'
# not a comment: """
c = 3
\'\'\'
    assert parse(other)
'''


def test_long_strings_end_no_definition():
    assert spans(TEXTS, "test_parse.py") == {"test_parse": (1, 9), "test_more": (10, 16)}


def test_a_string_that_never_ends_hides_the_rest():
    assert [d.name for d in outline('def a():\n    x = """\ndef b():\n', "a.py")] == ["a"]
