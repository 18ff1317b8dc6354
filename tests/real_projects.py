"""Small projects with hostile names for real test runners, and test files that come later."""

from __future__ import annotations

HOSTILE_JS = r"""
describe('Foo::bar', () => { test('works', () => {}); });
test("quote ' and \" and `tick`", () => {});
test('regex .* ( [a-z]+ ) {2} ^x| $y \\d ?', () => {});
test('ends in dollar $', () => {});
test('percent %s %d %%', () => {});
test('$variable ${x}', () => {});
test('line\nbreak', () => {});
test('tab\there', () => {});
test('ünïcödé 日本語 🚀', () => {});
test('a/b/c', () => {});
test('reads /srv/data/a.csv', () => {});
test('back\\slash', () => {});
test(' leading', () => {});
test('trailing ', () => {});
test('double  space', () => {});
test('a > c', () => {});
describe('a', () => { test('b', () => {}); test('> b', () => {}); });
describe(' outer ', () => { describe('inner', () => { test('deep', () => {}); }); });
describe.each([1, 2])('each %i', (n) => { test('case', () => {}); });
test.each([['x', 1], ['y', 2]])('row %s %i', () => {});
test('', () => {});
test('x', () => {});
test('x y', () => {});
test('common', () => {});
test('-dash', () => {});
test('<xml> & "entities" ]]>', () => {});
test('loading…', () => {});
test('constructor', () => {});
test('object at 0x7f1234567890', () => {});
test('works', () => {});
"""
JAVASCRIPT = {
    "package.json": '{"private": true}\n',
    ".gitignore": "node_modules\n",
    "src/hostile.test.js": HOSTILE_JS,
    "src/a(b)+[c]/odd.test.js": "test('common', () => {});\ntest('odd only', () => {});\n",
    "src/sub/other.test.js": "test('common', () => {});\ntest('other only', () => {});\n",
}
GO = {
    "go.mod": "module example.org/m\n\ngo 1.21\n",
    "net/net_test.go": """package net

import "testing"

func TestDial(t *testing.T) {
    for _, name := range []string{"::1", "a b", "a/b", "(x)|[y]$", "ünï", "%s", "", "a\\nb"} {
        t.Run(name, func(t *testing.T) {})
    }
}
func TestDialMore(t *testing.T)  {}
func TestÜnïcode(t *testing.T) {}
func Test_under(t *testing.T)  {}
func TestCommon(t *testing.T)  {}
""",
    "sub/sub_test.go": """package sub

import "testing"

func TestCommon(t *testing.T) {}
func TestOther(t *testing.T)  {}
""",
}
UNITTEST = {
    "tests/__init__.py": "",
    "tests/test_a.py": """import unittest


class Hostile(unittest.TestCase):
    def test_plain(self): pass
    def test_plain_more(self): pass
    def test_ünïcode(self): pass
    def test_sub(self):
        for i in ("a b", "x::y", "(z)", "[1]"):
            with self.subTest(i=i):
                pass


class Other(unittest.TestCase):
    def test_plain(self): pass
""",
    "tests/test_b.py": """import unittest


class Hostile(unittest.TestCase):
    def test_plain(self): pass
""",
}
PYTEST = {
    "tests/test_a.py": """import pytest

NAMES = ["a b", "x::y", "[1]", "quote ' \\" `", "regex .* ($y) |", "%s", "a/b", "back\\\\slash",
         " leading", "trailing ", "ünï", "-dash", "", "line\\nbreak"]

@pytest.mark.parametrize("name", NAMES)
def test_hostile(name): pass

def test_plain(): pass
def test_plain_more(): pass

class TestInner:
    def test_plain(self): pass
""",
    "tests/odd dir/test_b.py": "def test_plain(): pass\ndef test_other(): pass\n",
}
MAVEN_POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>org.x</groupId><artifactId>demo</artifactId><version>1</version>
  <properties>
    <maven.compiler.source>17</maven.compiler.source>
    <maven.compiler.target>17</maven.compiler.target>
    <project.build.sourceEncoding>UTF-8</project.build.sourceEncoding>
  </properties>
  <dependencies>
    <dependency><groupId>org.junit.jupiter</groupId><artifactId>junit-jupiter-params</artifactId>
      <version>5.9.2</version><scope>test</scope></dependency>
    <dependency><groupId>org.junit.jupiter</groupId><artifactId>junit-jupiter-engine</artifactId>
      <version>5.9.2</version><scope>test</scope></dependency>
  </dependencies>
  <build><plugins>
    <plugin><artifactId>maven-surefire-plugin</artifactId><version>2.22.3</version>
      <configuration><reportsDirectory>${reports}</reportsDirectory></configuration></plugin>
    <plugin><artifactId>maven-compiler-plugin</artifactId><version>3.10.1</version></plugin>
    <plugin><artifactId>maven-resources-plugin</artifactId><version>3.3.0</version></plugin>
  </plugins></build>
