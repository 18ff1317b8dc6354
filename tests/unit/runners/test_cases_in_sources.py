"""Cases found in sources: what a runner would list, by the text alone."""

from __future__ import annotations

import pytest

from testopt.runners.place import Place
from testopt.runners.registry import RUNNERS


class Files:
    """A project in memory."""

    def __init__(self, files):
        self._files = files
        self.paths = tuple(sorted(files))
        self.names = frozenset(files)

    def below(self, folder):
        return (path for path in self.paths if path.startswith(f"{folder}/" if folder else ""))

    def read(self, path):
        return self._files.get(path)

    def read_all(self, paths):
        return ((path, self._files[path]) for path in paths if path in self._files)


def cases(form, files, folder="", **options):
    place = Place(Files(files), folder, options)
    kind = RUNNERS[form]
    held = [path for path in place.sources.below(folder) if kind.holds_cases(path, place)]
    return [case for path in held for case in kind.cases_in(path, files[path], place)]


PYTHON = """
import pytest, unittest
from .base import Base, helper
import base as b

def test_a(): pass
async def test_b(): pass
@pytest.fixture
def test_data(): pass
@pytest.fixture()
def test_more(): pass
if True:
    def test_c(): pass
else:
    def test_d(): pass
def other(): pass

class TestX:
    x = 1
    def test_one(self): pass
    @staticmethod
    def test_two(): pass
    def helper(self): pass
    class TestInner:
        def test_deep(self): pass
    class Other:
        def test_not(self): pass

class TestBuilt:
    def __init__(self): pass
    def test_not(self): pass

class TestOff:
    __test__ = False
    def test_not(self): pass

class TestChild(TestX):
    test_two = None
    def test_three(self): pass

class TestFar(Base): pass
class TestFarther(b.Base): pass
class Odd(unittest.TestCase):
    def test_unit(self): pass
    def testCamel(self): pass
class Odder(Odd): pass
class Plain:
    def test_not(self): pass
"""


def test_pytest_by_its_rules():
    files = {
        "t/test_x.py": PYTHON,
        "t/base.py": "class Base:\n  def test_far(self): pass\n",
        "t/helper.py": "def test_no(): pass\n",
        "build/test_y.py": "def test_no(): pass\n",
    }
    assert [case.removeprefix("t/test_x.py::") for case in cases("pytest", files)] == [
        "test_a", "test_b", "test_c", "test_d",
        "TestX::test_one", "TestX::test_two", "TestX::TestInner::test_deep",
        "TestChild::test_three", "TestChild::test_one", "TestChild::TestInner::test_deep",
        "TestFar::test_far", "TestFarther::test_far",
        "Odd::test_unit", "Odd::testCamel", "Odder::test_unit", "Odder::testCamel",
    ]  # fmt: skip


def test_unittest_runs_its_own_classes_only():
    found = cases("unittest", {"test_x.py": PYTHON})
    assert {case.split("::")[1] for case in found} == {"Odd", "Odder"}


