"""Sources of cases and changes, on a real repository."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest
from builders import make_query

from testopt.code.words import text_words
from testopt.git.blobs import read_working_file
from testopt.similarity.affinity import NAMES, affinity_matrix, features
from testopt.similarity.case_texts import CaseTexts
from testopt.similarity.source_index import SourceIndex
from testopt.store.arrays import dump_arrays, load_arrays

pytestmark = pytest.mark.integration

CORE = """\
def tokenize(text):
    return text.split(",")


def parse(text):
    return [strip(t) for t in tokenize(text)]


def strip(token):
    return token.strip()


def colour(name):
    return name.lower()
"""
TESTS = """\
import pytest
from pkg import core


@pytest.mark.parametrize("text", ["a", "b"])
def test_parse(text):
    assert core.parse(text) == [text]


class TestColour:
    def test_lower(self):
        assert core.colour("Red") == "red"
"""
OTHER = "def test_nothing():\n    assert True\n"
CASES = [
    "tests/test_other.py::test_nothing",
    "tests/test_core.py::TestColour::test_lower",
    "tests/test_core.py::test_parse[a]",
    "tests/test_core.py::test_parse[b]",
]


class Repo:
    def __init__(self, path):
        self.path = path
        path.mkdir()
        self.git("init", "-q", "-b", "main")

    def git(self, *args):
        done = subprocess.run(
            ["git", "-C", str(self.path), "-c", "user.name=A", "-c", "user.email=a@example.org",
             *args], check=True, capture_output=True, text=True,
        )  # fmt: skip
        return done.stdout.strip()

    def commit(self, *, message="change", **files):
        for name, text in files.items():
            target = self.path / name.replace("__", "/").replace("_py", ".py").replace("_go", ".go")
            target.parent.mkdir(exist_ok=True)
            target.write_text(text)
            self.git("add", str(target))
        self.git("commit", "-q", "-m", message)
        return self.git("rev-parse", "HEAD")


@pytest.fixture(scope="module")
def repo(tmp_path_factory):
    repo = Repo(tmp_path_factory.mktemp("r") / "repo")
    early = {
        "pkg__core_py": CORE.partition("def colour")[0],
        "tests__test_core_py": TESTS.partition("class")[0],
        "tests__test_other_py": OTHER,
    }
    repo.first = repo.commit(**early)
    repo.base = repo.commit(pkg__core_py=CORE, tests__test_core_py=TESTS)
    repo.strip = repo.commit(pkg__core_py=CORE.replace("token.strip()", "token.rstrip()"))
    repo.git("checkout", "-q", repo.base)
    repo.colour = repo.commit(pkg__core_py=CORE.replace("name.lower()", "name.upper()"))
    repo.git("checkout", "-q", repo.base)
    repo.tests = repo.commit(tests__test_core_py=TESTS.replace('"Red"', '"RED"'))
    return repo


def read(repo, commit, cases=CASES, base=None):
    text = CaseTexts(repo.path).read(cases, base=base or repo.base, commit=commit)
    assert text is not None
    return text


def best(text, cases=CASES):
    return cases[int(np.argmax(features(text)["prior"]))]


def test_the_case_that_names_the_changed_function_comes_first(repo):
    assert best(read(repo, repo.colour)) == CASES[1]
    assert best(read(repo, repo.strip)) in CASES[2:]


def test_junit_names_find_the_same_sources(repo):
    raw = [
        "tests.test_other::test_nothing", "tests.test_core.TestColour::test_lower",
        "tests.test_core::test_parse[a]", "tests.test_core::test_parse[b]",
    ]  # fmt: skip
    mine, same = (features(read(repo, repo.strip, cases)) for cases in (raw, CASES))
    for name in NAMES:
        np.testing.assert_array_equal(mine[name], same[name], err_msg=name)


def test_calls_lead_from_the_case_over_parse_to_strip(repo):
    found = features(read(repo, repo.strip))
    assert found["hops"].tolist() == [10, 10, 2, 2]
    assert found["calls_share"].argmax() == 2
    assert found["import_hops"].tolist() == [10, 1, 1, 1]


def test_git_knows_which_test_was_written_with_the_changed_lines(repo):
    text = read(repo, repo.colour)
    lines = text.written_with["lines"][text.document]
    assert lines[1] == pytest.approx(1 / np.log2(3))  # the class and its method were written
    assert lines[0] == lines[2] == 0.0
    edited = text.edited[text.document]
    assert edited[1] == 0
    assert edited[2] == edited[0] == 1
    later = read(repo, repo.colour, base=repo.first)
    assert later.edited[later.document].tolist() == [0, 40, 0, 0]


def test_the_messages_of_the_commits_that_wrote_the_changed_lines_find_cases(tmp_path):
    repo = Repo(tmp_path / "repo")
    core = "def parse(text):\n    return text\n\n\ndef strip(text):\n    return text.strip()\n"
    tests = "def test_one():\n    assert 1\n\n\ndef test_issue_318():\n    assert 1\n"
    repo.commit(tests__test_core_py=tests, other_py="a = 1\n", message="Add tests for parsing")
    said = "Keep blanks in quotes (fixes #318)\n\nSigned-off-by: One <one@example.org>"
    base = repo.commit(pkg__core_py=core, message=said)
    commit = repo.commit(pkg__core_py=core.replace(".strip", ".rstrip"), message="issue 7")
    cases = ["tests/test_core.py::test_one", "tests/test_core.py::test_issue_318"]
    text = read(repo, commit, cases, base)
    assert (
        text.change.messages["lines"].keys() == text_words("Keep blanks in quotes fixes 318").keys()
    )
    assert features(text)["lines_said_share"].tolist() == [0.0, 1.0]
    before = read(repo, base, cases, repo.git("rev-parse", "HEAD~2"))
    assert not before.change.messages["lines"]  # nobody wrote what was not there


def test_the_order_in_which_cases_are_asked_for_changes_nothing(tmp_path):
    repo = Repo(tmp_path / "repo")
    test = "def test_price_{0}():\n    items = [1, {0}]\n    assert total_price(items, 2) == {0}\n"
    tests = {
        f"tests__test_{i}_py": "from tax import total_price\n" + "".join(map(test.format, range(4)))
        for i in range(30)
    }
    tax = "def price_with_tax(price, rate):\n    return price\n"
    base = repo.commit(tax_py=tax, **tests)
    commit = repo.commit(tax_py=tax.replace("return price", "return total_price(price, rate)"))
    cases = [f"tests/test_{i}.py::test_price_{k}" for i in range(30) for k in range(4)]
    found = features(read(repo, commit, cases, base))
    assert found["words_share"].max() > 0
    for seed in range(3):
        places = np.random.default_rng(seed).permutation(len(cases))
        other = features(read(repo, commit, [cases[i] for i in places], base))
        for name in NAMES:
            np.testing.assert_array_equal(other[name], found[name][places], err_msg=name)


def test_the_names_of_what_uses_a_changed_function_find_cases(tmp_path):
    repo = Repo(tmp_path / "repo")
    core = "def narrow(x):\n    return x\n\n\ndef render_table(x):\n    return narrow(x)\n"
    tests = "def test_chart():\n    assert 1\n\n\ndef test_tables():\n    assert 1\n"
    base = repo.commit(tests__test_core_py=tests, pkg__core_py=core)
    commit = repo.commit(pkg__core_py=core.replace("return x", "return -x"))
    cases = ["tests/test_core.py::test_chart", "tests/test_core.py::test_tables"]
    text = read(repo, commit, cases, base)
    assert text.change.callers.keys() == text_words("render_table").keys()
    assert features(text)["callers_share"].tolist() == [0.0, 1.0]


def test_lines_that_come_in_count_as_the_one_they_stand_at(repo):
    repo.git("checkout", "-q", repo.base)
    longer = CORE.replace("    return name.lower()", "    print(name)\n    return name.lower()")
    text = read(repo, repo.commit(pkg__core_py=longer))
    assert text.written_with["lines"][text.document][1] > 0


def test_edited_tests_are_in_the_change_and_a_change_of_tests_alone_says_nothing_else(repo):
    text = read(repo, repo.tests)
    assert text.in_change[text.document].tolist() == [0, 1, 0, 0]
    assert not text.change.lines
    x = affinity_matrix(make_query(CASES, text=text))
    assert x[:, NAMES.index("in_change")].tolist() == [0, 1, 0, 0]


def test_a_changed_helper_beside_the_cases_is_half_a_change_of_theirs(repo):
    repo.git("checkout", "-q", repo.base)
    start, mark, rest = TESTS.partition("@pytest")
    found = []
    for name in ("test_more", "helper"):
        new = f"{start}def {name}():\n    return 1\n\n\n{mark}{rest}"
        text = read(repo, repo.commit(tests__test_core_py=new))
        repo.git("checkout", "-q", repo.base)
        found.append(text.in_change[text.document].tolist())
    assert found == [[0, 0, 0, 0], [0, 0.5, 0.5, 0.5]]


def test_a_file_that_cannot_be_collected_goes_before_its_cases(repo):
    cases = [*CASES, "::tests.test_core"]
    text = read(repo, repo.colour, cases)
    assert text.whole_file.tolist() == [False] * 4 + [True]
    found = features(text)
    assert found["prior"][4] >= found["prior"].max() - 1e-9
    assert found["hops"][4] == found["hops"].min()


def test_a_plain_query_has_no_features():
    assert np.isnan(affinity_matrix(make_query(CASES))).all()


def test_cases_whose_ids_name_no_file_are_found_by_their_definitions(tmp_path):
    repo = Repo(tmp_path / "repo")
    shape = "package shape\n\nfunc {0}(x int) int {{\n\treturn x\n}}\n"
    tests = "func Test{0}(t *testing.T) {{\n\tif {0}(1) != 1 {{\n\t\tt.Fail()\n\t}}\n}}\n"
    sources = {f"geo__{name}_go": shape.format(name.title()) for name in ("area", "edge")}
    source_tests = {
        f"geo__{name}_test_go": f"package shape\n\n{tests.format(name.title())}"
        for name in ("area", "edge")
    }
    base = repo.commit(**sources, **source_tests)
    edge = sources["geo__edge_go"].replace("return x", "return -x")
    commit = repo.commit(geo__edge_go=edge)
    cases = ["example.com/shape/geo::TestArea", "example.com/shape/geo::TestEdge/of_one"]
    text = read(repo, commit, cases, base)
    assert text.paths == ("geo/area_test.go", "geo/edge_test.go")
    assert best(text, cases) == cases[1]


def test_opaque_cases_and_lost_commits(repo):
    text = read(repo, repo.colour, ["1234", "colour of things"])
    assert features(text)["words_share"].tolist() == [0, 1]
    reader = CaseTexts(repo.path)
    assert reader.read(CASES, base="0" * 40, commit=repo.colour) is None
    assert reader.read(CASES, base=None, commit=repo.colour) is None
    assert reader.read([], base=repo.base, commit=repo.colour) is None


def test_the_working_tree_is_read_from_the_disk(repo):
    repo.git("checkout", "-q", repo.base)
    core = repo.path / "pkg" / "core.py"
    core.write_text(CORE.replace("name.lower()", "name.title()"))
    try:
        assert best(read(repo, None)) == CASES[1]
    finally:
        core.write_text(CORE)


def test_nothing_later_than_the_change_is_seen(repo):
    before = features(read(repo, repo.strip))
    repo.git("checkout", "-q", repo.strip)
    repo.commit(tests__test_other_py="def test_nothing():\n    strip()\n")
    after = features(read(repo, repo.strip))
    for name in NAMES:
        np.testing.assert_array_equal(before[name], after[name], err_msg=name)


def test_the_index_survives_a_file_without_pickle(repo):
    reader = CaseTexts(repo.path)
    first = reader.read(CASES, base=repo.base, commit=repo.strip)
    data = dump_arrays(reader.index.dump(reader.index.objects()))
    other = CaseTexts(repo.path)
    other.index.load(load_arrays(data))
    again = other.read(CASES, base=repo.base, commit=repo.strip)
    assert other.index.added == 0
    assert reader.index.added > 0
    mine, same = features(first), features(again)
    for name in NAMES:
        np.testing.assert_array_equal(mine[name], same[name], err_msg=name)


def test_a_damaged_index_is_refused(repo):
    reader = CaseTexts(repo.path)
    reader.read(CASES, base=repo.base, commit=repo.strip)
    arrays = reader.index.dump(reader.index.objects())
    arrays["bodies.ends"] = arrays["bodies.ends"][:-1]
    with pytest.raises(ValueError, match="does not fit"):
        SourceIndex(repo.path).load(arrays)


def test_links_out_of_the_repository_are_not_followed(tmp_path):
    (tmp_path / "secret").write_text("x")
    inside = tmp_path / "repo"
    inside.mkdir()
    (inside / "link.py").symlink_to(tmp_path / "secret")
    assert read_working_file(inside, "link.py") is None
    assert read_working_file(inside, "../secret") is None
    (inside / "a.py").write_text("y")
    assert read_working_file(inside, "a.py") == "y"


BASE_CLASS = """\
class Shared:
    def test_lower(self):
        assert core.colour("Red") == "red"

    def test_upper(self):
        assert core.strip(" a ") == "a"
