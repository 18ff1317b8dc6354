"""Definitions as grammars read them."""

from __future__ import annotations

import sys

import pytest

from testopt.code import grammars
from testopt.code.outline import outline

pytest.importorskip("tree_sitter", reason="testopt[languages] is not installed")

C = """\
/* Copyright (c) 2026 */
static int
add(int a,
    int b)
{
    return a + b;
}

struct point { int x; };

#define MAX(a, b) ((a) > (b) ? (a) : (b))
"""
CPP = """\
namespace geo {
class Point {
public:
  Point();
  int x() const { return x_; }
};
Point::Point() {}
template <class T>
T &first(std::vector<T> &all) { return all[0]; }
}
TEST(Point, is_small) {
}
"""
CSHARP = """\
namespace A {
  class B {
    [Test]
    public void C() { }
  }
}
"""
GO = "type T struct{}\n\nfunc (s *T) Foo() error {\n\treturn nil\n}\n\nfunc TestBar() {\n}\n"
JAVA = """\
/** Says (what it does). */
public class A {
  @Test
  void b() {
    int x = f(3);
  }

  @Nested
  class C { void d() {} }
}
"""
JAVASCRIPT = """\
describe('abc', () => {
  it('does x', () => {
    expect(1);
  });
  test.each([1])(`does %s`, () => {});
});
const g = (a) => a;
exports.h = function () {};
"""
TYPESCRIPT = """\
export abstract class A<T> {
  @log
  run(): void {}
  go = () => {};
}
export interface I { x: number }
export const make = async (): Promise<void> => {
};
"""
PHP = "<?php\nclass A {\n  public function testB() {\n  }\n}\nfunction c() {}\n"
RUBY = """\
module M
  class A
    def self.b
    end
  end
end
RSpec.describe A do
  context 'when new' do
    it "is empty" do
    end
  end
end
"""
RUST = """\
impl<T> Stack<T> {
    fn push(&mut self) {}
}
mod tests {
    #[test]
    fn works() {
    }
}
"""


@pytest.mark.parametrize(
    ("path", "text", "names"),
    [
        (
            "a.c", C,
            {"add": (2, 7), "point": (9, 9), "MAX": (11, 11)},
        ),
        (
            "a.cpp", CPP,
            {"geo": (1, 10), "geo.Point": (2, 6), "geo.Point.x": (5, 5), "geo.Point.Point": (7, 7),
             "geo.first": (8, 9), "Point.is_small": (11, 12)},
        ),
        ("a.cs", CSHARP, {"B": (2, 5), "B.C": (3, 4)}),
        ("a.go", GO, {"T": (1, 1), "T.Foo": (3, 5), "TestBar": (7, 8)}),
        ("A.java", JAVA, {"A": (2, 10), "A.b": (3, 6), "A.C": (8, 9), "A.C.d": (9, 9)}),
        (
            "a.js", JAVASCRIPT,
            {"abc": (1, 6), "abc.does x": (2, 4), "abc.does %s": (5, 5), "g": (7, 7), "h": (8, 8)},
        ),
        (
            "a.ts", TYPESCRIPT,
            {"A": (1, 5), "A.run": (2, 3), "A.go": (4, 4), "I": (6, 6), "make": (7, 8)},
        ),
        ("a.php", PHP, {"A": (2, 5), "A.testB": (3, 4), "c": (6, 6)}),
        (
            "a.rb", RUBY,
            {"M": (1, 6), "M.A": (2, 5), "M.A.b": (3, 4), "A": (7, 12), "A.when new": (8, 11),
             "A.when new.is empty": (9, 10)},
        ),
        (
            "a.rs", RUST,
            {"Stack": (1, 3), "Stack.push": (2, 2), "tests": (4, 8), "tests.works": (5, 7)},
        ),
    ],
)  # fmt: skip
def test_definitions_of_each_language(path, text, names):
    assert {d.name: (d.first, d.last) for d in outline(text, path)} == names


def test_every_language_is_installed_and_its_query_fits():
    assert grammars.languages() == set(grammars._QUERIES)
    for language in grammars.languages():
        assert grammars.definitions("", "a", language) == []
    assert grammars.definitions("const A = () => <b/>;\n", "a.tsx", "typescript")


def test_without_the_extra_indentation_tells(monkeypatch):
    monkeypatch.setitem(sys.modules, "tree_sitter", None)
    grammars._grammar.cache_clear()
    outline.cache_clear()
    try:
        assert grammars.definitions(GO, "a.go", "go") is None
        assert [d.name for d in outline(GO, "a.go")] == ["Foo", "TestBar"]
    finally:
        grammars._grammar.cache_clear()
        outline.cache_clear()


@pytest.mark.parametrize("language", ["c", "typescript", "rust"])
@pytest.mark.parametrize("text", ["(" * 100_000, "(\n" * 50_000, "! \n" * 50_000, "x" * 600_000])
def test_what_is_no_program_is_not_read_for_minutes(language, text):
    assert not grammars.definitions(text, "a", language)


@pytest.mark.parametrize("text", ["\0", "\ud800", "int f( {", "}}}}", "\ufeffint f() {}"])
def test_broken_text_is_read_as_far_as_it_can_be(text):
    outline.cache_clear()
    outline(text, "a.c")


@pytest.mark.parametrize(
    ("text", "path", "names"),
    [
        ("describe('out\tside', () => {\n});\n", "a.test.js", ["out side"]),
        ("const o = { 'a\tb': () => 1 };\n", "a.js", ["a b"]),
        ("bool A::operator\n()(int x)\n{\n}\n", "a.cc", ["A.operator ()"]),
        ("TEST(int\n a, B) {\n}\n", "a.cc", ["int a.B"]),
    ],
)
def test_a_name_is_one_line_without_tabs(text, path, names):
    assert [d.name for d in outline(text, path)] == names
