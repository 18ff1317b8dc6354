"""Runs the test runners of this machine twice and counts the cases that keep their ids.

    python scripts/bench/producers.py [--python PYTHON] [--node FOLDER] [NAME...]

Each runner gets a small project of its own, made in two folders (as two CI machines have it): in
the second, one case is changed so that it fails, and one is added. Both runs are ingested; all
cases of the first must be met again. PYTHON is an interpreter with pytest, pytest-reportlog and
unittest-xml-reporting; FOLDER holds ``node_modules``. What is not found is skipped, saying so.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from testopt.store import Store


@dataclass
class Producer:
    """A runner: its files, its command, where its report is, and what it needs.

    In files and commands ``@VALUE@`` is 1, then 2; ``@ADDED:…@`` is empty, then the text.
    """

    files: dict[str, str]
    command: str
    report: str
    needs: list[str] = field(default_factory=list)
    modules: list[str] = field(default_factory=list)
    node: list[str] = field(default_factory=list)


PYTEST = {
    "tests/test_a.py": """
import datetime, os, tempfile, uuid, pytest
class Thing: pass
class TestClass:
    def test_method(self): pass
    def test_changed(self): assert @VALUE@ == 1
@pytest.mark.parametrize("x", [1, "a/b", "a::b", 1.5, None])
def test_plain(x): pass
@pytest.mark.parametrize("x", [Thing(), Thing()])
def test_index(x): pass
@pytest.mark.parametrize("x", [Thing(), Thing()], ids=repr)
def test_address(x): pass
@pytest.mark.parametrize("x", [uuid.uuid4()], ids=str)
def test_random(x): pass
@pytest.mark.parametrize("x", [datetime.datetime.now(datetime.timezone.utc)], ids=str)
def test_moment(x): pass
@pytest.mark.parametrize("x", [tempfile.mkdtemp()], ids=str)
def test_folder(x): pass
@pytest.mark.parametrize("x", [os.path.abspath(__file__)], ids=str)
def test_here(x): pass
@ADDED:def test_added(): pass@
""",
    "tests/sub/test_a.py": "def test_same_name(): pass\n",
    "tests/__init__.py": "",
    "tests/sub/__init__.py": "",
}
JS_CASES = """
describe('cart', () => {
  it('adds', () => {});
  it('changed', () => { if (@VALUE@ !== 1) throw new Error('no'); });
  describe('inner', () => { it('GET /users', () => {}); });
  @ADDED:it('added', () => {});@
});
"""
PRODUCERS = {
    "pytest xunit2": Producer(
        PYTEST, "PYTHON -m pytest -q -p no:cacheprovider --junitxml=r.xml tests", "r.xml",
        modules=["pytest"],
    ),
    "pytest xunit1": Producer(
        PYTEST,
        "PYTHON -m pytest -q -p no:cacheprovider -o junit_family=xunit1 --junitxml=r.xml tests",
        "r.xml", modules=["pytest"],
    ),
    "pytest-reportlog": Producer(
        PYTEST, "PYTHON -m pytest -q -p no:cacheprovider --report-log=r.jsonl tests", "r.jsonl",
        modules=["pytest_reportlog"],
    ),
    "unittest-xml-reporting": Producer(
        {
            "test_u.py": """
import unittest
class CartTest(unittest.TestCase):
    def test_adds(self): pass
    def test_changed(self): self.assertEqual(@VALUE@, 1)
    def test_sub(self):
        for n in range(3):
            with self.subTest(n=n): pass
    @ADDED:def test_added(self): pass@
"""
        },
        "PYTHON -m xmlrunner discover -o reports", "reports", modules=["xmlrunner"],
    ),
    "jest (jest-junit)": Producer(
        {"web/cart.test.js": JS_CASES, "package.json": "{}"},
        "npx jest --reporters=jest-junit --ci", "junit.xml", ["npx"], node=["jest", "jest-junit"],
    ),
    "vitest": Producer(
        {
            "web/cart.test.js": "import { describe, it } from 'vitest';\n" + JS_CASES,
            "package.json": "{}",
        },
        "npx vitest run --reporter=junit --outputFile=r.xml", "r.xml", ["npx"], node=["vitest"],
    ),
    "mocha (xunit)": Producer(
        {"web/cart.js": JS_CASES, "package.json": "{}"},
        "npx mocha --reporter xunit --reporter-option output=r.xml web", "r.xml",
        ["npx"], node=["mocha"],
    ),
    "mocha-junit-reporter": Producer(
        {"web/cart.js": JS_CASES, "package.json": "{}"},
        "npx mocha --reporter mocha-junit-reporter --reporter-option mochaFile=r.xml web", "r.xml",
        ["npx"], node=["mocha", "mocha-junit-reporter"],
    ),
    "playwright": Producer(
        {
            "playwright.config.js": """
module.exports = { testDir: 'web', retries: 1, reporter: [['junit', { outputFile: 'r.xml' }]],
  projects: [{ name: 'one' }, { name: 'two' }] };
