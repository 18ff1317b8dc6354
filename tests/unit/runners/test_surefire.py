"""Plans as arguments of Maven Surefire."""

from __future__ import annotations

import pytest

from testopt.runners.registry import RUNNERS
from tests.builders import printed

FOO = "org.x.FooTest"


def test_the_methods_of_a_class_are_joined():
    cases = [f"{FOO}::a", f"{FOO}::b{{int}}[2]", "org.x.BazTest.c", f"{FOO}$Inner::d"]
    assert printed("surefire", *cases) == [f"-Dtest={FOO}#a+b,org.x.BazTest#c,{FOO}$Inner#d"]


def test_parameters_of_junit_4_belong_to_the_name_that_a_pattern_matches():
    assert printed("surefire", f"{FOO}::a[0]", f"{FOO}::a[x y]") == [f"-Dtest={FOO}#a+a[*"]


@pytest.mark.parametrize(
    "name", ["[1] a", "leadingSpace(Class, Object) class A - true", "a nice name", "1st", "add(1)"]
)
def test_a_name_for_people_stands_for_its_class(name):
    assert printed("surefire", f"{FOO}::{name}", f"{FOO}::works") == [f"-Dtest={FOO}"]


def test_one_word_may_be_a_name_for_people_where_methods_end_in_brackets():
    known = [f"{FOO}::adds()", f"{FOO}::works"]
    assert printed("surefire", known[1], known=known) == [f"-Dtest={FOO}"]
    assert printed("surefire", known[0], known=known) == [f"-Dtest={FOO}#adds"]


def test_a_whole_file_holds_nested_classes():
    found = printed("surefire", f"{FOO}::a", f"{FOO}$In::b", whole=[FOO, "org.x.NewTest"])
    assert found == [f"-Dtest=org.x.NewTest,org.x.NewTest$*,{FOO},{FOO}$*"]


def test_a_changed_file_alone_need_not_hold_a_test():
    test, *more = printed("surefire", whole=[FOO])
    assert test == f"-Dtest={FOO},{FOO}$*"
    assert all(option.endswith("=false") for option in more)
    assert more


def test_nothing_and_everything():
    assert printed("surefire") == ["-DskipTests"]
    assert printed("surefire", f"{FOO}::a", everything=True) == []


def test_too_many_methods_become_classes():
    cases = [f"org.x.C{n // 10}Test::a_test_of_something_{n}" for n in range(20_000)]
    (test,) = printed("surefire", *cases)
    assert len(test) < 128 * 1024
    assert test.startswith("-Dtest=org.x.C0Test,org.x.C0Test$*,org.x.C1Test,")


def test_the_class_of_a_file_is_in_the_package_that_it_names(tmp_path):
    runner, path = RUNNERS["surefire"], "src/test/kotlin/FooTest.kt"
    assert runner.group_of_file("m/src/test/java/org/x/FooTest.java", None) == FOO
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text("// first\npackage org.x\n\nclass FooTest\n")
    assert runner.group_of_file(path, tmp_path) == FOO


def test_classes_of_failsafe_and_of_the_program_are_no_test_files():
    runner, folder = RUNNERS["surefire"], "src/test/java/org/x"
    assert runner.is_test_file(f"{folder}/FooTest.java")
    assert not runner.is_test_file(f"{folder}/FooIT.java")
    assert not runner.is_test_file("src/main/java/org/x/TestKit.java")
