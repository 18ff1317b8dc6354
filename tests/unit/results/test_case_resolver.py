import pytest

from testopt.results.case_resolver import CaseResolver
from testopt.results.junit import Suite

FILES = [
    "tests/test_x.py",
    "tests/unit/test_y.py",
    "pkg/a/test_same.py",
    "pkg/b/test_same.py",
    "src/mod.py",
    "web/login.spec.ts",
]


NO_SUITE = Suite()


def resolve(suite=NO_SUITE, files=FILES, **attributes):
    return CaseResolver(files).resolve(attributes, suite)[0]


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"classname": "tests.test_x", "name": "test_a"}, "tests/test_x.py::test_a"),
        (
            {"classname": "tests.test_x.C.D", "name": "t[a.b::c]"},
            "tests/test_x.py::C::D::t[a.b::c]",
        ),
        ({"classname": "test_x.C", "name": "t"}, "tests/test_x.py::C::t"),
        ({"classname": "src.mod", "name": "src.mod.f"}, "src/mod.py::src.mod.f"),
        (
            {"classname": "a.test_same.C", "name": "t", "file": "pkg/a/test_same.py"},
            "pkg/a/test_same.py::C::t",
        ),
        (
            {"classname": "tests.test_x", "name": "t", "file": "/builds/me/repo/tests/test_x.py"},
            "tests/test_x.py::t",
        ),
        ({"classname": "", "name": "tests.unit.test_y"}, "tests/unit/test_y.py"),
        ({"classname": "org.example.FooTest", "name": "bar()"}, "org.example.FooTest::bar()"),
        ({"name": "TestX/sub"}, "TestX/sub"),
    ],
)
def test_ids(attributes, expected):
    assert resolve(**attributes) == expected


def test_the_suite_stands_in_for_an_absent_classname():
    assert resolve(suite=Suite("pkg/api"), name="TestX") == "pkg/api::TestX"


def test_what_could_be_several_files_stays_raw_and_is_counted():
    resolver = CaseResolver(FILES)
    assert resolver.resolve({"classname": "test_same", "name": "t"}, Suite())[0] == "test_same::t"
    assert resolver.ambiguous == 1


def test_without_files_ids_stay_raw():
    assert resolve(files=[], classname="tests.test_x", name="t") == "tests.test_x::t"


def test_playwright_projects_are_told_apart():
    name = {"classname": "web/login.spec.ts", "name": "logs in"}
    ids = {
        resolve(suite=Suite("web/login.spec.ts", project, project), **name)
        for project in ("chromium", "webkit")
    }
    assert ids == {f"[{p}] web/login.spec.ts::logs in" for p in ("chromium", "webkit")}
    # The host of other producers is a machine.
    assert resolve(suite=Suite("pytest", "runner-7"), classname="a", name="b") == "a::b"


@pytest.mark.parametrize("name", ["a\nb", "a::b", 'it\'s "x"', "🦄", "x" * 10_000])
def test_odd_names_are_kept(name):
    assert resolve(classname="k", name=name) == f"k::{name}"


def test_endless_names_end_in_a_digest():
    one, other = (resolve(classname="k", name="x" * 100_000 + end) for end in "ab")
    assert one != other
    assert len(one) < 70_000