</project>
"""
MAVEN = {
    "pom.xml": MAVEN_POM,
    ".gitignore": "target\n",
    "src/test/java/org/x/FooTest.java": """package org.x;

import java.util.List;
import org.junit.jupiter.api.*;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class FooTest {
  @Test void plain() {}
  @Test void plainMore() {}
  @Test @DisplayName("a nice name") void nice() {}
  @ParameterizedTest @ValueSource(strings = {"a", "b"}) void params(String s) {}
  @ParameterizedTest(name = "[{index}] {0}") @ValueSource(strings = {"plain"}) void n(String s) {}
  @RepeatedTest(2) void repeated() {}
  @Test void with$dollar() {}
  @Test void ünïcode() {}
  @TestFactory List<DynamicTest> factory() {
    return List.of(DynamicTest.dynamicTest("plain", () -> {}));
  }
  @Nested class Inner {
    @Test void plain() {}
    @Test void deep() {}
    @Nested class Deeper { @Test void deepest() {} }
  }
}
""",
    "src/test/java/org/y/FooTest.java": """package org.y;

import org.junit.jupiter.api.*;

class FooTest { @Test void plain() {} }
""",
}
NEW_JS = {"src/new.test.js": "test('common', () => {});\ntest('brand new', () => {});\n"}
NEW_GO = {
    "fresh/new_test.go": """package fresh

import "testing"

func TestCommon(t *testing.T) {}
"""
}
NEW_UNITTEST = {
    "tests/test_new.py": """import unittest


class Hostile(unittest.TestCase):
    def test_plain(self): pass
"""
}
NEW_PYTEST = {"tests/test_new.py": "def test_plain(): pass\n"}
NEW_MAVEN = {
    "src/test/java/org/z/NewTest.java": """package org.z;

import org.junit.jupiter.api.*;

class NewTest {
  @Test void plain() {}
  @Nested class Inner { @Test void deep() {} }
}
"""
}
RSPEC_FORMATTER = r"""require "cgi"

# writes what rspec_junit_formatter does
class JunitLike
  RSpec::Core::Formatters.register self, :dump_summary

  def initialize(output) = @output = output

  def dump_summary(notification)
    @output.puts '<?xml version="1.0" encoding="UTF-8"?>', "<testsuite name='rspec'>"
    notification.examples.each do |example|
      group = example.metadata[:example_group]
      group = group[:parent_example_group] while group[:parent_example_group]
      file = group[:file_path]
      owner = file.sub(%r{\.[^/]*\Z}, "").gsub("/", ".").gsub(/\A\.+|\.+\Z/, "")
      name = CGI.escapeHTML(example.full_description).gsub("\n", "&#10;")
      inner = {pending: "<skipped/>", failed: "<failure/>"}[example.execution_result.status]
      names = "classname='#{owner}' name='#{name}' file='#{file}'"
      @output.puts "<testcase #{names}>#{inner}</testcase>"
    end
    @output.puts "</testsuite>"
  end
end
"""
RSPEC = {
    ".rspec": "--require ./formatter\n",
    "formatter.rb": RSPEC_FORMATTER,
    "spec/a_spec.rb": r"""RSpec.describe "Hostile" do
  it "adds" do end
  it "adds more" do end
  it 'quote \' " `tick` $(x)' do end
  it "a/b [1] (x|y) .*" do end
  it "ünï 日本" do end
  it "line\nbreak" do end
  it "" do end
  it { expect(1).to eq 1 }
  %w[x].each { |n| it("each #{n}") {} }
  context "inner::deep" do
    it "adds" do end
    specify("specified") {}
  end
  shared_examples "shared" do
    it "is shared" do end
  end
  describe "one" do
    include_examples "shared"
  end
  describe "two" do
    it_behaves_like "shared"
  end
