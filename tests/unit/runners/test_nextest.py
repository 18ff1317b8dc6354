"""Plans as arguments of cargo-nextest."""

from __future__ import annotations

import re

import pytest

from testopt.runners.arguments import arguments_for
from testopt.runners.protocol import MAX_ARGUMENT, Request
from testopt.runners.registry import RUNNERS
from tests.builders import printed

# as the JUnit XML of cargo-nextest 0.9.148 names them: crate, integration test, binary
KNOWN = ["alpha-lib::tests::adds", "alpha-lib::it::it_adds", "beta::bin/tool::tests::binny"]


def runs(lines, *names):
    """Return which names are matched by what is printed."""
    assert lines[::2] == ["-E"] * (len(lines) // 2)
    found = []
    for expression in lines[1::2]:
        text = re.fullmatch(r"(not )?test\(/(.*)/\)", expression)
        pattern = re.compile(text[2].replace("\\/", "/"))
        found.append({n for n in names if (pattern.search(n) is None) == bool(text[1])})
    return set().union(*found)


@pytest.mark.parametrize(
    ("case", "name"), [*zip(KNOWN, ["tests::adds", "it_adds", "tests::binny"], strict=True)]
)
def test_a_case_is_its_name_in_any_binary(case, name):
    lines = printed("nextest", case, known=KNOWN, exact=True)
    assert runs(lines, "tests::adds", "it_adds", "tests::binny", "it_adds_more", "new") == {name}


def test_what_is_left_out_is_named_so_that_unknown_tests_run():
    request = Request(cases=KNOWN[:1], known=[*KNOWN, "beta::tests::adds"])
    found = arguments_for(RUNNERS["nextest"], request)
    lines = found.text.decode().splitlines()
    names = ["tests::adds", "it_adds", "tests::binny", "tests::new"]
    assert runs(lines, *names) == {"tests::adds", "tests::new"}
    assert "never seen run, too" in found.notes[0]


def test_a_long_list_is_several_expressions():
    cases = [f"alpha::module{i}::tests::test_of_a_long_name_{i}" for i in range(5000)]
    lines = printed("nextest", *cases, exact=True)
    assert len(lines) > 2
    assert max(map(len, lines)) < MAX_ARGUMENT
    names = [case.partition("::")[2] for case in cases[::100]]
    assert runs(lines, *names, "other") == set(names)


def test_a_module_stands_for_its_tests():
    lines = printed("nextest", "a::m::tests::x", whole=["a::m::tests"])
    assert runs(lines, "m::tests::x", "m::tests::new", "m::other::x") == {
        "m::tests::x", "m::tests::new"
    }  # fmt: skip


def test_everything_and_nothing():
    assert printed("nextest", *KNOWN, everything=True) == []
    assert printed("nextest", known=KNOWN) == ["-E", "none()", "--no-tests=pass"]
    assert printed("nextest", *KNOWN, known=KNOWN) == ["-E", "all()"]
