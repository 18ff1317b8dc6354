"""What a change could affect, by imports and by coverage that pytest and coverage really made."""

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from builders import GitRepo
from conftest import call_testopt

from testopt.git.change import find_change
from testopt.impact.find import find_impact
from testopt.reasons import words
from testopt.schema import Change, FileChange
from testopt.store import Store

pytest.importorskip("pytest_cov")
pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("no_ci")]

FILES = {
    "pkg/__init__.py": "",
    "pkg/core.py": """\
        import json
        from pathlib import Path

        LIMIT = 3


        class Shape:
            sides = 4

            def area(self):
                return self.sides * 2


        def add(a, b):
            # the sum
            return a + b


        def multiply(a, b):
            return a * b


        def at_import():
            return 7


        SEVEN = at_import()


        def table():
            return json.loads((Path(__file__).parent / "table.json").read_text())["x"]
        """,
    "pkg/table.json": '{"x": 1}',
    "pkg/plugins/__init__.py": "",
    "pkg/plugins/one.py": "def run():\n    return 1\n",
    "pkg/load.py": """\
        import importlib


        def load(name):
            return importlib.import_module(name).run()
        """,
    "pkg/alone.py": "def alone():\n    return 1\n",
    "tests/conftest.py": """\
        import pytest

        from pkg.core import multiply


        @pytest.fixture(scope="session")
        def nine():
            return multiply(3, 3)
        """,
    "tests/test_core.py": """\
        import pytest

        from pkg.core import LIMIT, SEVEN, Shape, add, table


        @pytest.mark.parametrize("n", [1, 2])
        def test_add(n):
            assert add(n, 1) == n + 1


        class TestShape:
            def test_area(self):
                assert Shape().area() == 8


        def test_limit():
            assert LIMIT == 3


        def test_seven():
            assert SEVEN == 7


        def test_table():
            assert table() == 1


        def test_first(nine):
            assert nine == 9


        def test_second(nine):
            assert nine > 8
        """,
    "tests/test_load.py": """\
        from pkg.load import load


        def test_plugin():
            assert load("pkg.plugins.one") == 1
        """,
    "tests/test_alone.py": """\
        from pkg.alone import alone


        def test_alone():
            assert alone() == 1
        """,
    "README.md": "words",
    ".gitignore": ".coverage*\n__pycache__/\nstore/\n",
}
CORE = [
    "test_add[1]", "test_add[2]", "TestShape::test_area", "test_limit", "test_seven", "test_table",
    "test_first", "test_second",
]  # fmt: skip
CASES = [
    *(f"tests/test_core.py::{name}" for name in CORE),
    "tests/test_load.py::test_plugin",
    "tests/test_alone.py::test_alone",
]
PYTEST = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "pytest_cov")


def written(folder: Path) -> Path:
    for name, text in FILES.items():
        lines = text.splitlines()
        deep = min((len(x) - len(x.lstrip()) for x in lines if x.strip()), default=0)
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(line[deep:] for line in lines) + "\n")
    return folder


