"""`testopt why`: what decided on one case, with the evidence."""

import math
import re
import shutil
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from builders import GitRepo, Suite, make_record, new_store

from testopt.errors import UnknownCaseError
from testopt.plan.case_history import case_past
from testopt.plan.why import find_case
from testopt.schema import Result
from testopt.store import Store

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("no_ci")]

FLAKY, NEVER = Suite.cases[7], Suite.cases[1]
DIFF = """\
diff --git a/src/b.py b/src/b.py
--- a/src/b.py
+++ b/src/b.py
@@ -1 +1 @@
-old_value = 1
+new_value = 2
"""


@pytest.fixture
def place(trained, tmp_path):
    """A copy of the trained store and a diff, and the arguments up to the case."""
    shutil.copytree(trained / "store", tmp_path / "store")
    (tmp_path / "a.diff").write_text(DIFF)
    at = ("--repo", tmp_path, "--store", tmp_path / "store")
    return (*at, "why", "--diff", tmp_path / "a.diff")


def test_all_that_is_known_of_a_case_as_json(place, testopt):
    document = testopt(*place, FLAKY, "--json").document
    assert document["version"] == 1
    assert document["case_id"] == FLAKY
    assert document["of"] == len(Suite.cases)
    failures = sum(Suite.outcome(run, 7) == "failed" for run in range(60))
    past = document["past"]
    assert (past["runs"], past["failures"]) == (60, failures)
    assert past["last_failure"]["run_id"] == "run 57"
    assert document["selected"]
    assert document["promise"]["kind"] in ("promise", "none")
    logit = math.log(document["probability"] / (1 - document["probability"]))
    parts = [part["log_odds"] for part in document["contributions"]]
    assert document["base"] + sum(parts) == pytest.approx(logit, abs=1e-4)
    assert [abs(part) for part in parts] == sorted((abs(part) for part in parts), reverse=True)
    assert {part["family"] for part in document["contributions"]} >= {"its own failures and age"}


def test_the_same_in_words(place, testopt):
    done = testopt(*place, FLAKY)
    assert done.code == 0, done.err
    assert done.out.startswith(f"{FLAKY}\n  runs: ")
    assert "history: 60 runs, 30 failures, last run 2026-01-03" in done.out
    assert "what the model adds, in log-odds, against other cases of this run" in done.out
    lines = testopt(*place, NEVER).out.splitlines()
    assert "history: 60 runs, 0 failures, last run 2026-01-03" in lines


def test_a_case_that_is_left_out_says_what_decided(place, testopt):
    done = testopt(*place, NEVER, "--fraction", "0.1")
    answer = done.out.splitlines()[1]
    assert "is left out: its score" in answer
    assert "is below the threshold" in answer
    chosen = testopt(*place, FLAKY, "--fraction", "0.3").out.splitlines()[1]
    assert chosen.startswith(("  runs: its score", "  runs: it must"))


def test_the_numbers_are_those_of_the_reasons_of_the_plan(place, testopt):
    """A plan and `why` rest on one evidence, whatever the case."""
    repo, store, diff = place[1], place[3], place[6]
    at = ("--repo", repo, "--store", store)
    counted = 0
    for case in testopt(*at, "rank", "--json", "--diff", diff).document["cases"][::3]:
        past = testopt(*place, case["case_id"], "--json").document["past"]
        for failures, runs in re.findall(r"failed in (\d+) of (\d+) runs", case["reason"]):
            assert (past["failures"], past["runs"]) == (int(failures), int(runs))
        for runs in re.findall(r"never failed in (\d+) run", case["reason"]):
            assert (past["failures"], past["runs"]) == (0, int(runs))
        for change in re.findall(r"failed in (\d+) of (\d+) changes to `(.*?)`", case["reason"]):
            first = past["changes"][0]
            told = (str(first["failures"]), str(first["changes"]), first["name"])
            assert told == change
        counted += "failed in" in case["reason"]
    assert counted


