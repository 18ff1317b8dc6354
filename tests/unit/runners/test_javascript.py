"""Plans as arguments of Jest and Vitest."""

from __future__ import annotations

import re

import pytest

from testopt.runners.javascript import full_name
from testopt.runners.registry import RUNNERS
from tests.builders import printed

BOTH = pytest.mark.parametrize("form", ["jest", "vitest"])
A, B = "src/a.test.js", "src/b.test.js"


def pattern(lines):
    (found,) = (line for line in lines if line.startswith("--testNamePattern="))
    return re.compile(found.partition("=")[2])


@pytest.fixture
def root(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / A).write_text("test('adds', () => {});\n")
    (tmp_path / B).write_text("test('takes `away`', () => {});\n")
    return tmp_path


def test_a_list_of_jest_is_a_pattern_of_its_names():
    names = ["adds (1+1)", "C# | C++", "a/b", "Foo::bar works"]
    found = printed("jest", *(f"{A}::{name}" for name in names), exact=True)
    assert all(pattern(found).search(name) for name in names)
    assert not any(pattern(found).search(name) for name in ("adds (1+1) more", "C", "b", "aab"))
    assert printed("jest", f"{A}::Foo::bar works", exact=True) == [
        r"--testNamePattern=^(Foo::bar\ works)$"
    ]


def test_a_pattern_of_vitest_is_one_of_every_version():
    found = pattern(printed("vitest", f"{A}::cart > adds", exact=True))
    assert all(found.search(name) for name in ("cart adds", " cart adds", "cart > adds"))
    assert not found.search("cart")


@BOTH
def test_cases_left_out_are_named_and_the_files_of_the_others(form, root):
    known = [f"{A}::adds", f"{A}::line break", f"{B}::takes"]
    found = printed(form, known[0], known=known, root=root)
    assert len(found) == 2
    assert re.search(found[1], A)
    assert [bool(pattern(found).search(n)) for n in ("adds", "new", "takes", "line\nbreak")] == [
        True, True, True, False,
    ]  # fmt: skip


@BOTH
def test_a_name_that_runs_in_one_file_is_left_out_of_none(form, root):
    known = [f"{A}::adds", f"{B}::adds", f"{B}::takes", f"{B}::x"]
    found = printed(form, f"{A}::adds", f"{B}::x", known=known, root=root)
    assert pattern(found).search("adds")
    assert not pattern(found).search("takes")


def test_jest_takes_capitals_for_small_letters():
    known = [f"{A}::CASE", f"{A}::case", f"{A}::x"]
    left_out = pattern(printed("jest", known[0], known=known)).pattern
    assert "x" in left_out
    assert "case" not in left_out
    assert "case" in pattern(printed("vitest", known[0], known=known)).pattern


@BOTH
def test_names_that_a_whole_file_may_have_too_are_not_left_out(form, root):
    known = [f"{A}::{name}" for name in ("adds", "list takes away", "subtracts")]
    found = printed(form, known[0], known=known, whole=[B], root=root)
    assert len(found) == 3
    assert pattern(found).search("list takes away")
    assert not pattern(found).search("subtracts")


@BOTH
@pytest.mark.parametrize(
    "text", ["test.each(['a'])('%s', f)", "test(name, f)", "it(`${x}`, f)", "it('a ' + x, f)"]
)
def test_a_file_with_titles_that_are_computed_may_have_any_name(form, root, text):
    (root / B).write_text(text)
    known = [f"{A}::adds", f"{A}::subtracts"]
    found = printed(form, known[0], known=known, whole=[B], root=root)
    assert all(pattern(found).search(name) for name in ("adds", "subtracts"))


@BOTH
def test_a_file_that_could_not_be_loaded_runs_whole(form, root):
    known = [A, f"{A}::adds", f"{B}::takes"]
    first, *files = printed(form, A, known=known, root=root)
    assert first == "--testNamePattern=^"
    assert len(files) == 1


@BOTH
def test_nothing_and_everything(form):
    assert printed(form) == ["--passWithNoTests", "(?!)"]
    assert printed(form, f"{A}::adds", everything=True) == []


@BOTH
def test_no_argument_is_too_long(form, root):
    known = [f"src/f{n // 20}.test.js::suite adds things of kind {n}" for n in range(20_000)]
    for cases, most in ((known[:-1], 1), (known[::25], 1)):
        lines = printed(form, *cases, known=known, root=root)
        assert max(len(line.encode()) for line in lines) < 128 * 1024
        assert sum(line.startswith("--testNamePattern=") for line in lines) == most


def test_all_tests_run_where_no_argument_can_tell_which():
    known = [f"suite adds things {n}::suite adds things {n}" for n in range(20_000)]
    assert printed("jest", *known[:10_000], known=known) == []


@pytest.mark.parametrize(
    ("case", "name"),
    [
        (f"{A}::Foo::bar works", "Foo::bar works"),
        ("Foo::bar works::Foo::bar works", "Foo::bar works"),
        (" top:: top", " top"),
        ("a b::b", "a b"),
        ("a b::a b c", "a b c"),
        (" :: ", " "),
        ("opaque", "opaque"),
    ],
)
def test_the_full_name_of_a_case(case, name):
    assert full_name(case) == name


def test_a_title_that_looks_like_a_file_is_none_for_jest():
    jest = RUNNERS["jest"]
    assert jest.group(f"{A}::adds") == A
    assert not jest.group("lib/foo.js::adds")
    found = pattern(printed("jest", "lib/foo.js::adds", exact=True))
    assert all(found.search(name) for name in ("adds", "lib/foo.js adds"))


def test_vitest_starts_in_a_folder(root):
    case = f"{A}::adds"
    assert printed("vitest", case, root=root, folder="src")[1:] == ["a.test.js"]
    assert printed("vitest", "-x.test.js::adds", root=root)[1:] == ["./-x.test.js"]


def test_placeholders_and_characters_of_no_text_match_anything():
    cases = [f"{A}::{name}" for name in ("at 0x…#2", "red \x1b[1m", "reads b/c")]
    found = pattern(printed("vitest", *cases, exact=True))
    assert all(found.search(n) for n in ("at 0x7f12", "red \x1b[1m", "reads /srv/b/c"))
