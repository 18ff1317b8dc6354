"""Plans in the syntax of any test runner."""

from __future__ import annotations

import pytest

from testopt.errors import UsageError
from testopt.runners.arguments import arguments_for
from testopt.runners.protocol import Request
from testopt.runners.registry import RUNNERS
from tests.builders import printed

OWN = {
    "pytest": "tests/test_a.py::test_x",
    "unittest": "tests.test_a.T::test_x",
    "go": "m/net::TestDial/ipv4",
    "surefire": "org.x.FooTest::adds",
    "gradle": "org.x.FooTest::adds",
    "jest": "src/a.test.js::cart adds",
    "vitest": "src/b.test.ts::cart > adds",
    "nextest": "crate::mod::adds",
    "phpunit": "App.CartTest::testAdds with data set #0",
    "ctest": "cart.adds::cart.adds",
    "googletest": "All/CartTest::Adds/0",
    "mocha": "adds::cart adds",
    "playwright": "cart.spec.ts::cart \u203a adds",
    "cargo": "tests::adds",
    "failsafe": "org.x.FooIT::adds",
    "minitest": "CartTest::test_adds",
    "dotnet": "Shop.CartTests::Adds(1)",
    "robot": "Tests.Cart::Adds Two",
    "rspec": "spec.cart_spec::Cart adds",
}


@pytest.mark.parametrize("form", sorted(OWN))
def test_each_runner_takes_its_own_ids(form):
    runner = RUNNERS[form]
    assert runner.name == form
    assert runner.fits(OWN[form])
    assert printed(form, OWN[form], exact=True)


@pytest.mark.parametrize(
    ("form", "case"),
    [
        ("surefire", OWN["pytest"]),
        ("gradle", OWN["pytest"]),
        ("go", OWN["pytest"]),
        ("jest", OWN["pytest"]),
        ("pytest", OWN["surefire"]),
        ("pytest", OWN["go"]),
        ("pytest", OWN["jest"]),
        ("unittest", OWN["go"]),
        ("unittest", OWN["jest"]),
        ("go", OWN["surefire"]),
    ],
)
def test_ids_of_other_runners_alone_are_refused(form, case):
    with pytest.raises(UsageError, match="no case is one of") as caught:
        printed(form, case)
    assert case in caught.value.message
    assert next(name for name, own in OWN.items() if own == case) in caught.value.hint


def test_cases_of_other_runners_are_left_to_them_and_counted():
    request = Request(cases=[OWN["pytest"], OWN["surefire"]], known=[*OWN.values()])
    found = arguments_for(RUNNERS["surefire"], request)
    assert found.text == b"-Dtest=org.x.FooTest#adds\n"
    assert f"cases of other runners, such as {OWN['pytest']!r}" in found.notes[0]


def test_names_that_are_no_utf8_come_out_as_they_came():
    request = Request(cases=["a.py::t[\udcff]"])
    assert arguments_for(RUNNERS["pytest"], request).text == b"a.py::t[\xff]\n"


def asked(form, *cases, to_file=False, **request):
    return arguments_for(RUNNERS[form], Request(cases=cases, **request), to_file=to_file)


LONG = [f"tests/test_{i // 100}.py::test_{i}[{'x' * 100}]" for i in range(20_000)]


def test_more_than_a_command_line_takes_are_the_files_of_it():
    found = asked("pytest", *LONG)
    assert found.text.decode().splitlines() == [f"tests/test_{i}.py" for i in range(200)]
    assert found.notes[0] == (
        "20,000 cases are more than a command line takes: what is printed is their 200 files"
    )
    assert found.notes[1] == "tests that testopt has never seen run only in 200 whole files"
    in_file = asked("pytest", *LONG, to_file=True)
    assert in_file.text.decode().splitlines() == LONG


def test_arguments_that_cannot_be_fewer_are_refused_with_a_way_out():
    cases = [f"tests/{'x' * 200}_{i}.py::test" for i in range(20_000)]
    with pytest.raises(UsageError, match="20,000 cases are more than a command line takes") as no:
        asked("pytest", *cases)
    assert "pytest @FILE" in no.value.hint


def test_a_package_with_too_many_functions_runs_whole():
    cases = [f"m/a::TestOfALongName{i}" for i in range(10_000)]
    assert asked("go", *cases, "m/b::TestX").text == b"m/a\nm/b -run '^(TestX)$'\n"


@pytest.mark.parametrize(
    ("request_", "note"),
    [
        (
            {"everything": True},
            "nothing is filtered, so tests that testopt has never seen run, too",
        ),
        (
            {"whole": ["b.py"]},
            "tests that testopt has never seen run only in 1 whole file",
        ),
        ({}, "tests that testopt has never seen do not run"),
    ],
)
def test_what_becomes_of_unknown_tests_is_said(request_, note):
    assert asked("pytest", "a.py::t", **request_).notes == (note.format("testopt has never seen"),)
    assert asked("pytest", "a.py::t", exact=True).notes == ()


def test_too_many_methods_of_java_are_their_classes():
    cases = [f"org.x.Foo{i // 10}Test::behavesWell{i}" for i in range(9_000)]
    found = asked("surefire", *cases)
    assert b"behavesWell" not in found.text
    assert "what is printed is their 900 files" in found.notes[0]
