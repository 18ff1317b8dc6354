"""Cases whose ids name no file are found by the names of definitions."""

from __future__ import annotations

import pytest

from testopt.runners.definition_search import DefinitionSearch

GO = [("mux_test.go", ["TestRoute", "TestShared"]), ("sub/dir/walk_test.go", ["TestShared"])]
RUST = [
    ("src/lib.rs", ["display", "tests.display"]),
    ("src/net/mod.rs", ["tests.display", "tests.sends"]),
    ("tests/integration.rs", ["display"]),
]
PHP = [
    ("tests/Unit/LexerTest.php", ["LexerTest.testTokens", "LexerTest.testError"]),
    ("tests/Unit/Emulative/LexerTest.php", ["LexerTest.testTokens"]),
]
TITLES = [
    ("src/sum.test.js", ["sum", "sum.adds two numbers", "sum.of nothing.is 0. Always"]),
    ("src/max.test.js", ["max", "max.of nothing.fails"]),
]


@pytest.mark.parametrize(
    ("files", "case", "place"),
    [
        (GO, "example.com/mux::TestRoute/a/b", ("mux_test.go", "TestRoute")),
        (GO, "example.com/mux::TestShared", ("mux_test.go", "TestShared")),
        (GO, "example.com/mux/sub/dir::TestShared", ("sub/dir/walk_test.go", "TestShared")),
        (RUST, "app::tests::display", ("src/lib.rs", "tests.display")),
        (RUST, "app::net::tests::display", ("src/net/mod.rs", "tests.display")),
        (RUST, "app::integration::display", ("tests/integration.rs", "display")),
        (RUST, "app::bin/app::net::tests::sends", ("src/net/mod.rs", "tests.sends")),
        (PHP, r"Tests\Unit\LexerTest::testTokens", (PHP[0][0], "LexerTest.testTokens")),
        (PHP, "Tests.Unit.LexerTest::testError with data set #1", (PHP[0][0], PHP[0][1][1])),
        (PHP, r"Tests\Unit\Emulative\LexerTest::testTokens", (PHP[1][0], "LexerTest.testTokens")),
        (TITLES, "sum adds two numbers::sum adds two numbers", (TITLES[0][0], TITLES[0][1][1])),
        (TITLES, "sum of nothing is 0. Always", (TITLES[0][0], TITLES[0][1][2])),
        (TITLES, "sum > of nothing > is 0. Always", (TITLES[0][0], TITLES[0][1][2])),
        (TITLES, "max of nothing::test_0001_fails", (TITLES[1][0], "max.of nothing.fails")),
    ],
)
def test_a_case_is_found_by_its_name_and_the_words_around_it(files, case, place):
    assert DefinitionSearch(files).find(case) == place


@pytest.mark.parametrize(
    ("files", "case"),
    [
        (GO, "TestUnknown"),
        ([("a/x_test.go", ["TestA"]), ("b/x_test.go", ["TestA"])], "example.com/c::TestA"),
        ([("a.test.js", ["s.works well"]), ("b.test.js", ["s.works well"])], "s works well"),
        (TITLES, ""),
    ],
)
def test_a_case_that_could_be_several_or_none_is_not_found(files, case):
    assert DefinitionSearch(files).find(case) == ("", "")


def test_a_computed_title_is_found_by_the_suite_around_it_in_its_file():
    files = [("spec/a_spec.rb", ["Parser", "Parser.reads a file"]), ("spec/b_spec.rb", ["Parser"])]
    found = DefinitionSearch(files).find("spec.a_spec::Parser is expected to eq 3", files[0][0])
    assert found == ("spec/a_spec.rb", "Parser")


def test_examples_that_suites_share_are_found_by_their_own_titles():
    files = [("spec/a_spec.rb", ["Load", "Load.load.with no file", "Load.load.with no file.fails"])]
    case = "spec.a_spec::Load twice behaves like load with no file fails"
    assert DefinitionSearch(files).find(case, "spec/a_spec.rb")[1] == "Load.load.with no file.fails"
