"""Plans for Robot Framework, Minitest, dotnet, cargo test and Failsafe."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

import pytest

from testopt.runners.registry import RUNNERS
from tests.builders import printed

LOGIN = ["Tests.Login::Plain", "Tests.Login::With [a] *?", "Tests.Shop::Plain"]


def test_robot_asks_for_long_names_one_a_line():
    assert printed("robot", *LOGIN, known=LOGIN, exact=True) == [
        "--test=Tests.Login.Plain", "--test=Tests.Login.With [[]a] [*][?]",
        "--test=Tests.Shop.Plain",
    ]  # fmt: skip
    assert fnmatchcase("With [a] *?", "With [[]a] [*][?]")
    lines = printed("robot", *LOGIN[1:], known=LOGIN, whole=["Tests.New"])
    assert lines == [
        "--test=Tests.New.*", "--test=Tests.Login.With [[]a] [*][?]", "--test=Tests.Shop.*"
    ]  # fmt: skip


def test_suites_of_robot_are_called_after_files_and_folders():
    robot = RUNNERS["robot"]
    text = (
        "*** Settings ***\nLibrary  X\n*** Test Cases ***\nFirst one  # c\n    Log  x\n# no\n"
        "*** Keywords ***\nNo\n"
    )
    assert robot.cases_in("tests/02__sub_folder/log IN.robot", text, None) == [
        "Tests.Sub Folder.log IN::First one"
    ]
    assert robot.group_of_file("tests/a_b.robot", None) == "Tests.A B"


CARTS = ["CartTest::test_adds", "Cart #1::inner::test_0001_drops (x)|y", "A::CartTest::test_adds"]
METHODS = ["CartTest#test_adds", "CartTest#test_adds_more", "Cart #1::inner#test_0001_drops (x)|y",
           "A::CartTest#test_adds", "New#test_adds"]  # fmt: skip


def minitest_runs(lines):
    (line,) = lines
    option, _, pattern = line.partition("=")
    found = [n for n, m in enumerate(METHODS) if re.search(pattern[1:-1].replace(r"\z", r"\Z"), m)]
    return found if option == "--name" else [n for n in range(len(METHODS)) if n not in found]


def test_minitest_leaves_out_or_runs_what_the_user_named():
    assert minitest_runs(printed("minitest", *CARTS[:2], known=CARTS, exact=True)) == [0, 2]
    assert minitest_runs(printed("minitest", CARTS[0], known=CARTS)) == [0, 1, 4]
    assert minitest_runs(printed("minitest", CARTS[1], known=CARTS, whole=["CartTest"])) == [
        0, 1, 2, 4
    ]  # fmt: skip


def test_methods_of_a_file_of_minitest(tmp_path):
    (tmp_path / "a_test.rb").write_text(
        "class CartTest < Minitest::Test\n  def test_adds; end\nend"
    )
    minitest = RUNNERS["minitest"]
    assert minitest.group_of_file("a_test.rb", tmp_path) == "CartTest"
    assert minitest.cases_in("a_test.rb", (tmp_path / "a_test.rb").read_text(), None) == CARTS[:1]
    assert not minitest.is_test_file("test/test_helper.rb")


ROWS = ["N.ATests::One", "N.ATests::Two(1)", "N.ATests::OneMore", "N.B+C::One"]
FULL = ["N.ATests.One", "N.ATests.One(1)", "N.ATests.Two(2)", "N.ATests.OneMore", "N.B+C.One"]


def dotnet_runs(lines):
    option, text = lines
    assert option == "--filter"

    def holds(name, term):
        sign, value = re.fullmatch(r"FullyQualifiedName(!?[=~])(.+)", term).groups()
        value = value.replace("\\", "")
        return (value in name if sign[-1] == "~" else name == value) != (sign[0] == "!")

    joint, quantor = ("&", all) if "!=" in text else ("|", any)
    return [n for n, name in enumerate(FULL) if quantor(holds(name, t) for t in text.split(joint))]


def test_dotnet_runs_rows_of_data_with_their_method():
    assert dotnet_runs(printed("dotnet", ROWS[1], known=ROWS, exact=True)) == [2]
    assert dotnet_runs(printed("dotnet", ROWS[0], known=ROWS, exact=True)) == [0, 1]
    assert dotnet_runs(printed("dotnet", *ROWS[1:], known=ROWS)) == [2, 3, 4]


def test_more_than_a_filter_of_dotnet_holds_is_classes():
    cases = [f"N.A{i % 9}Tests::DoesTheLongThing{i}" for i in range(2000)]
    (_, text) = printed("dotnet", *cases, exact=True)
    assert text.startswith("FullyQualifiedName~N.A0Tests.|FullyQualifiedName~N.A1Tests.")


CRATES = ["alpha-lib::tests::adds", "alpha-lib::it::it_adds", "src/lib.rs::two (line 2)"]


def test_cargo_names_what_is_left_out_or_what_the_user_named():
    assert printed("cargo", CRATES[0], CRATES[2], known=CRATES) == [
        "--", "--exact", "--skip=it_adds", "--skip=it::it_adds"
    ]  # fmt: skip
    assert printed("cargo", *CRATES[1:], exact=True) == [
        "--", "--exact", "it::it_adds", "it_adds", "src/lib.rs - two (line 2)"
    ]  # fmt: skip
    # as the programs write it themselves: modules alone
    assert "tests::adds" in printed("cargo", "tests::adds", exact=True)


def test_cargo_names_few_of_very_many_tests():
    known = [f"c::part{i % 90}::does_a_thing_that_has_a_long_name_{i}" for i in range(30_000)]
    assert printed("cargo", known[0], known=known) == [
        "--", "--exact", known[0], "does_a_thing_that_has_a_long_name_0",
        "part0::does_a_thing_that_has_a_long_name_0",
    ]  # fmt: skip


def test_failsafe_is_asked_as_surefire_by_an_option_of_its_own():
    lines = printed("failsafe", "p.CartIT::adds", "p.CartIT::drops[1]", exact=True)
    assert lines == ["-Dit.test=p.CartIT#adds+drops+drops[*"]
    is_test = RUNNERS["failsafe"].is_test_file
    names = ["CartIT.java", "ITCart.java", "CartITCase.kt", "CartTest.java"]
    assert [is_test(f"src/test/java/{name}") for name in names] == [True, True, True, False]
    assert not is_test("src/main/java/ITCart.java")


@pytest.mark.parametrize(
    ("form", "nothing"),
    [
        ("robot", ["--runemptysuite", "--test="]),
        ("minitest", [r"--name=/\A\z/"]),
        ("dotnet", ["--filter", "FullyQualifiedName=-"]),
        ("cargo", ["--no-run"]),
        ("failsafe", ["-DskipITs"]),
    ],
)
def test_everything_and_nothing(form, nothing):
    cases = ["a::test_c"]
    assert printed(form, *cases, everything=True) == []
    assert printed(form, known=cases) == nothing


@pytest.mark.parametrize(
    ("form", "case"),
    [
        ("robot", "a/b.py::test_x"),
        ("minitest", "tests/a.py::test_x"),
        ("dotnet", "N.A::One x"),
        ("dotnet", "a/b::c"),
        ("cargo", "-x::y"),
    ],
)
def test_ids_of_others_are_none_of_theirs(form, case):
    assert not RUNNERS[form].fits(case)
