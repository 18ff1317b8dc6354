"""Plans as patterns of CTest and of GoogleTest."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

import pytest

from testopt.runners.arguments import arguments_for
from testopt.runners.protocol import MAX_ARGUMENT, Request
from testopt.runners.registry import RUNNERS
from tests.builders import printed

KNOWN = ["a.b::a.b", "x (y)|z::x (y)|z", "plain"]  # in JUnit XML names stand twice
SUITES = ["Cart::Adds", "Cart::Drops", "All/Rows::Row/0", "All/Rows::Row/1", "Typed/0::Holds"]


def matched(lines, *names):
    option, pattern = lines
    found = [name for name in names if re.search(pattern, name)]
    return found if option == "-R" else [name for name in names if name not in found]


def test_ctest_leaves_out_by_name_so_that_unknown_tests_run():
    found = arguments_for(RUNNERS["ctest"], Request(cases=KNOWN[:1], known=KNOWN))
    names = ["a.b", "aXb", "x (y)|z", "plain", "plainer", "new"]
    assert matched(found.text.decode().splitlines(), *names) == ["a.b", "aXb", "plainer", "new"]
    assert "never seen run, too" in found.notes[0]


def test_ctest_runs_alone_what_the_user_named():
    lines = printed("ctest", *KNOWN[:2], known=KNOWN, exact=True)
    assert matched(lines, "a.b", "aXb", "x (y)|z", "plain") == ["a.b", "x (y)|z"]


def test_more_names_than_a_pattern_of_ctest_holds_are_suites_and_then_everything():
    cases = [f"Suite{i % 50}.DoesTheThing{i}" for i in range(2000)]
    found = arguments_for(RUNNERS["ctest"], Request(cases=cases, exact=True))
    lines = found.text.decode().splitlines()
    assert matched(lines, "Suite7.New", "Suite77.New") == ["Suite7.New"]
    assert "their suites run" in found.notes[0]
    cases = [f"does_the_long_and_hard_thing_{i}" for i in range(2000)]
    found = arguments_for(RUNNERS["ctest"], Request(cases=cases, exact=True))
    assert (found.text, "all tests run" in found.notes[0]) == (b"", True)


def test_ctest_everything_and_nothing():
    assert printed("ctest", *KNOWN, everything=True) == []
    assert printed("ctest", *KNOWN, known=KNOWN) == []
    assert printed("ctest", known=KNOWN) == ["-R", "^$", "--no-tests=ignore"]


def test_tests_that_cmake_adds_by_a_literal_name():
    text = (
        'add_test(NAME "a b" COMMAND x)\nADD_TEST(plain x)\n# add_test(no x)\nadd_test(NAME ${n})'
    )
    assert RUNNERS["ctest"].cases_in("CMakeLists.txt", text, None) == ["a b::a b", "plain::plain"]


def filtered(lines, *names):
    (line,) = lines
    wanted, _, unwanted = line.removeprefix("--gtest_filter=").partition("-")

    def among(name, patterns):
        return any(fnmatchcase(name, pattern) for pattern in patterns.split(":"))

    return [n for n in names if among(n, wanted or "*") and not among(n, unwanted)]


ALL = [*(case.replace("::", ".") for case in SUITES), "Cart.New", "Typed/1.Holds"]


@pytest.mark.parametrize(
    ("case", "together"), [(SUITES[0], 1), (SUITES[2], 2), (SUITES[4], 2)]
)  # fmt: skip
def test_googletest_runs_values_and_types_together(case, together):
    lines = printed("googletest", case, known=SUITES, exact=True)
    assert case.replace("::", ".") in filtered(lines, *ALL)
    assert len(filtered(lines, *ALL)) == together


def test_googletest_leaves_out_so_that_unknown_tests_run():
    lines = printed("googletest", *SUITES[1:3], known=SUITES)
    assert filtered(lines, *ALL) == [
        "Cart.Drops", "All/Rows.Row/0", "All/Rows.Row/1", "Cart.New"
    ]  # fmt: skip


def test_more_than_an_argument_holds_is_suites_of_googletest():
    cases = [f"Suite{i % 90}::DoesOneVeryParticularThingAsItShould{i}" for i in range(4000)]
    found = arguments_for(RUNNERS["googletest"], Request(cases=cases, exact=True))
    assert found.text.startswith(b"--gtest_filter=Suite0.*:Suite1.*:")
    assert len(found.text) < MAX_ARGUMENT


def test_googletest_everything_and_nothing():
    assert printed("googletest", *SUITES, everything=True) == []
    assert printed("googletest", known=SUITES) == ["--gtest_filter=-*"]


@pytest.mark.parametrize("case", ["A::b-c", "A::*", "A.b::c", "-x::y", "A::b:c", "A"])
def test_what_a_filter_cannot_name_is_none_of_googletest(case):
    assert not RUNNERS["googletest"].fits(case)


def test_tests_of_a_file_of_googletest():
    text = "TEST(Cart, Adds) {}\n  TEST_F( Cart , Drops)\n{}\nTEST_P(Rows, Row) {}\n// TEST(A, B)\n"
    assert RUNNERS["googletest"].cases_in("a_test.cc", text, None) == ["Cart::Adds", "Cart::Drops"]
