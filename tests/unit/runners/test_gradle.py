"""Plans as arguments of Gradle."""

from __future__ import annotations

from tests.builders import printed

FOO = "org.x.FooTest"


def names(*cases, **request):
    found = printed("gradle", *cases, **request)
    assert found[::2] == ["--tests"] * (len(found) // 2)
    return found[1::2]


def test_each_method_is_named_once():
    found = names(f"{FOO}::a{{int}}[1]", f"{FOO}::a{{int}}[2]", f"{FOO}::b", f"{FOO}$In::c")
    assert found == [f"{FOO}.a", f"{FOO}.b", f"{FOO}$In.c"]


def test_parameters_of_junit_4_belong_to_the_name_that_a_pattern_matches():
    assert names(f"{FOO}::a[x *]") == [f"{FOO}.a", f"{FOO}.a[*"]


def test_a_name_for_people_stands_for_its_class():
    assert names(f"{FOO}::[1] a") == [FOO]
    assert names(f"{FOO}::works", known=[f"{FOO}::works", "org.x.BarTest::adds()"]) == [FOO]


def test_a_whole_file_holds_nested_classes():
    assert names(whole=[FOO]) == [FOO, f"{FOO}$*"]


def test_nothing_and_everything():
    assert printed("gradle") == ["-x", "test"]
    assert printed("gradle", f"{FOO}::a", everything=True) == []


def test_too_many_methods_become_classes():
    found = names(*(f"org.x.C{n // 10}Test::a_test_of_something_long_{n}" for n in range(30_000)))
    assert found[:2] == ["org.x.C0Test", "org.x.C0Test$*"]