end
""",
    "spec/sub/b.c_spec.rb": r"""describe String do
  describe "#upcase" do
    it("works") {}
    it "-dash" do end
    xit "skipped" do end
  end
end
""",
    "spec/sub/d_spec.rb": """describe "Other" do
  it "alone" do end
  it "left" do end
end
""",
}
NEW_RSPEC = {"spec/sub/new_spec.rb": 'describe("New") { it("is new") {} }\n'}
PHPUNIT = {
    "phpunit.xml": """<phpunit colors="false">
  <testsuites><testsuite name="all"><directory>tests</directory></testsuite></testsuites>
</phpunit>
""",
    "tests/HostileTest.php": r"""<?php
namespace App\Tests;

use PHPUnit\Framework\TestCase;

class HostileTest extends TestCase
{
    public function testPlain(): void { $this->assertTrue(true); }
    public function testPlainMore(): void { $this->assertTrue(true); }
    /** @dataProvider rows */
    public function testRow($x): void { $this->assertTrue(true); }
    public function rows(): array
    {
        return [[1], "a b" => [2], "quote \" (x|y) .* $" => [3], "a::b/c" => [4], "#1" => [5]];
    }
    /** @test */
    public function it_is_annotated(): void { $this->assertTrue(true); }
    public function testÜnï(): void { $this->assertTrue(true); }
    public function testSkipped(): void { $this->markTestSkipped('no'); }
}
""",
    "tests/Sub/OtherTest.php": r"""<?php
use PHPUnit\Framework\TestCase;

class OtherTest extends TestCase
{
    public function testPlain(): void { $this->assertTrue(true); }
    public function testOnly(): void { $this->assertTrue(true); }
}
""",
}
NEW_PHPUNIT = {
    "tests/Sub/NewTest.php": """<?php
namespace App\\Sub;

class NewTest extends \\PHPUnit\\Framework\\TestCase
{
    public function testPlain(): void { $this->assertTrue(true); }
}
"""
}
CTEST = {
    "CMakeLists.txt": r"""cmake_minimum_required(VERSION 3.19)
