"""Plans as arguments of Maven Surefire."""

from __future__ import annotations

from tests.builders import printed


def test_the_methods_of_a_class_are_joined():
    found = printed(
        "surefire", "org.x.FooTest::a", "org.x.FooTest::b[1]", "org.x.FooTest::b(int)[2]",
        "org.x.BarTest::with space, and comma", "org.x.BazTest.c",
    )  # fmt: skip
    assert found == ["-Dtest=org.x.FooTest#a+b,org.x.BarTest#with*space**and*comma,org.x.BazTest#c"]