def measure(folder: Path, *args: str) -> None:
    done = subprocess.run(
        [*PYTEST, *args],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": ".", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def measured(tmp_path_factory) -> Path:
    """A project with the coverage that pytest-cov made of it; only to copy."""
    folder = written(tmp_path_factory.mktemp("measured"))
    measure(folder, "--cov=.", "--cov-context=test", "--cov-report=", "--cov-branch")
    return folder


class Project:
    """A project in git with a store, and the coverage of its first commit if there is one."""

    def __init__(self, folder: Path, coverage: Path | None = None) -> None:
        self.repo, self.folder = GitRepo(folder), written(folder)
        self.repo.commit("nothing yet", {".gitignore": FILES[".gitignore"]})
        self.commit = self.repo.commit()
        self.store = folder / "store"
        if coverage is not None:
            assert self.ingest(coverage).code == 0

    def ingest(self, *paths):
        return call_testopt(
            "--repo", self.folder, "--store", self.store, "ingest", "--coverage", *paths
        )

    def links(self) -> list[dict]:
        return Store.open(self.store).read("links").to_pylist()

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.folder / name
        text = path.read_text() if path.exists() else ""
        assert old in text
        self.repo.write(name, text.replace(old, new, 1) if old else text + new)
        self.repo.git("add", "-A")

    def impact(self):
        store = Store.open(self.store) if self.store.exists() else None
        change = find_change(self.folder)
        return find_impact(cases=CASES, change=change, repo=self.folder, store=store)

    def affected(self) -> set[str]:
        impact = self.impact()
        assert impact.affected.keys() | impact.clear.keys() == set(CASES)
        return {case.partition("::")[2] for case in impact.affected}


@pytest.fixture
def project(tmp_path, measured) -> Project:
    return Project(tmp_path / "p", measured / ".coverage")


@pytest.fixture
def unmeasured(tmp_path) -> Project:
    return Project(tmp_path / "q")


@pytest.fixture(scope="module")
def both(tmp_path_factory, measured) -> tuple[Project, Project]:
    """The project without and with coverage; a test leaves them as they were."""
    folder = tmp_path_factory.mktemp("both")
    return Project(folder / "q"), Project(folder / "p", measured / ".coverage")


ALL = {case.partition("::")[2] for case in CASES}  # conftest.py imports pkg.core
PLUGIN = "test_plugin"  # of which imports are not known without coverage
ADD = {"test_add[1]", "test_add[2]"}
AREA = {"TestShape::test_area"}


@pytest.mark.parametrize(
    ("name", "old", "new", "wide", "narrow"),
    [
        ("pkg/core.py", "a + b", "b + a", ALL, ADD),
        ("pkg/core.py", "sides * 2", "sides + 4", ALL, AREA),
        # what runs at import affects all that import it, whatever lines they ran
        ("pkg/core.py", "LIMIT = 3", "LIMIT = 4", ALL, ALL),
        ("pkg/core.py", "sides = 4", "sides = 5", ALL, ALL),
        ("pkg/core.py", "return 7", "return 8", ALL, ALL),
        # a fixture of the session runs in the first case alone
        ("pkg/core.py", "a * b", "b * a", ALL, ALL),
        ("tests/conftest.py", "3, 3", "9, 1", ALL, ALL),
        ("pkg/table.json", "1", "2", ALL, ALL),
        ("pkg/plugins/one.py", "return 1", "return 2", {PLUGIN}, {PLUGIN}),
        ("pkg/plugins/one.py", "def run", "OTHER = 1\ndef run", {PLUGIN}, {PLUGIN}),
        ("pkg/alone.py", "return 1", "return 2", {"test_alone", PLUGIN}, {"test_alone"}),
        ("tests/test_core.py", "== 8", "!= 9", {*AREA, PLUGIN}, AREA),
        ("tests/test_core.py", "LIMIT == 3", "3 == LIMIT", {"test_limit", PLUGIN}, {"test_limit"}),
        ("pkg/core.py", "# the sum", "# the sum of both", set(), set()),
        ("README.md", "words", "more words", set(), set()),
        ("notes.dat", "", "unnamed", ALL, ALL),
        ("pyproject.toml", "", "[project]", ALL, ALL),
        ("pkg/new.py", "", "X = 1", {PLUGIN}, {PLUGIN}),
    ],
)
def test_what_an_edit_could_affect(both, name, old, new, wide, narrow):
    for one, expected in zip(both, (wide, narrow), strict=True):
        one.edit(name, old, new)
        try:
            assert one.affected() == expected
        finally:
            one.repo.git("reset", "-q", "--hard", "HEAD")


def test_reasons_lead_from_the_case_to_the_change(unmeasured):
    unmeasured.edit("pkg/core.py", "LIMIT = 3", "LIMIT = 4")
    impact = unmeasured.impact()
    assert words(impact.affected["tests/test_core.py::test_limit"]) == "imports pkg/core.py"
    way = "imports pkg/core.py through tests/conftest.py"
    assert words(impact.affected["tests/test_alone.py::test_alone"]) == way


def test_of_a_diff_from_elsewhere_whole_files_count(project):
    for name, expected in (("pkg/alone.py", {"test_alone", PLUGIN}), ("pkg/core.py", ALL)):
        change = Change((FileChange(name),))
        store = Store.open(project.store)
        impact = find_impact(cases=CASES, change=change, repo=project.folder, store=store)
        assert {case.partition("::")[2] for case in impact.affected} == expected


def test_the_first_commit_affects_what_it_brings(unmeasured):
    first = unmeasured.repo.git("rev-list", "--max-parents=0", "HEAD")
    change = find_change(unmeasured.folder, head=first)
    assert change.base is None
    impact = find_impact(cases=CASES, change=change, repo=unmeasured.folder)
    assert set(impact.affected) == set(CASES)


def test_what_was_read_is_kept_for_the_next_time(project):
    project.edit("pkg/core.py", "a + b", "b + a")
    first = project.impact()
    kept = project.store / "state" / "modules.npz"
    before = kept.read_bytes()
    assert project.impact() == first
    assert kept.read_bytes() == before
    kept.write_bytes(before[: len(before) // 2])
    assert project.impact() == first


def test_reasons_name_what_ran(project):
    project.edit("pkg/core.py", "a + b", "b + a")
    impact = project.impact()
    assert words(impact.affected[CASES[0]]) == "ran `add` of pkg/core.py"
    clear = "it ran none of what changed when its coverage was measured"
    assert words(impact.clear["tests/test_core.py::test_limit"]) == clear
    project.repo.git("checkout", "-q", "HEAD", "--", "pkg/core.py")
    project.edit("tests/test_core.py", "LIMIT == 3", "3 == LIMIT")
    assert words(project.impact().clear[CASES[0]]) == "only other cases of its file changed"


def test_select_and_why_say_the_same(project):
    project.edit("pkg/core.py", "a + b", "b + a")
    ids = project.store / "ids"
    ids.write_text("\n".join(CASES))
    at = ("--repo", project.folder, "--store", project.store)
    last = ("--safe", "--cases", ids)
    done = call_testopt(*at, "select", *last, "--json")
    assert done.code == 0, done.err
    chosen = {case["case_id"]: case for case in done.document["cases"] if case["selected"]}
    assert set(CASES[:2]) == chosen.keys()
    assert all("ran `add` of pkg/core.py" in case["reason"] for case in chosen.values())
    lines = call_testopt(*at, "why", "test_add[1]", *last).out.splitlines()
    assert lines[:2] == [CASES[0], "  runs: the change could affect it"]
    assert "could be affected: ran `add` of pkg/core.py" in lines
    assert "  pkg/core.py: 1 line, 100% of the changed lines" in lines
    lines = call_testopt(*at, "why", "test_limit", *last).out.splitlines()
    assert lines[1].startswith("  is left out: it ran none of what changed")


def test_coverage_of_an_older_commit_still_counts_for_what_has_not_changed_since(project):
    project.edit("pkg/core.py", "sides * 2", "sides + 4")
    project.repo.commit()
    project.edit("pkg/core.py", "a + b", "b + a")
    # what ran the line changed in between is not known well enough any more
    assert project.affected() == ADD | AREA
    project.edit("pkg/core.py", "LIMIT = 3", "LIMIT = 4")
    project.repo.commit()
    project.edit("pkg/core.py", "b + a", "a + b + 0")
    assert project.affected() >= set(CORE)


def test_a_file_that_was_not_measured_narrows_nothing(unmeasured, tmp_path):
    other = written(tmp_path / "other")
    measure(other, "--cov=pkg.alone", "--cov-context=test", "--cov-report=")
    assert unmeasured.ingest(other / ".coverage").code == 0
    unmeasured.edit("pkg/core.py", "a + b", "b + a")
    assert unmeasured.affected() >= set(CORE)


def test_an_unknown_change_affects_everything(project):
    change = find_change(project.folder, base=project.commit, head=project.commit)
    nothing = find_impact(cases=CASES, change=change, repo=project.folder)
    assert nothing.affected == {}
    for repo, why in ((None, "no repository"), (project.folder.parent, "git")):
        impact = find_impact(cases=CASES, change=change, repo=repo)
        assert set(impact.affected) == set(CASES)
        assert why in words(impact.all_affected)
    (project.folder / "link").symlink_to("README.md")
    project.repo.git("add", "-A")
    assert "link changed" in words(project.impact().all_affected)


def test_the_same_coverage_twice_leaves_one_copy_and_the_latest_counts(project, measured):
    before = project.links()
    at = {row["commit"] for row in before}
    assert at == {project.commit}
    done = project.ingest(measured / ".coverage", "--json")
    assert done.document["files"][0]["new"] is False
    assert project.links() == before
    ran = {r["path"]: r["lines"] for r in before if r["case_id"] == CASES[0]}
    assert ran.keys() == {"", "pkg/core.py", "tests/test_core.py"}
    assert ran["pkg/core.py"] == "16"


def test_functions_as_contexts(unmeasured, tmp_path):
    other = written(tmp_path / "other")
    (other / "cov.ini").write_text(
        "[run]\ndynamic_context = test_function\nrelative_files = true\n"
    )
    measure(other, "--cov=.", "--cov-config=cov.ini", "--cov-report=")
    done = unmeasured.ingest(other / ".coverage")
    assert (done.code, done.err) == (0, "")
    cases = {row["case_id"] for row in unmeasured.links()}
    assert {"tests/test_core.py::test_add", "tests/test_core.py::TestShape::test_area"} <= cases
    unmeasured.edit("pkg/core.py", "a + b", "b + a")
    assert unmeasured.affected() == ADD


def test_the_json_report_says_the_same(project, unmeasured, measured, tmp_path):
    report = tmp_path / "coverage.json"
    subprocess.run(
        [sys.executable, "-m", "coverage", "json", "-q", "--show-contexts", "-o", report],
        cwd=measured, check=True,
    )  # fmt: skip
    assert unmeasured.ingest(report).code == 0

    def lines(one):
        return {(r["case_id"], r["path"]): r["lines"] for r in one.links() if r["case_id"] in CASES}

    assert lines(unmeasured) == lines(project) != {}


def test_ids_may_be_spelt_as_in_junit_xml(project):
    project.edit("pkg/core.py", "a + b", "b + a")
    names = {c: c.replace("/", ".").replace(".py::TestShape", ".TestShape").replace(".py", "")
             for c in CASES}  # fmt: skip
    assert names[CASES[2]] == "tests.test_core.TestShape::test_area"
    impact = find_impact(
        cases=list(names.values()),
        change=find_change(project.folder),
        repo=project.folder,
        store=Store.open(project.store),
    )
    assert impact.affected.keys() == {names[case] for case in CASES[:2]}


def test_uncommitted_files_leave_nothing_out(unmeasured, measured):
    unmeasured.edit("pkg/core.py", "a + b", "b + a")
    done = unmeasured.ingest(measured / ".coverage")
    assert done.code == 0
    assert "commit first" in done.err
    assert {row["commit"] for row in unmeasured.links()} == {None}
    assert unmeasured.affected() >= set(CORE)


def database(path: Path, *statements: str) -> Path:
    with sqlite3.connect(path) as db:
        for statement in statements:
            db.execute(statement)
    return path


TABLES = ("CREATE TABLE file (id, path)", "CREATE TABLE context (id, context)")
ENDLESS = (
    "CREATE VIEW line_bits AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i FROM n) "
    "SELECT i AS file_id, i AS context_id, i AS numbits FROM n"
)


def test_files_that_cannot_be_read_are_named_and_the_others_kept(unmeasured, measured, tmp_path):
    bits = "CREATE TABLE line_bits (file_id, context_id, numbits)"
    arcs = "CREATE TABLE arc (file_id, context_id, fromno, tono)"
    rows = ("INSERT INTO file VALUES (1, 'pkg/core.py')", "INSERT INTO context VALUES (1, 'a::b')")
    whole = (measured / ".coverage").read_bytes()
    (tmp_path / "cut").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text").write_text("words")
    (tmp_path / "list.json").write_text("[" * 100_000)
    (tmp_path / "deep.json").write_text('{"files":' + "[" * 100_000)
    (tmp_path / "kind.json").write_text(json.dumps({"files": {"a.py": {"contexts": {"x": "y"}}}}))
    plain = database(tmp_path / "plain", *TABLES, bits, "INSERT INTO context VALUES (1, '')")
    bad = {
        tmp_path / "absent": "No such file",
        tmp_path / "cut": "damaged",
        tmp_path / "text": "neither",
        tmp_path / "list.json": "neither",
        tmp_path / "deep.json": "not a JSON coverage report",
        tmp_path / "kind.json": "not a JSON coverage report",
        plain: "--cov-context=test",
        database(tmp_path / "other", "CREATE TABLE x (y)"): "not one of coverage",
        database(tmp_path / "view", *TABLES, ENDLESS): "not one of coverage",
        database(tmp_path / "virtual", *TABLES, "CREATE VIRTUAL TABLE arc USING fts5(fromno)"):
            "not one of coverage",
        database(tmp_path / "huge", *TABLES, arcs, *rows,
                 "INSERT INTO arc VALUES (1, 1, 1, 99999999999)"): "not a line number",
        database(tmp_path / "away", *TABLES, bits, "INSERT INTO file VALUES (1, '/x/y.py')",
                 rows[1], "INSERT INTO line_bits VALUES (1, 1, x'02')"): "no file of the repo",
    }  # fmt: skip
    done = unmeasured.ingest(*bad, measured / ".coverage", "--json")
    assert done.code == 3
    for file, why in zip(done.document["files"], bad.values(), strict=False):
        assert why in file["rejected"], file
    assert done.document["files"][-1]["cases"] == len(CASES)
    assert len({row["case_id"] for row in unmeasured.links()}) == len(CASES) + 2
