"""Plans as arguments of Gradle."""

from __future__ import annotations

from tests.builders import printed


def test_each_method_is_named_once():
    found = printed("gradle", "org.x.FooTest::a[1]", "org.x.FooTest::a[2]", "org.x.FooTest::b")
    assert found == ["--tests", "org.x.FooTest.a", "--tests", "org.x.FooTest.b"]
