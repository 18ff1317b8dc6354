from datetime import UTC, datetime

import pytest

from testopt.results.case_id_normalisation import CaseIdNormaliser
from testopt.results.case_resolver import CaseResolver
from testopt.results.junit import Suite
from testopt.runners.case_ids import split_case

NOW = datetime(2026, 1, 5, 10, tzinfo=UTC)
FILES = ["tests/CartTest.php", "web/a.spec.ts", "index.html"]


@pytest.fixture
def normalise():
    ids = CaseIdNormaliser(CaseResolver(FILES).relative_path)
    return lambda case: ids.normalise(case, NOW)


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("t[<A object at 0x7f1234567890>]", "t[<A object at 0x…>]"),
        ("k::f(com.example.Bar@1b2c3d4)", "k::f(com.example.Bar@…)"),
        ("k::[1] [Ljava.lang.String;@6d06d69c", "k::[1] [Ljava.lang.String;@…"),
        ("pkg::TestX/0xc000123456", "pkg::TestX/0x…"),
        ("t[123e4567-e89b-42d3-a456-426614174000]", "t[…]"),
        ("t[2026-01-05T10:00:03.123456+00:00]", "t[…]"),
        ("t[1767607203.25]", "t[…]"),
        ("t[1767607203250]", "t[…]"),
        ("t[/tmp/pytest-of-me/pytest-12/test_a0/x]", "t[/tmp/…/test_a0/x]"),
        ("t[/tmp/tmpab12cd_9/x]", "t[/tmp/…/x]"),
        (
            'k::t with data set "/builds/7/tests/CartTest.php"',
            'k::t with data set "tests/CartTest.php"',
        ),
    ],
)
def test_what_differs_in_each_run_is_left_out(normalise, written, kept):
    assert normalise(written) == kept


@pytest.mark.parametrize(
    "case",
    [
        "t[0xdeadbeef]",
        "t[3]",
        "k::t with data set #0",
        "t[2024-02-29T00:00:00]",
        "t[1234567890]",
        "t[00000000-0000-0000-0000-000000000000]",
        "t[/tmp/foo]",
        "mail[user@deadbeef.com]",
        "GET /shop/index.html",
        "tests/a.py::test_b[a\\b]",
    ],
)
def test_what_a_runner_accepts_again_is_kept(normalise, case):
    assert normalise(case) == case


def test_cases_that_become_equal_are_numbered_and_reruns_are_not(normalise):
    one, other = "t[<A at 0x7f1234567890>]", "t[<A at 0x7f1234567999>]"
    assert [normalise(c) for c in (one, other, one)] == [
        "t[<A at 0x…>]",
        "t[<A at 0x…>]#2",
        "t[<A at 0x…>]",
    ]


def test_the_path_of_a_container_becomes_relative():
    resolver = CaseResolver(FILES)
    for root in ("/app", "/builds/4711/shop", "C:\\work"):
        path = f"{root}/web/a.spec.ts"
        assert resolver.resolve({"classname": path, "name": "x"}, Suite()) == (
            "web/a.spec.ts::x",
            None,
        )


def test_a_collection_error_shares_the_file_of_its_cases():
    assert split_case("tests/a.py")[2] == split_case("tests/a.py::B::test_c[1]")[2] == "tests/a.py"


@pytest.mark.parametrize(
    ("case", "function"),
    [
        ("example.org/shop::TestPays/cash/small", "example.org/shop::TestPays"),
        ("Prefix/CartTest::Adds/0", "Prefix/CartTest::Adds"),
        ("CartTest::testAdds with data set #0", "CartTest::testAdds"),
        ('CartTest::testAdds with data set "a::b/c"', "CartTest::testAdds"),
        ("web/a.spec.ts::GET /users", "web/a.spec.ts::GET /users"),
        ("tests/a.py::B::test_c[x/y]", "tests/a.py::B::test_c"),
    ],
)
def test_variants_belong_to_their_function(case, function):
    assert split_case(case)[0] == function


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("t.py::t[<A object at 0x7f1234567890>]", "t.py::t[<A object at 0x…>]"),
        ("t.py::t[<code f at 0x7f12345678, line 1>]", "t.py::t[<code f at 0x…, line 1>]"),
        *(
            (f"t.py::t[{literal}]",) * 2
            for literal in (
                "0x7fff12345678", "jump at 0x7fff12345678", "123e4567-e89b-42d3-a456-426614174000",
                "2026-01-05T10:00:03", "1767607203", "/static/index.html", "a@1b2c3d4",
                "/tmp/pytest-of-me/pytest-12/test_a0/x",
            )
        ),
    ],
)  # fmt: skip
def test_what_a_parameter_of_pytest_says_is_kept(written, kept):
    assert CaseIdNormaliser().node(written) == kept


def test_objects_of_pytest_are_numbered_in_their_order():
    ids = CaseIdNormaliser()
    one, other = "t[<A at 0x7f1234567890>]", "t[<A at 0x7f1234567999>]"
    found = [ids.node(node) for node in (one, other, one)]
    assert found == ["t[<A at 0x…>]", "t[<A at 0x…>]#2", "t[<A at 0x…>]"]
