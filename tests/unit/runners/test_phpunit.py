"""Plans as patterns of PHPUnit."""

from __future__ import annotations

import re

import pytest

from testopt.cli.case_list import read_cases
from testopt.runners.arguments import arguments_for
from testopt.runners.protocol import Request
from testopt.runners.registry import RUNNERS
from tests.builders import printed

KNOWN = ["App.CartTest::testAdds", "App.CartTest::testRow with data set #0", "BTest::testAdds"]
NAMES = [  # what PHPUnit matches the pattern with
    r"App\CartTest::testAdds", r"App\CartTest::testAddsMore",
    'App\\CartTest::testRow with data set "a\nb"',
    "BTest::testAdds", r"App\BTest::testAdds", r"App\New::testAdds",
]  # fmt: skip


def runs(lines):
    """Return which names are matched by what is printed."""
    (line,) = lines
    pattern = re.compile(
        re.fullmatch(r"--filter=/(.*)/s", line)[1].replace(r"\z", r"\Z"), re.DOTALL
    )
    return [n for n, name in enumerate(NAMES) if pattern.search(name)]


def test_what_is_left_out_is_named_so_that_unknown_tests_run():
    found = arguments_for(RUNNERS["phpunit"], Request(cases=KNOWN[1:2], known=KNOWN))
    assert runs(found.text.decode().splitlines()) == [1, 2, 4, 5]
    assert "never seen run, too" in found.notes[0]


def test_the_cases_that_the_user_names_run_alone():
    assert runs(printed("phpunit", *KNOWN[:2], known=KNOWN, exact=True)) == [0, 2]
    named = r'App\CartTest::testRow with data set "x"'
    assert runs(printed("phpunit", named, exact=True)) == [2]


def test_a_class_that_runs_whole_is_not_left_out():
    lines = printed("phpunit", KNOWN[2], known=KNOWN, whole=["App.CartTest"])
    assert lines == []
    lines = printed("phpunit", known=KNOWN, whole=["App.CartTest"])
    assert runs(lines) == [0, 1, 2, 4, 5]


def test_more_than_a_pattern_holds_is_classes_and_then_everything():
    cases = [f"App.C{i % 90}Test::testThatOneThingIsDoneRight{i}" for i in range(2000)]
    request = Request(cases=cases, known=cases, exact=True)
    found = arguments_for(RUNNERS["phpunit"], request)
    assert found.text.startswith(rb"--filter=/^(?:App\\C0Test::|App\\C1Test::")
    assert "their classes run" in found.notes[0]
    cases = [f"App.Package{i}.OfALongNameTest::testIt" for i in range(2000)]
    found = arguments_for(RUNNERS["phpunit"], Request(cases=cases, known=cases, exact=True))
    assert (found.text, "all tests run" in found.notes[0]) == (b"", True)


def test_everything_and_nothing():
    assert printed("phpunit", *KNOWN, everything=True) == []
    assert printed("phpunit", known=KNOWN) == ["--filter=/(?!)/"]


def test_the_group_of_a_file_is_its_class(tmp_path):
    (tmp_path / "CartTest.php").write_text("<?php\nnamespace App\\Sub;\nclass CartTest {}\n")
    phpunit = RUNNERS["phpunit"]
    assert phpunit.group_of_file("CartTest.php", tmp_path) == "App.Sub.CartTest"
    assert phpunit.group(r"App\Sub\CartTest::testAdds") == "App.Sub.CartTest"
    assert phpunit.group_of_file("tests/ATest.php", tmp_path) == "ATest"


@pytest.mark.parametrize("case", ["tests/a.phpt", "A::test|.*", "A::", "-d x::testA", "A B::testA"])
def test_other_ids_are_not_its_own(case):
    assert not RUNNERS["phpunit"].fits(case)


def test_cases_of_a_file_are_methods_that_are_marked_or_called_test():
    text = r"""<?php
namespace App;

final class CartTest extends TestCase
{
    public function testAdds(): void {}
    #[Test]
    public function drops(): void {}
    /** @test */
    public function counts(): void {}
    public static function rows(): array { return []; }
    public function helper() {}
}
"""
    assert RUNNERS["phpunit"].cases_in("CartTest.php", text, None) == [
        "App.CartTest::testAdds", "App.CartTest::drops", "App.CartTest::counts"
    ]  # fmt: skip


def test_the_list_that_phpunit_prints_names_cases_as_its_reports_do(tmp_path):
    listed = tmp_path / "cases.txt"
    listed.write_text(
        "PHPUnit 9.6.7 by Sebastian Bergmann and contributors.\n\nAvailable test(s):\n"
        ' - App\\CartTest::testAdds\n - App\\CartTest::testRow#0\n - App\\CartTest::testRow"a b"\n'
    )
    assert read_cases(str(listed)) == [
        "App.CartTest::testAdds",
        "App.CartTest::testRow with data set #0",
        'App.CartTest::testRow with data set "a b"',
    ]