def test_an_id_may_be_a_part_that_one_case_alone_has(place, testopt):
    assert testopt(*place, "test_b.py::test_2", "--json").document["case_id"] == FLAKY
    done = testopt(*place, "test_2")
    assert done.code == 2
    assert "3 cases have 'test_2' in their ids" in done.err
    done = testopt(*place, "tests/test_b.py::tset_2")
    assert done.code == 2
    assert f"did you mean {FLAKY}" in done.err
    with pytest.raises(UnknownCaseError, match="no case of 15") as error:
        find_case("???", Suite.cases)
    assert error.value.hint == "see: testopt rank --all"


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("t.py::test_a", "t.py::test_a"),
        ("test_a", "t.py::test_a"),
        ("a", None),
        ("test_ab", "t.py::test_ab[1-test_a]"),
        ("test_c", "u.py::test_c"),
        ("t.py::test_c", ["t.py::test_c[1]", "t.py::test_c[2]"]),
        ("test_c[2]", "t.py::test_c[2]"),
        ("K::test_d", "t.py::K::test_d"),
        ("test_d", ["t.py::K::test_d", "t.py::L::test_d"]),
        ("pkg.Case.test_j", "pkg.Case.test_j"),
        ("test_j", "pkg.Case.test_j"),
        ("st_j", "pkg.Case.test_j"),
    ],
)
def test_an_exact_name_wins_over_longer_ones(name, found):
    known = [
        "t.py::test_ab[1-test_a]", "t.py::test_a", "t.py::my_test_a", "t.py::test_c[1]",
        "t.py::test_c[2]", "u.py::test_c", "t.py::K::test_d", "t.py::L::test_d", "pkg.Case.test_j",
    ]  # fmt: skip
    if isinstance(found, str):
        assert find_case(name, known) == found
        return
    with pytest.raises(UnknownCaseError) as error:
        find_case(name, known)
    if found:
        assert error.value.hint == ", ".join(found)


def add(store: Store, day: int, outcomes: list[str], commit: str, *paths: str, **run):
    run |= {"hours": 24 * day, "commit": commit, "change": paths}
    attempts = [Result("t.py::c", one, 0.1, attempt) for attempt, one in enumerate(outcomes, 1)]
    store.append_runs([replace(make_record(f"r{day}", **run), results=attempts)])


def test_the_past_of_a_case(tmp_path):
    store = new_store(tmp_path)
    later = datetime(2026, 2, 1, tzinfo=UTC)
    assert case_past(store, ["t.py::c"], before=later).runs == 0
    add(store, 0, ["passed"], "a" * 40, "billing/a.py")
    add(store, 1, ["failed"], "b" * 40, "billing/b.py", "docs/x.md")
    add(store, 2, ["failed", "passed"], "c" * 40, "billing/a.py")
    add(store, 3, ["passed"], "b" * 40, "web/a.py")
    add(store, 4, ["failed"], "d" * 40, "billing/a.py", kind="mutant")
    add(store, 5, ["skipped"], "e" * 40, "billing/a.py")
    add(store, 40, ["failed"], "f" * 40, "billing/a.py")
    past = case_past(store, ["t.py::c"], before=later)
    assert (past.runs, past.failures) == (4, 1)
    assert past.last_run == datetime(2026, 1, 4, tzinfo=UTC)
    assert past.last_failure is not None
    assert (past.last_failure.run_id, past.last_failure.commit) == ("r1", "b" * 40)
    assert (past.passed_again, past.both_at) == (1, 1)


def test_runs_of_one_commit_are_one_change_and_disturbed_runs_say_nothing(tmp_path):
    store = Store.open(str(tmp_path / "s"), create=True)
    for n, outcome in enumerate(["passed", "failed", "passed"]):
        add(store, n, [outcome], "a" * 40, "billing/a.py")
    add(store, 3, ["passed"], "b" * 40, "billing/a.py")
    add(store, 4, ["failed"], "c" * 40, "billing/a.py", environment_failure=True)
    past = case_past(store, ["t.py::c"], before=datetime(2026, 2, 1, tzinfo=UTC))
    assert (past.runs, past.failures) == (4, 1)


def test_what_a_change_could_affect_is_told_too(tmp_path, testopt):
    repo = GitRepo(tmp_path / "r")
    first = {
        "pkg/__init__.py": "",
        "pkg/alpha.py": "def alpha(quantity):\n    return quantity\n",
        "tests/test_alpha.py": (
            "from pkg.alpha import alpha\ndef test_alpha():\n    assert alpha(1)\n"
        ),
        "tests/test_other.py": "def test_other():\n    assert True\n",
        ".gitignore": ".testopt/\n",
    }
    repo.commit("one", first)
    repo.commit("two", {"pkg/alpha.py": "def alpha(quantity):\n    return quantity + 1\n"})
    ids = tmp_path / "ids"
    ids.write_text("tests/test_alpha.py::test_alpha\ntests/test_other.py::test_other\n")
    at = ("--repo", repo.path, "why", "--base", "HEAD^", "--head", "HEAD", "--cases", ids, "--safe")
    done = testopt(*at, "test_alpha.py::test_alpha")
    assert done.code == 0, done.err
    assert "could be affected: imports pkg/alpha.py" in done.out
    assert "  pkg/alpha.py: alpha" in done.out
    assert "history: it has not run before" in done.out
    done = testopt(*at, "test_other", "--json")
    assert done.document["clear"] == "it imports nothing that changed"
    assert done.document["contributions"] == []
