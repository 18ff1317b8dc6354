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
}


@pytest.mark.parametrize("form", sorted(OWN))
def test_each_runner_takes_its_own_ids(form):
    runner = RUNNERS[form]
    assert runner.name == form
    assert runner.fits(OWN[form])
    assert printed(form, OWN[form])


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
