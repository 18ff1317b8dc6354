"""`testopt risk` on repositories that are odd in one way each: always a clear answer."""

import json
import os
import subprocess

import pytest

pytestmark = pytest.mark.integration


@pytest.fixture
def ask(testopt, no_ci):
    """Return a function that calls the command line in a repository."""
    return lambda repo, *args: testopt("--repo", repo.path, *args)


def story(repo, n=30, people=("Ann",), subject="fix {}"):
    """Commit `n` times to one file that is fixed every other time."""
    for i in range(n):
        person = people[i % len(people)]
        date = f"{1704110400 + i * 86400} +0000"
        env = {
            f"GIT_{w}_{k}": v
            for w in ("AUTHOR", "COMMITTER")
            for k, v in {"NAME": person, "EMAIL": f"{person}@x.org", "DATE": date}.items()
        }
        text = "".join(f"x{j} = {i if j in (i % 5, 7) else 0}\n" for j in range(12))
        repo.commit(subject.format(i) if i % 2 else f"add {i}", {"pkg/a.py": text}, env=env)


def learn(ask, repo):
    assert ask(repo, "mine").code == 0
    assert ask(repo, "szz").code == 0


def risk_of(ask, repo, *args):
    done = ask(repo, "risk", *args, "--json")
    assert done.code == 0, done.err
    return done.document["risks"]


def test_one_author_only(make_repo, ask):
    repo = make_repo()
    story(repo)
    learn(ask, repo)
    (risk,) = risk_of(ask, repo, "HEAD")
    assert 0 < risk["probability"] < 1
    assert "who may review it" not in ask(repo, "risk", "HEAD").out  # nobody but its author
    assert "Ann" not in ask(repo, "risk", "HEAD", "--no-names", "--json").out
    sarif = ask(repo, "risk", "HEAD", "--format", "sarif").out
    assert "Ann" not in sarif
    assert "@x.org" not in sarif


def test_no_fixes_at_all(make_repo, ask):
    repo = make_repo()
    story(repo, n=6, subject="more {}")
    learn(ask, repo)
    done = ask(repo, "risk")
    assert done.code == 3
    assert "none is recognised as a fix" in done.err
    assert "nothing to learn from" in done.err


def test_names_that_are_no_utf8(make_repo, ask):
    repo = make_repo()
    story(repo)
    learn(ask, repo)
    repo.write(os.fsencode("pkg/") + b"caf\xe9\n.py", "def f():\n    return 1\n" * 30)
    head = repo.commit("odd")
    (risk,) = risk_of(ask, repo, head)
    (file,) = risk["files"]
    assert file["path"] == "pkg/caf\\xe9\n.py"
    assert file["hunks"][0]["added"] == 60
    done = ask(repo, "risk", head)
    assert "caf\\xe9\\n.py" in done.out
    assert ask(repo, "risk", head, "--format", "markdown").code == 0
    sarif = json.loads(ask(repo, "risk", head, "--format", "sarif").out)
    place = sarif["runs"][0]["results"][0]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "pkg/caf%E9%0A.py"


@pytest.mark.slow
def test_twenty_thousand_files(make_repo, ask):
    repo = make_repo()
    story(repo)
    learn(ask, repo)
    stream = ["commit refs/heads/main\ncommitter A <a@x.org> 1710000000 +0000\ndata 4\nvast\n"]
    stream.append("from refs/heads/main^0\n")
    stream += [f"M 644 inline big/{i}.py\ndata 6\nx = 1\n\n" for i in range(20_000)]
    subprocess.run(
        ["git", "-C", repo.path, "fast-import", "--quiet"],
        input="".join(stream).encode(), check=True,
    )  # fmt: skip
    repo.git("reset", "-q", "--hard")
    (risk,) = risk_of(ask, repo, "HEAD")
    assert risk["n_files"] == 20_000
    assert len(risk["files"]) == 20
    done = ask(repo, "risk", "HEAD")
    assert "and 19992 more files" in done.out


def test_a_merge_is_what_it_brings_in(make_repo, ask):
    repo = make_repo()
    story(repo)
    repo.git("checkout", "-q", "-b", "side", "HEAD~2")
    repo.commit("aside", {"pkg/b.py": "y = 1\n" * 40, "pkg/c.py": "z = 1\n"})
    repo.git("checkout", "-q", "main")
    repo.git("merge", "-q", "--no-ff", "-m", "merge side", "side")
    learn(ask, repo)
    (risk,) = risk_of(ask, repo, "HEAD")
    assert {f["path"] for f in risk["files"]} == {"pkg/b.py", "pkg/c.py"}
    values = {p["metric"]: p["value"] for p in risk["parts"]}
    # few commits: the rate alone, whose only part is the base
    assert values == {"base": None} or values["la"] == 41


def test_a_branch_against_its_base_from_a_subfolder_store(make_repo, ask, tmp_path):
    repo = make_repo()
    story(repo)
    learn(ask, repo)
    repo.git("checkout", "-q", "-b", "topic")
    repo.commit("one", {"pkg/b.py": "y = 1\n"})
    repo.write("pkg/a.py", "staged = 1\n")
    repo.git("add", "-A")
    (risk,) = risk_of(ask, repo, "--base", "main")
    assert {f["path"] for f in risk["files"]} == {"pkg/a.py", "pkg/b.py"}
    assert risk["name"] == "main..the uncommitted changes"
    done = ask(repo, "risk", "--base", "main", "--fail-over", "0.0")
    assert done.code == 1
    assert "above 0.0%" in done.err


def test_tests_that_catch_are_named(make_repo, ask):
    repo = make_repo()
    story(repo)
    learn(ask, repo)
    rows = ["run_id,time,case_id,outcome,duration_s"]
    changes = ["run_id,path,added,deleted"]
    for i in range(6):
        time = f"2024-02-{i + 1:02}T00:00:00Z"
        bad = "failed" if i % 2 else "passed"
        rows += [f"r{i},{time},tests/test_a.py::test_x,{bad},1", f"r{i},{time},t::ok,passed,1"]
        changes.append(f"r{i},{'pkg/a.py' if i % 2 else 'pkg/b.py'},1,0")
    repo.path.joinpath("runs.csv").write_text("\n".join(rows))
    repo.path.joinpath("changes.csv").write_text("\n".join(changes))
    table, files = repo.path / "runs.csv", repo.path / "changes.csv"
    assert ask(repo, "ingest", "--format", "table", "--changes", files, table).code == 0
    (risk,) = risk_of(ask, repo, "HEAD")
    (file,) = risk["files"]
    assert [t["case_id"] for t in file["tests"]] == ["tests/test_a.py::test_x"]
    assert risk["uncaught"] == []
    head = repo.commit("new", {"pkg/new.py": "a = 1\n", "README.md": "x\n"})
    (risk,) = risk_of(ask, repo, head)
    assert risk["uncaught"] == ["pkg/new.py"]
    assert "no test is known to catch a defect in: pkg/new.py" in ask(repo, "risk", head).out


def test_authors_can_be_switched_off_by_a_setting(make_repo, ask):
    repo = make_repo()
    repo.commit("setting", {"pyproject.toml": "[tool.testopt]\nauthor_features = false\n"})
    story(repo, n=66, people=("Ann", "Bob", "Eve"))
    learn(ask, repo)
    parts = risk_of(ask, repo, "HEAD")[0]["parts"]
    metrics = {p["metric"] for p in parts}
    assert "la" in metrics
    assert not metrics & {"exp", "rexp", "sexp", "ndev"}
