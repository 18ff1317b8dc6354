"""`testopt store forget` on a real repository: nobody and nothing of it comes back."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from builders import Suite

from testopt.git.pseudonyms import pseudonym
from testopt.selection.decisions import Decision, log_decisions, read_decisions
from testopt.store import Store
from testopt.store.forgotten import save_forgotten

pytestmark = pytest.mark.integration

CASE = Suite.cases[7]


def person(name, mail):
    return {"GIT_AUTHOR_NAME": name, "GIT_AUTHOR_EMAIL": mail}


@pytest.fixture
def project(make_repo, testopt, tmp_path, monkeypatch):
    """Return a call of testopt on a repository of two people, with mined commits and runs."""
    monkeypatch.setenv("TESTOPT_KEY", "a key of this test alone")
    repo = make_repo("repo")
    repo.commit("first", {"a.py": "x = 1\n"}, person("Bob Roe", "bob@example.org"))
    repo.commit("second", {"a.py": "x = 2\n"}, person("Bob Roe", "bob@home.example"))
    repo.commit("third", {"b.py": "x = 2\n"})
    results = Suite.write(tmp_path / "r.csv", range(24))

    def call(*args):
        return testopt("--repo", repo.path, *args)

    for args in (("mine",), ("ingest", "--format", "table", str(results))):
        assert call(*args).code == 0
    call.repo, call.results = repo, results
    return call


def test_an_author_and_a_case(project, monkeypatch):
    for wrong in (("--author", "Bob"), ("--case", CASE[:-1]), ("--case-pattern", "*nothing*"), ()):
        assert project("store", "forget", *wrong, "--yes").code == 2, wrong
    assert f"did you mean '{CASE}'" in project("store", "forget", "--case", CASE + "x").err
    pattern = CASE.replace(CASE[-3:], "*")
    assert CASE in project("store", "forget", "--case-pattern", pattern, "--json").document["cases"]
    store = Store.open(str(project.repo.path / ".testopt"))
    bob = pseudonym(b"bob@home.example", b"a key of this test alone")
    log_decisions(store, Decision(kind="promoted", why="better", author=bob))
    named = ("--author", "bob roe", "--case", CASE)
    assert project("train").code == 0
    shown = project("store", "forget", *named)
    assert shown.code == 0
    assert "bob@example.org, bob@home.example" in shown.out
    assert "nothing was changed" in shown.out
    done = project("store", "forget", *named, "--yes", "--json").document
    assert done["authors"][0]["commits"] == 2
    assert done["rows"] == {"commits": 2, "decisions": 1, "results": 24}
    decided = [(d.kind, d.author) for d in read_decisions(store)]
    assert ("promoted", "forgotten") in decided
    assert decided[-1][0] == "removed"
    assert (done["done"], done["runs"], len(done["bundles"])) == (True, 24, 1)
    again = project("ingest", "--format", "table", str(project.results), "--json")
    assert again.code == 0
    project.repo.commit("fourth", {"a.py": "x = 4\n"}, person("Bob Roe", "BOB@example.org"))
    assert project("mine").code == 0
    left = project("store", "forget", *named, "--json").document
    assert (left["rows"], left["authors"][0]["commits"]) == ({}, 0)
    store = Store.open(project.repo.path / ".testopt")
    save_forgotten(store._location, replace(store.forgotten(), pending=True))
    assert "repeat it to finish" in project("store", "check").out
    assert project("store", "forget", "--case-pattern", CASE, "--yes").code == 0
    assert CASE not in project("rank").out
    assert project("store", "check").out == "the store is whole\n"
    monkeypatch.setitem(os.environ, "TESTOPT_KEY", "another key, of somebody")
    for args in (("store", "forget", "--author", "ann@example.org"), ("mine",)):
        done = project(*args)
        assert done.code == 2
        assert "TESTOPT_KEY" in done.err
