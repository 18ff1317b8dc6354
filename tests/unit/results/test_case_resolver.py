import time

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
        resolve(suite=Suite("web/login.spec.ts", project, project=project), **name)
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


MONOREPO = [
    "tests/test_core.py",
    "services/a/tests/test_core.py",
    "services/a/tests/test_only_a.py",
    "services/b/tests/test_core.py",
    "services/b/src/cart.test.ts",
    "README.md",
    "docs/README.md",
    "docs/guide/start.rst",
    "notebooks/plot.ipynb",
    "tests/api.tavern.yaml",
]
PYTEST = Suite("pytest", "a-machine")


def placed(classname, *, report=(), folder="", files=MONOREPO, suite=PYTEST, **more):
    resolver = CaseResolver(files, folder=folder)
    resolver.at(*report)
    found = resolver.resolve({"classname": classname, "name": "t", **more}, suite)[0]
    return found, resolver.ambiguous


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({}, "tests/test_core.py"),
        ({"folder": "services/b"}, "services/b/tests/test_core.py"),
        ({"folder": "services/b/tests"}, "services/b/tests/test_core.py"),
        ({"report": ["services/a"]}, "services/a/tests/test_core.py"),
        ({"report": ["services/a/build/reports"]}, "services/a/tests/test_core.py"),
        ({"report": ["services/a"], "folder": "services/b"}, "services/a/tests/test_core.py"),
        ({"report": ["build/reports"], "folder": "services/b"}, "services/b/tests/test_core.py"),
    ],
)
@pytest.mark.parametrize("more", [{}, {"file": "tests/test_core.py"}])
def test_the_nearest_of_several_files_is_meant(where, expected, more):
    assert placed("tests.test_core", **where, **more) == (f"{expected}::t", 0)


def test_a_file_of_another_package_is_never_meant_in_silence():
    name = "tests.test_only_a"
    assert placed(name) == ("services/a/tests/test_only_a.py::t", 0)
    assert placed(name, folder="services/a") == ("services/a/tests/test_only_a.py::t", 0)
    assert placed(name, folder="services/b") == ("tests.test_only_a::t", 1)
    # a folder of reports is no package
    assert placed(name, report=["build"]) == ("services/a/tests/test_only_a.py::t", 0)


def test_paths_of_a_container_are_those_of_the_nearest_package():
    file = "/app/tests/test_core.py"
    expected = ("services/b/tests/test_core.py::t", 0)
    assert placed("tests.test_core", folder="services/b", file=file) == expected


@pytest.mark.parametrize(
    ("classname", "expected"),
    [
        ("docs.guide.start.rst", "docs/guide/start.rst::t"),
        ("README.md", "README.md::t"),
        ("notebooks.plot.ipynb", "notebooks/plot.ipynb::t"),
        ("plot.ipynb", "notebooks/plot.ipynb::t"),
        ("tests.api.tavern.yaml", "tests/api.tavern.yaml::t"),
        ("docs.gone.rst", "docs.gone.rst::t"),
    ],
)
def test_items_of_pytest_that_are_no_python_have_their_files(classname, expected):
    assert placed(classname) == (expected, 0)


def test_node_ids_of_reportlog_begin_at_the_package():
    resolver = CaseResolver(MONOREPO, folder="services/b")
    node = "tests/test_core.py::TestC::test_x[a@b]@db"
    found = resolver.resolve({"classname": "", "name": node, "file": "tests/test_core.py"}, Suite())
    assert found[0] == "services/b/tests/test_core.py::TestC::test_x[a@b]"


def test_scripts_of_a_package_are_those_near_the_report():
    suite = Suite("src/cart.test.ts", "a-machine")
    found = placed("src/cart.test.ts", report=["services/b"], suite=suite)
    assert found == ("services/b/src/cart.test.ts::t", 0)
    assert placed("src/cart.test.ts", suite=suite) == ("src/cart.test.ts::t", 0)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("test_one@db", "test_one"),
        ("test_one@d@b", "test_one"),
        ("test_two[a@b]@db", "test_two[a@b]"),
        ("test_mail[x@y]", "test_mail[x@y]"),
        ("test_sub (mail='x@y')", "test_sub (mail='x@y')"),
    ],
)
def test_the_group_of_xdist_is_no_part_of_a_name(name, expected):
    assert resolve(classname="tests.test_x", name=name) == f"tests/test_x.py::{expected}"
    assert resolve(classname="k", name=name, suite=PYTEST, files=[]) == f"k::{expected}"
    assert resolve(classname="org.x.FooTest", name=name) == f"org.x.FooTest::{name}"


# As karma-junit-reporter 2.0.1 and @wdio/junit-reporter 9.32 write them.
@pytest.mark.parametrize(
    ("classname", "expected"),
    [
        ("Chrome_Headless_120_0_6099_109_(Linux).A", "Chrome_Headless_(Linux).A"),
        ("Edge_121_(Windows_10).Cart 2_1", "Edge_(Windows_10).Cart 2_1"),
        ("chrome.120_0_6099_109.linux.Cart", "chrome.linux.Cart"),
        ("chrome.120.linux.Cart", "chrome.linux.Cart"),
        ("CucumberJUnitReport-firefox.121_0.linux.Cart", "CucumberJUnitReport-firefox.linux.Cart"),
        ("windows.10.chrome.120.0.Cart", "windows.10.chrome.Cart"),
        ("org.chrome.Cart_1_2", "org.chrome.Cart_1_2"),
        ("Suite_1_2.(a)", "Suite_1_2.(a)"),
    ],
)  # fmt: skip
def test_the_version_of_a_browser_makes_no_stranger(classname, expected):
    assert resolve(classname=classname, name="adds") == f"{expected}::adds"


@pytest.mark.parametrize(
    "attributes",
    [
        {"classname": "a.b", "file": "x/"},  # a folder is no file
        {"classname": "a." * 30_000},
        {"classname": "/a" * 30_000},
        {"classname": "a_1" + "_1" * 30_000},
        {"classname": "a", "file": "../" * 30_000 + "b.py"},
        {"classname": "a", "file": "a/" * 30_000 + "b.py"},
    ],
)
def test_no_name_takes_longer_than_it_is_long(attributes):
    began = time.process_time()
    assert resolve(**attributes, name="n", suite=PYTEST)
    assert time.process_time() - began < 1.0  # was endless, or more than 6 s


def test_the_ending_of_an_endless_path_is_found_at_once():
    began = time.process_time()
    assert CaseResolver(FILES).relative_path("/a" * 30_000 + "/" + FILES[0]) == FILES[0]
    assert time.process_time() - began < 1.0
