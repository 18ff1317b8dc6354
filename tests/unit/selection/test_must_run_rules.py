"""What a change forces to run, by rule."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from testopt.code.globs import glob_matcher
from testopt.code.words import name_number
from testopt.reasons import Reason, ReasonKind, sentence, words
from testopt.schema import FileChange
from testopt.selection.must_run_rules import always_run, beside_data, why_everything
from testopt.similarity.bags import Bags

CASES = [
    "tests/test_a.py::test_1",
    "tests/test_a.py::C::test_2[x/y]",
    "tests/db/test_b.py::test_3",
    "tests/db/deep/test_c.py::test_4",
    "other/test_d.py::test_5",
]


def why(files, globs=()) -> str:
    return sentence([why_everything(files, globs)])


@pytest.mark.parametrize(
    "path",
    [
        "uv.lock", "web/package-lock.json", ".github/workflows/ci.yml", "requirements-dev.txt",
        "pyproject.toml", "module/pom.xml", "requirements/base.txt", "sub/requirements/base.txt",
    ],
)  # fmt: skip
def test_a_trigger_file_makes_everything_run(path):
    assert why([FileChange("a.py"), FileChange(path)]) == f"{path} changed"


@pytest.mark.parametrize("path", ["a.py", "docs/uv.lock.md", "src/requirements.py", "mypom.xml"])
def test_other_files_do_not(path):
    assert why([FileChange(path)]) == ""


def test_a_renamed_trigger_file_counts_by_both_names():
    moved = FileChange("old/unused.txt", status="R", old_path="uv.lock")
    assert why([moved]) == "uv.lock changed"


def test_what_changed_in_a_submodule_is_not_understood():
    assert why([FileChange("lib", is_submodule=True)]) == "the submodule lib changed"


def test_the_project_adds_globs_and_takes_them_out():
    schema, build = [FileChange("db/schema.sql")], [FileChange("pyproject.toml")]
    assert why(schema, ["*.sql"]) == "db/schema.sql changed"
    assert why(schema, ["*.sql", "!db/*"]) == ""
    assert why(build, ["!pyproject.toml"]) == ""
    assert why(build, ["!pyproject.toml", "*.toml"]) == "pyproject.toml changed"


def test_globs_with_a_slash_take_the_whole_path():
    match = glob_matcher(["tests/*.json", "./x.py"])
    assert match("tests/a/b.json") == "tests/*.json"
    assert match("more/tests/b.json") == ""
    assert match("a/x.py") == "./x.py"


def test_configured_cases_always_run():
    found = always_run(CASES, ["tests/db/*", "!*/deep/*"])
    assert found == {CASES[2]: Reason(ReasonKind.ALWAYS_RUNS, ("tests/db/*",))}
    assert set(always_run(CASES, ["test_a.py"])) == set(CASES[:2])
    assert set(always_run(CASES, ["*::C::*"])) == {CASES[1]}
    assert set(always_run(CASES, ["test_a.py", "!*::test_1"])) == {CASES[1]}
    assert not always_run(CASES, [])


@pytest.mark.parametrize(
    ("path", "reached"),
    [
        ("tests/conftest.py", CASES[:4]),
        ("tests/db/conftest.py", CASES[2:4]),
        ("conftest.py", CASES),
        ("tests/data/deep/x.json", CASES[:4]),
        ("tests/db/rows.csv", CASES[2:4]),
        ("tests/db/helpers.py", CASES[2:4]),
        ("testing/fixtures/x.json", CASES),  # no folder around it holds cases
        ("tests/db/test_b.py", []),  # the model and the changed functions speak for it
        ("tests/test_gone.py", []),
        ("tests/README.md", []),
        ("src/a.py", []),
    ],
)
def test_what_lies_among_the_tests_reaches_the_cases_around_it(path, reached):
    found = beside_data(CASES, [FileChange(path)])
    assert list(found) == reached
    assert set(map(words, found.values())) <= {f"{path}, which it may use, changed"}


def test_cases_without_files_all_depend_on_test_data():
    cases = ["com.acme.FooTest::works", "com.acme.BarTest::works"]
    assert list(beside_data(cases, [FileChange("src/test/resources/x.json")])) == cases
    assert not beside_data(cases, [FileChange("src/main/resources/x.json")])


def texts_of(uses, files=(0, 0, 1, 2, 3)):
    """Return the sources of `CASES` as far as data is looked for: what each function names."""
    rows = [{name_number(name): 1.0 for name in names} for names in uses]
    return SimpleNamespace(
        uses=Bags.of(rows), document=np.arange(len(CASES)), file=np.array(files, np.int32)
    )


@pytest.mark.parametrize(
    ("path", "uses", "reached"),
    [
        ("tests/data/orders.json", [["orders"], [], [], [], []], CASES[:2]),  # all of its file
        ("tests/data/orders.json", [[], [], [], [], ["orders"]], CASES[4:]),  # wherever it lies
        ("tests/data/orders.json", [["order"], ["json"], [], [], []], CASES[:4]),  # nobody
        ("tests/data/orders.json", [["orders"], ["orders"], [], [], []], CASES[:4]),  # a usual word
        ("tests/data/orders-2.json", [["orders"], [], [], [], []], CASES[:4]),  # no one word
        ("tests/helpers.py", [["helpers"], [], [], [], []], CASES[:4]),  # whoever imports it
        ("tests/conftest.py", [["conftest"], [], [], [], []], CASES[:4]),
    ],
)
def test_data_that_functions_name_reaches_the_cases_of_their_files(path, uses, reached):
    found = beside_data(CASES, [FileChange(path)], texts_of(uses))
    assert list(found) == reached
    everywhere = beside_data(CASES, [FileChange(path), FileChange("conftest.py")], texts_of(uses))
    assert set(everywhere) == set(CASES)