def test_settings_of_pytest_count():
    files = {
        "a/check_x.py": "def check_a(): pass\nclass Look:\n  def check_b(self): pass\n",
        "b/check_y.py": "def check_c(): pass\n",
        "a/test_z.py": "def test_z(): pass\n",
    }
    options = {
        "python_files": ("check_*.py",),
        "python_functions": ("check",),
        "python_classes": ("Lo*",),
        "testpaths": ("a",),
    }
    assert cases("pytest", files, **options) == [
        "a/check_x.py::check_a", "a/check_x.py::Look::check_b",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text", ["def test_a(:\n", "\0def test_a(): pass", "x = " + "(" * 5000, "class A(A): pass\n"]
)
def test_what_is_no_python_holds_no_case(text):
    assert cases("pytest", {"test_a.py": text}) == []


def test_classes_that_are_made_of_each_other_end():
    text = "class TestA(TestB):\n  def test_a(self): pass\nclass TestB(TestA): pass\n"
    assert set(cases("pytest", {"test_a.py": text})) == {
        "test_a.py::TestA::test_a", "test_a.py::TestB::test_a",
    }  # fmt: skip


GO = """// Copyright
package x_test
/*
func TestCommented(t *testing.T) {}
*/
var s = `
func TestInText(t *testing.T) {}
`
var quote, tick = "`", '`'
func TestA(t *testing.T) {}
func Test(t *testing.T) {}
func Testify(t *testing.T) {}
func TestMain(m *testing.M) {}
func FuzzB(f *testing.F) {}
func BenchmarkC(b *testing.B) {}
func ExampleD() {
	// Output: x
}
func ExampleE() {
}
func (s *Suite) TestMethod(t *testing.T) {}
"""


def test_go_by_its_rules():
    files = {
        "go.mod": "// x\nmodule example.org/m // y\n",
        "p/x_test.go": GO,
        "a_windows_test.go": GO,
        "testdata/y_test.go": GO,
        "_b/z_test.go": GO,
        "sub/go.mod": "module example.org/sub\n",
        "sub/q_test.go": GO,
        "tag_test.go": "//go:build integration && !linux\n\n" + GO,
        "yes_test.go": "//go:build (linux || darwin || windows) && !appengine\n\npackage x\n"
        "func TestYes(t *testing.T) {}\n",
    }
    assert cases("go", files) == [
        *(f"example.org/m/p::{name}" for name in ("TestA", "Test", "FuzzB", "ExampleD")),
        "example.org/m::TestYes",
    ]  # fmt: skip
    assert cases("go", files, "sub")[0] == "example.org/sub::TestA"


def test_rust_follows_modules_from_the_root_of_each_binary():
    files = {
        "Cargo.toml": '[package]\nname = "a-b"\n[[test]]\nname = "odd"\npath = "tests/o/e.rs"\n',
        "src/lib.rs": """pub mod p; mod deep; #[path = "else/where.rs"] mod moved;
            // #[test] fn commented() {}
            const T: &str = "#[test] fn text() {"; const C: char = '{'; fn f<'a>(x: &'a str) {}
            #[cfg(test)] mod tests { #[test] fn works() {} #[test] #[should_panic(expected = "x]")]
              pub async fn panics() {} #[test] #[ignore = "slow"] fn no() {} fn helper() {}
              mod inner { #[tokio::test(flavor = "x")] async fn nested() {} } }
            #[test] fn last() {}""",
        "src/p.rs": "#[test] fn top() {}", "src/deep/mod.rs": "mod more;",
        "src/deep/more.rs": "#[test] fn far() {}", "src/else/where.rs": "#[test] fn m() {}",
        "src/unused.rs": "#[test] fn never() {}", "src/bin/tool.rs": "#[test] fn t() {}",
        "tests/basic.rs": "mod common; #[test] fn it() {}", "tests/common/mod.rs": "",
        "tests/suite/main.rs": "#[test] fn s() {}", "tests/o/e.rs": "#[test] fn o() {}",
    }  # fmt: skip
    assert sorted(cases("nextest", files)) == sorted([
        "a-b::tests::works", "a-b::tests::panics", "a-b::tests::inner::nested", "a-b::last",
        "a-b::p::top", "a-b::deep::more::far", "a-b::moved::m", "a-b::bin/tool::t",
        "a-b::basic::it", "a-b::suite::s", "a-b::odd::o",
    ])  # fmt: skip


JAVA = """package org.x;
import org.junit.jupiter.api.*;
/** class Doc { @Test void no() {} } */
public class CalcTest {
  static final String S = "class No { @Test void no() {} }";
  @BeforeEach void setUp() {}
  @Test void adds() throws Exception { Runnable r = () -> { help(); }; }
  @Test @DisplayName("a name") public void named() {}
  void help() {}
  @ParameterizedTest @ValueSource(ints = {1, 2}) void many(final int n, List<Map<A, B>> l) {}
  @Nested class Inner { @org.junit.jupiter.api.Test void deep() { new Object() { void x() {} }; } }
}
"""


def test_java_with_classes_in_classes_and_types_of_parameters():
    path = "src/test/java/org/x/CalcTest.java"
    names = ["CalcTest::adds", "CalcTest::named", "CalcTest::many(int, List)"]
    found = [f"org.x.{name}" for name in [*names, "CalcTest$Inner::deep"]]
    assert cases("surefire", {path: JAVA}) == found
    ends = ["()", "()", "", "()"]
    assert cases("gradle", {path: JAVA}) == [a + b for a, b in zip(found, ends, strict=True)]


def test_junit_3_and_4_and_kotlin():
    files = {
        "OldTest.java": "class OldTest extends TestCase { public void testA() {} void b() {} }",
        "FourTest.java": "import org.junit.Test; class FourTest { @Test public void a() {} }",
        "KTest.kt": "package k\nclass KTest {\n @Test fun `a b`() {}\n @Test fun c(n: Int) {}\n"
                    " fun d() {}\n}",
    }  # fmt: skip
    assert sorted(cases("gradle", files)) == [
        "FourTest::a", "OldTest::testA", "k.KTest::a b", "k.KTest::c",
    ]  # fmt: skip


SCRIPT = r"""
// it('commented', () => {})
const re = /["'(]/g, half = 4 / 2;
describe('outer "q"', () => {
  const s = "describe('no', () => { it('no') })";
  test('adds', () => { expect(`x${1 + (2)}`).toBe('x3'); });
  it("it's", async () => {});
  describe("in\"ner", () => { it(`template`, () => { s.replace(/\)\}/g, ''); }); });
  it.skip('skip\n\u0070ed', () => {});
  it.each([[1], [2]])('each %i', () => {});
  describe.each([1])('gen %i', () => { it('below', () => {}); });
  describe(name, () => { it('unknown', () => {}); });
  it.todo('later');
});
test('top', () => {});
it(`loop ${n}`, () => {}); it('loop ' + n, () => {}); obj.test('no test', () => {});
"""
TITLES = [('outer "q"', "adds"), ('outer "q"', "it's"), ('outer "q"', 'in"ner', "template"),
          ('outer "q"', "skip ped"), ("top",)]  # fmt: skip


def test_scripts_with_literal_titles():
    vitest = cases("vitest", {"web/a.test.ts": SCRIPT})
    assert vitest == [f"web/a.test.ts::{' > '.join(titles)}" for titles in TITLES]
    names = [f"{' '.join(titles[:-1])} {titles[-1]}" for titles in TITLES]
    assert cases("jest", {"a.test.js": SCRIPT}) == [f"{name}::{name}" for name in names]