""",
            "web/cart.spec.js": """
const { test, expect } = require('@playwright/test');
test.describe('cart', () => {
  test('adds', () => {});
  test('changed', () => { expect(@VALUE@).toBe(1); });
  @ADDED:test('added', () => {});@
});
""",
            "package.json": "{}",
        },
        "npx playwright test", "r.xml", ["npx"], node=["@playwright/test"],
    ),
    "maven surefire": Producer(
        {
            "pom.xml": """<project xmlns="http://maven.apache.org/POM/4.0.0">
<modelVersion>4.0.0</modelVersion><groupId>g</groupId><artifactId>a</artifactId><version>1</version>
<properties><maven.compiler.source>17</maven.compiler.source>
<maven.compiler.target>17</maven.compiler.target>
<project.build.sourceEncoding>UTF-8</project.build.sourceEncoding></properties>
<dependencies><dependency><groupId>org.junit.jupiter</groupId><artifactId>junit-jupiter</artifactId>
<version>5.10.2</version><scope>test</scope></dependency></dependencies>
<build><plugins><plugin><groupId>org.apache.maven.plugins</groupId>
<artifactId>maven-surefire-plugin</artifactId><version>3.2.5</version></plugin></plugins></build>
</project>""",
            "src/test/java/shop/CartTest.java": """package shop;
import org.junit.jupiter.api.*; import org.junit.jupiter.params.*;
import org.junit.jupiter.params.provider.*; import java.util.stream.Stream;
class CartTest {
  @Test void adds() {}
  @Test void changed() { Assertions.assertEquals(1, @VALUE@); }
  @ParameterizedTest @ValueSource(ints = {1, 2}) void each(int n) {}
  static Stream<Object> things() { return Stream.of(new Object(), new Object()); }
  @ParameterizedTest @MethodSource("things") void thing(Object o) {}
  @Nested class Inner { @Test void nested() {} }
  @ADDED:@Test void added() {}@
}
""",
        },
        "mvn -q -B test", "target/surefire-reports", ["mvn"],
    ),
    "ctest": Producer(
        {
            "CMakeLists.txt": """cmake_minimum_required(VERSION 3.21)
project(p NONE)
enable_testing()
add_test(NAME adds COMMAND true)
add_test(NAME changed COMMAND test @VALUE@ = 1)
@ADDED:add_test(NAME added COMMAND true)@
"""
        },
        "cmake -S . -B b; ctest --test-dir b --output-junit ../r.xml", "r.xml", ["cmake", "ctest"],
    ),
    "ctest Test.xml": Producer(
        {
            "CMakeLists.txt": """cmake_minimum_required(VERSION 3.21)
project(p NONE)
include(CTest)
add_test(NAME adds COMMAND true)
add_test(NAME changed COMMAND test @VALUE@ = 1)
@ADDED:add_test(NAME added COMMAND true)@
"""
        },
        "cmake -S . -B b; ctest --test-dir b -T Test", "b/Testing/*/Test.xml", ["cmake", "ctest"],
    ),
    "googletest": Producer(
        {
            "t.cc": """#include <gtest/gtest.h>
TEST(Cart, Adds) {}
TEST(Cart, Changed) { EXPECT_EQ(@VALUE@, 1); }
class Each : public testing::TestWithParam<int> {};
TEST_P(Each, Works) {}
INSTANTIATE_TEST_SUITE_P(All, Each, testing::Values(1, 2));
@ADDED:TEST(Cart, Added) {}@
"""
        },
        "g++ -std=c++17 t.cc -lgtest -lgtest_main -lpthread -o t; ./t --gtest_output=xml:r.xml",
        "r.xml", ["g++", "/usr/include/gtest/gtest.h"],
    ),
    "rspec": Producer(
        {
            "spec/cart_spec.rb": """
RSpec.describe 'cart' do
  it('adds') { }
  it('changed') { expect(@VALUE@).to eq(1) }
  context('inner') { it('is nested') { } }
  it { expect(Object.new.to_s).to be_a(String) }
  @ADDED:it('added') { }@
end
"""
        },
        "rspec -r rspec_junit_formatter -f RspecJunitFormatter -o r.xml", "r.xml", ["rspec"],
    ),
    "phpunit": Producer(
        {
            "tests/CartTest.php": """<?php
use PHPUnit\\Framework\\TestCase;
final class CartTest extends TestCase {
  public function testAdds(): void { $this->assertTrue(true); }
  public function testChanged(): void { $this->assertSame(1, @VALUE@); }
  /** @dataProvider rows */
  public function testRows($n): void { $this->assertIsInt($n); }
  public static function rows(): array { return [[1], 'two' => [2], __FILE__ => [3]]; }
  @ADDED:public function testAdded(): void { $this->assertTrue(true); }@
}
"""
        },
        "phpunit --log-junit r.xml tests", "r.xml", ["phpunit"],
    ),
    "gotestsum": Producer(
        {
            "go.mod": "module example.org/shop\n\ngo 1.19\n",
            "cart/cart_test.go": """package cart