project(demo NONE)
enable_testing()
set(names plain plain.more [[with space]] [[regex.*+(x|y)?]] [[dollar$]] [[back\slash]] ünï -dash
    a::b [[quote "]] [[^caret]] [[comma,]])
foreach(name IN LISTS names)
  add_test(NAME "${name}" COMMAND ${CMAKE_COMMAND} -E true)
endforeach()
include(new.cmake OPTIONAL)
""",
}
NEW_CTEST = {"new.cmake": "add_test(NAME fresh COMMAND ${CMAKE_COMMAND} -E true)\n"}
GOOGLETEST = {
    "CMakeLists.txt": """cmake_minimum_required(VERSION 3.19)
project(demo CXX)
find_package(GTest REQUIRED)
file(GLOB sources *.cc)
add_executable(demo_tests ${sources})
target_link_libraries(demo_tests GTest::gtest_main)
""",
    "cart_test.cc": """#include <gtest/gtest.h>
TEST(Cart, Adds) {}
TEST(Cart, AddsMore) {}
TEST(Cart, DISABLED_Off) { FAIL(); }
TEST(CartMore, Adds) {}
class Rows : public testing::TestWithParam<int> {};
TEST_P(Rows, Row) {}
TEST_P(Rows, RowMore) {}
INSTANTIATE_TEST_SUITE_P(All, Rows, testing::Values(1, 2));
template <class T> class Typed : public testing::Test {};
using Types = testing::Types<int, char>;
TYPED_TEST_SUITE(Typed, Types);
TYPED_TEST(Typed, Holds) {}
TYPED_TEST(Typed, Drops) {}
""",
}
NEW_GOOGLETEST = {"new_test.cc": "#include <gtest/gtest.h>\nTEST(Fresh, Adds) {}\n"}
# Mocha's own name for a test is it; test.each is none of its.
_MOCHA = "\n".join(
    line for line in HOSTILE_JS.split("\n") if ".each" not in line and "''" not in line
)
MOCHA = {
    ".mocharc.json": '{"spec": ["src/**/*.test.js"]}\n',
    ".gitignore": "node_modules\n",
    **{
        path: text.replace("test(", "it(")
        for path, text in (JAVASCRIPT | {"src/hostile.test.js": _MOCHA}).items()
        if path.endswith(".test.js")
    },
}
NEW_MOCHA = {path: text.replace("test(", "it(") for path, text in NEW_JS.items()}
PLAYWRIGHT = {
    "playwright.config.js": "module.exports = { testDir: 'tests', workers: 1 };\n",
    ".gitignore": "node_modules\ntest-results\n",
    "tests/hostile.spec.js": r"""const { test } = require('@playwright/test');
test.describe('Foo::bar', () => { test('works', () => {}); });
test("quote ' and \" and `tick`", () => {});
test('regex .* ( [a-z]+ ) {2} ^x| $y \\d ?', () => {});
test('tagged @slow', () => {});
test('with tag', { tag: '@fast' }, () => {});
test('ünïcödé 日本語 🚀', () => {});
test(' leading', () => {});
test('double  space', () => {});
test('a \u203a b', () => {});
test('x', () => {});
test('x y', () => {});
test('common', () => {});
test('-dash', () => {});
test.describe(() => { test('anonymous', () => {}); });
for (const n of [1, 2]) test(`row ${n}`, () => {});
test('line\nbreak', () => {});
""",
    "tests/sub/other.spec.js": """const { test } = require('@playwright/test');
test('common', () => {});
test('other only', () => {});
""",
}
NEW_PLAYWRIGHT = {
    "tests/new.spec.js": "require('@playwright/test').test('common', () => {});\n",
}
CARGO = {
    ".gitignore": "target\nCargo.lock\n",
    "Cargo.toml": '[package]\nname = "alpha-lib"\nversion = "0.1.0"\nedition = "2021"\n',
    "src/lib.rs": """/// ```
/// assert_eq!(alpha_lib::two(), 2);
/// ```
pub fn two() -> i32 { 2 }

#[test]
fn alone() {}

#[cfg(test)]
mod tests {
    #[test]
    fn adds() {}
    #[test]
    fn adds_more() {}
    #[test]
    fn ünï() {}
    mod inner {
        #[test]
        fn adds() {}
    }
}
""",
    "tests/it.rs": "#[test]\nfn it_adds() {}\n#[test]\nfn common() {}\n",
}
NEW_CARGO = {"tests/new.rs": "#[test]\nfn is_new() {}\n"}
MINITEST_RUN = r"""require "cgi"
require "minitest/autorun"

# writes what the JUnit reporter of minitest-reporters does
class JunitLike < Minitest::AbstractReporter
  def initialize = @results = []
  def record(result) = @results << result
  def passed? = true

  def report
    cases = @results.map do |result|
      name, owner = [result.name, result.klass].map { |text| CGI.escapeHTML(text) }
      "<testcase name='#{name}' classname='#{owner}' file='#{result.source_location[0]}'>" \
        "#{'<skipped/>' if result.skipped?}</testcase>"
    end
    suite = "<testsuite name='a'>#{cases.join}</testsuite>"
    File.write(ENV.fetch("REPORT"), "<testsuites>#{suite}</testsuites>")
  end
end

module Minitest
  def self.plugin_junit_init(_) = reporter << JunitLike.new
end

Minitest.extensions << "junit"
Dir["./test/**/*_test.rb"].sort.each { |file| require file }
"""
MINITEST = {
    "run.rb": MINITEST_RUN,
    "test/a_test.rb": r"""class ATest < Minitest::Test
  def test_adds; end
  def test_adds_more; end
  def test_asks?; end
  define_method("test_quote ' \" (x|y) [a]* $") {}
  define_method("test_a/b") {}
  def test_ünï; end
  def test_skipped = skip
end

class ATest::Inner < Minitest::Test
  def test_adds; end
end

describe "Cart #1" do
  it("adds (x)") {}
  describe("inner::deep") { it("drops") {} }
end
""",
}
NEW_MINITEST = {
    "test/new_test.rb": "class NewTest < Minitest::Test\n  def test_adds; end\nend\n",
}
ROBOT = {
    "tests/01__login.robot": """*** Settings ***
Documentation    All of it

*** Test Cases ***
Plain
    No Operation
Plain More
    No Operation
With [brackets] * and ?
    No Operation
Ünï "quoted" 'x' $y
    No Operation
-dash
    No Operation
a.b
    No Operation

*** Keywords ***
Not A Test
    No Operation
""",
    "tests/sub_folder/other.robot": """*** Test Cases ***
Plain
    No Operation
Only
    No Operation
""",
}
NEW_ROBOT = {"tests/new.robot": "*** Test Cases ***\nPlain\n    No Operation\n"}