"""
COLLECTS = """\
from test_shared import Shared
from test_one import TestOne


class TestBlue(Shared):
    blue = True
"""


@pytest.fixture(scope="module")
def collected_elsewhere(tmp_path_factory):
    repo = Repo(tmp_path_factory.mktemp("c") / "repo")
    one = BASE_CLASS.replace("Shared", "TestOne")
    start = {
        "pkg__core_py": CORE, "tests__test_other_py": OTHER, "tests__test_shared_py": BASE_CLASS,
        "tests__test_one_py": one, "tests__test_all_py": COLLECTS,
    }  # fmt: skip
    repo.base = repo.commit(**start)
    repo.colour = repo.commit(pkg__core_py=CORE.replace("name.lower()", "name.upper()"))
    repo.git("checkout", "-q", repo.base)
    repo.tests = repo.commit(tests__test_shared_py=BASE_CLASS.replace('"Red"', '"RED"'))
    return repo


@pytest.mark.parametrize("owner", ["TestBlue", "TestOne"])
def test_a_case_is_read_where_it_is_defined(collected_elsewhere, owner):
    repo = collected_elsewhere
    cases = [CASES[0], *(f"tests/test_all.py::{owner}::test_{end}" for end in ("upper", "lower"))]
    text = read(repo, repo.colour, cases)
    found = features(text)
    assert best(text, cases) == cases[2]
    assert found["words_share"].tolist()[2] == 1.0
    assert found["hops"].tolist() == [10, 10, 1]
    home = "tests/test_shared.py" if owner == "TestBlue" else "tests/test_one.py"
    assert [text.paths[i] for i in text.file] == [CASES[0].partition("::")[0], home, home]


def test_an_edit_of_a_base_class_is_one_of_the_cases_that_inherit(collected_elsewhere):
    repo = collected_elsewhere
    inherits = [f"tests/test_all.py::TestBlue::test_{end}" for end in ("upper", "lower")]
    text = read(repo, repo.tests, [*inherits, "tests/test_all.py::TestOne::test_lower"])
    assert text.in_change[text.document].tolist() == [0, 1, 0]