import ("fmt"; "testing")
func TestAdds(t *testing.T) {}
func TestChanged(t *testing.T) { if @VALUE@ != 1 { t.Error("no") } }
func TestSub(t *testing.T) {
  t.Run("a/b", func(t *testing.T) {})
  t.Run(fmt.Sprintf("%p", new(int)), func(t *testing.T) {})
}
@ADDED:func TestAdded(t *testing.T) {}@
""",
        },
        "gotestsum --junitfile r.xml ./...", "r.xml", ["go", "gotestsum"],
    ),
    "cargo nextest": Producer(
        {
            "Cargo.toml": '[package]\nname = "shop"\nversion = "0.1.0"\nedition = "2021"\n',
            ".config/nextest.toml": '[profile.default.junit]\npath = "r.xml"\n',
            "src/lib.rs": """#[cfg(test)] mod tests {
#[test] fn adds() {}
#[test] fn changed() { assert_eq!(@VALUE@, 1); }
@ADDED:#[test] fn added() {}@
}
""",
        },
        "cargo nextest run --no-fail-fast", "target/nextest/default/r.xml", ["cargo-nextest"],
    ),
}  # fmt: skip
GO = PRODUCERS["gotestsum"]
PRODUCERS["go test -json"] = Producer(GO.files, "go test -json ./... > r.jsonl", "r.jsonl", ["go"])


def missing(producer: Producer, python: str, node: Path | None) -> str:
    """Return what a producer lacks; empty when nothing."""
    for need in producer.needs:
        if not (Path(need).exists() if "/" in need else shutil.which(need)):
            return need
    for module in producer.modules:
        probe = [python, "-c", f"import {module}"]
        if subprocess.run(probe, check=False, capture_output=True).returncode:
            return f"{module} of {python}"
    for package in producer.node:
        if node is None or not (node / "node_modules" / package).exists():
            return f"{package} (see --node)"
    return ""


def write(producer: Producer, folder: Path, node: Path | None, *, second: bool) -> None:
    """Write a project; only a git repository knows its files."""
    for name, text in producer.files.items():
        words = text.replace("@VALUE@", "2" if second else "1")
        while "@ADDED:" in words:
            head, _, rest = words.partition("@ADDED:")
            added, _, tail = rest.rpartition("@\n")
            words = head + (added if second else "") + "\n" + tail
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(words, encoding="utf-8")
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    subprocess.run(["git", "-C", str(folder), "add", "-A"], check=True)
    if producer.node and node is not None:
        (folder / "node_modules").symlink_to(node / "node_modules")


def run(producer: Producer, folder: Path, python: str) -> set[str]:
    """Run the tests of a project, ingest the report, and return the case ids."""
    command = producer.command.replace("PYTHON", python)
    env = {**os.environ, "CI": "1"}
    shell = ["sh", "-c", command]
    done = subprocess.run(shell, cwd=folder, env=env, check=False, capture_output=True)
    store = folder.with_suffix(".store")
    reports = [str(path) for path in folder.glob(producer.report)]
    if not reports:
        sys.exit(f"{command}: no report\n{(done.stdout + done.stderr).decode()[-2000:]}")
    ingest = [sys.executable, "-m", "testopt", "-q", "--repo", str(folder), "--store", str(store)]
    subprocess.run(
        [*ingest, "ingest", "--format", "auto", *reports], check=True, capture_output=True
    )
    return set(Store.open(store).read("results", columns=["case_id"])["case_id"].to_pylist())


def compare(name: str, python: str, node: Path | None) -> tuple[int, int]:
    """Run a producer twice; return how many cases there were, and how many were met again."""
    producer = PRODUCERS[name]
    lack = missing(producer, python, node)
    if lack:
        print(f"{name:<24}skipped: no {lack}")
        return 0, 0
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        found = []
        for second, root in enumerate((one, other)):
            folder = Path(root, "project")
            write(producer, folder, node, second=bool(second))
            found.append(run(producer, folder, python))
    first, again = found
    lost = sorted(first - again)
    share = len(first & again) / len(first)
    print(f"{name:<24}{len(first):>6}{len(again):>6}{len(first & again):>6}{share:>8.0%}", *lost)
    return len(first), len(first & again)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(PRODUCERS)}")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--node", type=Path)
    options = parser.parse_args()
    print(f"{'producer':<24}{'first':>6}{'again':>6}{'kept':>6}{'share':>8}  lost")
    found = [compare(n, options.python, options.node) for n in options.names or PRODUCERS]
    cases, kept = (sum(column) for column in zip(*found, strict=True))
    print(f"{'all':<24}{cases:>6}{'':>6}{kept:>6}{kept / max(cases, 1):>8.1%}")


if __name__ == "__main__":
    main()
