"""Plans as patterns of Mocha and of Playwright."""

from __future__ import annotations

import re

import pytest

from testopt.runners.arguments import arguments_for
from testopt.runners.javascript import full_name
from testopt.runners.protocol import Request
from testopt.runners.registry import RUNNERS
from tests.builders import printed

# as mocha-junit-reporter names tests (their own title, all titles), and as Mocha's own JSON does
KNOWN = ["adds::cart adds", "drops (x)::cart drops (x)", "test/a.js::shop pays", "alone::alone"]


def runs(lines, *names):
    (line,) = lines
    option, _, pattern = line.partition("=")
    assert option == "--grep"
    return [name for name in names if re.search(pattern, name)]


@pytest.mark.parametrize(
    ("case", "name"),
    [*zip(KNOWN, ["cart adds", "cart drops (x)", "shop pays", "alone"], strict=True)],
)
def test_the_full_name_is_found_in_the_ids_of_mocha(case, name):
    assert full_name(case) == name
    lines = printed("mocha", case, known=KNOWN, exact=True)
    assert runs(lines, "cart adds", "cart drops (x)", "shop pays", "alone", "cart adds more") == [
        name
    ]


def test_what_is_left_out_is_named_so_that_unknown_tests_run():
    lines = printed("mocha", KNOWN[0], known=KNOWN)
    names = ["cart adds", "cart drops (x)", "shop pays", "alone", "new"]
    assert runs(lines, *names) == ["cart adds", "new"]


@pytest.mark.parametrize("form", ["mocha", "playwright"])
def test_few_of_very_many_tests_are_named(form):
    known = [f"test/part{i % 40}.spec.ts::does a long thing of number {i}" for i in range(4000)]
    (line,) = printed(form, known[0], known=known)
    assert line.startswith("--grep=")
    assert len(line) < 200
    (line,) = printed("mocha", *known[1:], known=known, exact=True)
    assert line.startswith("--grep=^(?!")


def test_mocha_everything_and_nothing():
    assert printed("mocha", *KNOWN, everything=True) == []
    assert printed("mocha", known=KNOWN) == ["--grep=(?!)"]


PAGES = ["a.spec.ts::cart \u203a adds", "e2e/sub/a.spec.ts::cart \u203a adds", "b.spec.ts::x (y)"]
SEARCHED = [  # what Playwright searches: project, file, titles, tags
    " chromium a.spec.ts cart adds", "  a.spec.ts cart adds more",
    "  sub/a.spec.ts cart @slow adds @x",
    "  b.spec.ts x (y)", "  a.spec.ts new",
]  # fmt: skip


def found(lines):
    (line,) = lines
    option, _, pattern = line.partition("=")
    assert pattern[0] == pattern[-1] == "/"
    hits = [n for n, name in enumerate(SEARCHED) if re.search(pattern[1:-1], name)]
    return hits if option == "--grep" else [n for n in range(len(SEARCHED)) if n not in hits]


@pytest.mark.parametrize(("case", "place"), [(0, 0), (1, 2), (2, 3)])
def test_playwright_runs_what_the_user_named(case, place):
    hits = found(printed("playwright", PAGES[case], known=PAGES, exact=True))
    assert place in hits
    assert set(hits) <= {place, 0}  # which of the files of a name is the one at the top


def test_playwright_leaves_out_so_that_unknown_tests_run():
    assert found(printed("playwright", PAGES[2], known=PAGES)) == [1, 3, 4]
    # what has the name of one that runs, in a file of the same name, is not left out
    assert found(printed("playwright", PAGES[0], known=PAGES)) == [0, 1, 2, 4]
    assert found(printed("playwright", known=PAGES, whole=["a.spec.ts", "b.spec.ts"])[:1]) != []


def test_more_than_an_argument_holds_is_whole_files():
    cases = [
        f"part{i % 40}.spec.ts::does the long and winding thing of number {i}" for i in range(4000)
    ]
    request = Request(cases=cases, known=cases, exact=True)
    lines = arguments_for(RUNNERS["playwright"], request).text.decode().splitlines()
    assert (len(lines), lines[0]) == (40, r"(?:^|/)part0\.spec\.ts$")


def test_playwright_everything_and_nothing():
    assert printed("playwright", *PAGES, everything=True) == []
    assert printed("playwright", known=PAGES) == ["--grep=/(?!)/", "--pass-with-no-tests"]
